//! Every way to say yes, no or not yet: one variant, one code, one sentence, the evidence, and the next move.
//!
//! The texts of the variants are in `plan::wording` and nowhere else: reports print what stands there.

pub use crate::plan::evidence::Excluded;
pub use crate::plan::evidence::Known;
pub use crate::plan::evidence::NoPromotableVersion;
pub use crate::plan::evidence::ReviewMoved;
// The payloads of the variants.
use crate::plan::payload::*;
pub use crate::plan::refusal::BeforeVerdict;
use serde::Deserialize;
use serde::Serialize;

/// One reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing was trained yet for this code, settings and data.
    TrainingNeeded {
        /// The training that will be made.
        training: TrainingName,
        /// The commit.
        commit: CommitSha,
        /// How long the last training of the model took, in seconds.
        last_took: Option<f64>,
        /// On which machines: `2 x ml.m5.xlarge`.
        last_machines: Option<String>,
    },
    /// An attempt failed for a passing cause, or a person asked again.
    TrainingRetried {
        /// The new attempt.
        training: TrainingName,
        /// Its number.
        attempt: u32,
        /// Why the last one does not stand.
        because: String,
    },
    /// A training goes on.
    TrainingOpen {
        /// Which.
        training: TrainingName,
        /// Since when.
        since: Option<jiff::Timestamp>,
    },
    /// A training of the same code, settings and data is reused.
    TrainingAdopted {
        /// Which.
        training: TrainingName,
        /// The stage that ran it.
        stage: StageName,
    },
    /// A training that another branch head still wants is left alone.
    TrainingLeft {
        /// Which.
        training: TrainingName,
        /// The branch that wants it.
        wanted_by: BranchName,
    },
    /// An older training is ended.
    TrainingStopped {
        /// Which.
        training: TrainingName,
        /// Why.
        cause: StopCause,
    },
    /// The group holds this fingerprint already.
    AlreadyRegistered {
        /// The version.
        version: Known,
        /// The event's commit.
        commit: CommitSha,
        /// How it stands.
        approval: Approval,
    },
    /// A stage above holds this fingerprint: read, not trained.
    Adopted {
        /// The version.
        version: Known,
        /// The event's commit.
        commit: CommitSha,
    },
    /// Every bound holds.
    GatesPassed {
        /// The bounds.
        results: Vec<GateResult>,
    },
    /// No gate is configured.
    NoGates,
    /// A bound does not hold, or cannot be told.
    GateFailed {
        /// What was judged: a training or a version.
        candidate: String,
        /// All bounds.
        results: Vec<GateResult>,
        /// The last version that is good, to ship instead.
        last_good: Option<Known>,
    },
    /// A version is registered.
    Registering {
        /// The group.
        group: GroupName,
        /// The semantic version.
        semver: semver::Version,
        /// How it enters.
        approval: Approval,
    },
    /// A version is promoted.
    Promoting {
        /// The version.
        source: Known,
        /// Where to.
        groups: Vec<GroupName>,
        /// How it enters.
        approval: Approval,
        /// Whether a review recorded it.
        reviewed: bool,
    },
    /// An older version is registered again.
    Restoring {
        /// The version that returns.
        version: Known,
        /// What stands in its place now.
        replaces: Option<Known>,
        /// How it enters.
        approval: Approval,
    },
    /// A version that was marked superseded counts again.
    Reinstating {
        /// The version.
        version: Known,
        /// What it becomes.
        approval: Approval,
    },
    /// The group stands for this content already.
    AlreadyCurrent {
        /// The version.
        version: Known,
    },
    /// The version is there and awaits a person.
    AwaitsApproval {
        /// The version.
        version: Known,
        /// The target, for the command.
        target: TargetName,
        /// The model, for the command.
        model: ModelName,
    },
    /// A source version awaits a person.
    SourceAwaitsApproval {
        /// The version.
        version: Known,
        /// The stage that waits for it.
        stage: StageName,
    },
    /// A source training goes on.
    SourceTrainingOpen {
        /// The training.
        training: TrainingName,
        /// The stage that waits for it.
        stage: StageName,
    },
    /// The sources hold nothing of the model at all.
    NothingToPromoteYet {
        /// The groups.
        sources: Vec<GroupName>,
        /// The branch that would train.
        branch: Option<BranchName>,
    },
    /// No version of the content may be promoted.
    NoPromotableVersion(NoPromotableVersion),
    /// The group is frozen.
    Frozen {
        /// The group.
        group: GroupName,
        /// The mark.
        freeze: Freeze,
        /// What was not done.
        stopped: String,
    },
    /// A manual command changes a frozen group.
    FrozenButByHand {
        /// The group.
        group: GroupName,
        /// The mark.
        freeze: Freeze,
    },
    /// A person promotes what the target group withdrew before.
    PromotingWithdrawn {
        /// The version of the target group that was rejected or rolled back.
        version: Known,
        /// How.
        rejection: Option<Rejection>,
    },
    /// The data differ from those that the current version was trained on, and nothing trains automatically here.
    DataBehind(DataBehind),
    /// No branch has rules yet that this one must obey: the file of the commit itself counts.
    FirstRules {
        /// The default branch, which has no configuration yet.
        branch: BranchName,
    },
    /// A person or a rollback put this content out of the group.
    LastRejected {
        /// The version.
        version: Known,
        /// Why.
        rejection: Option<Rejection>,
        /// The model, for the command.
        model: ModelName,
    },
    /// A version that Branchline did not register, and that names no model in S3: nothing of it can be registered again.
    NotRestorable {
        /// The version.
        version: Known,
    },
    /// The group belongs to another repository.
    ForeignGroup {
        /// The group.
        group: GroupName,
        /// Its repository.
        owner: RepositoryId,
        /// This repository.
        ours: RepositoryId,
    },
    /// What a pull request showed cannot go forward as it was shown.
    ReviewMoved(ReviewMoved),
    /// The rules ask for a review, and there is none.
    ReviewRequired {
        /// The model, for the command.
        model: ModelName,
        /// Why there is none, as a clause.
        why: String,
    },
    /// No pull request showed what is promoted.
    Unreviewed {
        /// The version.
        version: Known,
        /// Why there is no review, as a clause.
        why: String,
    },
    /// There is a newer version than the one that was reviewed.
    NewerThanReview {
        /// The newer version.
        newer: Known,
        /// The pull request.
        pull_request: u64,
    },
    /// The person may not do it under the rules.
    NotPermitted {
        /// The person.
        actor: String,
        /// The action.
        action: String,
        /// Why not, as a clause: `has write, and promote needs maintain`.
        why: String,
    },
    /// Somebody else changed the group after this run did.
    Overtaken,
    /// The branch has moved on.
    Superseded {
        /// The event's commit.
        commit: CommitSha,
        /// The branch.
        branch: BranchName,
        /// Where the branch is. `None`: it is gone.
        head: Option<CommitSha>,
        /// The group to roll back, where that may have been meant.
        rollback: Option<GroupName>,
    },
    /// A result is registered although its branch has moved on.
    RegisteredLate {
        /// The group.
        group: GroupName,
        /// Where the branch is.
        head: Option<CommitSha>,
    },
    /// Data could not be identified.
    MissingData {
        /// What is missing.
        missing: Vec<MissingData>,
    },
    /// Data that nothing may read here: outside of what the rules allow, or no data at all.
    DataRefused {
        /// What is refused.
        refused: Vec<MissingData>,
    },
    /// Data that the commit points at, and that are not on this machine.
    DataNotHere {
        /// What is not here.
        missing: Vec<MissingData>,
    },
    /// Watched paths that stand for content which the commit does not hold.
    LeftOut {
        /// Each as a sentence.
        paths: Vec<String>,
    },
    /// Watched paths are missing at the commit.
    MissingPaths {
        /// The commit.
        commit: CommitSha,
        /// The path, and what is known of it.
        paths: Vec<(String, Option<MissingNote>)>,
    },
    /// The command names a file that its training run would not find.
    CommandFileUnusable {
        /// The commit.
        commit: CommitSha,
        /// The file, and why the training run would not find it.
        file: UnusableFile,
    },
    /// The commit's configuration does not know the model.
    NoSuchModel {
        /// The model.
        model: ModelName,
        /// The commit.
        commit: CommitSha,
    },
    /// The repository could not answer.
    Unreadable {
        /// Why, with the way out.
        why: String,
    },
    /// The training ended badly.
    TrainingFailed {
        /// Which.
        training: TrainingName,
        /// Its attempt.
        attempt: u32,
        /// Why.
        cause: Cause,
        /// One sentence.
        message: String,
        /// The last lines of its log: foreign text.
        log_tail: Vec<String>,
        /// No further attempt is allowed.
        exhausted: bool,
        /// The model, for the command.
        model: ModelName,
    },
    /// `reconcile` starts no first attempt.
    NotStarted {
        /// The branch.
        branch: BranchName,
    },
    /// Some of what stands beside the metrics is not a number. It is kept, and decides nothing.
    MetricNotes {
        /// What measured it: a training run, or a file.
        from: String,
        /// What is not a number.
        notes: Vec<MetricNote>,
    },
    /// The data moved while training.
    DataMoved {
        /// The training.
        training: TrainingName,
    },
    /// A person approves.
    Approving {
        /// The version.
        version: Known,
        /// What was current until then.
        replaces: Option<Known>,
    },
    /// A person rejects.
    Rejecting {
        /// The version.
        version: Known,
        /// What is current then.
        leaves: Option<Known>,
        /// It was the current one.
        was_current: bool,
    },
    /// A person stops automatic changes.
    Freezing {
        /// The group.
        group: GroupName,
    },
    /// A person allows automatic changes again.
    Unfreezing {
        /// The group.
        group: GroupName,
        /// The mark that is lifted.
        freeze: Freeze,
    },
    /// The group is frozen already.
    AlreadyFrozen {
        /// The group.
        group: GroupName,
        /// The mark.
        freeze: Freeze,
    },
    /// The group is not frozen.
    NotFrozen {
        /// The group.
        group: GroupName,
    },
    /// A person goes back.
    RollingBack {
        /// The version that is withdrawn.
        from: Known,
        /// The version that comes back.
        to: Known,
    },
    /// The group went back.
    RolledBack {
        /// The version that is current now.
        version: Known,
        /// The version that was withdrawn.
        replaced: Known,
    },
    /// There is nothing to go back to.
    NothingToRollBack {
        /// The group.
        group: GroupName,
    },
    /// The commit's own file changes rules, which do not count.
    RulesIgnored {
        /// The branch whose rules count.
        branch: BranchName,
        /// What the commit would change: `gates.accuracy.min: 0.8 -> 0.5`.
        changes: Vec<String>,
    },
    /// A merge does not change the model: what its base suffers from is not the merge's.
    Unchanged(crate::plan::evidence::Unchanged),
    /// A limit of the rules.
    LimitReached {
        /// The limit: `limits.max_trainings_per_event`.
        limit: String,
        /// What it allows.
        allowed: u32,
        /// What was asked.
        asked: u32,
    },
    /// A prediction of what merging would do.
    Predicted {
        /// The base branch.
        base: BranchName,
        /// Whether it would train.
        trains: bool,
    },
    /// It is so already.
    AlreadySo {
        /// The version.
        version: Known,
        /// How it stands.
        approval: Approval,
    },
    /// Approving an older version than the current one.
    OlderThanCurrent {
        /// The version asked for.
        version: Known,
        /// The current one.
        current: Known,
    },
    /// The group has no such version.
    NoSuchVersion {
        /// The group.
        group: GroupName,
        /// The number asked for.
        number: VersionNumber,
        /// The highest number that it has.
        newest: Option<VersionNumber>,
    },
    /// A manually named version that is not approved at its source.
    NotApproved {
        /// The version.
        version: Known,
        /// How it stands.
        approval: Approval,
    },
    /// A version that must not be promoted by default.
    NotPromotable {
        /// The version.
        version: Known,
        /// Why, as a clause.
        why: String,
    },
    /// No stage has the branch.
    NoStage {
        /// The branch.
        branch: BranchName,
        /// Each stage and its patterns: `dev (dev)`.
        stages: Vec<String>,
    },
    /// The branch was deleted.
    BranchDeleted {
        /// The branch.
        branch: BranchName,
    },
    /// The event is not one to act on.
    NotOurs {
        /// Why, as a sentence.
        why: String,
    },
    /// The branch whose rules count has no configuration yet.
    NoRules {
        /// That branch.
        branch: BranchName,
        /// What merging the file will begin.
        begins: String,
    },
    /// The event is privileged and brings foreign code.
    Refused {
        /// Why.
        why: String,
    },
    /// The pull request cannot be merged as it is.
    MergeConflict {
        /// The base branch.
        base: BranchName,
        /// Paths that conflict.
        paths: Vec<String>,
    },
    /// What is unreferenced was removed, or listed.
    Pruned {
        /// What happened, in words.
        what: String,
    },
    /// A port failed.
    PortFailed {
        /// The class.
        kind: String,
        /// The whole chain of causes.
        message: String,
        /// The next move.
        hint: Option<String>,
        /// Whether running again may help.
        may_pass: bool,
    },
    /// Somebody else held or moved the group too often.
    TooBusy {
        /// What kept moving.
        what: String,
    },
    /// Every step said done, and nothing changed.
    DoesNotConverge {
        /// The step that repeats.
        step: String,
    },
    /// The plan broke one of its own rules.
    PlanBroken {
        /// Which.
        what: String,
    },
    /// The run has begun as many training runs of a model as there may be attempts.
    TooManyAttempts(crate::plan::evidence::TooManyAttempts),
    /// The run was stopped.
    Cancelled {
        /// What was stopped.
        stopped: Vec<TrainingName>,
        /// What goes on.
        left: Vec<TrainingName>,
    },
    /// The run leaves a training that goes on.
    Left {
        /// Which.
        training: TrainingName,
    },
    /// No commit is known to hold what a model was trained from.
    UnknownTree {
        /// Why, as a clause.
        why: String,
    },
    /// The group holds this artifact for this commit already.
    HeldAlready(crate::plan::evidence::HeldAlready),
    /// Only promotion feeds the group.
    PromotedGroup(crate::plan::evidence::PromotedGroup),
    /// A version is imported.
    Importing(crate::plan::evidence::Importing),
    /// A version was imported before.
    ImportedAlready {
        /// The version where it was.
        version: VersionRef,
        /// What it is here.
        here: Known,
    },
    /// The image could not be identified.
    MissingImage(MissingImage),
    /// The rules do not allow the machine type.
    InstanceNotAllowed(InstanceNotAllowed),
    /// The rules demand tags.
    TagsRequired(TagsRequired),
    /// The rules demand a private network.
    VpcRequired(Protection),
    /// The rules demand keys of one's own.
    KmsRequired(Protection),
    /// What a training took and costs, and where it is seen.
    TrainingDetails(TrainingDetails),
    /// What is to be imported belongs to another repository.
    ForeignSource {
        /// The group.
        group: GroupName,
        /// Its repository.
        owner: RepositoryId,
        /// This repository.
        ours: RepositoryId,
    },
}
