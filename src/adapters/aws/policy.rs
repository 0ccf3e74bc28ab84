//! The least that the roles of a configuration need: made of the table of actions and of the names that the
//! configuration gives, and of nothing else. Pure; nothing is sent.
//!
//! A stage writes only the objects and versions of the groups that it feeds. So `dev` cannot write into `prod`, not
//! even where both live in one account.

use crate::adapters::aws::actions::ACTIONS;
use crate::adapters::aws::actions::IN_A_NETWORK;
use crate::adapters::aws::actions::On;
use crate::adapters::aws::actions::Party;
use crate::config::Config;
use crate::model::cloud::AccountPlace;
use crate::model::iam::AccountPermissions;
use crate::model::iam::Role;
use crate::model::iam::Statement;
use crate::model::name::GroupName;
use crate::model::name::StageName;
use crate::model::settings::TrainingSettings;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use subjects::reading_subjects;
use subjects::subjects_of;

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
}

/// Returns what every account needs, the default one first.
pub fn permissions(config: &Config, trust: &Trust) -> Result<Vec<AccountPermissions>, PolicyError> {
    let default = config.cloud.as_ref().ok_or(PolicyError::Local)?;
    let mut places: Vec<&AccountPlace> = vec![default];
    places.extend(config.stages.iter().filter_map(|stage| config.account_of(&stage.name)));
    let mut accounts: Vec<AccountPermissions> = Vec::new();
    for place in &places {
        let account = account(place)?;
        if accounts.iter().any(|known| known.account == account) {
            continue;
        }
        accounts.push(of_account(config, trust, account, place)?);
    }
    Ok(accounts)
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
    let readers = readers(config, partition, account, place, &here);
    let reading: Vec<Statement> = readers.iter().flat_map(|reader| reader.statements(&[Party::Reader])).collect();
    roles.push(Role {
        name: reader_name(config, place),
        purpose: "pull requests and stages elsewhere: reads, writes nothing; the read_role_arn of this account"
            .to_owned(),
        trust: github(reading_subjects(config, trust)),
        policy: reading.clone(),
    });
    // Stages that take on the same role share it.
    let mut shared: BTreeMap<String, Vec<&Stage>> = BTreeMap::new();
    for stage in &here {
        shared.entry(name_of(config, stage)).or_default().push(stage);
    }
    for (name, stages) in shared {
        let (policy, subjects) = stage_policy(config, trust, (partition, account), &stages);
        let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        let noun = if names.len() == 1 { "stage" } else { "stages" };
        roles.push(Role {
            name,
            purpose: format!("{noun} {}", names.join(", ")),
            trust: github(subjects),
            policy: reading.iter().cloned().chain(policy).collect(),
        });
    }
    let mut executions: BTreeMap<String, Vec<&Stage>> = BTreeMap::new();
    for stage in here.iter().filter(|stage| matches!(stage.does, Does::Train { .. })) {
        for arn in execution_roles(config, &stage.name) {
            executions.entry(arn).or_default().push(stage);
        }
    }
    for (arn, stages) in executions {
        let mut scope = Scope::of(config, partition, account, place, &stages);
        scope.train(config, &stages);
        let mut policy = scope.statements(&[Party::Execution]);
        if settings(config, &stages).any(|settings| settings.cloud.vpc.is_some()) {
            policy.push(Statement {
                sid: "PrivateNetwork".to_owned(),
                principals: None,
                actions: IN_A_NETWORK.iter().map(|action| (*action).to_owned()).collect(),
                resources: vec!["*".to_owned()],
                conditions: Vec::new(),
            });
        }
        let service = if partition == "aws-cn" { "sagemaker.amazonaws.com.cn" } else { "sagemaker.amazonaws.com" };
        roles.push(Role {
            name: arn.rsplit('/').next().unwrap_or(&arn).to_owned(),
            purpose: "training jobs run under it".to_owned(),
            trust: vec![Statement {
                sid: "SageMaker".to_owned(),
                principals: Some(("Service", vec![service.to_owned()])),
                actions: vec!["sts:AssumeRole".to_owned()],
                resources: Vec::new(),
                conditions: vec![("StringEquals", "aws:SourceAccount".to_owned(), vec![account.to_owned()])],
            }],
            policy,
        });
    }
    let (buckets, keys) = read_from_elsewhere(config, account, &here)?;
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

/// One scope for each place of the account: whoever works here reads what is there.
fn readers(
    config: &Config,
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
        scope.images = images(config, |_| true);
        scope.label = if index == 0 { String::new() } else { format!("Place{}", index + 1) };
        scope
    };
    places.into_iter().enumerate().map(scope).collect()
}

