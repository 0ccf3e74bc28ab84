//! What may go: versions, artifacts, trainings and leftovers that nothing current, pending or kept by rule needs.
//!
//! Deliberately absent: any guess. What is not known to be ours and unneeded stays.

use crate::config::resolved::Keep;
use crate::config::resolved::KeepPer;
use crate::facts::holdings::HeldGroup;
use crate::facts::holdings::HeldTraining;
use crate::facts::holdings::HeldVersion;
use crate::facts::holdings::Holdings;
use crate::facts::holdings::Whose;
use crate::model::artifact::Artifact;
use crate::model::git::BranchName;
use crate::model::name::ModelName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::version::VersionNumber;
use crate::model::version::VersionRef;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a training that came to no version stays: a later run may adopt it.
pub const YOUNG_TRAINING: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long things stay that a run may be making right now.
pub const IN_THE_MAKING: Duration = Duration::from_secs(24 * 60 * 60);

/// What may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Item {
    /// A version: its entry in the group. Its history stays.
    Version {
        /// Which.
        version: VersionRef,
    },
    /// A stored artifact.
    Artifact {
        /// Which.
        artifact: Artifact,
    },
    /// A training with its log, its checkout and what it wrote.
    Training {
        /// Which.
        name: TrainingName,
    },
    /// What interrupted work left behind.
    Leftover {
        /// Its plain name.
        name: String,
    },
}

impl Item {
    /// Names it for people.
    pub fn text(&self) -> String {
        match self {
            Self::Version { version } => format!("version {version}"),
            Self::Artifact { artifact } => format!("artifact {}", artifact.digest),
            Self::Training { name } => format!("training {name}"),
            Self::Leftover { name } => format!("leftover tmp/{name}"),
        }
    }
}

/// Why something may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// No condition of the target's `keep` holds on it.
    NotKept,
    /// Its branch is gone, and it is not young enough for `keep`.
    BranchGone,
    /// No version refers to it.
    Unreferenced,
    /// No version came of it, or none that is left, and it ended long ago.
    NoVersion,
    /// What made it was interrupted long ago.
    Interrupted,
}

impl Why {
    /// Says it in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotKept => "no condition of `keep` holds on it",
            Self::BranchGone => "its branch is gone",
            Self::Unreferenced => "no version refers to it",
            Self::NoVersion => "it ended more than 7 days ago and no version of it is left",
            Self::Interrupted => "interrupted work left it more than a day ago",
        }
    }
}

/// One thing that may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pruning {
    /// What.
    #[serde(flatten)]
    pub item: Item,
    /// Why.
    pub why: Why,
    /// What it frees, in bytes. A version frees nothing by itself; its artifacts are listed of their own.
    pub bytes: u64,
}

/// Lists what may go, in the order in which it must go: a version before its artifacts.
///
/// `only` narrows it to the versions, artifacts and trainings of these models; empty: everything.
pub fn plan(holdings: &Holdings, keep: &BTreeMap<TargetName, Keep>, only: &[ModelName]) -> Vec<Pruning> {
    let going = versions(holdings, keep, only);
    let mut list: Vec<Pruning> = going
        .iter()
        .map(|(version, why)| Pruning { item: Item::Version { version: version.clone() }, why: *why, bytes: 0 })
        .collect();

    let (mut wanted, mut released, mut left) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for group in &holdings.groups {
        for version in &group.versions {
            if going.contains_key(&reference(group, version)) {
                released.extend(version.digests.iter().cloned());
            } else {
                wanted.extend(version.digests.iter().cloned());
                left.insert(version.fingerprint.digest().as_str());
            }
        }
    }
    for held in &holdings.artifacts {
        let digest = held.artifact.digest.to_string();
        // One that no version ever had may be a copy whose registration comes next.
        let orphaned = only.is_empty() && older(holdings.now, held.stored_at, IN_THE_MAKING);
        if !wanted.contains(&digest) && (released.contains(&digest) || orphaned) {
            let item = Item::Artifact { artifact: held.artifact.clone() };
            list.push(Pruning { item, why: Why::Unreferenced, bytes: held.artifact.size });
        }
    }
    list.extend(trainings(holdings, &left, only));
    if only.is_empty() {
        let old = holdings.leftovers.iter().filter(|left| older(holdings.now, left.touched_at, IN_THE_MAKING));
        list.extend(old.map(|left| Pruning {
            item: Item::Leftover { name: left.name.clone() },
            why: Why::Interrupted,
            bytes: left.bytes,
        }));
    }
    list
}

