//! The least that the roles of a configuration need: made of the table of actions and of the names that the
//! configuration gives, and of nothing else. Pure; nothing is sent.
//!
//! Every stage has a role of its own, which only its own jobs may assume, and which writes only the objects and versions
//! of the groups that it feeds and its own training runs. Its training jobs run under another role of their own, which
//! writes their output and nothing that decides.

use crate::adapters::aws::actions::IN_A_NETWORK;
use crate::adapters::aws::actions::On;
use crate::adapters::aws::actions::Party;
use crate::config::Config;
use crate::model::cloud::AccountPlace;
use crate::model::iam::AccountPermissions;
use crate::model::iam::Effect;
use crate::model::iam::LONGEST_POLICY;
use crate::model::iam::LONGEST_TRUST;
use crate::model::iam::Permissions;
use crate::model::iam::Role;
use crate::model::iam::Statement;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use roles::Roles;
use roles::clipped;
use scope::Scope;
use scope::actions_of;
use scope::images;
use scope::settings;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use subjects::reading_subjects;
use subjects::subjects_of;

pub use subjects::Conflict;
pub use subjects::conflicts;
pub use subjects::shared_training_roles;

mod cover;
mod roles;
mod scope;
mod subjects;

/// Who may take roles on: what GitHub says of a job.
#[derive(Debug, Clone)]
pub struct Trust {
    /// How every subject begins: `repo:OWNER/NAME`, or with ids where GitHub sends those.
    pub subject_prefix: String,
    /// The host of the tokens: `token.actions.githubusercontent.com`, or a GitHub Enterprise Server's.
    pub issuer: String,
}

/// Where a configuration leaves something open that a policy must know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Nothing is in the cloud.
    #[error("nothing of the backend is in the cloud, so no permission is needed")]
    Local,
    /// An account is not known.
    #[error("which account {0} lives in is not said")]
    Account(String),
    /// The roles as they are written let a lower stage change what a higher one decides over.
    #[error("{0}")]
    Conflict(Conflict),
    /// IAM would refuse a policy.
    #[error(
        "the {what} of role {role} would have {characters} characters, and IAM allows {allowed} (white space not counted); \
         most of them are {most}: {of}"
    )]
    TooLarge {
        /// The role.
        role: String,
        /// Which of its policies.
        what: &'static str,
        /// How many it would have.
        characters: usize,
        /// How many are allowed.
        allowed: usize,
        /// The statement that takes the most of them.
        most: String,
        /// What that statement has on its list, shortened: its first resource and how many there are.
        of: String,
    },
    /// Two roles have one name.
    #[error("two roles of account {account} would be called {name}")]
    SameName {
        /// The account.
        account: String,
        /// The name.
        name: String,
    },
}

/// Returns what every account needs, the default one first. Stages that share a role in the configuration get one of
/// their own each.
pub fn permissions(config: &Config, trust: &Trust) -> Result<Permissions, PolicyError> {
    let default = config.cloud.as_ref().ok_or(PolicyError::Local)?;
    if let Some(conflict) = conflicts(config).into_iter().find(|conflict| !conflict.is_separable()) {
        return Err(PolicyError::Conflict(conflict));
    }
    let roles = Roles::of(config);
    let mut places: Vec<&AccountPlace> = vec![default];
    places.extend(config.stages.iter().filter_map(|stage| config.account_of(&stage.name)));
    let mut accounts: Vec<AccountPermissions> = Vec::new();
    for place in &places {
        let account = account(place)?;
        if accounts.iter().any(|known| known.account == account) {
            continue;
        }
        let of_account = of_account(config, trust, &roles, account, place)?;
        fits(&of_account)?;
        accounts.push(of_account);
    }
    Ok(Permissions { accounts, separated: roles.separated(config) })
}

/// Says which role IAM would refuse.
fn fits(account: &AccountPermissions) -> Result<(), PolicyError> {
    let mut names = BTreeSet::new();
    for role in &account.roles {
        if !names.insert(role.name.to_lowercase()) {
            return Err(PolicyError::SameName { account: account.account.clone(), name: role.name.clone() });
        }
        let sizes = [
            ("policy", &role.policy, role.policy_characters(), LONGEST_POLICY),
            ("trust policy", &role.trust, role.trust_characters(), LONGEST_TRUST),
        ];
        for (what, statements, characters, allowed) in sizes {
            if characters > allowed {
                let (most, of) = heaviest(statements);
                return Err(PolicyError::TooLarge { role: role.name.clone(), what, characters, allowed, most, of });
            }
        }
    }
    Ok(())
}

/// The statement with the longest lists, and what they hold: a condition's values in a trust policy, else resources.
fn heaviest(statements: &[Statement]) -> (String, String) {
    let values = |one: &Statement| -> Vec<String> {
        let of_conditions = one.conditions.iter().flat_map(|(_, _, values)| values);
        one.resources.iter().chain(of_conditions).cloned().collect()
    };
    let length = |one: &&Statement| values(one).iter().map(String::len).sum::<usize>();
    let Some(most) = statements.iter().max_by_key(length) else { return (String::new(), String::new()) };
    let held = values(most);
    let first = held.iter().max_by_key(|value| value.len()).cloned().unwrap_or_default();
    let more = held.len().saturating_sub(1);
    (most.sid.clone(), if more == 0 { first } else { format!("{first} and {more} more") })
}

