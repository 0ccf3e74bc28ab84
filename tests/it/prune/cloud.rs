//! Pruning on SageMaker: versions, artifacts and trainings go; what a version, a training or a person needs stays.

use super::AGES;
use super::CONFIG;
use super::SCRIPT;
use super::by;
use super::group;
use super::look;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::World;
use crate::world::cloud::for_the_cloud;
use crate::world::faults::Faults;
use crate::world::laptop::Laptop;
use branchline::apply::prune::prune;
use branchline::model::git::BranchName;
use branchline::model::git::CommitSha;
use branchline::model::verdict::Verdict;
use branchline::plan::route::Route;
use branchline::plan::route::push;
use branchline::ports::Ports;

fn world(laptop: &Laptop) -> &World {
    laptop.cloud.as_ref().expect("a cloud")
}

async fn pushed(laptop: &Laptop, score: &str) -> CommitSha {
    laptop.repository.write("score", score);
    let commit = CommitSha::parse(&laptop.repository.commit(&format!("Score {score}"))).expect("a commit");
    let (config, drive) = laptop.run_for(&commit).await;
    let branch = BranchName::parse("dev").expect("a branch");
    let Route::Tasks(tasks) = push(&config, &branch, &commit, &by(), 1, &[]) else { panic!("dev is a stage") };
    for outcome in drive.run(tasks).await {
        assert_eq!(outcome.verdict, Verdict::Passed, "{score}: {:?}", outcome.reasons);
    }
    commit
}

async fn numbers(ports: &Ports) -> Vec<u32> {
    let left = ports.registry.list(&group(), None, 100).await.expect("readable");
    for artifact in left.iter().flat_map(|version| &version.content.artifacts) {
        ports.artifacts.verify(artifact).await.expect("a version has its artifact");
    }
    left.iter().map(|version| version.number.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_needs_goes_in_the_cloud_and_its_content_trains_again() {
    let laptop = Laptop::in_the_cloud(Faults::default());
    laptop.repository.switch("dev");
    laptop.repository.write("branchline.yaml", &for_the_cloud(CONFIG, world(&laptop)));
    laptop.repository.write("train.sh", SCRIPT);
    for score in ["0.5", "0.6", "0.7"] {
        pushed(&laptop, score).await;
    }
    let commit = pushed(&laptop, "0.8").await;
    world(&laptop).put(DEV_BUCKET, "branchline/churn/stages/dev/trainings/notes.txt", b"mine".to_vec());
    laptop.clock.advance(AGES);

    let mutations = world(&laptop).mutations();
    let (_, ports, holdings, list) = look(&laptop, &commit).await;
    assert_eq!(mutations, world(&laptop).mutations(), "a look changes nothing");
    let texts: Vec<String> = list.iter().map(|pruning| pruning.item.text()).collect();
    let count = |kind: &str| texts.iter().filter(|text| text.starts_with(kind)).count();
    assert_eq!((count("version "), count("artifact "), count("training ")), (2, 2, 2), "{texts:#?}");
    assert_eq!(holdings.unknown, ["s3://acme-ml-dev/branchline/churn/stages/dev/trainings/notes.txt"]);
    let before = world(&laptop).keys(DEV_BUCKET, "");
    prune(&list, &by(), &ports, &mut |_, _| {}).await.expect("it works");

    let (_, ports, _, list) = look(&laptop, &commit).await;
    assert_eq!(list, [], "twice finds nothing");
    assert_eq!(numbers(&ports).await, [4, 3]);
    let after = world(&laptop).keys(DEV_BUCKET, "");
    let models = |keys: &[String]| keys.iter().filter(|key| key.ends_with("model.tar.gz")).count();
    // Of each version: the output of its job, the model of its training, the artifact of its group.
    assert_eq!((models(&before), models(&after)), (12, 6), "{after:#?}");
    let shared = |keys: &[String]| keys.iter().filter(|key| key.contains("/sources/")).count();
    assert_eq!(shared(&before), shared(&after));

    // The content of the first version once more: its training is known to be gone, and another one is begun.
    let trained = world(&laptop).count("CreateTrainingJob");
    pushed(&laptop, "0.5").await;
    assert_eq!(world(&laptop).count("CreateTrainingJob"), trained + 1);
    assert_eq!(numbers(&ports).await, [5, 4, 3]);
    world(&laptop).assert_clean();
}
