//! Which jobs may assume which role: the subjects of their identity tokens, and where that would let a lower stage change
//! what a higher one decides over. Pure.

use crate::adapters::aws::policy::Trust;
use crate::adapters::aws::policy::cover::overlap;
use crate::adapters::aws::policy::roles::written_for_training;
use crate::config::Config;
use crate::model::name::GroupName;
use crate::model::name::StageName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

/// The subjects of a stage's jobs.
pub(super) fn subjects_of(trust: &Trust, stage: &Stage) -> Vec<String> {
    let patterns: Vec<String> = stage.branches.clone().into();
    let refs = patterns.iter().filter(|pattern| !pattern.starts_with('!')).map(|pattern| as_iam(pattern));
    let mut subjects: Vec<String> =
        refs.map(|branch| format!("{}:ref:refs/heads/{branch}", trust.subject_prefix)).collect();
    subjects.push(format!("{}:environment:{}", trust.subject_prefix, stage.name));
    subjects
}

/// Who may only read: pull requests, and the jobs of every stage, which look at what other stages hold.
pub(super) fn reading_subjects(config: &Config, trust: &Trust) -> Vec<String> {
    let mut subjects = vec![format!("{}:pull_request", trust.subject_prefix)];
    subjects.extend(config.stages.iter().flat_map(|stage| subjects_of(trust, stage)));
    subjects
}

