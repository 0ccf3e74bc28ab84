//! Permissions as files to apply: JSON to read, Terraform, CloudFormation. Pure.

use crate::model::iam::AccountPermissions;
use crate::model::iam::LONGEST_POLICY;
use crate::model::iam::LONGEST_TRUST;
use crate::model::iam::Role;
use crate::model::iam::StageRoles;
use crate::model::iam::document;
use crate::report::json::JSON_SCHEMA;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// How many bytes `aws cloudformation deploy` takes without a bucket for the template. Source: "AWS CloudFormation quotas".
pub const LONGEST_TEMPLATE: usize = 51_200;

/// Writes everything as one JSON document. `separated`: stages that share a role in the configuration.
pub fn as_json(accounts: &[AccountPermissions], separated: &[StageRoles]) -> Value {
    let of_account = |account: &AccountPermissions| {
        let roles: Vec<Value> = account.roles.iter().map(role_json).collect();
        let policies = |list: &[(String, Vec<crate::model::iam::Statement>)], key: &str| -> Vec<Value> {
            list.iter().map(|(name, statements)| json!({ key: name, "policy": document(statements) })).collect()
        };
        json!({
            "account": account.account,
            "oidc_provider": { "url": format!("https://{}", account.issuer), "audience": account.audience },
            "roles": roles,
            "bucket_policies": policies(&account.buckets, "bucket"),
            "key_policies": policies(&account.keys, "key"),
        })
    };
    let mut all = json!({ "schema": JSON_SCHEMA, "accounts": accounts.iter().map(of_account).collect::<Vec<_>>() });
    if let (Some(map), false) = (all.as_object_mut(), separated.is_empty()) {
        let stages: Map<String, Value> =
            separated.iter().map(|roles| (roles.stage.to_string(), Value::Object(keys_of(roles)))).collect();
        map.insert("configuration".to_owned(), json!({ "accounts": stages }));
    }
    all
}

fn keys_of(roles: &StageRoles) -> Map<String, Value> {
    let keys = [
        ("assume_role_arn", &roles.assume_role_arn),
        ("read_role_arn", &roles.read_role_arn),
        ("execution_role_arn", &roles.execution_role_arn),
    ];
    let written = keys.into_iter().filter_map(|(key, arn)| Some((key.to_owned(), Value::String(arn.clone()?))));
    written.collect()
}

/// Says which roles the configuration has to name, because several stages share one in it.
pub fn separated(stages: &[StageRoles]) -> String {
    let names: Vec<&str> = stages.iter().map(|roles| roles.stage.as_str()).collect();
    let mut text = format!(
        "Each stage has a role of its own here, and the configuration names one for several. For {}, write into \
         branchline.yaml:\naccounts:\n",
        names.join(" and ")
    );
    for roles in stages {
        let keys: Vec<String> = keys_of(roles).iter().map(|(key, arn)| format!("{key}: {arn}")).collect();
        text.push_str(&format!("  {}: {{ {} }}\n", roles.stage, keys.join(", ")));
    }
    text
}

fn role_json(role: &Role) -> Value {
    json!({
        "name": role.name,
        "purpose": role.purpose,
        "trust": document(&role.trust),
        "policy": document(&role.policy),
        "characters": {
            "policy": role.policy_characters(),
            "policy_allowed": LONGEST_POLICY,
            "trust": role.trust_characters(),
            "trust_allowed": LONGEST_TRUST,
        },
    })
}

/// Writes one account as a Terraform file.
pub fn terraform(account: &AccountPermissions) -> String {
    let mut text = format!(
        "# Permissions of branchline in the account {}. Made by `branchline iam --format terraform`.\n\
         # One provider for GitHub's identity tokens is enough for an account: import it if it exists.\n\
         resource \"aws_iam_openid_connect_provider\" \"github\" {{\n  url            = \"https://{}\"\n  \
         client_id_list = [\"{}\"]\n}}\n",
        account.account, account.issuer, account.audience
    );
    for role in &account.roles {
        let id = identifier(&role.name);
        text.push_str(&format!(
            "\n# {} ({} of {LONGEST_POLICY} characters of policy)\nresource \"aws_iam_role\" \"{id}\" {{\n  name               = {}\n  \
             assume_role_policy = <<-EOT\n{}\n  EOT\n}}\n\n\
             resource \"aws_iam_role_policy\" \"{id}\" {{\n  name   = \"branchline\"\n  role   = \
             aws_iam_role.{id}.id\n  policy = <<-EOT\n{}\n  EOT\n}}\n",
            role.purpose,
            role.policy_characters(),
            Value::String(role.name.clone()),
            heredoc(&document(&role.trust)),
            heredoc(&document(&role.policy)),
        ));
    }
    for (bucket, statements) in &account.buckets {
        text.push_str(&format!(
            "\n# A bucket has one policy: merge these statements into an existing one.\n\
             resource \"aws_s3_bucket_policy\" \"{}\" {{\n  bucket = {}\n  policy = <<-EOT\n{}\n  EOT\n}}\n",
            identifier(bucket),
            Value::String(bucket.clone()),
            heredoc(&document(statements)),
        ));
    }
    for (key, statements) in &account.keys {
        let lines: String =
            heredoc(&document(statements)).lines().map(|line| format!("# {}\n", line.trim_end())).collect();
        text.push_str(&format!("\n# Add to the policy of the key {key}:\n{lines}"));
    }
    text
}

