//! What only the cloud brings: images that cannot be found, limits of the rules that a training would break, and what
//! one took and costs. Everything here is decided before any call that spends.
//!
//! Limits on a whole event (its trainings, their machine hours) are not judged here: one model knows only itself.

use crate::facts::ContentFacts;
use crate::model::cloud::CloudLimits;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::training::Bill;
use crate::model::training::Training;
use crate::plan::reason::Reason;
use crate::plan::wording::seconds;
use serde::Deserialize;
use serde::Serialize;
use std::time::Duration;

/// How long SageMaker lets a training run where nobody says.
const DEFAULT_RUN: Duration = Duration::from_secs(86_400);

/// The rules for trainings in the cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudRules {
    /// The limits.
    pub limits: CloudLimits,
    /// Stages whose place names no key for the objects in its bucket.
    pub unkeyed: Vec<StageName>,
}

/// An image that has no digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingImage {
    /// The image as written.
    pub image: String,
    /// Why it cannot be identified.
    pub why: String,
}

/// A machine type that the rules do not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceNotAllowed {
    /// The type that the settings ask for.
    pub instance: String,
    /// What the rules allow.
    pub allowed: Vec<String>,
}

/// Tags that the rules demand and the settings lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagsRequired {
    /// Their keys.
    pub missing: Vec<String>,
}

/// A private network or a key that the rules demand and that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// Keys of the file that would have to say it.
    pub keys: Vec<String>,
}

/// What a training took and costs, and where people look at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingDetails {
    /// Which.
    pub training: TrainingName,
    /// How long it ran, in seconds.
    pub seconds: Option<f64>,
    /// What it is paid for.
    pub bill: Option<Bill>,
    /// Where people look at it.
    pub url: Option<String>,
}

/// Says which rule a training would break, if any.
pub(super) fn refused(rules: Option<&CloudRules>, stage: &StageName, content: &ContentFacts) -> Option<Reason> {
    let rules = rules?;
    let (limits, cloud) = (&rules.limits, &content.cloud);
    if let Some(instance) = &cloud.instance {
        if !limits.instance_types.is_empty()
            && !limits.instance_types.iter().any(|type_| matches(type_, &instance.kind))
        {
            return Some(Reason::InstanceNotAllowed(InstanceNotAllowed {
                instance: instance.kind.clone(),
                allowed: limits.instance_types.clone(),
            }));
        }
        if let Some(allowed) = limits.max_instances.filter(|most| instance.count > *most) {
            let limit = "limits.max_instances".to_owned();
            return Some(Reason::LimitReached { limit, allowed, asked: instance.count });
        }
    }
    let missing: Vec<String> =
        limits.required_tags.iter().filter(|key| !cloud.tags.contains_key(*key)).cloned().collect();
    if !missing.is_empty() {
        return Some(Reason::TagsRequired(TagsRequired { missing }));
    }
    if limits.require_vpc && cloud.vpc.is_none() {
        return Some(Reason::VpcRequired(Protection { keys: vec!["train.vpc".to_owned()] }));
    }
    let volumes = cloud.volume_kms_key.is_none().then(|| "train.volume_kms_key".to_owned());
    let objects = rules.unkeyed.contains(stage).then(|| "backend.sagemaker.kms_key".to_owned());
    let keys: Vec<String> = volumes.into_iter().chain(objects).collect();
    (limits.require_kms && !keys.is_empty()).then_some(Reason::KmsRequired(Protection { keys }))
}

/// Returns the machine seconds that a training may take at most: machines times longest run time.
pub fn machine_seconds(count: u32, max_runtime: Option<Duration>) -> u64 {
    u64::from(count).saturating_mul(max_runtime.unwrap_or(DEFAULT_RUN).as_secs())
}

/// Says what is known of a training where a backend charges for it or shows it somewhere.
pub(super) fn details(training: &Training) -> Option<Reason> {
    (training.bill.is_some() || training.url.is_some()).then(|| {
        Reason::TrainingDetails(TrainingDetails {
            training: training.name.clone(),
            seconds: training.seconds(),
            bill: training.bill.clone(),
            url: training.url.clone(),
        })
    })
}

/// Tells whether a machine type matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, kind: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| kind.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

