//! What whole runs ask of SageMaker: the same number of requests however many versions a group has.
//!
//! Polls of a running job are not counted. A training takes twenty minutes here, so that nothing that was heard before it
//! counts after it. Left out: times, which a World cannot tell.

use crate::stories::tasks_of_push;
use crate::stories::told;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World;
use crate::world::cloud::for_the_cloud;
use crate::world::faults::Faults;
use crate::world::laptop::Laptop;
use branchline::config::Config;
use branchline::model::git::CommitSha;
use branchline::model::history::Attribution;
use branchline::model::verdict::Verdict;
use branchline::model::version::VersionNumber;
use branchline::plan::goal::Aim;
use branchline::plan::goal::Goal;
use branchline::plan::goal::Task;
use branchline::plan::route::model_rules;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const CONFIG: &str = "version: 1
project: churn
topology: advanced
models:
  churn:
    paths: [train.sh, score]
    train: { command: sh train.sh, data: none }
";

const SCRIPT: &str = "cp score \"$SM_MODEL_DIR/model.txt\"
printf '{\"accuracy\": %s}' \"$(cat score)\" > \"$SM_OUTPUT_DATA_DIR/metrics.json\"
";

/// How long a training takes, in seconds.
const TRAINING: i64 = 1200;

/// The groups, and where each lives.
const GROUPS: [(&str, &str, &str); 3] =
    [("dev", DEV, DEV_BUCKET), ("champion", PROD, PROD_BUCKET), ("challenger", PROD, PROD_BUCKET)];

/// What a run asked for.
struct Asked {
    run: &'static str,
    /// Requests to SageMaker by operation, without polls.
    operations: BTreeMap<String, usize>,
    s3: usize,
    bytes: usize,
}

impl Asked {
    fn count(&self) -> usize {
        self.operations.values().sum()
    }
}

struct Shop {
    laptop: Laptop,
}

impl Shop {
    fn new() -> Self {
        let laptop = Laptop::in_the_cloud(Faults::default());
        let config = for_the_cloud(CONFIG, laptop.cloud.as_ref().expect("a cloud"));
        laptop.repository.write("branchline.yaml", &config);
        laptop.repository.write("train.sh", SCRIPT);
        Self { laptop }
    }

    fn world(&self) -> &World {
        self.laptop.cloud.as_ref().expect("a cloud")
    }

    fn commit(&self, score: &str) {
        self.laptop.repository.switch("dev");
        self.laptop.repository.write("score", score);
        self.laptop.repository.commit(&format!("Score {score}"));
    }

    fn merge(&self) {
        self.laptop.repository.switch("prod");
        self.laptop.repository.git(&["merge", "--quiet", "--ff-only", "dev"]);
    }

    async fn run(&self, run: &'static str, tasks: impl Fn(&Config, &CommitSha, &Attribution) -> Vec<Task>) -> Asked {
        self.laptop.clock.advance(3600);
        let commit = CommitSha::parse(&self.laptop.repository.git(&["rev-parse", "HEAD"])).expect("a commit id");
        let (config, drive) = self.laptop.run_for(&commit).await;
        let by = Attribution {
            actor: Some("ada".to_owned()),
            event: "push".to_owned(),
            run_key: format!("run/{run}"),
            ..Attribution::default()
        };
        let world = self.world();
        world.reset_requests();
        let tasks = tasks(&config, &commit, &by);
        let mut running = std::pin::pin!(drive.run(tasks));
        let mut trained = false;
        let models = loop {
            tokio::select! {
                models = &mut running => break models,
                () = tokio::time::sleep(Duration::from_millis(5)) => {
                    if !trained && world.count("CreateTrainingJob") > 0 {
                        trained = true;
                        self.laptop.clock.advance(TRAINING);
                    }
                }
            }
        };
        assert!(models.iter().all(|model| model.verdict == Verdict::Passed), "{run}: {}", told(&models));
        let mut operations = BTreeMap::new();
        for seen in world.requests().iter().filter(|seen| seen.service == "SageMaker") {
            if seen.operation != "DescribeTrainingJob" {
                *operations.entry(seen.operation.clone()).or_insert(0) += 1;
            }
        }
        let (came, went) = world.bytes_of("S3");
        Asked { run, operations, s3: world.count_of("S3"), bytes: came + went }
    }

    async fn push(&self, run: &'static str, branch: &str) -> Asked {
        self.laptop.repository.switch(branch);
        self.run(run, |config, commit, by| tasks_of_push(config, by, branch, commit)).await
    }

    async fn approve(&self, run: &'static str, group: &str) -> Asked {
        let newest = self.world().versions(PROD, &format!("churn-{group}")).last().expect("a version").version;
        let version = VersionNumber(u32::try_from(newest).expect("small"));
        self.run(run, |config, _, by| {
            let (model, target, _) = config.find_group(group, None).expect("a group");
            let aim = Aim::Approve { target, version };
            let rules = model_rules(config, &model).expect("a model");
            vec![Task { goal: Goal { aim, by: by.clone(), run_attempt: 1, predicts: false }, rules }]
        })
        .await
    }

    /// A version that is trained, promoted to both groups, and approved in both.
    async fn release(&self, score: &str) {
        self.commit(score);
        self.push("set up: train", "dev").await;
        self.merge();
        self.push("set up: promote", "prod").await;
        self.approve("set up: champion", "champion").await;
        self.approve("set up: challenger", "challenger").await;
    }