fn account(place: &AccountPlace) -> Result<&str, PolicyError> {
    place.account_id.as_deref().ok_or_else(|| PolicyError::Account(format!("the bucket {}", place.bucket)))
}

fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("eusc") => "aws-eusc",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

fn of_account(
    config: &Config,
    trust: &Trust,
    work: &Roles,
    account: &str,
    place: &AccountPlace,
) -> Result<AccountPermissions, PolicyError> {
    let partition = partition(&place.region);
    let audience = if partition == "aws-cn" { "sts.amazonaws.com.cn" } else { "sts.amazonaws.com" };
    let here: Vec<&Stage> = config
        .stages
        .iter()
        .filter(|stage| config.account_of(&stage.name).is_some_and(|at| at.account_id.as_deref() == Some(account)))
        .collect();
    let github = |subjects: Vec<String>| {
        let provider = format!("arn:{partition}:iam::{account}:oidc-provider/{}", trust.issuer);
        vec![Statement {
            sid: "GitHub".to_owned(),
            effect: Effect::Allow,
            principals: Some(("Federated", vec![provider])),
            actions: vec!["sts:AssumeRoleWithWebIdentity".to_owned()],
            resources: Vec::new(),
            conditions: vec![
                ("StringEquals", format!("{}:aud", trust.issuer), vec![audience.to_owned()]),
                ("StringLike", format!("{}:sub", trust.issuer), subjects),
            ],
        }]
    };
    let mut roles = Vec::new();
    let readers = readers(config, work, partition, account, place, &here);
    let reading: Vec<Statement> = readers.iter().flat_map(|reader| reader.statements(&[Party::Reader])).collect();
    roles.push(Role {
        name: reader_name(config, place),
        purpose: "pull requests and stages elsewhere: reads, writes nothing; the read_role_arn of this account"
            .to_owned(),
        trust: github(reading_subjects(config, trust)),
        policy: reading.clone(),
    });
    for stage in &here {
        let (policy, subjects) = stage_policy(config, trust, work, (partition, account), stage);
        roles.push(Role {
            name: work.name_of(stage).to_owned(),
            purpose: format!("stage {}", stage.name),
            trust: github(subjects),
            policy: reading.iter().cloned().chain(policy).collect(),
        });
    }
    let training = here.iter().filter(|stage| matches!(stage.does, Does::Train { .. }));
    roles.extend(training.flat_map(|stage| training_roles(config, work, (partition, account), stage)));
    let (buckets, keys) = read_from_elsewhere(config, work, account, &here)?;
    Ok(AccountPermissions {
        account: account.to_owned(),
        partition,
        issuer: trust.issuer.clone(),
        audience,
        roles,
        buckets,
        keys,
    })
}