/// Writes a pattern of branches as IAM does: there, `*` crosses slashes.
pub(super) fn as_iam(pattern: &str) -> String {
    let mut text = pattern.replace("**", "*");
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    // What only GitHub knows (`[a-z]`, `+`) becomes any text: who may push such a branch is GitHub's to say.
    match text.find(['[', '+', '\\', '?']) {
        Some(at) => format!("{}*", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// Roles, as they are written, by which a lower stage could change what a higher one decides over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Jobs of both stages assume the same role.
    SharedRole {
        /// The role.
        arn: String,
        /// The lower stage.
        lower: StageName,
        /// The higher stage.
        higher: StageName,
        /// A group that the higher stage feeds.
        group: Option<GroupName>,
    },
    /// The role that only reads is one that writes.
    ReaderWrites {
        /// The role.
        arn: String,
        /// The stage that writes by it.
        stage: StageName,
    },
    /// Training code runs under a role that writes versions.
    TrainingWrites {
        /// The role.
        arn: String,
        /// The stage that trains.
        trains: StageName,
        /// The stage that writes by it.
        stage: StageName,
    },
    /// Training code may write where Branchline keeps its records.
    Checkpoints {
        /// The address, as it is written.
        uri: String,
        /// The stage that trains.
        trains: StageName,
    },
    /// IAM would take a branch of the lower stage for one of the higher.
    Branches {
        /// The pattern of the higher stage, as it is written.
        pattern: String,
        /// As IAM has it.
        trusted: String,
        /// The pattern of the lower stage.
        lower_pattern: String,
        /// The lower stage.
        lower: StageName,
        /// The higher stage.
        higher: StageName,
    },
}

impl Conflict {
    /// Tells whether a role of its own for each stage settles it.
    pub fn is_separable(&self) -> bool {
        matches!(self, Self::SharedRole { .. })
    }

    /// Says what to change.
    pub fn hint(&self) -> String {
        match self {
            Self::SharedRole { .. } => {
                "give each stage a role of its own: `branchline iam` makes them, and prints the `accounts` to write into \
                 branchline.yaml"
                    .to_owned()
            }
            Self::ReaderWrites { .. } => {
                "name a role of its own as `read_role_arn`: `branchline iam --role pull-request` prints it".to_owned()
            }
            Self::TrainingWrites { .. } => {
                "name a role of its own as `execution_role_arn`: `branchline iam` prints it".to_owned()
            }
            Self::Checkpoints { .. } => {
                "leave `checkpoint.uri` out, or name a prefix outside that of `backend.sagemaker`".to_owned()
            }
            Self::Branches { higher, .. } => {
                format!("name the branches of {higher} one by one, or give the branches of the stages different beginnings")
            }
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SharedRole { arn, lower, higher, group } => {
                write!(f, "stages {lower} and {higher} share the role {arn}: a branch of {lower} could change ")?;
                match group {
                    Some(group) => write!(f, "the versions of {group}"),
                    None => write!(f, "what {higher} decides over"),
                }
            }
            Self::ReaderWrites { arn, stage } => {
                write!(
                    f,
                    "`read_role_arn` names a role that stage {stage} writes by ({arn}): pull requests could write"
                )
            }
            Self::TrainingWrites { arn, trains, stage } => write!(
                f,
                "training jobs of stage {trains} run under {arn}, the role that stage {stage} writes by: training code \
                 could change versions"
            ),
            Self::Checkpoints { uri, trains } => write!(
                f,
                "`checkpoint.uri` of stage {trains} is {uri}, where Branchline keeps its records: training code could \
                 change them"
            ),
            Self::Branches { pattern, trusted, lower_pattern, lower, higher } => write!(
                f,
                "the role of stage {higher} would trust `{trusted}` (IAM's form of `{pattern}`), which also matches \
                 branches of stage {lower} (`{lower_pattern}`)"
            ),
        }
    }
}

/// Returns every conflict between the roles of a configuration.
pub fn conflicts(config: &Config) -> Vec<Conflict> {
    let writer = |stage: &Stage| config.account_of(&stage.name).and_then(|place| place.assume_role_arn.clone());
    // Every pull request may assume each of these, whichever place names it.
    let readers: BTreeSet<String> =
        config.cloud.iter().chain(config.accounts.values()).filter_map(|place| place.read_role_arn.clone()).collect();
    let mut found = Vec::new();
    for stage in &config.stages {
        let trains = written_for_training(config, &stage.name).into_iter().collect::<Vec<_>>();
        for arn in writer(stage).iter().chain(&trains).filter(|arn| readers.contains(*arn)) {
            found.push(Conflict::ReaderWrites { arn: arn.clone(), stage: stage.name.clone() });
        }
        let Some(arn) = writer(stage) else { continue };
        for trains in &config.stages {
            if written_for_training(config, &trains.name).contains(&arn) {
                let (trains, stage) = (trains.name.clone(), stage.name.clone());
                found.push(Conflict::TrainingWrites { arn: arn.clone(), trains, stage });
            }
        }
    }
    found.extend(checkpoints_in_records(config));
    for (index, higher) in config.stages.iter().enumerate() {
        for lower in config.stages.iter().take(index).filter(|lower| is_below(config, lower, higher)) {
            let group = config.groups().find(|(_, target, _)| higher.groups.contains_key(*target));
            match (writer(lower), writer(higher)) {
                (Some(arn), Some(same)) if arn == same => found.push(Conflict::SharedRole {
                    arn,
                    lower: lower.name.clone(),
                    higher: higher.name.clone(),
                    group: group.map(|(_, _, group)| group.clone()),
                }),
                _ => {}
            }
            found.extend(shared_branches(lower, higher));
        }
    }
    found
}

fn checkpoints_in_records(config: &Config) -> Vec<Conflict> {
    let places: Vec<_> = config.cloud.iter().chain(config.accounts.values()).collect();
    let mut found = Vec::new();
    for (stage, settings) in config.models.values().flat_map(|model| &model.settings) {
        let uri = settings.cloud.checkpoint.as_ref().and_then(|checkpoint| checkpoint.uri.clone());
        if let Some(uri) = uri.filter(|uri| places.iter().any(|place| place.meets(uri))) {
            found.push(Conflict::Checkpoints { uri, trains: stage.clone() });
        }
    }
    found.dedup();
    found
}

/// Returns the roles that training jobs of several stages run under: code of the lower one could replace what a job of
/// the higher one wrote, before it is read.
pub fn shared_training_roles(config: &Config) -> BTreeMap<String, Vec<StageName>> {
    let mut found: BTreeMap<String, Vec<StageName>> = BTreeMap::new();
    for stage in config.stages.iter().filter(|stage| matches!(stage.does, Does::Train { .. })) {
        for arn in written_for_training(config, &stage.name) {
            found.entry(arn).or_default().push(stage.name.clone());
        }
    }
    found.retain(|_, stages| stages.len() > 1);
    found
}

/// Tells whether what a stage makes can reach another one, or both train and it comes first.
fn is_below(config: &Config, lower: &Stage, higher: &Stage) -> bool {
    match &higher.does {
        Does::Train { .. } => true,
        Does::Promote { from } => {
            let above =
                |name: &StageName| config.stage(name).is_some_and(|source| is_below_or_is(config, lower, source));
            from.iter().any(above) || matches!(lower.does, Does::Train { .. })
        }
    }
}

fn is_below_or_is(config: &Config, lower: &Stage, source: &Stage) -> bool {
    if source.name == lower.name {
        return true;
    }
    match &source.does {
        Does::Train { .. } => false,
        Does::Promote { from } => {
            from.iter().filter_map(|name| config.stage(name)).any(|next| is_below_or_is(config, lower, next))
        }
    }
}

/// Finds a pattern of the higher stage that IAM takes for more than Branchline does, and that then matches branches of the
/// lower one. What is written out goes before every pattern, so it belongs to one stage alone.
fn shared_branches(lower: &Stage, higher: &Stage) -> Option<Conflict> {
    let (low, high): (Vec<String>, Vec<String>) = (lower.branches.clone().into(), higher.branches.clone().into());
    let positive = |patterns: &[String]| -> Vec<String> {
        patterns.iter().filter(|pattern| !pattern.starts_with('!')).cloned().collect()
    };
    for pattern in positive(&high) {
        let trusted = as_iam(&pattern);
        if !trusted.contains('*') {
            continue;
        }
        // One `*` of IAM crosses slashes, and what only GitHub knows became any text.
        let says_the_same =
            pattern.ends_with("**") && pattern.matches('*').count() == 2 && !pattern.contains(['[', '+', '\\', '?']);
        let left_out = says_the_same && low.iter().any(|other| other.strip_prefix('!') == Some(pattern.as_str()));
        if left_out {
            continue;
        }
        if let Some(lower_pattern) = positive(&low).into_iter().find(|other| overlap(&trusted, &as_iam(other))) {
            let (lower, higher) = (lower.name.clone(), higher.name.clone());
            return Some(Conflict::Branches { pattern, trusted, lower_pattern, lower, higher });
        }
    }
    None
}