/// Writes machines as people name them: `2 x ml.m5.xlarge`.
pub fn machines(bill: &Bill) -> String {
    format!("{} x {}", bill.count, bill.instance)
}

/// Writes what is charged: machines, seconds, and what Spot capacity saved.
pub fn charged(bill: &Bill) -> String {
    // Far below 2^52: no second is lost.
    let (ran, paid) = (bill.training_seconds as f64, bill.billable_seconds as f64);
    let saved = if bill.billable_seconds < bill.training_seconds {
        format!(" of {} (spot saved {:.0} %)", seconds(ran), (1.0 - paid / ran) * 100.0)
    } else {
        String::new()
    };
    format!("{}, charged {}{saved}", machines(bill), seconds(paid))
}

/// Says which limit is reached.
pub(super) fn limit_message(limit: &str, allowed: u32, asked: u32) -> String {
    if limit == "limits.max_hours" {
        return format!(
            "{limit} allows {allowed} machine hours, and the trainings of this event may take {asked} (machines times \
             max_runtime): nothing was started"
        );
    }
    format!("{limit} allows {allowed}, and this event asks for {asked}: nothing was started")
}

impl MissingImage {
    pub(super) fn message(&self) -> String {
        format!("image missing: {}: {}", self.image, self.why)
    }
}

impl InstanceNotAllowed {
    pub(super) fn message(&self) -> String {
        let allowed = self.allowed.join(", ");
        format!(
            "limits.instance_types allows {allowed}, and the settings ask for {}: nothing was started",
            self.instance
        )
    }
}

impl TagsRequired {
    pub(super) fn message(&self) -> String {
        let missing = self.missing.join(", ");
        format!("limits.required_tags demands tags that the settings lack: {missing}; nothing was started")
    }

    pub(super) fn hint(&self) -> String {
        let example: Vec<String> = self.missing.iter().map(|key| format!("{key}: ...")).collect();
        format!("add them to the model: `train: {{ tags: {{ {} }} }}`", example.join(", "))
    }
}

impl Protection {
    pub(super) fn message(&self, rule: &str, what: &str) -> String {
        format!("limits.{rule} demands {what}, and there is none at {}: nothing was started", self.keys.join(" and "))
    }
}