/// Attempts are counted by what is there, so those of one fingerprint stay or go together.
fn trainings(holdings: &Holdings, left: &BTreeSet<&str>, only: &[ModelName]) -> Vec<Pruning> {
    let mut attempts: BTreeMap<&str, Vec<&HeldTraining>> = BTreeMap::new();
    for training in &holdings.trainings {
        attempts.entry(training.fingerprint.digest().as_str()).or_default().push(training);
    }
    let may_go = |training: &&HeldTraining| {
        !training.open
            && (only.is_empty() || only.contains(&training.model))
            && training.ended_at.is_some_and(|ended| older(holdings.now, ended, YOUNG_TRAINING))
    };
    attempts
        .into_iter()
        .filter(|(fingerprint, attempts)| !left.contains(fingerprint) && attempts.iter().all(may_go))
        .flat_map(|(_, attempts)| attempts)
        .map(|training| Pruning {
            item: Item::Training { name: training.name.clone() },
            why: Why::NoVersion,
            bytes: training.bytes,
        })
        .collect()
}

/// The versions that go: those that no rule keeps, without those that a kept version comes from.
fn versions(holdings: &Holdings, keep: &BTreeMap<TargetName, Keep>, only: &[ModelName]) -> BTreeMap<VersionRef, Why> {
    let mut going = BTreeMap::new();
    for group in &holdings.groups {
        let Whose::Ours { model, target } = &group.whose else { continue };
        let Some(rule) = keep.get(target) else { continue };
        if group.frozen || !(only.is_empty() || only.contains(model)) {
            continue;
        }
        let kept = kept_always(group);
        let by_rule = kept_by_rule(holdings, group, *rule);
        for version in &group.versions {
            if kept.contains(&version.number) || by_rule.contains(&version.number) {
                continue;
            }
            let gone = rule.per == KeepPer::Branch && is_gone(holdings, version.branch.as_ref());
            let why = if gone { Why::BranchGone } else { Why::NotKept };
            going.insert(reference(group, version), why);
        }
    }
    // What stays holds on to what it comes from, and that to what it comes from.
    let all: BTreeMap<VersionRef, (&HeldGroup, &HeldVersion)> = holdings
        .groups
        .iter()
        .flat_map(|group| group.versions.iter().map(move |version| (reference(group, version), (group, version))))
        .collect();
    let mut staying: Vec<VersionRef> = all.keys().filter(|version| !going.contains_key(version)).cloned().collect();
    while let Some(version) = staying.pop() {
        let Some((group, held)) = all.get(&version) else { continue };
        let restored = held.restores.map(|number| VersionRef { group: group.name.clone(), number });
        staying.extend(held.source.iter().cloned().chain(restored).filter(|origin| going.remove(origin).is_some()));
    }
    going
}

/// What stays whatever the rules say.
fn kept_always(group: &HeldGroup) -> BTreeSet<VersionNumber> {
    let mut kept: BTreeSet<VersionNumber> = group
        .versions
        .iter()
        // A no counts for as long as it stands there: without it the same content would come back automatically.
        .filter(|version| version.awaits_approval() || version.banned)
        .map(|version| version.number)
        .collect();
    kept.extend(group.current);
    // Numbers and semantic versions count on from the highest, and none is ever given out twice.
    kept.extend(group.versions.iter().map(|version| version.number).max());
    kept.extend(group.versions.iter().max_by_key(|version| (&version.semver, version.number)).map(|v| v.number));
    let usable = |number: &&VersionNumber| {
        let held = group.versions.iter().find(|version| version.number == **number);
        Some(**number) != group.current && held.is_some_and(|version| !version.banned)
    };
    kept.extend(group.formerly_current.iter().find(usable));
    kept
}