/// The roles that training jobs of a stage run under.
fn training_roles(
    config: &Config,
    work: &Roles,
    (partition, account): (&'static str, &str),
    stage: &Stage,
) -> Vec<Role> {
    let Some(place) = config.account_of(&stage.name) else { return Vec::new() };
    let mut scope = Scope::of(config, partition, account, place, &[stage]);
    scope.train(config, work, &[stage]);
    let mut policy = scope.statements(&[Party::Execution]);
    if settings(config, &[stage]).any(|settings| settings.cloud.vpc.is_some()) {
        policy.push(Statement {
            sid: "PrivateNetwork".to_owned(),
            effect: Effect::Allow,
            principals: None,
            actions: IN_A_NETWORK.iter().map(|action| (*action).to_owned()).collect(),
            resources: vec!["*".to_owned()],
            conditions: Vec::new(),
        });
    }
    let service = if partition == "aws-cn" { "sagemaker.amazonaws.com.cn" } else { "sagemaker.amazonaws.com" };
    let trust = Statement {
        sid: "SageMaker".to_owned(),
        effect: Effect::Allow,
        principals: Some(("Service", vec![service.to_owned()])),
        actions: vec!["sts:AssumeRole".to_owned()],
        resources: Vec::new(),
        conditions: vec![("StringEquals", "aws:SourceAccount".to_owned(), vec![account.to_owned()])],
    };
    let role = |arn: String| Role {
        name: arn.rsplit('/').next().unwrap_or(&arn).to_owned(),
        purpose: format!("training jobs of stage {} run under it", stage.name),
        trust: vec![trust.clone()],
        policy: policy.clone(),
    };
    work.training_of(&stage.name).into_iter().map(role).collect()
}

/// One scope for each place of the account: whoever works here reads what is there.
fn readers(
    config: &Config,
    work: &Roles,
    partition: &'static str,
    account: &str,
    place: &AccountPlace,
    here: &[&Stage],
) -> Vec<Scope> {
    let mut places: Vec<&AccountPlace> = vec![place];
    for at in here.iter().filter_map(|stage| config.account_of(&stage.name)) {
        let same = |known: &&AccountPlace| {
            (&known.bucket, &known.prefix, &known.region, &known.kms_key)
                == (&at.bucket, &at.prefix, &at.region, &at.kms_key)
        };
        if !places.iter().any(same) {
            places.push(at);
        }
    }
    let scope = |(index, place): (usize, &AccountPlace)| {
        let mut scope = Scope::of(config, partition, account, place, here);
        // Which data there are shows before anything is trained.
        scope.train(config, work, here);
        scope.images = images(config, |_| true);
        scope.label = if index == 0 { String::new() } else { format!("Place{}", index + 1) };
        scope
    };
    places.into_iter().enumerate().map(scope).collect()
}

/// What a stage does beside reading, and the subjects of its jobs.
fn stage_policy(
    config: &Config,
    trust: &Trust,
    work: &Roles,
    (partition, account): (&'static str, &str),
    stage: &Stage,
) -> (Vec<Statement>, Vec<String>) {
    let subjects = subjects_of(trust, stage);
    let Some(place) = config.account_of(&stage.name) else { return (Vec::new(), subjects) };
    let mut scope = Scope::of(config, partition, account, place, &[stage]);
    scope.label = capital(stage.name.as_str());
    let party = match &stage.does {
        Does::Train { .. } => {
            scope.train(config, work, &[stage]);
            Party::Trainer
        }
        Does::Promote { from } => {
            scope.sources = from.iter().filter_map(|source| config.account_of(source)).cloned().collect();
            Party::Promoter
        }
    };
    let mut policy = scope.statements(&[party]);
    if party == Party::Promoter {
        // Keys of the sources are read with, too.
        policy.extend(scope.source_keys());
    }
    (policy, subjects)
}

/// Returns the name of the role that reads in an account: the one that is written, else one of ours.
fn reader_name(config: &Config, place: &AccountPlace) -> String {
    let here = std::iter::once(place).chain(config.accounts.values().filter(|at| at.account_id == place.account_id));
    let written = here.filter_map(|at| at.read_role_arn.as_deref()).find_map(|arn| arn.rsplit('/').next());
    written.map_or_else(|| clipped(&format!("branchline-{}-pull-request", config.project)), str::to_owned)
}

/// What other accounts read here: the promoting stages that live elsewhere and take from stages that live here.
type ResourcePolicies = (Vec<(String, Vec<Statement>)>, Vec<(String, Vec<Statement>)>);

fn read_from_elsewhere(
    config: &Config,
    work: &Roles,
    account_here: &str,
    here: &[&Stage],
) -> Result<ResourcePolicies, PolicyError> {
    let mut buckets: BTreeMap<String, (AccountPlace, BTreeSet<String>)> = BTreeMap::new();
    for stage in &config.stages {
        let Does::Promote { from } = &stage.does else { continue };
        let Some(target) = config.account_of(&stage.name) else { continue };
        let reader = account(target)?;
        if reader == account_here {
            continue;
        }
        let role = format!("arn:{}:iam::{reader}:role/{}", partition(&target.region), work.path_of(stage));
        for source in from.iter().filter(|source| here.iter().any(|stage| &stage.name == *source)) {
            let Some(place) = config.account_of(source) else { continue };
            let entry = buckets.entry(place.bucket.clone()).or_insert_with(|| (place.clone(), BTreeSet::new()));
            entry.1.insert(role.clone());
        }
    }
    let (mut policies, mut keys) = (Vec::new(), Vec::new());
    for (bucket, (place, roles)) in buckets {
        let roles: Vec<String> = roles.into_iter().collect();
        let arn = format!("arn:{}:s3:::{bucket}", partition(&place.region));
        let statement = |sid: &str, actions: &[&str], resources: Vec<String>| Statement {
            sid: sid.to_owned(),
            effect: Effect::Allow,
            principals: Some(("AWS", roles.clone())),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            resources,
            conditions: Vec::new(),
        };
        let objects = vec![format!("{arn}/{}/{}/*", place.prefix, config.project)];
        let read = actions_of(Party::Promoter, On::Sources);
        let read: Vec<&str> = read.iter().map(String::as_str).collect();
        policies.push((
            bucket.clone(),
            vec![
                statement("PromotionReads", &read, objects),
                statement("PromotionLists", &["s3:ListBucket"], vec![arn]),
            ],
        ));
        if let Some(key) = &place.kms_key {
            keys.push((key.clone(), vec![statement("PromotionDecrypts", &["kms:Decrypt"], vec!["*".to_owned()])]));
        }
    }
    Ok((policies, keys))
}

fn capital(name: &str) -> String {
    let mut upper = true;
    let mut text = String::new();
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            upper = true;
        } else {
            text.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        }
    }
    text
}

#[cfg(test)]
mod tests;
