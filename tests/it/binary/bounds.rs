//! What one file, one payload or one event may cost, and that the refusal says it.

use super::harness::Project;
use super::harness::configuration;
use std::fmt::Write as _;

/// A file whose `metrics:` are these expressions.
fn with_metrics(expressions: &[String]) -> Project {
    let mut lines = String::from("      metrics:\n");
    for (number, expression) in expressions.iter().enumerate() {
        writeln!(lines, "        m{number}: '{expression}'").expect("text");
    }
    Project::with(&configuration(&lines), "true\n")
}

#[test]
fn metric_expressions_are_bounded_in_number_and_in_cost() {
    let usual: Vec<String> = (0..100).map(|number| format!("m{number}=([0-9.]+)")).collect();
    with_metrics(&usual).run(&["check"]).expect(0, &["is valid"]);
    let many: Vec<String> = (0..101).map(|number| format!("m{number}=([0-9.]+)")).collect();
    with_metrics(&many).run(&["check"]).expect(20, &["holds more than 100 expressions"]);
    // Each is small to read; compiling all would take minutes, so none is compiled.
    let dear: Vec<String> = (0..90).map(|number| format!("a{number}(?:\\w{{100}}){{100}}=([0-9.]+)")).collect();
    let project = with_metrics(&dear);
    for command in [&["check"][..], &["plan"], &["run"]] {
        project
            .run(command)
            .expect(20, &["cost more than a training run is worth", "counted repetitions", "branchline.yaml:"]);
    }
}

#[test]
fn paths_and_globs_are_bounded_in_number() {
    let listed = |count: usize, name: fn(usize) -> String| {
        let paths: Vec<String> = (0..count).map(|number| format!("'{}'", name(number))).collect();
        configuration("").replace("paths: [train.sh]", &format!("paths: [train.sh, {}]", paths.join(", ")))
    };
    let file = |number: usize| format!("src/f{number}.py");
    let glob = |number: usize| format!("src/*{number}.py");
    let told = |configuration: &str| Project::with(configuration, "true\n").run(&["check"]).expect(20, &[]);
    let said = told(&listed(2_000, file));
    assert!(
        format!("{}{}", said.out, said.err).contains("`paths` names 2001 paths, and one model watches at most 2000")
    );
    let said = told(&listed(201, glob));
    assert!(format!("{}{}", said.out, said.err).contains("`paths` names 201 globs, and one model watches at most 200"));
    // One less is no problem of the file: only the files are not there.
    let said = told(&listed(1_999, file));
    assert!(!format!("{}{}", said.out, said.err).contains("at most"), "{}{}", said.out, said.err);
}

#[test]
fn a_payload_is_read_up_to_its_limit() {
    let project = Project::with_script("true\n");
    let payload = project.outside().join("payload.json");
    let large = std::fs::File::create(&payload).expect("a file");
    large.set_len((32 << 20) + 1).expect("a sparse file");
    let named = payload.display().to_string();
    project
        .run(&["run", "--event", "push", "--payload", &named])
        .expect(21, &["it is larger than 32 MiB, and GitHub sends at most 25 MB", &named]);
    large.set_len(1000).expect("a smaller file");
    let said = project.run(&["run", "--event", "push", "--payload", &named]).expect(21, &[]);
    assert!(!said.err.contains("MiB"), "{}", said.err);
}

#[test]
fn a_variable_that_may_hold_a_secret_is_never_passed() {
    let cases = [
        ("GITHUB_TOKEN", "may hold a secret"),
        ("AWS_SECRET_ACCESS_KEY", "may hold a secret"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "may hold a secret"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "may hold a secret"),
        ("MY_API_KEY", "may hold a secret"),
        ("DB_PASSWORD", "may hold a secret"),
        ("BRANCHLINE_HOME", "cannot be passed"),
        ("SM_MODEL_DIR", "is set for every training run and cannot be passed"),
        ("9LIVES", "cannot be the name of an environment variable"),
        ("A-B", "cannot be the name of an environment variable"),
    ];
    for (name, why) in cases {
        let file = format!("{}pass_env: ['{name}']\n", configuration(""));
        let project = Project::with(&file, "true\n");
        let said = project.run(&["check"]).expect(20, &["branchline.yaml:9:", name]);
        let all = format!("{}{}", said.out, said.err);
        let refused = all.contains(why) || all.contains("may hold a secret") || all.contains("cannot be passed");
        assert!(refused, "{name}: {all}");
    }
    let file = format!("{}pass_env: [CUDA_HOME, CUDA_HOME]\n", configuration(""));
    Project::with(&file, "true\n").run(&["check"]).expect(20, &["is written twice"]);
    let file = format!("{}pass_env: [CUDA_HOME]\n", configuration(""));
    Project::with(&file, "true\n").run(&["check"]).expect(0, &["is valid"]);
}

#[test]
fn a_limit_of_an_event_counts_over_all_heads_that_reconcile_looks_at() {
    // A training run that removes its own folder is lost, and the next look begins another attempt.
    let vanishes = "rm -rf \"$(dirname \"$SM_MODULE_DIR\")\"\n";
    let rules = "wait: 0s\nlimits: { max_trainings_per_event: 1 }\n";
    let project = Project::with(&format!("{}{rules}", configuration("")), vanishes);
    for branch in ["feature-a", "feature-b"] {
        project.git.git(&["switch", "--quiet", "-c", branch, "dev"]);
        project.git.write("train.sh", &format!("{vanishes}# {branch}\n"));
        project.git.commit(branch);
        project.run(&["run"]).expect(0, &["train"]);
    }
    let attempts = || {
        let folder = project.home().join("attempts");
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    };
    let mut looks = 0;
    // Both are lost by now, or soon.
    while project.run(&["status"]).expect(0, &[]).out.contains("keeps running") {
        looks += 1;
        assert!(looks < 300, "they never end");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(attempts(), 2);
    let said = project.run(&["reconcile"]);
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("limits.max_trainings_per_event"), "{all}");
    assert_eq!(attempts(), 3, "{all}");
}
