//! Permissions as files to apply: JSON to read, Terraform, CloudFormation. Pure.

use crate::model::iam::AccountPermissions;
use crate::model::iam::Role;
use crate::model::iam::document;
use crate::report::json::JSON_SCHEMA;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// Writes everything as one JSON document.
pub fn as_json(accounts: &[AccountPermissions]) -> Value {
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
    json!({ "schema": JSON_SCHEMA, "accounts": accounts.iter().map(of_account).collect::<Vec<_>>() })
}

fn role_json(role: &Role) -> Value {
    json!({
        "name": role.name,
        "purpose": role.purpose,
        "trust": document(&role.trust),
        "policy": document(&role.policy),
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
            "\n# {}\nresource \"aws_iam_role\" \"{id}\" {{\n  name               = {}\n  \
             assume_role_policy = <<-EOT\n{}\n  EOT\n}}\n\n\
             resource \"aws_iam_role_policy\" \"{id}\" {{\n  name   = \"branchline\"\n  role   = \
             aws_iam_role.{id}.id\n  policy = <<-EOT\n{}\n  EOT\n}}\n",
            role.purpose,
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
    use crate::model::iam::Statement;

    fn account() -> AccountPermissions {
        let statement = Statement {
            sid: "Reads".to_owned(),
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
        let json = as_json(&[account(), account()]);
        assert_eq!(json["accounts"].as_array().map(Vec::len), Some(2));
        assert_eq!(json["accounts"][0]["roles"][0]["name"], "branchline-dev");
    }
}