fn kept_by_rule(holdings: &Holdings, group: &HeldGroup, rule: Keep) -> BTreeSet<VersionNumber> {
    let mut newest_first: Vec<&HeldVersion> = group.versions.iter().collect();
    newest_first.sort_by_key(|version| std::cmp::Reverse(version.number));
    let mut counts: BTreeMap<Option<&BranchName>, u32> = BTreeMap::new();
    let mut kept = BTreeSet::new();
    for version in newest_first {
        let counted = match rule.per {
            KeepPer::Branch => version.branch.as_ref(),
            KeepPer::Group => None,
        };
        let count = counts.entry(counted).or_default();
        *count += 1;
        let last = rule.last.is_some_and(|last| *count <= last) && !is_gone(holdings, counted);
        let young = rule.young.is_some_and(|young| !older(holdings.now, version.registered_at, young));
        // A rule without a condition says nothing, and so takes nothing away.
        if last || young || (rule.last.is_none() && rule.young.is_none()) {
            kept.insert(version.number);
        }
    }
    kept
}

fn is_gone(holdings: &Holdings, branch: Option<&BranchName>) -> bool {
    match (&holdings.branches, branch) {
        (Some(known), Some(branch)) => !known.contains(branch),
        (None, _) | (_, None) => false,
    }
}

fn reference(group: &HeldGroup, version: &HeldVersion) -> VersionRef {
    VersionRef { group: group.name.clone(), number: version.number }
}

