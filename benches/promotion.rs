//! A push that trains and a merge that promotes, by the real program on the AWS of the tests: how much memory each takes.
//!
//! The model is of 64 MiB, and a copy is server-side: no byte of it may pass through the program. BRANCHLINE_BENCH_PROGRAM
//! names another build of it to measure.

#[path = "../tests/it/binary/harness.rs"]
#[allow(dead_code, reason = "made for the tests")]
mod harness;
#[path = "world/measure.rs"]
mod measure;
#[path = "../tests/it/world/mod.rs"]
#[allow(dead_code, reason = "made for the tests")]
mod world;

use crate::harness::Project;
use crate::measure::Line;
use crate::measure::Table;
use crate::measure::Times;
use crate::world::aws::DEV;
use crate::world::cloud;

const PEAK_MIB: f64 = 60.0;

const CONFIG: &str = r#"version: 1
project: churn
topology: advanced
backend:
  sagemaker: { region: eu-central-1, bucket: acme-ml-dev, execution_role_arn: "arn:aws:iam::111111111111:role/training" }
accounts:
  prod: { id: "222222222222", assume_role_arn: "arn:aws:iam::222222222222:role/branchline-prod", bucket: acme-ml-prod }
models:
  churn:
    paths: [train.sh]
    train:
      image: 111111111111.dkr.ecr.eu-central-1.amazonaws.com/churn:1
      command: sh train.sh
      instance: { type: ml.m5.large, count: 1, volume_gb: 10 }
      data: none
"#;

const TRAINS: &str = r#"head -c 67108864 /dev/urandom > "$SM_MODEL_DIR/model.bin"
echo '{"accuracy": 0.9}' > "$SM_OUTPUT_DATA_DIR/metrics.json"
"#;

fn main() {
    let world = cloud::world();
    world.trust_account("arn:aws:iam::222222222222:role/branchline-prod", DEV);
    let mut project = Project::with(CONFIG, TRAINS);
    for (name, value) in world.environment(DEV) {
        project.set(&name, &value);
    }
    let mut table = Table::begin();
    peak(&mut table, &project, "train and register", "churn-dev v1 is Approved");
    project.git.switch("prod");
    peak(&mut table, &project, "promote to two groups", "churn-champion v1");
    peak(&mut table, &project, "the same push again", "awaits approval");
    let run = || harness::finish(project.command(project.git.root(), &measure::program()).arg("run")).expect(0, &[]);
    let again = Times::of(5, || (), |()| drop(run()));
    table.line(Line {
        measure: "`run` in the cloud with nothing to do",
        ours: measure::shown(&again),
        yardstick: String::new(),
        ratio: None,
        goal: "",
        met: None,
    });
    world.assert_clean();
    table.end();
}

/// Runs the program once under `/usr/bin/time`.
fn peak(table: &mut Table, project: &Project, what: &str, says: &str) {
    let mut command = project.command(project.git.root(), "/usr/bin/time");
    let said = harness::finish(command.args(["-f", "%M", "--", &measure::program(), "run"])).expect(0, &[says]);
    let kib: f64 = said.err.lines().last().and_then(|line| line.trim().parse().ok()).expect("a peak");
    let mib = kib / 1024.0;
    table.line(Line {
        measure: &format!("`run` in the cloud: {what}"),
        ours: format!("{mib:.1} MiB"),
        yardstick: String::new(),
        ratio: None,
        goal: "peak < 60 MiB",
        met: Some(mib < PEAK_MIB),
    });
}
