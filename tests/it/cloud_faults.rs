//! The proof for the cloud that killing it anywhere does no harm. Every request that changes something is struck: its
//! answer lost, the process killed before and after it, the operation throttled for 20 calls; and two runners do the
//! same at once. Then it is run again, and must end where an undisturbed run ends, with nothing doubled or lost.
//!
//! `cargo test --test it cloud_faults:: -- --nocapture` does all of it and prints the table that
//! `docs/fault-table-sagemaker.md` keeps.

use crate::stories::Ending;
use crate::stories::Story;
use crate::stories::Teller;
use crate::stories::runtime;
use crate::stories::tasks_of_push;
use crate::stories::told;
use crate::world::aws::Crash;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World;
use crate::world::aws::wire::changes;
use branchline::model::history::Attribution;
use branchline::model::verdict::Verdict;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// How many cases run at once.
const AT_ONCE: usize = 4;

/// What is done, each as a story: the last scene is struck. The branch: a push that two runners may do at once.
const KINDS: [(&str, Option<&str>, &str); 6] = [
    (
        "train, register",
        Some("dev"),
        "title: t
story:
  - commit: { on: dev, files: { score: '0.80' } }
  - push: dev
    expect: { verdict: passed }
",
    ),
    (
        "promote into another account",
        Some("prod"),
        "title: t
story:
  - commit: { on: dev, files: { score: '0.80' } }
  - push: dev
    expect: { verdict: passed }
  - merge: { from: dev, into: prod, how: fast-forward }
  - push: prod
    expect: { verdict: passed }
",
    ),
    (
        "promote to two groups",
        Some("prod"),
        "title: t
config: |
  version: 1
  project: churn
  topology: advanced
  models:
    churn:
      paths: [train.sh, score]
      train: { command: sh train.sh, data: none }
story:
  - commit: { on: dev, files: { score: '0.80' } }
  - push: dev
    expect: { verdict: passed }
  - merge: { from: dev, into: prod, how: fast-forward }
  - push: prod
    expect: { verdict: passed }
",
    ),
    (
        "approve",
        None,
        "title: t
story:
  - commit: { on: dev, files: { score: '0.80' } }
  - push: dev
    expect: { verdict: passed }
  - merge: { from: dev, into: prod, how: fast-forward }
  - push: prod
    expect: { verdict: passed }
  - approve: { group: prod, version: 1 }
    expect: { verdict: passed }
",
    ),
    (
        "reject",
        None,
        "title: t
story:
  - commit: { on: dev, files: { score: '0.80' } }
  - push: dev
    expect: { verdict: passed }
  - merge: { from: dev, into: prod, how: fast-forward }
  - push: prod
    expect: { verdict: passed }
  - reject: { group: prod, version: 1 }
    expect: { verdict: passed }
",
    ),
    (
        "restore",
        Some("dev"),
        "title: t
story:
  - commit: { on: dev, files: { score: '0.80' } }
  - push: dev
    expect: { verdict: passed }
  - commit: { on: dev, files: { score: '0.82' } }
  - push: dev
    expect: { verdict: passed }
  - revert: dev
  - push: dev
    expect: { verdict: passed }
",
    ),
];

/// What counts in the end.
#[derive(Debug, PartialEq)]
struct Holdings {
    /// Names of training jobs.
    jobs: Vec<String>,
    /// Standing versions: account, group, number, approval, operation. Rejected duplicates are not among them.
    versions: Vec<String>,
    /// Artifacts of versions with the digest of their bytes.
    artifacts: BTreeSet<String>,
    /// The groups as people see them.
    ending: Ending,
    /// Trainings that a later `reconcile` would take for open.
    open: Vec<String>,
    /// Uploads that nobody finished.
    uploads: usize,
}

async fn holdings(teller: &Teller<'_>) -> Holdings {
    let (world, ending) = (world(teller), teller.ending().await);
    let (config, drive) = teller.laptop.run_for(&teller.resolve("HEAD")).await;
    let open = drive.ports.trainer.open(&config.project).await.expect("a readable bucket");
    let open = open.into_iter().map(|training| training.name.to_string()).collect();
    let (mut jobs, mut versions) = (Vec::new(), Vec::new());
    world.with(|state| {
        for account in [DEV, PROD] {
            let place = state.place(account, REGION);
            jobs.extend(place.jobs.keys().cloned());
            for package in place.packages.values() {
                let duplicate = package.request["ApprovalDescription"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("duplicate") || text.contains("uplicate of"));
                if !duplicate {
                    versions.push(format!("{account} {} {} {}", package.group, package.version, package.approval()));
                }
            }
        }
    });
    versions.sort();
    let mut artifacts = BTreeSet::new();
    for bucket in [DEV_BUCKET, PROD_BUCKET] {
        for key in world.keys(bucket, "branchline/") {
            if key.ends_with("/model.tar.gz") && !key.contains("/trainings/") && !key.contains("/runs/") {
                let bytes = world.object(bucket, &key).unwrap_or_default();
                artifacts.insert(format!("{bucket}/{key} {}", branchline::model::digest::Sha256Digest::of(&bytes)));
            }
        }
    }
    let uploads = world.with(|state| state.buckets.values().map(|bucket| bucket.uploads.len()).sum());
    Holdings { jobs, versions, artifacts, ending, open, uploads }
}

