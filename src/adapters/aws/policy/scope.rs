//! What the names of one place stand for in resources of a policy. Pure.

use crate::adapters::aws::actions::ACTIONS;
use crate::adapters::aws::actions::On;
use crate::adapters::aws::actions::Party;
use crate::adapters::aws::policy::cover::Cover;
use crate::adapters::aws::policy::cover::LISTED;
use crate::adapters::aws::policy::cover::beginnings;
use crate::adapters::aws::policy::cover::cover;
use crate::adapters::aws::policy::cover::overlap;
use crate::adapters::aws::policy::cover::patterns;
use crate::adapters::aws::policy::roles::Roles;
use crate::config::Config;
use crate::model::cloud::AccountPlace;
use crate::model::digest::Sha256Digest;
use crate::model::iam::Effect;
use crate::model::iam::Statement;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::settings::TrainingSettings;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What the names of one place stand for in resources of a policy.
pub(super) struct Scope {
    pub(super) label: String,
    partition: &'static str,
    account: String,
    place: AccountPlace,
    project: String,
    job_head: String,
    groups: Vec<String>,
    own_groups: Vec<String>,
    /// Groups of other stages, wherever they live.
    other_groups: Vec<String>,
    own_jobs: Vec<String>,
    other_jobs: Vec<String>,
    training: Vec<StageName>,
    /// Stages that train, beside those of the scope.
    others: Vec<StageName>,
    pub(super) sources: Vec<AccountPlace>,
    data: BTreeSet<String>,
    manifests: BTreeSet<String>,
    pub(super) images: BTreeSet<String>,
    execution_roles: BTreeSet<String>,
    volume_keys: BTreeSet<String>,
    checkpoints: BTreeSet<String>,
}

impl Scope {
    pub(super) fn of(
        config: &Config,
        partition: &'static str,
        account: &str,
        place: &AccountPlace,
        stages: &[&Stage],
    ) -> Self {
        let fed_by = |fed: &dyn Fn(&Stage) -> bool| -> Vec<String> {
            let groups = config.groups().filter(|(_, target, _)| config.stage_of_target(target).is_some_and(fed));
            let groups: BTreeSet<String> = groups.map(|(_, _, group)| group.to_string()).collect();
            groups.into_iter().collect()
        };
        let in_account =
            |stage: &Stage| config.account_of(&stage.name).is_some_and(|at| at.account_id.as_deref() == Some(account));
        let is_own = |stage: &Stage| stages.iter().any(|own| own.name == stage.name);
        let trains = |stage: &&Stage| matches!(stage.does, Does::Train { .. });
        let (own, others): (Vec<&Stage>, Vec<&Stage>) = config.stages.iter().filter(trains).partition(|at| is_own(at));
        let names = |stages: &[&Stage]| stages.iter().map(|stage| stage.name.clone()).collect::<Vec<StageName>>();
        Self {
            label: String::new(),
            partition,
            account: account.to_owned(),
            place: place.clone(),
            project: config.project.to_string(),
            job_head: plain(config.project.as_str()),
            groups: fed_by(&in_account),
            own_groups: fed_by(&is_own),
            other_groups: fed_by(&|stage| !is_own(stage)),
            own_jobs: job_heads(config, &own),
            other_jobs: job_heads(config, &others),
            training: names(&own),
            others: names(&others),
            sources: Vec::new(),
            data: BTreeSet::new(),
            manifests: BTreeSet::new(),
            images: BTreeSet::new(),
            execution_roles: BTreeSet::new(),
            volume_keys: BTreeSet::new(),
            checkpoints: BTreeSet::new(),
        }
    }

