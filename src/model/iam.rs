//! Permissions in Amazon's words, as plain values: statements, roles, who may assume them.

use crate::model::name::StageName;
use serde_json::Value;
use serde_json::json;

/// How many characters the policies inside of a role may have together, white space not counted. Source: "IAM and AWS STS
/// quotas" in the IAM user guide.
pub const LONGEST_POLICY: usize = 10_240;

/// How many characters a trust policy may have where nobody asked for more, white space not counted. Source: as above.
pub const LONGEST_TRUST: usize = 2_048;

/// Whether a statement allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever another statement allows.
    Deny,
}

impl Effect {
    /// Returns Amazon's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

/// One statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its name: letters and digits.
    pub sid: String,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// Whom it is about; absent in a policy of a role: a kind (`AWS`, `Service`, `Federated`) and the names.
    pub principals: Option<(&'static str, Vec<String>)>,
    /// What is allowed.
    pub actions: Vec<String>,
    /// On what. Empty in a trust policy.
    pub resources: Vec<String>,
    /// Only if: operator, key and values.
    pub conditions: Vec<(&'static str, String, Vec<String>)>,
}

/// A role, who may assume it, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it is for, in one sentence.
    pub purpose: String,
    /// Who may assume it.
    pub trust: Vec<Statement>,
    /// What it may do.
    pub policy: Vec<Statement>,
}

impl Role {
    /// Counts its policy as IAM does.
    pub fn policy_characters(&self) -> usize {
        characters(&self.policy)
    }

    /// Counts its trust policy as IAM does.
    pub fn trust_characters(&self) -> usize {
        characters(&self.trust)
    }
}

fn characters(statements: &[Statement]) -> usize {
    document(statements).to_string().chars().filter(|c| !c.is_whitespace()).count()
}

/// The roles that a stage works under, as `accounts` of the configuration has to name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRoles {
    /// The stage.
    pub stage: StageName,
    /// The role of its jobs. `None`: the configuration names none for any stage.
    pub assume_role_arn: Option<String>,
    /// The role of jobs that only read there.
    pub read_role_arn: Option<String>,
    /// The role of its training jobs.
    pub execution_role_arn: Option<String>,
}

/// What a configuration needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// By account, the default one first.
    pub accounts: Vec<AccountPermissions>,
    /// Stages that share a role in the configuration and have one of their own here. The configuration has to name it.
    pub separated: Vec<StageRoles>,
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
        let mut json = json!({ "Sid": self.sid, "Effect": self.effect.as_str(), "Action": self.actions });
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