fn heredoc(document: &Value) -> String {
    // `${` and `%{` would be templates.
    let text = format!("{document:#}").replace("${", "$${").replace("%{", "%%{");
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn identifier(name: &str) -> String {
    let text: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if text.starts_with(|c: char| c.is_ascii_digit()) { format!("_{text}") } else { text }
}

/// Writes one account as a CloudFormation template, without spaces where it would be too large with them.
pub fn template(account: &AccountPermissions) -> String {
    let template = cloudformation(account);
    let text = format!("{template:#}\n");
    if text.len() > LONGEST_TEMPLATE { format!("{template}\n") } else { text }
}

/// Writes one account as a CloudFormation template.
pub fn cloudformation(account: &AccountPermissions) -> Value {
    let mut resources = Map::new();
    resources.insert(
        "GitHub".to_owned(),
        json!({
            "Type": "AWS::IAM::OIDCProvider",
            "Properties": { "Url": format!("https://{}", account.issuer), "ClientIdList": [account.audience] },
        }),
    );
    for role in &account.roles {
        resources.insert(
            logical(&role.name),
            json!({
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": role.name,
                    "Description": role.purpose,
                    "AssumeRolePolicyDocument": document(&role.trust),
                    "Policies": [{ "PolicyName": "branchline", "PolicyDocument": document(&role.policy) }],
                },
            }),
        );
    }
    for (bucket, statements) in &account.buckets {
        resources.insert(
            format!("{}Policy", logical(bucket)),
            json!({
                "Type": "AWS::S3::BucketPolicy",
                "Properties": { "Bucket": bucket, "PolicyDocument": document(statements) },
            }),
        );
    }
    let keys: Vec<Value> =
        account.keys.iter().map(|(key, statements)| json!({ "Key": key, "Add": document(statements) })).collect();
    let mut template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("Permissions of branchline in the account {}", account.account),
        "Resources": resources,
    });
    if let (Some(map), false) = (template.as_object_mut(), keys.is_empty()) {
        // Keys have their own policies: what must be added to them cannot be a resource of this template.
        map.insert("Metadata".to_owned(), json!({ "KeyPolicies": keys }));
    }
    template
}

fn logical(name: &str) -> String {
    let mut text = String::new();
    for part in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
        let mut chars = part.chars();
        text.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        text.extend(chars);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::iam::Effect;
    use crate::model::iam::Statement;

    fn account() -> AccountPermissions {
        let statement = Statement {
            sid: "Reads".to_owned(),
            effect: Effect::Allow,
            principals: None,
            actions: vec!["s3:GetObject".to_owned()],
            resources: vec!["arn:aws:s3:::acme/${x}/*".to_owned()],
            conditions: vec![("StringLike", "s3:prefix".to_owned(), vec!["a/*".to_owned()])],
        };
        AccountPermissions {
            account: "111122223333".to_owned(),
            partition: "aws",
            issuer: "token.actions.githubusercontent.com".to_owned(),
            audience: "sts.amazonaws.com",
            roles: vec![Role {
                name: "branchline-dev".to_owned(),
                purpose: "stage dev".to_owned(),
                trust: vec![statement.clone()],
                policy: vec![statement.clone()],
            }],
            buckets: vec![("acme-models".to_owned(), vec![statement.clone()])],
            keys: vec![("alias/models".to_owned(), vec![statement])],
        }
    }

    #[test]
    fn terraform_takes_nothing_for_a_template() {
        let text = terraform(&account());
        assert!(text.contains("resource \"aws_iam_role\" \"branchline_dev\""), "{text}");
        assert!(text.contains("$${x}") && !text.contains(" ${x}"), "{text}");
        assert!(text.contains("# Add to the policy of the key alias/models:"), "{text}");
    }

    #[test]
    fn cloudformation_names_letters_and_digits_only() {
        let template = cloudformation(&account());
        let names: Vec<&String> = template["Resources"].as_object().expect("resources").keys().collect();
        assert_eq!(names, ["GitHub", "BranchlineDev", "AcmeModelsPolicy"]);
        let policy = &template["Resources"]["BranchlineDev"]["Properties"]["Policies"][0]["PolicyDocument"];
        assert_eq!(policy["Statement"][0]["Condition"]["StringLike"]["s3:prefix"][0], "a/*");
        assert!(template["Metadata"]["KeyPolicies"].is_array());
    }

    #[test]
    fn json_has_every_account() {
        let json = as_json(&[account(), account()], &[]);
        assert_eq!(json["accounts"].as_array().map(Vec::len), Some(2));
        assert_eq!(json["accounts"][0]["roles"][0]["name"], "branchline-dev");
    }
}