/// A strike.
#[derive(Debug, Clone)]
enum Strike {
    Killed(Crash, usize),
    Lost(String, usize),
    Throttled(String),
    Twice(&'static str),
}

impl Strike {
    fn fault(&self) -> &'static str {
        match self {
            Self::Killed(Crash::Before, _) => "killed before it",
            Self::Killed(Crash::After, _) => "killed after it",
            Self::Lost(..) => "answer lost",
            Self::Throttled(_) => "throttled for 20 calls",
            Self::Twice(_) => "two runners at once",
        }
    }
}

fn world<'a>(teller: &'a Teller<'_>) -> &'a World {
    teller.laptop.cloud.as_ref().expect("a story in the cloud")
}

/// An undisturbed telling: what changes, in order, and what there is in the end.
fn undisturbed(name: &str, story: &Story) -> (Vec<String>, Holdings) {
    runtime().block_on(async {
        let mut teller = Teller::in_the_cloud(name, story);
        // Only verdicts are compared: what is told and done is for the stories.
        teller.faulty = true;
        teller.prepare().await;
        world(&teller).reset_requests();
        teller.play_last().await;
        let changes: Vec<String> = world(&teller)
            .requests()
            .into_iter()
            .filter(|seen| changes(&seen.operation))
            .map(|seen| seen.operation)
            .collect();
        let held = holdings(&teller).await;
        let violations = world(&teller).violations();
        assert!(violations.is_empty(), "{name} breaks AWS's models:\n{}", violations.join("\n"));
        (changes, held)
    })
}

/// Strikes once, runs again, and looks at what there is. Returns whether anything was struck, too.
fn struck(name: &str, story: &Story, strike: &Strike) -> (bool, Holdings) {
    let mut teller = Teller::in_the_cloud(name, story);
    // What is killed is a process: everything that it had spawned is gone with its runtime.
    let dies = runtime();
    let hit = dies.block_on(async {
        teller.faulty = true;
        teller.prepare().await;
        world(&teller).reset_requests();
        match strike {
            Strike::Killed(crash, at) => {
                world(&teller).crash_at(*at, *crash);
                let mut crashed = world(&teller).crash_watch();
                tokio::select! {
                    () = teller.play_last() => false,
                    _ = crashed.wait_for(|crashed| *crashed) => true,
                }
            }
            Strike::Lost(operation, nth) => {
                world(&teller).on_nth(operation, *nth, Fault::LostAnswer);
                teller.play_last().await;
                world(&teller).faults_left() == 0
            }
            Strike::Throttled(operation) => {
                world(&teller).throttle(operation, 20);
                teller.play_last().await;
                world(&teller).faults_left() == 0
            }
            Strike::Twice(branch) => {
                twice(&teller, branch).await;
                true
            }
        }
    });
    dies.shutdown_background();
    runtime().block_on(async {
        teller.play_last().await;
        (hit, holdings(&teller).await)
    })
}

/// Two runners of two runs do the same push at the same time.
async fn twice(teller: &Teller<'_>, branch: &str) {
    let commit = teller.resolve(branch);
    let run = async |key: &str| {
        let (config, drive) = teller.laptop.run_for(&commit).await;
        let by = Attribution { event: "push".to_owned(), run_key: key.to_owned(), ..Attribution::default() };
        let outcomes = drive.run(tasks_of_push(&config, &by, branch, &commit)).await;
        for outcome in &outcomes {
            assert_eq!(outcome.verdict, Verdict::Passed, "{}", told(&outcomes));
        }
    };
    tokio::join!(run("run/a"), run("run/b"));
}

#[derive(Debug, Default)]
struct Row {
    points: usize,
    duplicates: usize,
    lost: usize,
    wrong: Vec<String>,
}

/// How many things are there that should not be, and the other way round.
fn compare(found: &Holdings, wanted: &Holdings) -> (usize, usize, Vec<String>) {
    let surplus = |found: &[String], wanted: &[String]| found.iter().filter(|one| !wanted.contains(one)).count();
    let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<String>>();
    let (fa, wa) = (list(&found.artifacts), list(&wanted.artifacts));
    let duplicates =
        surplus(&found.jobs, &wanted.jobs) + surplus(&found.versions, &wanted.versions) + surplus(&fa, &wa);
    let lost = surplus(&wanted.jobs, &found.jobs) + surplus(&wanted.versions, &found.versions) + surplus(&wa, &fa);
    let wrong = if found == wanted { Vec::new() } else { vec![format!("found  {found:?}\nwanted {wanted:?}")] };
    (duplicates, lost, wrong)
}

