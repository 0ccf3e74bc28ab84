//! docs/github.md, walked as a newcomer would: a repository with `main` alone and a training script, the real `init`, and every
//! sentence that the page quotes is said at its step.
//!
//! The page quotes in block quotes (`> …`), and the walk takes them in their order; one that no step says, or that is left over,
//! fails. Other first days (`dev` beside `main`) are in `first`.

use super::team::Done;
use super::team::How;
use super::team::Team;
use crate::binary::harness::PROGRAM;
use crate::binary::harness::finish;
use crate::world::repository::path;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::process::Command;
use std::process::Stdio;

/// A training script as people write it, whose model gets better with deeper trees.
const SCRIPT: &str = "import json, os\n\
    depth = int(os.environ['SM_HP_MAX_DEPTH'])\n\
    open(os.path.join(os.environ['SM_MODEL_DIR'], 'model.txt'), 'w').write(f'trees of depth {depth}')\n\
    json.dump({'accuracy': 0.7 + 0.03 * depth}, open(os.path.join(os.environ['SM_OUTPUT_DATA_DIR'], 'metrics.json'), 'w'))\n";

/// What the page quotes and no step has said yet.
struct Quotes(RefCell<VecDeque<String>>);

impl Quotes {
    fn of_the_page() -> Self {
        let page = include_str!("../../../docs/github.md");
        let mut quotes: VecDeque<String> = VecDeque::new();
        let mut within = false;
        for line in page.lines() {
            match (line.strip_prefix("> "), within) {
                (Some(text), false) => quotes.push_back(text.to_owned()),
                (Some(text), true) => {
                    if let Some(open) = quotes.back_mut() {
                        open.push(' ');
                        open.push_str(text);
                    }
                }
                (None, _) => {}
            }
            within = line.starts_with("> ");
        }
        Self(RefCell::new(quotes))
    }

    /// Asserts that the next quote is in what a step said.
    #[track_caller]
    fn said(&self, all: &str) {
        let next = self.0.borrow_mut().pop_front();
        let next = next.unwrap_or_else(|| panic!("the page quotes nothing more; here it was:\n{all}"));
        // Columns are as wide as what stands in them.
        let blanks = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(blanks(all).contains(&blanks(&next)), "not said: {next}\n{all}");
    }
}

fn everything(done: &Done) -> String {
    format!("{}{}{}", done.said.out, done.said.err, done.summary)
}

/// Types a command at the desk, in the repository.
#[track_caller]
fn type_in(team: &Team, args: &[&str]) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(args).current_dir(team.origin.root()).env_clear().stdin(Stdio::null());
    command.env("PATH", path()).env("HOME", team.outside());
    let said = finish(&mut command);
    assert_eq!(said.exit, Some(0), "{args:?}: {}{}", said.out, said.err);
    format!("{}{}", said.out, said.err)
}

#[test]
fn the_page_is_walked_from_nothing_to_a_rollback() {
    let quotes = Quotes::of_the_page();
    let team = Team::bare();
    team.origin.write("train.py", SCRIPT);
    team.origin.commit("a model");

    // 2: the files, and the pull request that brings them.
    team.origin.git(&["switch", "--quiet", "-c", "install"]);
    quotes.said(&type_in(&team, &["init", "--github"]));
    let file = std::fs::read_to_string(team.origin.root().join("branchline.yaml")).expect("init wrote it");
    let file = file
        .replace("      # hyperparameters:\n      #   max_depth: 5\n", "      hyperparameters:\n        max_depth: 5\n")
        .replace(
            "    # gates:\n    #   accuracy: { min: 0.80, max_drop: 1% }\n",
            "    gates:\n      accuracy: { min: 0.80, max_drop: 1% }\n",
        );
    assert!(file.contains("\n        max_depth: 5\n") && file.contains("\n    gates:\n"), "{file}");
    team.origin.write("branchline.yaml", &file);
    type_in(&team, &["check"]);
    team.origin.commit("Let branches drive the model");
    team.open(1, "install", "main");
    team.pull_job(1).expect(0, &[]);
    quotes.said(&team.comment(1));
    team.merge(1, How::Squash);

    // 3: train.
    let trained = team.push("main").expect(0, &[]);
    quotes.said(&everything(&trained));
    team.origin.git(&["switch", "--quiet", "-c", "feature-deeper", "main"]);
    team.origin.write("branchline.yaml", &file.replace("max_depth: 5", "max_depth: 6"));
    team.origin.commit("Deeper trees");
    let trained = team.push("feature-deeper").expect(0, &[]);
    quotes.said(&everything(&trained));
    team.open(2, "feature-deeper", "main");
    team.pull_job(2).expect(0, &[]);
    quotes.said(&team.comment(2));
    team.merge(2, How::Squash);
    let trained = team.push("main").expect(0, &[]);
    quotes.said(&everything(&trained));

    // 4: the first release, into a branch that is older than the configuration.
    let first = team.origin.git(&["rev-list", "--max-parents=0", "main"]);
    team.origin.git(&["branch", "prod", &first]);
    team.open(3, "main", "prod");
    team.pull_job(3).expect(0, &[]);
    quotes.said(&team.comment(3));
    team.merge(3, How::MergeCommit);
    let promoted = team.push("prod").expect(0, &[]);
    quotes.said(&everything(&promoted));
    let approve =
        serde_json::json!({ "action": "approve", "group": "prod", "version": "1", "reason": "first release" });
    let approved = team.dispatch("mia", "main", &approve).expect(0, &[]);
    quotes.said(&everything(&approved));
    let status = team.by_hand(&["status"]);
    quotes.said(&status.out);

    // 5: the next release, and back again.
    team.origin.git(&["switch", "--quiet", "main"]);
    team.origin.write("branchline.yaml", &file.replace("max_depth: 5", "max_depth: 7"));
    team.origin.commit("Deeper still");
    team.push("main").expect(0, &[]);
    team.open(4, "main", "prod");
    team.pull_job(4).expect(0, &[]);
    quotes.said(&team.comment(4));
    team.merge(4, How::MergeCommit);
    team.push("prod").expect(0, &[]);
    let approve = serde_json::json!({ "action": "approve", "group": "prod", "version": "2", "reason": "better" });
    team.dispatch("mia", "main", &approve).expect(0, &[]);
    let back = serde_json::json!({ "action": "rollback", "group": "prod", "reason": "odd answers" });
    let back = team.dispatch("mia", "main", &back).expect(0, &[]);
    quotes.said(&everything(&back));

    assert!(quotes.0.borrow().is_empty(), "quoted and never said: {:#?}", quotes.0.borrow());
    team.world.finish();
}