    /// Lets every group have so many versions: copies of the first one, as the adapter writes them. A person rejected
    /// every other one, and the rest was overtaken before anybody approved it.
    fn grow(&self, count: u64) {
        for (target, account, bucket) in GROUPS {
            let group = format!("churn-{target}");
            let versions = self.world().versions(account, &group);
            let (first, last) = (versions.first().expect("a version"), versions.last().expect("a version"));
            let folder = format!("branchline/churn/{group}");
            let read = |key: &str| -> Value {
                let bytes = self.world().object(bucket, key).unwrap_or_else(|| panic!("no {key}"));
                serde_json::from_slice(&bytes).expect("JSON")
            };
            let (book, record) = (format!("{folder}/group.json"), read(&format!("{folder}/versions/000000001.json")));
            let mut known = read(&book);
            self.world().with(|state| {
                for number in last.version + 1..=count {
                    let approval = if number % 2 == 0 { "Rejected" } else { "PendingManualApproval" };
                    let mut more = first.clone();
                    more.arn = format!("{}{number}", first.arn.trim_end_matches('1'));
                    more.version = number;
                    more.created = last.created;
                    more.request = json!({ "ModelPackageGroupName": group, "ModelApprovalStatus": approval });
                    let mut kept = record.clone();
                    kept["number"] = json!(number);
                    kept["arn"] = json!(more.arn);
                    kept["approval"] = json!(approval);
                    kept["rejection"] = if number % 2 == 0 { json!("person") } else { Value::Null };
                    kept["superseded"] = json!(number % 2 != 0);
                    kept["once_approved"] = json!(false);
                    let key = format!("{folder}/versions/{number:09}.json");
                    state.write_object(bucket, &key, kept.to_string().into_bytes());
                    if number + 100 > count {
                        known["seen"][number.to_string()] = json!(approval);
                    }
                    state.place(account, REGION).packages.insert(more.arn.clone(), more);
                }
                state.place(account, REGION).numbers.insert(group.clone(), count);
                let seen = known["seen"].as_object_mut().expect("approvals");
                seen.retain(|number, _| number.parse::<u64>().is_ok_and(|number| number + 100 > count));
                state.write_object(bucket, &book, known.to_string().into_bytes());
            });
        }
    }
}

/// Runs everything in groups of so many versions. `far`: their current versions are older than all but the first.
async fn measured(count: u64, far: bool) -> Vec<Asked> {
    let shop = Shop::new();
    shop.release("0.80").await;
    if count > 1 && far {
        shop.release("0.82").await;
        shop.grow(count);
    } else if count > 1 {
        shop.grow(count - 1);
        shop.release("0.82").await;
    }
    let mut all = vec![shop.push("push to `dev`, nothing to do", "dev").await];
    all.push(shop.push("push to `prod`, nothing to do", "prod").await);
    shop.commit("0.84");
    all.push(shop.push("push to `dev` that trains and registers", "dev").await);
    shop.merge();
    all.push(shop.push("push to `prod`, promoted to two groups", "prod").await);
    all.push(shop.approve("approval", "champion").await);
    shop.world().assert_clean();
    all
}

/// How a line of the table begins: the group, the run, its requests to SageMaker, and which.
fn line(group: &str, asked: &Asked) -> String {
    let operations: Vec<String> = asked.operations.iter().map(|(name, count)| format!("{count} {name}")).collect();
    format!("| {group} | {} | {} | {} |", asked.run, asked.count(), operations.join(", "))
}

/// Prints the table, and fails where the page of the benches says otherwise. What S3 is asked depends on how many polls
/// there are, and is only printed.
fn compare_with_the_page(group: &str, all: &[Asked]) {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/README.md")).expect("the page");
    let lines: Vec<String> = all.iter().map(|asked| line(group, asked)).collect();
    for (line, asked) in lines.iter().zip(all) {
        say(&format!("{line} {} | {} KiB |", asked.s3, asked.bytes.div_ceil(1024)));
    }
    let missing: Vec<&String> = lines.iter().filter(|line| !page.contains(line.as_str())).collect();
    assert!(missing.is_empty(), "benches/README.md does not say: {missing:#?}");
}

fn counts(all: &[Asked]) -> Vec<usize> {
    all.iter().map(Asked::count).collect()
}

/// What each run may ask at most, in the order of [`measured`].
const BUDGETS: [usize; 5] = [4, 4, 8, 14, 8];

/// The same where the current versions are far back. There a group that shares its series of semantic versions costs a
/// training run that registers one look more: no number is given twice.
const BUDGETS_FAR_BACK: [usize; 5] = [4, 4, 9, 14, 8];

fn over(all: &[Asked], budgets: [usize; 5]) -> Vec<String> {
    let over = all.iter().zip(budgets).filter(|(asked, budget)| asked.count() > *budget);
    over.map(|(asked, budget)| format!("{}: {} of {budget}", asked.run, asked.count())).collect()
}

#[tokio::test]
async fn a_run_asks_the_same_however_many_versions_there_are() {
    let mut all = Vec::new();
    for (count, group) in [(1, "1"), (100, "100"), (10_000, "10,000")] {
        let asked = measured(count, false).await;
        compare_with_the_page(group, &asked);
        assert_eq!(over(&asked, BUDGETS), Vec::<String>::new(), "{group}");
        all.push(counts(&asked));
    }
    assert_eq!(all[1], all[2]);
    // A group with one version has nothing older to describe for an approval; all else is the same.
    assert_eq!(all[0][..4], all[1][..4]);
}

#[tokio::test]
async fn a_current_version_that_is_far_back_costs_no_more_in_a_larger_group() {
    let mut all = Vec::new();
    for (count, group) in [(300, "300, far back"), (10_000, "10,000, far back")] {
        let asked = measured(count, true).await;
        compare_with_the_page(group, &asked);
        assert_eq!(over(&asked, BUDGETS_FAR_BACK), Vec::<String>::new(), "{group}");
        all.push(counts(&asked));
    }
    assert_eq!(all[0], all[1]);
}

#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
fn say(text: &str) {
    println!("{text}");
}