    /// Adds what the trainings of stages use.
    pub(super) fn train(&mut self, config: &Config, roles: &Roles, stages: &[&Stage]) {
        for stage in stages {
            self.execution_roles.extend(roles.training_of(&stage.name));
        }
        for settings in settings(config, stages) {
            let manifests = settings.data.values().filter_map(|source| source.version_from.clone());
            let in_s3 = |uri: String| uri.strip_prefix("s3://").map(str::to_owned);
            self.manifests.extend(manifests.clone().filter_map(in_s3));
            let uris = settings.data.values().map(|source| source.uri.clone()).chain(manifests);
            self.data.extend(uris.filter_map(|uri| uri.strip_prefix("s3://").map(str::to_owned)));
            self.volume_keys.extend(settings.cloud.volume_kms_key.clone());
            let checkpoint = settings.cloud.checkpoint.as_ref().and_then(|checkpoint| checkpoint.uri.as_deref());
            self.checkpoints.extend(checkpoint.and_then(|uri| uri.strip_prefix("s3://")).map(str::to_owned));
        }
        self.images = images(config, |stage| stages.iter().any(|own| &own.name == stage));
    }

    /// Writes what parties need here: one statement for each kind of resource.
    pub(super) fn statements(&self, parties: &[Party]) -> Vec<Statement> {
        let mut needed: BTreeMap<(Party, On), Vec<String>> = BTreeMap::new();
        for party in parties {
            for action in ACTIONS {
                for (_, on) in action.needs.iter().filter(|(who, _)| who == party) {
                    needed.entry((*party, *on)).or_default().push(action.name.to_owned());
                }
            }
        }
        needed.into_iter().flat_map(|((party, on), actions)| self.statement(party, on, actions)).collect()
    }