/// What an undisturbed run does, and what there is after it.
struct Told {
    kind: &'static str,
    branch: Option<&'static str>,
    story: Story,
    changes: Vec<String>,
    wanted: Holdings,
}

struct Job<'a> {
    kind: &'a str,
    operation: String,
    strike: Strike,
    story: &'a Story,
    wanted: &'a Holdings,
}

fn table() -> (BTreeMap<(usize, String, &'static str), Row>, usize) {
    let told: Vec<Told> = KINDS
        .iter()
        .map(|(kind, branch, text)| {
            let story: Story = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{kind}: {error}"));
            let (changes, wanted) = undisturbed(kind, &story);
            assert!(!changes.is_empty(), "{kind} changes nothing");
            Told { kind, branch: *branch, story, changes, wanted }
        })
        .collect();
    let mut jobs: Vec<Job<'_>> = Vec::new();
    for Told { kind, branch, story, changes, wanted } in &told {
        let mut add = |operation: &str, strike: Strike| {
            jobs.push(Job { kind, operation: operation.to_owned(), strike, story, wanted });
        };
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, operation) in changes.iter().enumerate() {
            let nth = seen.entry(operation).or_default();
            *nth += 1;
            add(operation, Strike::Killed(Crash::Before, at + 1));
            // After one write the world is what it is before the next: once for each operation is enough.
            if *nth == 1 {
                add(operation, Strike::Killed(Crash::After, at + 1));
            }
            add(operation, Strike::Lost(operation.clone(), *nth));
        }
        for operation in seen.keys() {
            add(operation, Strike::Throttled((*operation).to_owned()));
        }
        if let Some(branch) = branch {
            add("all of it", Strike::Twice(branch));
        }
    }
    let next = AtomicUsize::new(0);
    let rows: Mutex<BTreeMap<(usize, String, &'static str), Row>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let (hit, found) = struck(job.kind, job.story, &job.strike);
                    let (duplicates, lost, wrong) = compare(&found, job.wanted);
                    let place = KINDS.iter().position(|(kind, ..)| *kind == job.kind).unwrap_or_default();
                    let mut rows = rows.lock().expect("nobody panics with the rows");
                    let row = rows.entry((place, job.operation.clone(), job.strike.fault())).or_default();
                    row.points += usize::from(hit);
                    row.duplicates += duplicates;
                    row.lost += lost;
                    row.wrong.extend(wrong.into_iter().map(|text| format!("{} {:?}:\n{text}", job.kind, job.strike)));
                }
            });
        }
    });
    (rows.into_inner().expect("nobody panics with the rows"), jobs.len())
}

fn render(rows: &BTreeMap<(usize, String, &'static str), Row>) -> String {
    let mut text =
        String::from("| What is done | Request | Fault | Points | Duplicates | Lost | After the next run |\n");
    text.push_str("|---|---|---|--:|--:|--:|---|\n");
    for ((kind, operation, fault), row) in rows {
        let end = if row.wrong.is_empty() { "same end state" } else { "NOT the same end state" };
        text.push_str(&format!(
            "| {} | {operation} | {fault} | {} | {} | {} | {end} |\n",
            KINDS[*kind].0, row.points, row.duplicates, row.lost
        ));
    }
    text
}

const BEGIN: &str = "<!-- fault table: begin -->\n";
const END: &str = "<!-- fault table: end -->";

/// The table without the number of points: where two writes race, it may differ by one.
fn comparable(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells.into_iter().enumerate().filter(|(column, _)| *column != 3).map(|(_, cell)| cell).collect()
        })
        .collect()
}

#[test]
fn the_fault_table_shows_zeros() {
    let (rows, cases) = table();
    let table = render(&rows);
    say(&format!("{table}\n{cases} strikes\n"));
    let wrong: Vec<&str> = rows.values().flat_map(|row| &row.wrong).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    for (key, row) in &rows {
        assert_eq!((row.duplicates, row.lost), (0, 0), "{key:?}");
        assert!(row.points > 0, "nothing was struck: {key:?}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fault-table-sagemaker.md");
    let kept = fs::read_to_string(&path).expect("docs/fault-table-sagemaker.md");
    let (head, rest) = kept.split_once(BEGIN).expect("the page marks where the table begins");
    let (old, tail) = rest.split_once(END).expect("the page marks where the table ends");
    if wants_update() {
        fs::write(&path, format!("{head}{BEGIN}{table}{END}{tail}")).expect("the page can be written");
    } else {
        assert_eq!(
            comparable(old),
            comparable(&table),
            "docs/fault-table-sagemaker.md is old: UPDATE_EXPECT=1 rewrites it"
        );
    }
}

#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::disallowed_methods, reason = "the switch that expect-test has, too")]
fn wants_update() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}
