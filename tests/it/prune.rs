//! Pruning with the real local backend: what goes, what stays, and a fault at each of its writes.

mod cloud;

use crate::world::faults::Fault;
use crate::world::faults::Faults;
use crate::world::laptop::Laptop;
use branchline::apply::prune::prune;
use branchline::config::Config;
use branchline::facts::Holdings;
use branchline::model::git::BranchName;
use branchline::model::git::CommitSha;
use branchline::model::history::Attribution;
use branchline::model::history::HistoryAction;
use branchline::model::name::GroupName;
use branchline::model::verdict::Verdict;
use branchline::model::version::VersionNumber;
use branchline::observe::holdings;
use branchline::plan::prune::Pruning;
use branchline::plan::prune::plan;
use branchline::plan::route::Route;
use branchline::plan::route::push;
use branchline::ports::Ports;
use std::collections::BTreeSet;

const CONFIG: &str = "version: 1
project: churn
models:
  churn:
    paths: [train.sh, score]
    train: { command: sh train.sh, data: none }
keep:
  dev: { last: 1, per: group }
";

const SCRIPT: &str = "cp score \"$SM_MODEL_DIR/model.txt\"
printf '{\"accuracy\": %s}' \"$(cat score)\" > \"$SM_OUTPUT_DATA_DIR/metrics.json\"
";

/// Longer than anything is kept for being young, also on the real clock, which the files carry.
const AGES: i64 = 100 * 365 * 24 * 60 * 60;

fn by() -> Attribution {
    Attribution { event: "prune".to_owned(), run_key: "local/test".to_owned(), ..Attribution::default() }
}

fn group() -> GroupName {
    GroupName::parse("churn-dev").expect("a group")
}

/// Four versions on `dev`, a foreign file in each place, and time that passes.
async fn four_versions(laptop: &Laptop) -> CommitSha {
    let repository = &laptop.repository;
    repository.switch("dev");
    repository.write("branchline.yaml", CONFIG);
    repository.write("train.sh", SCRIPT);
    let mut last = None;
    for score in ["0.5", "0.6", "0.7", "0.8"] {
        repository.write("score", score);
        let commit = CommitSha::parse(&repository.commit(score)).expect("a commit");
        let (config, drive) = laptop.run_for(&commit).await;
        let branch = BranchName::parse("dev").expect("a branch");
        let Route::Tasks(tasks) = push(&config, &branch, &commit, &by(), 1, &[]) else { panic!("dev is a stage") };
        for outcome in drive.run(tasks).await {
            assert_eq!(outcome.verdict, Verdict::Passed, "{:?}", outcome.reasons);
        }
        last = Some(commit);
    }
    std::fs::write(laptop.home.join("tmp/notes.txt"), "mine").expect("writable");
    std::fs::write(laptop.home.join("tmp/blob-left"), "ours").expect("writable");
    std::fs::write(laptop.home.join("artifacts/sha256/notes.txt"), "mine").expect("writable");
    laptop.clock.advance(AGES);
    last.expect("there was one")
}

async fn look(laptop: &Laptop, commit: &CommitSha) -> (Config, Ports, Holdings, Vec<Pruning>) {
    let (config, drive) = laptop.run_for(commit).await;
    let ours = branchline::adapters::git::GitRepository::discover(laptop.repository.root()).expect("git").identity();
    let ports = drive.ports.clone();
    let branches = Some(BTreeSet::from([BranchName::parse("dev").expect("a branch")]));
    let holdings = holdings::read(&config, &ours, branches, &ports).await.expect("readable");
    let list = plan(&holdings, &config.keep, &[]);
    (config, ports, holdings, list)
}

/// The newest and the one before it, which a rollback could need, stay with their artifacts; all else is gone.
async fn is_pruned(laptop: &Laptop, commit: &CommitSha) {
    let (_, ports, holdings, list) = look(laptop, commit).await;
    assert_eq!(list, [], "twice finds nothing");
    let left = ports.registry.list(&group(), None, 100).await.expect("readable");
    assert_eq!(left.iter().map(|version| version.number.0).collect::<Vec<_>>(), [4, 3]);
    for artifact in left.iter().flat_map(|version| &version.content.artifacts) {
        ports.artifacts.verify(artifact).await.expect("a version has its artifact");
    }
    let wanted: BTreeSet<String> =
        left.iter().flat_map(|v| &v.content.artifacts).map(|artifact| artifact.digest.to_string()).collect();
    let stored: BTreeSet<String> = holdings.artifacts.iter().map(|held| held.artifact.digest.to_string()).collect();
    assert_eq!(stored, wanted);
    assert_eq!(holdings.trainings.len(), 2);
    assert_eq!(holdings.unknown.len(), 2, "{:?}", holdings.unknown);
    assert!(laptop.home.join("tmp/notes.txt").exists() && !laptop.home.join("tmp/blob-left").exists());
    let history = ports.registry.history(&group(), None, None).await.expect("readable");
    let pruned: Vec<_> = history.iter().filter(|line| line.action == HistoryAction::Pruned).collect();
    assert_eq!(pruned.iter().filter_map(|line| line.version).map(|n| n.0).collect::<Vec<_>>(), [1, 2]);
    assert!(pruned.iter().all(|line| line.current == Some(VersionNumber(4))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_needs_goes_and_a_fault_at_any_write_is_made_good() {
    // The faults are counted from the first training on, so the writes of a first telling say where pruning begins.
    let laptop = Laptop::new(Faults::default());
    let commit = four_versions(&laptop).await;
    let begin = laptop.faults.writes();
    let (_, ports, _, list) = look(&laptop, &commit).await;
    prune(&list, &by(), &ports, &mut |_, _| {}).await.expect("it works");
    is_pruned(&laptop, &commit).await;
    let end = laptop.faults.writes();
    assert!(end > begin + 4, "{begin} {end}");

    // One fault between a version and its artifact, and one in the middle of the artifacts.
    for (write, fault) in [(begin + 1, Fault::AnswerLost), (begin + 3, Fault::Before)] {
        let laptop = Laptop::new(Faults::strike(write, fault));
        let commit = four_versions(&laptop).await;
        let (_, ports, _, list) = look(&laptop, &commit).await;
        prune(&list, &by(), &ports, &mut |_, _| {}).await.expect_err("the fault strikes");
        assert!(laptop.faults.take_struck());
        let (_, ports, _, list) = look(&laptop, &commit).await;
        prune(&list, &by(), &ports, &mut |_, _| {}).await.expect("it works now");
        is_pruned(&laptop, &commit).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_never_forgets_what_a_group_stands_for() {
    use branchline::ports::Changed;
    let laptop = Laptop::new(Faults::default());
    let commit = four_versions(&laptop).await;
    let (_, ports, _, _) = look(&laptop, &commit).await;
    let forget = async |number| ports.registry.forget(&group(), VersionNumber(number), &by()).await.expect("an answer");
    assert!(matches!(forget(4).await, Changed::Stale(_)));
    assert_eq!(forget(1).await, Changed::Done);
    assert_eq!(forget(1).await, Changed::Already);
    ports.registry.set_frozen(&group(), true, &by()).await.expect("it can be frozen");
    assert!(matches!(forget(2).await, Changed::Stale(_)));
}