    /// Allows actions on one kind of resource, and denies them where a pattern says too much.
    fn statement(&self, party: Party, on: On, actions: Vec<String>) -> Vec<Statement> {
        let keyed = matches!(on, On::ReadKeys | On::WriteKeys | On::VolumeKeys);
        let (resources, aliases) = if keyed { self.keys(on) } else { (self.resources(on), Vec::new()) };
        if resources.allow.is_empty() {
            return Vec::new();
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
        let made = |sid: String, effect, resources, conditions| Statement {
            sid,
            effect,
            principals: None,
            actions: actions.clone(),
            resources,
            conditions,
        };
        let mut statements = vec![made(sid.clone(), Effect::Allow, resources.allow, conditions)];
        if !resources.deny.is_empty() {
            statements.push(made(format!("{sid}OfOthers"), Effect::Deny, resources.deny, Vec::new()));
        }
        statements
    }

    fn sagemaker(&self, rest: &str) -> String {
        format!("arn:{}:sagemaker:{}:{}:{rest}", self.partition, self.place.region, self.account)
    }

    /// The addresses of groups, and of versions in them.
    fn of_groups(&self, groups: &[String]) -> Vec<String> {
        let mut arns = BTreeSet::new();
        for group in groups {
            // The service writes the group in lower case in ARNs of versions.
            for name in [group.clone(), group.to_lowercase()] {
                arns.insert(self.sagemaker(&format!("model-package-group/{name}")));
                arns.insert(self.sagemaker(&format!("model-package/{name}/*")));
            }
        }
        arns.into_iter().collect()
    }

    /// The addresses of training jobs: what their names begin with, 12 digits and the number of the attempt.
    fn of_jobs(&self, heads: &[String]) -> Vec<String> {
        heads.iter().map(|head| self.sagemaker(&format!("training-job/{head}-????????????-*"))).collect()
    }

    /// Objects of the groups that the stages feed. A `*` in the middle of a key crosses its slashes, so what others
    /// keep is denied as soon as there is one.
    fn own_objects(&self, ours: &str) -> Cover {
        let cover = cover(&self.own_groups, &[]);
        let below = |names: Vec<String>| names.iter().map(|name| format!("{ours}/{name}/*")).collect::<Vec<_>>();
        if cover.allow == self.own_groups {
            return Cover { allow: below(cover.allow), deny: Vec::new() };
        }
        let others = patterns(&self.other_groups);
        if self.own_groups.iter().any(|own| others.iter().any(|other| overlap(other, own))) {
            return Cover { allow: below(self.own_groups.clone()), deny: Vec::new() };
        }
        let mut deny = below(others);
        for stage in &self.others {
            deny.extend(["stages", "runs", "checkpoints"].map(|part| format!("{ours}/{part}/{stage}/*")));
        }
        Cover { allow: below(cover.allow), deny }
    }

    fn resources(&self, on: On) -> Cover {
        let Self { partition, account, place, project, .. } = self;
        let region = &place.region;
        let bucket = format!("arn:{partition}:s3:::{}", place.bucket);
        let ours = format!("{bucket}/{}/{project}", place.prefix);
        let of_stages = |part: &str| self.training.iter().map(|stage| format!("{ours}/{part}/{stage}/*")).collect();
        let allow: Vec<String> = match on {
            On::OwnGroups => {
                let cover = cover(&self.own_groups, &self.other_groups);
                return Cover { allow: self.of_groups(&cover.allow), deny: self.of_groups(&cover.deny) };
            }
            On::OwnJobs => {
                let cover = cover(&self.own_jobs, &self.other_jobs);
                return Cover { allow: self.of_jobs(&cover.allow), deny: self.of_jobs(&cover.deny) };
            }
            On::OwnObjects => return self.own_objects(&ours),
            On::Any => vec!["*".to_owned()],
            On::Jobs => vec![self.sagemaker(&format!("training-job/{}-*", self.job_head))],
            On::Groups => self.of_groups(&patterns(&self.groups)),
            On::Bucket | On::Listing => vec![bucket],
            On::Objects => vec![format!("{ours}/*")],
            On::StageObjects => of_stages("stages"),
            On::RunObjects => of_stages("runs"),
            On::Output => {
                let mut own: Vec<String> = of_stages("runs");
                own.extend(of_stages("checkpoints"));
                own.extend(self.checkpoints.iter().flat_map(|uri| self.folder(uri)));
                own
            }
            On::Data => self.of_data(&self.data),
            On::Manifests => self.of_data(&self.manifests),
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
            On::Images => self.repositories(),
            On::ExecutionRole => self.execution_roles.iter().cloned().collect(),
            On::Logs => vec![
                format!("arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/TrainingJobs"),
                format!("arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/TrainingJobs:*"),
            ],
            On::ReadKeys | On::WriteKeys | On::VolumeKeys => Vec::new(),
        };
        Cover { allow, deny: Vec::new() }
    }

    fn folder(&self, uri: &str) -> [String; 2] {
        let uri = uri.trim_end_matches('/');
        [format!("arn:{}:s3:::{uri}", self.partition), format!("arn:{}:s3:::{uri}/*", self.partition)]
    }

    /// Data are only read: of many, each bucket is one pattern of what their keys begin with.
    fn of_data(&self, data: &BTreeSet<String>) -> Vec<String> {
        if data.len() <= LISTED {
            return data.iter().flat_map(|uri| self.folder(uri)).collect();
        }
        let by_bucket = beginnings(data.iter().map(|uri| uri.split_once('/').unwrap_or((uri, ""))));
        by_bucket.iter().map(|(bucket, key)| format!("arn:{}:s3:::{bucket}/{key}*", self.partition)).collect()
    }

    /// As data.
    fn repositories(&self) -> Vec<String> {
        let all: BTreeSet<String> = self.images.iter().filter_map(|image| repository(self.partition, image)).collect();
        if all.len() <= LISTED {
            return all.into_iter().collect();
        }
        let by_registry = beginnings(all.iter().filter_map(|arn| arn.split_once(":repository/")));
        by_registry.iter().map(|(registry, name)| format!("{registry}:repository/{name}*")).collect()
    }

    /// What reading from the sources of a promotion needs of their keys.
    pub(super) fn source_keys(&self) -> Option<Statement> {
        let written = self
            .sources
            .iter()
            .filter_map(|source| Some((source.kms_key.as_ref()?, (&source.region, source.account_id.as_ref()?))));
        let (Cover { allow: resources, .. }, aliases) = self.key_resources(written.collect());
        (!resources.is_empty()).then(|| Statement {
            sid: format!("{}PromoterSourceKeys", self.label),
            effect: Effect::Allow,
            principals: None,
            actions: actions_of(Party::Reader, On::ReadKeys),
            resources,
            conditions: of_aliases(aliases),
        })
    }

    /// Returns the keys as resources, and the aliases that they must have where that is how they are written.
    fn keys(&self, on: On) -> (Cover, Vec<String>) {
        let own = (&self.place.region, &self.account);
        let keys = if on == On::VolumeKeys {
            self.volume_keys.iter().map(|key| (key, own)).collect()
        } else {
            self.place.kms_key.iter().map(|key| (key, own)).collect()
        };
        self.key_resources(keys)
    }

    fn key_resources(&self, written: Vec<(&String, (&String, &String))>) -> (Cover, Vec<String>) {
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
        (Cover { allow: resources.into_iter().collect(), deny: Vec::new() }, aliases.into_iter().collect())
    }
}

/// A key is named by its alias; an alias is no resource.
fn of_aliases(aliases: Vec<String>) -> Vec<(&'static str, String, Vec<String>)> {
    if aliases.is_empty() {
        return Vec::new();
    }
    vec![("ForAnyValue:StringEquals", "kms:ResourceAliases".to_owned(), aliases)]
}

pub(super) fn actions_of(party: Party, on: On) -> Vec<String> {
    let needed = ACTIONS.iter().filter(|action| action.needs.contains(&(party, on)));
    needed.map(|action| action.name.to_owned()).collect()
}

pub(super) fn settings<'c>(config: &'c Config, stages: &[&Stage]) -> impl Iterator<Item = &'c TrainingSettings> {
    let names: Vec<StageName> = stages.iter().map(|stage| stage.name.clone()).collect();
    config
        .models
        .values()
        .flat_map(|model| &model.settings)
        .filter(move |(stage, _)| names.contains(stage))
        .map(|(_, settings)| settings)
}

