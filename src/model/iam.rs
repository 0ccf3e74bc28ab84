//! Permissions in Amazon's words, as plain values: statements, roles, who may take them on.

use serde_json::Value;
use serde_json::json;

/// One statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its name: letters and digits.
    pub sid: String,
    /// Whom it is about; absent in a policy of a role: a kind (`AWS`, `Service`, `Federated`) and the names.
    pub principals: Option<(&'static str, Vec<String>)>,
    /// What is allowed.
    pub actions: Vec<String>,
    /// On what. Empty in a trust policy.
    pub resources: Vec<String>,
    /// Only if: operator, key and values.
    pub conditions: Vec<(&'static str, String, Vec<String>)>,
}

/// A role, who may take it on, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it is for, in one sentence.
    pub purpose: String,
    /// Who may take it on.
    pub trust: Vec<Statement>,
    /// What it may do.
    pub policy: Vec<Statement>,
}

/// What an account needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPermissions {
    /// Twelve digits.
    pub account: String,
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: &'static str,
    /// The host of GitHub's identity tokens.
    pub issuer: String,
    /// Whom the tokens are for.
    pub audience: &'static str,
    /// The roles.
    pub roles: Vec<Role>,
    /// Policies of buckets that another account reads: the bucket and its statements.
    pub buckets: Vec<(String, Vec<Statement>)>,
    /// Policies of keys that another account uses: the key as configured and its statements.
    pub keys: Vec<(String, Vec<Statement>)>,
}

impl Statement {
    /// Writes it as a policy has it.
    pub fn json(&self) -> Value {
        let mut json = json!({ "Sid": self.sid, "Effect": "Allow", "Action": self.actions });
        let Some(map) = json.as_object_mut() else { return json };
        if let Some((kind, names)) = &self.principals {
            map.insert("Principal".to_owned(), json!({ *kind: names }));
        }
        if !self.resources.is_empty() {
            map.insert("Resource".to_owned(), json!(self.resources));
        }
        let mut conditions = serde_json::Map::new();
        for (operator, key, values) in &self.conditions {
            let tests = conditions.entry((*operator).to_owned()).or_insert_with(|| json!({}));
            if let Some(tests) = tests.as_object_mut() {
                tests.insert(key.clone(), json!(values));
            }
        }
        if !conditions.is_empty() {
            map.insert("Condition".to_owned(), Value::Object(conditions));
        }
        json
    }
}

/// Writes statements as a policy document.
pub fn document(statements: &[Statement]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements.iter().map(Statement::json).collect::<Vec<_>>() })
}