/// What stages do beside reading, and the subjects of their jobs.
fn stage_policy(
    config: &Config,
    trust: &Trust,
    (partition, account): (&'static str, &str),
    stages: &[&Stage],
) -> (Vec<Statement>, Vec<String>) {
    let (mut policy, mut subjects) = (Vec::new(), Vec::new());
    for stage in stages {
        let Some(place) = config.account_of(&stage.name) else { continue };
        let mut scope = Scope::of(config, partition, account, place, &[stage]);
        scope.label = capital(stage.name.as_str());
        let party = match &stage.does {
            Does::Train { .. } => {
                scope.train(config, &[stage]);
                Party::Trainer
            }
            Does::Promote { from } => {
                scope.sources = from.iter().filter_map(|source| config.account_of(source)).cloned().collect();
                Party::Promoter
            }
        };
        policy.extend(scope.statements(&[party]));
        if party == Party::Promoter {
            // Keys of the sources are read with, too.
            policy.extend(scope.source_keys());
        }
        subjects.extend(subjects_of(trust, stage));
    }
    (policy, subjects)
}

/// Returns the name of the role that reads in an account: the one that is written, else one of ours.
fn reader_name(config: &Config, place: &AccountPlace) -> String {
    let here = std::iter::once(place).chain(config.accounts.values().filter(|at| at.account_id == place.account_id));
    let written = here.filter_map(|at| at.read_role_arn.as_deref()).find_map(|arn| arn.rsplit('/').next());
    written.map_or_else(|| role_name(&format!("branchline-{}-pull-request", config.project)), str::to_owned)
}

/// What other accounts read here: the promoting stages that live elsewhere and take from stages that live here.
type ResourcePolicies = (Vec<(String, Vec<Statement>)>, Vec<(String, Vec<Statement>)>);

fn read_from_elsewhere(config: &Config, account_here: &str, here: &[&Stage]) -> Result<ResourcePolicies, PolicyError> {
    let mut buckets: BTreeMap<String, (AccountPlace, BTreeSet<String>)> = BTreeMap::new();
    for stage in &config.stages {
        let Does::Promote { from } = &stage.does else { continue };
        let Some(target) = config.account_of(&stage.name) else { continue };
        let reader = account(target)?;
        if reader == account_here {
            continue;
        }
        let role = format!("arn:{}:iam::{reader}:role/{}", partition(&target.region), path_of(config, stage));
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

/// What the names of one place stand for in resources of a policy.
struct Scope {
    label: String,
    partition: &'static str,
    account: String,
    place: AccountPlace,
    project: String,
    job_head: String,
    groups: Vec<GroupName>,
    own_groups: Vec<GroupName>,
    sources: Vec<AccountPlace>,
    data: BTreeSet<String>,
    images: BTreeSet<String>,
    execution_roles: BTreeSet<String>,
    volume_keys: BTreeSet<String>,
    checkpoints: BTreeSet<String>,
}

impl Scope {
    fn of(config: &Config, partition: &'static str, account: &str, place: &AccountPlace, stages: &[&Stage]) -> Self {
        let fed_by = |fed: &dyn Fn(&Stage) -> bool| -> Vec<GroupName> {
            let mut groups: Vec<GroupName> = config
                .groups()
                .filter(|(_, target, _)| config.stage_of_target(target).is_some_and(fed))
                .map(|(_, _, group)| group.clone())
                .collect();
            groups.sort();
            groups
        };
        let in_account =
            |stage: &Stage| config.account_of(&stage.name).is_some_and(|at| at.account_id.as_deref() == Some(account));
        Self {
            label: String::new(),
            partition,
            account: account.to_owned(),
            place: place.clone(),
            project: config.project.to_string(),
            job_head: plain(config.project.as_str()),
            groups: fed_by(&in_account),
            own_groups: fed_by(&|stage| stages.iter().any(|own| own.name == stage.name)),
            sources: Vec::new(),
            data: BTreeSet::new(),
            images: BTreeSet::new(),
            execution_roles: BTreeSet::new(),
            volume_keys: BTreeSet::new(),
            checkpoints: BTreeSet::new(),
        }
    }

    /// Adds what the trainings of stages use.
    fn train(&mut self, config: &Config, stages: &[&Stage]) {
        for stage in stages {
            self.execution_roles.extend(execution_roles(config, &stage.name));
        }
        for settings in settings(config, stages) {
            let manifests = settings.data.values().filter_map(|source| source.version_from.clone());
            let uris = settings.data.values().map(|source| source.uri.clone()).chain(manifests);
            self.data.extend(uris.filter_map(|uri| uri.strip_prefix("s3://").map(str::to_owned)));
            self.volume_keys.extend(settings.cloud.volume_kms_key.clone());
            let checkpoint = settings.cloud.checkpoint.as_ref().and_then(|checkpoint| checkpoint.uri.as_deref());
            self.checkpoints.extend(checkpoint.and_then(|uri| uri.strip_prefix("s3://")).map(str::to_owned));
        }
        self.images = images(config, |stage| stages.iter().any(|own| &own.name == stage));
    }

    /// Writes what parties need here: one statement for each kind of resource.
    fn statements(&self, parties: &[Party]) -> Vec<Statement> {
        let mut needed: BTreeMap<(Party, On), Vec<String>> = BTreeMap::new();
        for party in parties {
            for action in ACTIONS {
                for (_, on) in action.needs.iter().filter(|(who, _)| who == party) {
                    needed.entry((*party, *on)).or_default().push(action.name.to_owned());
                }
            }
        }
        let statement = |((party, on), actions): ((Party, On), Vec<String>)| {
            let keyed = matches!(on, On::ReadKeys | On::WriteKeys | On::VolumeKeys);
            let (resources, aliases) = if keyed { self.keys(on) } else { (self.resources(on), Vec::new()) };
            if resources.is_empty() {
                return None;
            }
            let mut conditions = of_aliases(aliases);
            match on {
                On::ExecutionRole => conditions.push((
                    "StringEquals",
                    "iam:PassedToService".to_owned(),
                    vec!["sagemaker.amazonaws.com".to_owned()],
                )),
                On::Listing => conditions.push((
                    "StringLike",
                    "s3:prefix".to_owned(),
                    vec![format!("{}/{}/*", self.place.prefix, self.project)],
                )),
                _ => {}
            }
            let sid = format!("{}{party:?}{on:?}", self.label);
            Some(Statement { sid, principals: None, actions, resources, conditions })
        };
        needed.into_iter().filter_map(statement).collect()
    }

    fn resources(&self, on: On) -> Vec<String> {
        let Self { partition, account, place, project, .. } = self;
        let region = &place.region;
        let bucket = format!("arn:{partition}:s3:::{}", place.bucket);
        let ours = format!("{bucket}/{}/{project}", place.prefix);
        let sagemaker = |rest: String| format!("arn:{partition}:sagemaker:{region}:{account}:{rest}");
        let of_groups = |groups: &[GroupName]| -> Vec<String> {
            let mut arns = BTreeSet::new();
            for group in groups {
                // The service writes the group in lower case in ARNs of versions.
                for name in [group.to_string(), group.as_str().to_lowercase()] {
                    arns.insert(sagemaker(format!("model-package-group/{name}")));
                    arns.insert(sagemaker(format!("model-package/{name}/*")));
                }
            }
            arns.into_iter().collect()
        };
        let folder = |uri: &String| {
            let uri = uri.trim_end_matches('/');
            vec![format!("arn:{partition}:s3:::{uri}"), format!("arn:{partition}:s3:::{uri}/*")]
        };
        match on {
            On::Any => vec!["*".to_owned()],
            On::Jobs => vec![sagemaker(format!("training-job/{}-*", self.job_head))],
            On::Groups => of_groups(&self.groups),
            On::OwnGroups => of_groups(&self.own_groups),
            On::Bucket | On::Listing => vec![bucket],
            On::Objects => vec![format!("{ours}/*")],
            On::OwnObjects => self.own_groups.iter().map(|group| format!("{ours}/{group}/*")).collect(),
            On::TrainingObjects => ["trainings", "open", "ended", "sources", "data"]
                .iter()
                .map(|part| format!("{ours}/{part}/*"))
                .collect(),
            On::Output => {
                let own = ["trainings", "checkpoints"].iter().map(|part| format!("{ours}/{part}/*"));
                own.chain(self.checkpoints.iter().flat_map(folder)).collect()
            }
            On::Data => self.data.iter().flat_map(folder).collect(),
            On::DataBuckets => {
                let buckets: BTreeSet<&str> =
                    self.data.iter().chain(&self.checkpoints).filter_map(|uri| uri.split('/').next()).collect();
                buckets.into_iter().map(|name| format!("arn:{partition}:s3:::{name}")).collect()
            }
            On::Sources => self
                .sources
                .iter()
                .map(|source| format!("arn:{partition}:s3:::{}/{}/{project}/*", source.bucket, source.prefix))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            On::SourceBuckets => {
                let buckets: BTreeSet<&str> = self.sources.iter().map(|source| source.bucket.as_str()).collect();
                buckets.into_iter().map(|name| format!("arn:{partition}:s3:::{name}")).collect()
            }
            On::Images => self.images.iter().filter_map(|image| repository(partition, image)).collect(),
            On::ExecutionRole => self.execution_roles.iter().cloned().collect(),
            On::Logs => vec![
                format!("arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/TrainingJobs"),
                format!("arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/TrainingJobs:*"),
            ],
            On::ReadKeys | On::WriteKeys | On::VolumeKeys => Vec::new(),
        }
    }

    /// What reading from the sources of a promotion needs of their keys.
    fn source_keys(&self) -> Option<Statement> {
        let written = self
            .sources
            .iter()
            .filter_map(|source| Some((source.kms_key.as_ref()?, (&source.region, source.account_id.as_ref()?))));
        let (resources, aliases) = self.key_resources(written.collect());
        (!resources.is_empty()).then(|| Statement {
            sid: format!("{}PromoterSourceKeys", self.label),
            principals: None,
            actions: actions_of(Party::Reader, On::ReadKeys),
            resources,
            conditions: of_aliases(aliases),
        })
    }

    /// Returns the keys as resources, and the aliases that they must have where that is how they are written.
    fn keys(&self, on: On) -> (Vec<String>, Vec<String>) {
        let own = (&self.place.region, &self.account);
        let keys = if on == On::VolumeKeys {
            self.volume_keys.iter().map(|key| (key, own)).collect()
        } else {
            self.place.kms_key.iter().map(|key| (key, own)).collect()
        };
        self.key_resources(keys)
    }

    fn key_resources(&self, written: Vec<(&String, (&String, &String))>) -> (Vec<String>, Vec<String>) {
        let (mut resources, mut aliases) = (BTreeSet::new(), BTreeSet::new());
        for (key, (region, account)) in written {
            let partition = self.partition;
            let alias = key.strip_prefix("arn:").and_then(|arn| arn.rsplit(':').next()).unwrap_or(key);
            if alias.starts_with("alias/") {
                aliases.insert(alias.to_owned());
                resources.insert(format!("arn:{partition}:kms:{region}:{account}:key/*"));
            } else if key.starts_with("arn:") {
                resources.insert(key.clone());
            } else {
                resources.insert(format!("arn:{partition}:kms:{region}:{account}:key/{key}"));
            }
        }
        (resources.into_iter().collect(), aliases.into_iter().collect())
    }
}

/// A key is told by its alias; an alias is no resource.
fn of_aliases(aliases: Vec<String>) -> Vec<(&'static str, String, Vec<String>)> {
    if aliases.is_empty() {
        return Vec::new();
    }
    vec![("ForAnyValue:StringEquals", "kms:ResourceAliases".to_owned(), aliases)]
}

fn actions_of(party: Party, on: On) -> Vec<String> {
    let needed = ACTIONS.iter().filter(|action| action.needs.contains(&(party, on)));
    needed.map(|action| action.name.to_owned()).collect()
}

fn settings<'c>(config: &'c Config, stages: &[&Stage]) -> impl Iterator<Item = &'c TrainingSettings> {
    let names: Vec<StageName> = stages.iter().map(|stage| stage.name.clone()).collect();
    config
        .models
        .values()
        .flat_map(|model| &model.settings)
        .filter(move |(stage, _)| names.contains(stage))
        .map(|(_, settings)| settings)
}

fn images(config: &Config, of: impl Fn(&StageName) -> bool) -> BTreeSet<String> {
    let settings = config.models.values().flat_map(|model| &model.settings).filter(|(stage, _)| of(stage));
    settings
        .flat_map(|(_, settings)| {
            settings.image.clone().into_iter().chain(settings.serve.as_ref().map(|serve| serve.image.clone()))
        })
        .collect()
}

fn execution_roles(config: &Config, stage: &StageName) -> BTreeSet<String> {
    let place = config.account_of(stage).and_then(|place| place.execution_role_arn.clone());
    let settings = config.models.values().filter_map(|model| model.settings.get(stage));
    settings.filter_map(|settings| settings.cloud.execution_role_arn.clone().or_else(|| place.clone())).collect()
}

/// Returns the ARN of the ECR repository of an image. Images from elsewhere have none.
fn repository(partition: &str, image: &str) -> Option<String> {
    let (host, rest) = image.split_once('/')?;
    let mut parts = host.split('.');
    let account = parts.next().filter(|id| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()))?;
    let (dkr, ecr, region) = (parts.next()?, parts.next()?, parts.next()?);
    let name = rest.split(['@', ':']).next()?;
    (dkr == "dkr" && ecr == "ecr").then(|| format!("arn:{partition}:ecr:{region}:{account}:repository/{name}"))
}

/// Returns the name of the role that a stage works under: the one that it takes on, else one of ours.
fn name_of(config: &Config, stage: &Stage) -> String {
    let path = path_of(config, stage);
    path.rsplit('/').next().unwrap_or(&path).to_owned()
}

/// As [`name_of`], with its path.
fn path_of(config: &Config, stage: &Stage) -> String {
    let written = config.account_of(&stage.name).and_then(|place| place.assume_role_arn.as_deref());
    match written.and_then(|arn| arn.split_once(":role/")) {
        Some((_, path)) => path.to_owned(),
        None => role_name(&format!("branchline-{}-{}", config.project, stage.name)),
    }
}

fn role_name(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Writes a name as the names of training jobs begin with it.
fn plain(project: &str) -> String {
    let mut clean = String::new();
    for c in project.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '-' };
        if !(c == '-' && clean.ends_with('-')) {
            clean.push(c);
        }
    }
    clean.trim_matches('-').chars().take(30).collect()
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