pub(super) fn images(config: &Config, of: impl Fn(&StageName) -> bool) -> BTreeSet<String> {
    let settings = config.models.values().flat_map(|model| &model.settings).filter(|(stage, _)| of(stage));
    settings
        .flat_map(|(_, settings)| {
            settings.image.clone().into_iter().chain(settings.serve.as_ref().map(|serve| serve.image.clone()))
        })
        .collect()
}

/// Returns the ARN of the ECR repository of an image. Images from elsewhere have none.
pub(super) fn repository(partition: &str, image: &str) -> Option<String> {
    let (host, rest) = image.split_once('/')?;
    let mut parts = host.split('.');
    let account = parts.next().filter(|id| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()))?;
    let (dkr, ecr, region) = (parts.next()?, parts.next()?, parts.next()?);
    let name = rest.split(['@', ':']).next()?;
    (dkr == "dkr" && ecr == "ecr").then(|| format!("arn:{partition}:ecr:{region}:{account}:repository/{name}"))
}

/// What the names of a stage's training jobs begin with, before the digits of the fingerprint.
fn job_heads(config: &Config, stages: &[&Stage]) -> Vec<String> {
    let anything = Sha256Digest::of(b"");
    let mut heads = BTreeSet::new();
    for stage in stages {
        for model in config.models.keys() {
            // A long name is cut by one more for each digit of the attempt.
            for attempt in [1, 10, 100] {
                let name = TrainingName::derive(&config.project, model, &stage.name, &anything, attempt);
                let tail = format!("-{}-{attempt}", anything.short());
                heads.extend(name.as_str().strip_suffix(&tail).map(str::to_owned));
            }
        }
    }
    heads.into_iter().collect()
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
