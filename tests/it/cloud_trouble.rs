//! Trouble in the cloud, told to its end: each test is a whole run against an AWS in which something is not as it
//! should be, and says how the run ends, in which words, what to do next, and that nothing was doubled or written
//! where nothing may be.

mod limits;
mod places;
mod trainings;
mod versions;

use crate::stories::tasks_of_push;
use crate::stories::told;
use crate::world::aws::DEV;
use crate::world::aws::PROD;
use crate::world::aws::REGION;
use crate::world::aws::World;
use crate::world::aws::registry::Package;
use crate::world::cloud::for_the_cloud;
use crate::world::faults::Faults;
use crate::world::laptop::Laptop;
use branchline::model::git::CommitSha;
use branchline::model::history::Attribution;
use branchline::model::verdict::Verdict;
use branchline::outcome::ModelOutcome;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The model of these stories, without its gates and whatever a story adds.
const MODEL: &str = "version: 1
project: churn
backend:
  sagemaker:
    region: eu-central-1
    bucket: acme-ml-dev
    execution_role_arn: 'arn:aws:iam::111111111111:role/training'
models:
  churn:
    paths: [train.sh, score]
    train: { command: sh train.sh, data: none }
";

/// A training that takes no time and measures what the watched file `score` says.
const SCRIPT: &str = "cp score \"$SM_MODEL_DIR/model.txt\"
printf '{\"accuracy\": %s}' \"$(cat score)\" > \"$SM_OUTPUT_DATA_DIR/metrics.json\"
";

/// How long a run may take on a busy machine before the test fails.
const LONG: Duration = Duration::from_secs(120);

/// A team whose models train in the cloud.
struct Team {
    laptop: Laptop,
    runs: AtomicU32,
}

impl Team {
    /// It has committed a model on `dev`, and nothing was pushed yet.
    fn new() -> Self {
        Self::with(MODEL)
    }

    /// As [`Team::new`], under another configuration.
    fn with(config: &str) -> Self {
        Self::writing(config, SCRIPT)
    }

    /// As [`Team::with`], with a script of its own.
    fn writing(config: &str, script: &str) -> Self {
        let team = Self { laptop: Laptop::in_the_cloud(Faults::default()), runs: AtomicU32::new(0) };
        let config = for_the_cloud(config, team.world());
        let files = [("branchline.yaml", config.as_str()), ("train.sh", script), ("score", "0.80")];
        team.laptop.repository.switch("dev");
        team.commit(&files);
        team
    }

    fn world(&self) -> &World {
        self.laptop.cloud.as_ref().expect("a team in the cloud")
    }

    fn commit(&self, files: &[(&str, &str)]) {
        for (path, content) in files {
            self.laptop.repository.write(path, content);
        }
        self.laptop.repository.commit("Change");
    }

    /// A branch is pushed.
    async fn push(&self, branch: &str) -> Run {
        self.laptop.clock.advance(60);
        let number = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let commit = CommitSha::parse(&self.laptop.repository.git(&["rev-parse", branch])).expect("a commit");
        let by = Attribution { event: "push".to_owned(), run_key: format!("run/{number}"), ..Attribution::default() };
        let (config, drive) = self.laptop.run_for(&commit).await;
        let tasks = tasks_of_push(&config, &by, branch, &commit);
        let outcomes = tokio::time::timeout(LONG, drive.run(tasks)).await.expect("it ends");
        Run { text: told(&outcomes), outcomes }
    }

    /// `dev` was trained and registered, and is brought to `prod`, which is not pushed yet.
    async fn trained(&self) {
        self.push("dev").await.ends(Verdict::Passed, &[]);
        self.merged();
    }

    /// `prod` becomes what `dev` is.
    fn merged(&self) {
        let repository = &self.laptop.repository;
        repository.switch("prod");
        repository.git(&["merge", "--quiet", "--ff-only", "dev"]);
        repository.switch("dev");
    }

    /// The names of all training jobs.
    fn jobs(&self) -> Vec<String> {
        self.world().with(|state| state.place(DEV, REGION).jobs.keys().cloned().collect())
    }

    /// How many versions an account has.
    fn versions(&self, account: &str) -> usize {
        self.world().with(|state| state.place(account, REGION).packages.len())
    }

    /// The newest version of an account.
    fn newest(&self, account: &str) -> Package {
        let all: Vec<Package> =
            self.world().with(|state| state.place(account, REGION).packages.values().cloned().collect());
        all.into_iter().max_by_key(|package| package.version).expect("a version")
    }

    /// Nothing stands in either registry, no job was made, and no request changed anything since the last reset.
    fn is_untouched(&self) {
        let (jobs, versions) = (self.jobs(), self.versions(DEV) + self.versions(PROD));
        assert_eq!((jobs, versions, self.changes()), (Vec::new(), 0, Vec::new()));
    }

    /// What was asked that changes something, whether it was granted or not.
    fn changes(&self) -> Vec<String> {
        let seen = self.world().requests().into_iter();
        seen.filter(|seen| crate::world::aws::wire::changes(&seen.operation))
            .map(|seen| format!("{} {}", seen.operation, seen.subject))
            .collect()
    }
}

/// How a run ended.
struct Run {
    outcomes: Vec<ModelOutcome>,
    text: String,
}

impl Run {
    /// It ended so, for reasons with these codes among others.
    #[track_caller]
    fn ends(self, verdict: Verdict, codes: &[&str]) -> Self {
        let text = &self.text;
        let verdicts: Vec<Verdict> = self.outcomes.iter().map(|outcome| outcome.verdict).collect();
        assert_eq!(verdicts, [verdict], "{text}");
        let reasons = self.outcomes.iter().flat_map(|outcome| &outcome.reasons);
        let mut told: Vec<&str> = reasons.map(|reason| reason.code()).collect();
        for code in codes {
            let at = told.iter().position(|found| found == code).unwrap_or_else(|| panic!("no {code}:\n{text}"));
            told.remove(at);
        }
        self
    }

    /// Its sentences and hints have these words. No text of a program that nobody can read is among them.
    #[track_caller]
    fn says(&self, words: &[&str]) {
        let text = &self.text;
        for words in words {
            assert!(text.contains(words), "it does not say {words:?}:\n{text}");
        }
        for noise in ["SdkError", "ServiceError", "Unhandled", "ErrorMetadata", "Some(", "None", "DispatchFailure"] {
            assert!(!text.contains(noise), "{noise}:\n{text}");
        }
    }
}