impl TrainingDetails {
    pub(super) fn message(&self) -> String {
        let took = self.seconds.map(|took| format!("took {}", seconds(took)));
        let bill = self.bill.as_ref().map(charged);
        let facts: Vec<String> = took.into_iter().chain(bill).chain(self.url.clone()).collect();
        format!("training {}: {}", self.training, facts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cloud::CloudSettings;
    use crate::model::cloud::Instance;
    use crate::model::cloud::Vpc;
    use crate::model::digest::Sha256Digest;
    use crate::model::identity::CodeId;
    use crate::model::identity::ContentId;
    use std::collections::BTreeMap;

    #[test]
    fn patterns_of_machines_match_whole_names() {
        for (pattern, kind, expected) in [
            ("ml.m5.*", "ml.m5.xlarge", true),
            ("ml.m5.*", "ml.m5d.xlarge", false),
            ("ml.*.xlarge", "ml.m5.xlarge", true),
            ("ml.*.xlarge", "ml.m5.2xlarge", false),
            ("ml.m5.large", "ml.m5.large", true),
            ("ml.m5.large", "ml.m5.largest", false),
            ("*", "ml.p4d.24xlarge", true),
            ("*m5*large", "ml.m5.xlarge", true),
        ] {
            assert_eq!(matches(pattern, kind), expected, "{pattern} {kind}");
        }
    }

    #[test]
    fn what_spare_capacity_saved_is_said() {
        let bill =
            Bill { instance: "ml.m5.xlarge".to_owned(), count: 2, training_seconds: 6000, billable_seconds: 1800 };
        assert_eq!(charged(&bill), "2 x ml.m5.xlarge, charged 30 min of 1 h 40 min (spot saved 70 %)");
        let whole = Bill { billable_seconds: 6000, ..bill };
        assert_eq!(charged(&whole), "2 x ml.m5.xlarge, charged 1 h 40 min");
    }

    fn content(cloud: CloudSettings) -> ContentFacts {
        let digest = || Sha256Digest::of(b"anything");
        ContentFacts {
            code_id: CodeId::from_digest(digest()),
            content: ContentId::from_digest(digest()),
            fingerprint: None,
            datasets: BTreeMap::new(),
            missing_data: Vec::new(),
            unusable_data: Vec::new(),
            left_out: Vec::new(),
            signature: None,
            hyperparameters: BTreeMap::new(),
            image: None,
            image_digest: None,
            missing_image: None,
            cloud,
            max_runtime: None,
            serve: None,
            unusable_file: None,
        }
    }

    #[test]
    fn a_training_that_breaks_a_rule_is_named_with_the_rule_and_the_way_out() {
        let dev = StageName::parse("dev").expect("a stage");
        let instance = |kind: &str, count| {
            let (kind, volume_gb) = (kind.to_owned(), 30);
            Some(Instance { kind, count, volume_gb, spot: false, max_wait: None, keep_alive: None })
        };
        let sound = CloudSettings {
            instance: instance("ml.m5.large", 2),
            tags: BTreeMap::from([("team".to_owned(), "growth".to_owned())]),
            vpc: Some(Vpc { subnets: vec!["subnet-1".to_owned()], security_groups: vec!["sg-1".to_owned()] }),
            volume_kms_key: Some("alias/volumes".to_owned()),
            ..CloudSettings::default()
        };
        let limits = CloudLimits {
            instance_types: vec!["ml.m5.*".to_owned()],
            max_instances: Some(2),
            max_hours: None,
            required_tags: vec!["team".to_owned()],
            require_vpc: true,
            require_kms: true,
        };
        let rules = CloudRules { limits, unkeyed: Vec::new() };
        let unkeyed = CloudRules { unkeyed: vec![dev.clone()], ..rules.clone() };
        assert_eq!(refused(Some(&rules), &dev, &content(sound.clone())), None);
        assert_eq!(refused(None, &dev, &content(CloudSettings::default())), None);
        let broken = [
            (&rules, CloudSettings { instance: instance("ml.p4d.24xlarge", 1), ..sound.clone() }),
            (&rules, CloudSettings { instance: instance("ml.m5.large", 3), ..sound.clone() }),
            (&rules, CloudSettings { tags: BTreeMap::new(), ..sound.clone() }),
            (&rules, CloudSettings { vpc: None, ..sound.clone() }),
            (&rules, CloudSettings { volume_kms_key: None, ..sound.clone() }),
            (&unkeyed, sound),
        ];
        let said: Vec<String> = broken
            .into_iter()
            .map(|(rules, cloud)| {
                let reason = refused(Some(rules), &dev, &content(cloud)).expect("a refusal");
                assert!(reason.hint().is_some(), "{reason:?}");
                format!("{}: {}", reason.code(), reason.message())
            })
            .collect();
        assert_eq!(
            said,
            [
                "instance-not-allowed: limits.instance_types allows ml.m5.*, and the settings ask for \
                 ml.p4d.24xlarge: nothing was started",
                "limit-reached: limits.max_instances allows 2, and this event asks for 3: nothing was started",
                "tags-required: limits.required_tags demands tags that the settings lack: team; nothing was started",
                "vpc-required: limits.require_vpc demands a private network, and there is none at train.vpc: nothing \
                 was started",
                "kms-required: limits.require_kms demands keys of your own, and there is none at \
                 train.volume_kms_key: nothing was started",
                "kms-required: limits.require_kms demands keys of your own, and there is none at \
                 backend.sagemaker.kms_key: nothing was started",
            ]
        );
    }

    #[test]
    fn what_somebody_else_stopped_is_not_repeated_by_itself() {
        let cause = crate::model::training::Cause::StoppedElsewhere;
        assert!(!cause.is_transient());
        let reason = Reason::TrainingFailed {
            training: TrainingName::reported("churn-dev-0123456789ab-1"),
            attempt: 1,
            cause,
            message: "it was stopped in the console".to_owned(),
            log_tail: Vec::new(),
            exhausted: false,
            model: crate::model::name::ModelName::parse("churn").expect("a model"),
        };
        let hint = reason.hint().expect("a way out");
        assert!(hint.contains("branchline train --model churn --again"), "{hint}");
    }

    #[test]
    fn machine_hours_count_every_machine_for_its_longest_time() {
        assert_eq!(machine_seconds(3, Some(Duration::from_secs(7200))), 21_600);
        assert_eq!(machine_seconds(2, None), 172_800);
    }
}