/// Tells whether something is older than an age. What lies in the future is young: clocks differ.
fn older(now: jiff::Timestamp, then: jiff::Timestamp, age: Duration) -> bool {
    let passed = now.duration_since(then);
    !passed.is_negative() && passed.unsigned_abs() > age
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::holdings::HeldArtifact;
    use crate::facts::holdings::Leftover;
    use crate::model::approval::Approval;
    use crate::model::artifact::ObjectDigest;
    use crate::model::digest::Sha256Digest;
    use crate::model::identity::Fingerprint;
    use crate::model::name::GroupName;
    use proptest::prelude::*;

    const DAY: i64 = 24 * 60 * 60;
    const NOW: i64 = 1_000 * DAY;

    fn at(days_ago: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(NOW - days_ago * DAY).expect("a time")
    }

    fn digest(text: &str) -> Sha256Digest {
        Sha256Digest::of(text.as_bytes())
    }

    fn version(number: u32, branch: &str, days_ago: i64, approval: Approval) -> HeldVersion {
        let what = format!("content {number}");
        HeldVersion {
            number: VersionNumber(number),
            semver: semver::Version::new(0, 1, u64::from(number)),
            branch: Some(BranchName::parse(branch).expect("branch")),
            registered_at: at(days_ago),
            approval,
            banned: approval == Approval::Rejected,
            superseded: false,
            source: None,
            restores: None,
            fingerprint: Fingerprint::from_digest(digest(&what)),
            digests: vec![ObjectDigest::Sha256(digest(&what)).to_string()],
        }
    }

    fn group(name: &str, target: &str, mut versions: Vec<HeldVersion>) -> HeldGroup {
        versions.sort_by_key(|version| std::cmp::Reverse(version.number));
        HeldGroup {
            name: GroupName::parse(name).expect("group"),
            whose: Whose::Ours {
                model: ModelName::parse("churn").expect("model"),
                target: TargetName::parse(target).expect("target"),
            },
            frozen: false,
            current: versions.iter().find(|v| v.approval == Approval::Approved).map(|v| v.number),
            formerly_current: Vec::new(),
            versions,
        }
    }

    fn holdings(groups: Vec<HeldGroup>) -> Holdings {
        let mut artifacts = BTreeMap::new();
        for number in groups.iter().flat_map(|group| &group.versions).map(|version| version.number.0) {
            let digest = digest(&format!("content {number}"));
            let artifact = Artifact {
                name: "model.tar.gz".to_owned(),
                location: format!("blob:sha256:{digest}"),
                digest: ObjectDigest::Sha256(digest),
                size: 10,
            };
            artifacts.insert(number, HeldArtifact { artifact, stored_at: at(100) });
        }
        let branches = ["dev", "feature/a"].map(|name| BranchName::parse(name).expect("branch"));
        Holdings {
            now: at(0),
            branches: Some(BTreeSet::from(branches)),
            groups,
            trainings: Vec::new(),
            artifacts: artifacts.into_values().collect(),
            leftovers: Vec::new(),
            unknown: Vec::new(),
        }
    }

    fn keep(last: Option<u32>, per: KeepPer, days: Option<u64>) -> BTreeMap<TargetName, Keep> {
        let young = days.map(|days| Duration::from_secs(days * 86_400));
        BTreeMap::from([(TargetName::parse("dev").expect("target"), Keep { last, per, young })])
    }

    fn numbers(list: &[Pruning]) -> Vec<u32> {
        list.iter()
            .filter_map(|pruning| match &pruning.item {
                Item::Version { version } => Some(version.number.0),
                Item::Artifact { .. } | Item::Training { .. } | Item::Leftover { .. } => None,
            })
            .collect()
    }

    /// What is there once everything on the list is gone.
    fn without(mut holdings: Holdings, list: &[Pruning]) -> Holdings {
        for pruning in list {
            match &pruning.item {
                Item::Version { version } => {
                    for group in holdings.groups.iter_mut().filter(|group| group.name == version.group) {
                        group.versions.retain(|held| held.number != version.number);
                        group.formerly_current.retain(|number| *number != version.number);
                    }
                }
                Item::Artifact { artifact } => holdings.artifacts.retain(|held| held.artifact != *artifact),
                Item::Training { name } => holdings.trainings.retain(|held| held.name != *name),
                Item::Leftover { name } => holdings.leftovers.retain(|held| held.name != *name),
            }
        }
        holdings
    }

    fn six() -> Vec<HeldVersion> {
        (1..=6).map(|n| version(n, "dev", 100 - i64::from(n) * 10, Approval::Approved)).collect()
    }

    #[test]
    fn the_newest_stay_and_the_rest_goes_with_its_artifacts() {
        let list = plan(&holdings(vec![group("churn-dev", "dev", six())]), &keep(Some(2), KeepPer::Group, None), &[]);
        assert_eq!(numbers(&list), [1, 2, 3, 4]);
        assert_eq!(list.iter().map(|pruning| pruning.bytes).sum::<u64>(), 40);
        assert!(matches!(list[3].item, Item::Version { .. }) && matches!(list[4].item, Item::Artifact { .. }));
    }

    #[test]
    fn a_target_without_a_rule_keeps_everything() {
        let list = plan(&holdings(vec![group("churn-dev", "dev", six())]), &BTreeMap::new(), &[]);
        assert_eq!(list, []);
    }

    #[test]
    fn young_versions_stay_too() {
        let list =
            plan(&holdings(vec![group("churn-dev", "dev", six())]), &keep(Some(1), KeepPer::Group, Some(65)), &[]);
        assert_eq!(numbers(&list), [1, 2, 3]);
    }

    #[test]
    fn what_is_pending_banned_formerly_current_or_frozen_stays() {
        let mut versions = six();
        versions[0].approval = Approval::PendingManualApproval;
        versions[1].approval = Approval::Rejected;
        versions[1].banned = true;
        let mut held = group("churn-dev", "dev", versions);
        held.formerly_current = vec![VersionNumber(2), VersionNumber(3), VersionNumber(4)];
        let rule = keep(Some(1), KeepPer::Group, None);
        assert_eq!(numbers(&plan(&holdings(vec![held.clone()]), &rule, &[])), [4, 5]);
        held.frozen = true;
        assert_eq!(plan(&holdings(vec![held]), &rule, &[]), []);
    }

    #[test]
    fn a_kept_version_holds_on_to_its_origin_and_shared_artifacts() {
        let mut above = group("churn-prod", "prod", vec![version(1, "dev", 90, Approval::Approved)]);
        above.versions[0].source =
            Some(VersionRef { group: GroupName::parse("churn-dev").expect("group"), number: VersionNumber(3) });
        let mut versions = six();
        versions[2].restores = Some(VersionNumber(2));
        let list = plan(
            &holdings(vec![group("churn-dev", "dev", versions), above]),
            &keep(Some(1), KeepPer::Group, None),
            &[],
        );
        assert_eq!(numbers(&list), [1, 4, 5]);
        // Version 1 of the other group has the artifact of version 1 here.
        assert_eq!(list.iter().filter(|pruning| matches!(pruning.item, Item::Artifact { .. })).count(), 2);
    }

    #[test]
    fn a_deleted_branch_loses_its_last_ones() {
        let branches = ["gone", "feature/a", "gone", "feature/a", "dev"];
        let versions = (1..).zip(branches).map(|(n, branch)| version(n, branch, 50, Approval::Approved)).collect();
        let mut held = holdings(vec![group("churn-dev", "dev", versions)]);
        let rule = keep(Some(1), KeepPer::Branch, None);
        let list = plan(&held, &rule, &[]);
        assert_eq!(numbers(&list), [1, 2, 3]);
        assert_eq!((list[0].why, list[1].why), (Why::BranchGone, Why::NotKept));
        held.branches = None;
        assert_eq!(numbers(&plan(&held, &rule, &[])), [1, 2]);
    }

    #[test]
    fn trainings_stay_while_open_young_or_with_a_version() {
        let training = |name: &str, content: &str, open: bool, days: i64| HeldTraining {
            name: TrainingName::reported(name),
            model: ModelName::parse("churn").expect("model"),
            fingerprint: Fingerprint::from_digest(digest(content)),
            open,
            ended_at: Some(at(days)),
            bytes: 5,
        };
        let mut held = holdings(vec![group("churn-dev", "dev", six())]);
        held.trainings = vec![
            training("of-a-version", "content 6", false, 90),
            training("old", "nothing", false, 8),
            training("young", "soon", false, 6),
            training("open", "running", true, 20),
            training("first", "twice", false, 20),
            training("second", "twice", false, 2),
        ];
        held.leftovers = vec![
            Leftover { name: "blob-1".to_owned(), touched_at: at(2), bytes: 3 },
            Leftover { name: "blob-2".to_owned(), touched_at: at(0), bytes: 3 },
        ];
        let texts: Vec<String> = plan(&held, &BTreeMap::new(), &[]).iter().map(|p| p.item.text()).collect();
        assert_eq!(texts, ["training old", "leftover tmp/blob-1"]);
        let other = [ModelName::parse("fraud").expect("model")];
        assert_eq!(plan(&held, &BTreeMap::new(), &other), []);
    }

    #[test]
    fn an_unreferenced_artifact_goes_once_nobody_can_be_registering_it() {
        let mut held = holdings(vec![group("churn-dev", "dev", six())]);
        held.groups[0].versions.retain(|version| version.number.0 > 2);
        held.artifacts[1].stored_at = at(0);
        let list = plan(&held, &BTreeMap::new(), &[]);
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].item.text(), format!("artifact sha256:{}", digest("content 1")));
    }

    fn any_version(number: u32) -> impl Strategy<Value = HeldVersion> {
        let approval =
            prop_oneof![Just(Approval::Approved), Just(Approval::PendingManualApproval), Just(Approval::Rejected)];
        (approval, 0..60_i64, prop_oneof![Just("dev"), Just("gone")], any::<(bool, bool)>(), 0..4_u32, 0..20_u32)
            .prop_map(move |(approval, days, branch, (banned, superseded), content, origin)| {
                let mut held = version(number, branch, days, approval);
                held.banned = banned && approval == Approval::Rejected;
                held.superseded = superseded;
                held.digests = version(content + 1, branch, days, approval).digests;
                held.restores = (1..number).contains(&origin).then_some(VersionNumber(origin));
                held
            })
    }

    proptest! {
        #[test]
        fn nothing_needed_ever_goes_and_twice_finds_nothing(
            versions in (1..12_u32).prop_flat_map(|n| (1..=n).map(any_version).collect::<Vec<_>>()),
            former in proptest::collection::vec(1..12_u32, 0..4),
            last in proptest::option::of(0..4_u32),
            days in proptest::option::of(0..60_u64),
            by_branch in any::<bool>(),
        ) {
            let mut held = group("churn-dev", "dev", versions);
            held.formerly_current = former.into_iter().map(VersionNumber).collect();
            let held = holdings(vec![held]);
            let rule = keep(last, if by_branch { KeepPer::Branch } else { KeepPer::Group }, days);
            let list = plan(&held, &rule, &[]);
            let gone = numbers(&list);
            let after = without(held.clone(), &list);
            let stored: BTreeSet<String> = after.artifacts.iter().map(|a| a.artifact.digest.to_string()).collect();
            let before: BTreeSet<String> = held.artifacts.iter().map(|a| a.artifact.digest.to_string()).collect();
            for group in &held.groups {
                for version in &group.versions {
                    let needed = group.current == Some(version.number) || version.awaits_approval() || version.banned;
                    prop_assert!(!(needed && gone.contains(&version.number.0)), "{} is needed", version.number);
                }
            }
            for version in &after.groups[0].versions {
                prop_assert!(version.digests.iter().all(|d| stored.contains(d) || !before.contains(d)));
                prop_assert!(version.restores.is_none_or(|origin| !gone.contains(&origin.0)));
            }
            prop_assert_eq!(plan(&after, &rule, &[]), vec![]);
        }
    }
}
