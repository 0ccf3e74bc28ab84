//! Models that were trained externally, and versions that exist already: `register` and `import` as they are typed.

use super::harness::Project;
use super::harness::Said;
use super::harness::TRAINS;
use super::harness::codes;
use super::harness::configuration;
use super::harness::group;
use super::harness::steps;
use std::fs;
use std::os::unix::net::UnixListener;

const GATED: &str = "    gates: { accuracy: { min: 0.8 } }\n";

/// A project with a gate, and beside it a model file with its metrics.
fn project() -> Project {
    let project = Project::with(&configuration(GATED), TRAINS);
    outside(&project, "churn.pkl", "weights");
    outside(&project, "metrics.json", "{\"accuracy\": 0.91}");
    project
}

/// Writes a file beside the repository.
fn outside(project: &Project, name: &str, content: &str) -> String {
    let path = project.outside().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, content).expect("writable");
    path.display().to_string()
}

fn path(project: &Project, name: &str) -> String {
    project.outside().join(name).display().to_string()
}

/// Registers `artifact` with `metrics.json`, both beside the repository.
fn register(project: &Project, artifact: &str, more: &[&str]) -> Said {
    let (artifact, metrics) = (path(project, artifact), path(project, "metrics.json"));
    let mut args = vec!["register", "--model", "churn", "--artifact", &artifact, "--metrics", &metrics];
    args.extend(more);
    project.run(&args)
}

fn versions(project: &Project, name: &str) -> Vec<serde_json::Value> {
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    group(&status, name)["versions"].as_array().expect("versions").clone()
}

#[test]
fn a_model_from_elsewhere_is_judged_registered_and_promoted_like_any_other() {
    let project = project();
    let planned = register(&project, "churn.pkl", &["--dry-run"]).expect(0, &["gates passed", "enters churn-dev"]);
    assert!(!project.home().join("branchline.db").exists(), "{}", planned.out);
    register(&project, "churn.pkl", &["--reason", "trained on the cluster"])
        .expect(0, &["gates passed: accuracy 0.91", "0.1.0 enters churn-dev as Approved", "churn-dev v1 is Approved"]);
    let version = &versions(&project, "churn-dev")[0];
    let head = project.git.git(&["rev-parse", "HEAD"]);
    assert_eq!((&version["commit"], &version["branch"]), (&head.as_str().into(), &"dev".into()));
    assert_eq!((&version["not_promotable"], &version["lineage"]["elsewhere"]), (&().into(), &"churn.pkl".into()));
    assert_eq!(version["artifacts"][0]["name"], "churn.pkl");
    assert_eq!(version["lineage"]["datasets"], serde_json::json!({}));
    project.run(&["show", "dev", "1"]).expect(0, &["externally trained  churn.pkl"]);
    let changes = project.run(&["history", "dev", "--changes", "--format", "json"]).expect(0, &[]).out;
    assert!(changes.contains("registered") && changes.contains("trained on the cluster"), "{changes}");

    // Again: nothing. With other metrics: nothing, and it says which count.
    register(&project, "churn.pkl", &[]).expect(0, &["nothing to do: 0.1.0 (churn-dev v1) is this very artifact"]);
    outside(&project, "metrics.json", "{\"accuracy\": 0.99}");
    register(&project, "churn.pkl", &[]).expect(0, &["it keeps the metrics that it was registered with"]);
    assert_eq!(versions(&project, "churn-dev").len(), 1);

    // It goes to prod by its content, with its very bytes.
    project.git.switch("prod");
    project.run(&["run"]).expect(0, &["0.1.0 (churn-dev v1) goes to churn-prod"]);
    assert_eq!(versions(&project, "churn-prod")[0]["sha256"], version["sha256"]);
    // A push to dev asks for a training of its own.
    project.git.switch("dev");
    project.run(&["run"]).expect(0, &["churn-dev v2 is Approved"]);
}

#[test]
fn a_dirty_tree_is_marked_and_not_promoted_by_itself() {
    let project = project();
    project.git.write("train.sh", &format!("# changed\n{TRAINS}"));
    register(&project, "churn.pkl", &[]).expect(
        0,
        &["not promotable: trained from a dirty tree: 1 watched path uncommitted: train.sh", "--commit SHA"],
    );
    project.run(&["show", "dev", "1"]).expect(0, &["not promotable", "dirty tree"]);
    register(&project, "churn.pkl", &[]).expect(0, &["nothing to do"]);
    project.git.git(&["checkout", "--quiet", "train.sh"]);
    project.git.switch("prod");
    // Neither by content nor as the current version.
    project.run(&["run"]).expect(30, &["churn-dev"]);
    project
        .run(&["promote", "--model", "churn", "--from", "dev", "--to", "prod"])
        .expect(30, &["0.1.0 (churn-dev v1) is not promotable: trained from a dirty tree"]);
    // Its commit named, it is another version, and goes.
    project.git.switch("dev");
    register(&project, "churn.pkl", &["--commit", "HEAD"]).expect(0, &["churn-dev v2 is Approved"]);
    project.run(&["promote", "--model", "churn", "--from", "dev", "--to", "prod"]).expect(0, &["churn-prod v1"]);
}

#[test]
fn the_group_is_that_of_the_branch_or_the_one_that_is_named() {
    let project = project();
    project.git.switch("feature-x");
    register(&project, "churn.pkl", &[]).expect(0, &["churn-feature v1 is PendingManualApproval"]);
    register(&project, "churn.pkl", &["--group", "churn-dev"]).expect(0, &["churn-dev v1 is Approved"]);
    project.git.switch("scratch");
    register(&project, "churn.pkl", &[]).expect(
        0,
        &[
            "note: scratch reaches no training stage; churn-feature of the first one, feature, is taken",
            "nothing to do",
        ],
    );
    register(&project, "churn.pkl", &["--group", "prod"])
        .expect(30, &["churn-prod is fed by promotion only", "register with --group dev", "--from dev --to prod"]);
    register(&project, "churn.pkl", &["--group", "staging"]).expect(2, &["there is no group or target `staging`"]);
    assert_eq!(versions(&project, "churn-prod"), Vec::<serde_json::Value>::new());
}

#[test]
fn a_folder_is_packed_and_an_archive_is_taken_as_it_is() {
    let project = project();
    outside(&project, "model/model.txt", "model\n");
    register(&project, "model", &[]).expect(0, &["churn-dev v1 is Approved"]);
    // The trainer packs the same files into the same bytes.
    project.run(&["run"]).expect(0, &["churn-dev v2 is Approved"]);
    let both = versions(&project, "churn-dev");
    assert_eq!(both[0]["artifacts"], both[1]["artifacts"]);
    assert_ne!(both[0]["fingerprint"], both[1]["fingerprint"]);
    let archive = project.outside().join("churn-v3.tar.gz");
    let mut tar = std::process::Command::new("tar");
    tar.arg("-czf").arg(&archive).arg("-C").arg(project.outside()).arg("model");
    assert!(tar.status().expect("tar runs").success());
    register(&project, "churn-v3.tar.gz", &[]).expect(0, &["churn-dev v3 is Approved"]);
    let artifact = &versions(&project, "churn-dev")[0]["artifacts"][0];
    let size = fs::metadata(&archive).expect("it is there").len();
    assert_eq!((&artifact["name"], &artifact["size"]), (&"model.tar.gz".into(), &size.into()));
    // A part of it is none, and neither is an archive of nothing.
    let whole = fs::read(&archive).expect("readable");
    fs::write(project.outside().join("torn.tar.gz"), &whole[..whole.len() - 9]).expect("writable");
    register(&project, "torn.tar.gz", &[]).expect(2, &["torn.tar.gz cannot become a model: it is torn"]);
    let left = fs::read_dir(project.home().join("tmp")).expect("tmp").count();
    assert_eq!(left, 0, "nothing is left in tmp");
}

#[test]
fn bad_input_is_named_and_changes_nothing() {
    let project = project();
    outside(&project, "empty.pkl", "");
    outside(&project, "text.json", "accuracy: 0.9");
    outside(&project, "nan.json", "{\"accuracy\": NaN}");
    outside(&project, "low.json", "{\"accuracy\": 0.5}");
    outside(&project, "other.json", "{\"recall\": 0.5}");
    fs::create_dir(project.outside().join("nothing")).expect("a folder");
    fs::create_dir(project.outside().join("odd")).expect("a folder");
    outside(&project, "odd/model.txt", "weights");
    let _in = UnixListener::bind(project.outside().join("odd/socket")).expect("a socket");
    let _on = UnixListener::bind(project.outside().join("socket")).expect("a socket");
    let good = ["churn.pkl", "metrics.json"];
    type Case<'a> = ([&'a str; 2], &'a [&'a str], i32, &'a [&'a str]);
    let cases: [Case<'_>; 16] = [
        (["none.pkl", good[1]], &[], 2, &["none.pkl does not exist", "--artifact takes"]),
        (["empty.pkl", good[1]], &[], 2, &["empty.pkl is empty: there is no model in it"]),
        (["nothing", good[1]], &[], 2, &["nothing is empty: there is no model in it"]),
        (["socket", good[1]], &[], 2, &["socket is a socket, not a file or a folder"]),
        (["odd", good[1]], &[], 2, &["could not pack", "socket in the model's folder"]),
        (["churn.pkl/x", good[1]], &[], 50, &["could not read", "Not a directory"]),
        ([good[0], "none.json"], &[], 2, &["none.json does not exist"]),
        ([good[0], "nothing"], &[], 2, &["nothing is a folder, not a file"]),
        ([good[0], "text.json"], &[], 40, &["text.json cannot be used", "is not a JSON object"]),
        ([good[0], "nan.json"], &[], 40, &["metric `accuracy` is NaN, not a finite number"]),
        (
            [good[0], "low.json"],
            &[],
            30,
            &["churn.pkl, externally trained, failed its gates: accuracy 0.5, required >= 0.8"],
        ),
        ([good[0], "other.json"], &[], 30, &["accuracy missing, required >= 0.8"]),
        (good, &["--model", "chrun"], 2, &["there is no model `chrun`", "the models are: churn"]),
        (good, &["--model", "churn", "--commit", "nosuch"], 2, &["nosuch"]),
        (good, &["--model", "churn", "--group", "churn-nowhere"], 2, &["there is no group or target"]),
        (good, &[], 2, &["--model <MODEL>"]),
    ];
    for (number, ([artifact, metrics], more, exit, says)) in cases.into_iter().enumerate() {
        let (artifact, metrics) = (path(&project, artifact), path(&project, metrics));
        let mut args = vec!["register", "--artifact", &artifact, "--metrics", &metrics];
        if more.is_empty() && number != 15 {
            args.extend(["--model", "churn"]);
        }
        args.extend(more);
        project.run(&args).expect(exit, says);
    }
    assert_eq!(versions(&project, "churn-dev"), Vec::<serde_json::Value>::new());
}

#[test]
fn a_frozen_group_says_so_and_a_foreign_one_refuses() {
    let mut project = project();
    project.run(&["freeze", "--group", "dev", "--reason", "audit"]).expect(0, &[]);
    register(&project, "churn.pkl", &[])
        .expect(0, &["churn-dev stays frozen", "\"audit\"", "churn-dev v1 is Approved"]);
    let home = project.home().display().to_string();
    project.set("BRANCHLINE_HOME", &home);
    // Another repository with the same names, in the same home.
    let mut stranger = Project::with(&configuration(GATED).replace("sh train.sh", "sh ./train.sh"), TRAINS);
    stranger.set("BRANCHLINE_HOME", &home);
    outside(&stranger, "churn.pkl", "weights");
    outside(&stranger, "metrics.json", "{\"accuracy\": 0.91}");
    register(&stranger, "churn.pkl", &[]).expect(30, &["churn-dev belongs to", "nothing is written to it"]);
    stranger
        .run(&["import", "--group", "churn-dev", "--model", "churn", "--to", "feature"])
        .expect(30, &["churn-dev belongs to", "nothing is imported from it", "--foreign --reason"]);
    stranger
        .run(&["import", "--group", "churn-dev", "--model", "churn", "--to", "feature", "--foreign"])
        .expect(2, &["--reason"]);
    stranger
        .run(&[
            "import",
            "--group",
            "churn-dev",
            "--model",
            "churn",
            "--to",
            "feature",
            "--foreign",
            "--reason",
            "fork",
        ])
        .expect(0, &["churn-feature v1 is Approved"]);
}

/// Two versions in dev, the first rejected; the second one promoted to prod, where it awaits approval.
fn old_project() -> Project {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &["churn-dev v1"]);
    project.git.write("train.sh", &format!("# 2\n{TRAINS}"));
    project.git.commit("2");
    project.run(&["run"]).expect(0, &["churn-dev v2"]);
    project.run(&["reject", "--group", "dev", "--version", "1", "--reason", "slow"]).expect(0, &[]);
    project.git.switch("prod");
    project.run(&["run"]).expect(0, &["churn-prod v1 is PendingManualApproval"]);
    project.git.switch("dev");
    project
}

#[test]
fn a_renamed_project_takes_its_versions_along_and_trains_nothing_again() {
    let project = old_project();
    let before = versions(&project, "churn-dev");
    project.git.write("branchline.yaml", &configuration("").replace("project: churn", "project: retention"));
    project.git.commit("rename");
    let args = ["import", "--group", "churn-dev", "--model", "churn", "--to", "dev"];
    let mut dry = args.to_vec();
    dry.push("--dry-run");
    project.run(&dry).expect(0, &["is imported into retention-churn-dev"]);
    assert_eq!(versions(&project, "retention-churn-dev"), Vec::<serde_json::Value>::new());
    project.run(&args).expect(
        0,
        &["(churn-dev v2) is imported into retention-churn-dev as Approved", "retention-churn-dev v2 is Approved"],
    );
    let after = versions(&project, "retention-churn-dev");
    for (old, new) in before.iter().zip(&after) {
        for key in ["version", "semver", "fingerprint", "metrics", "sha256", "approval", "rejection", "commit"] {
            assert_eq!(old[key], new[key], "{key}");
        }
        assert_eq!(new["lineage"]["imported"]["version"]["number"], old["version"]);
        assert_eq!(new["lineage"]["imported"]["registered_at"], old["registered_at"]);
        assert_eq!((&new["source"]["group"], &new["source"]["version"]), (&"churn-dev".into(), &old["version"]));
    }
    project.run(&["show", "dev", "2"]).expect(0, &["imported from", "churn-dev v2, registered"]);
    let changes = project.run(&["history", "dev", "--changes", "--format", "json"]).expect(0, &[]).out;
    assert!(changes.contains("imported"), "{changes}");
    // Again: nothing, also not for the one that was rejected.
    project.run(&args).expect(0, &["nothing to do: churn-dev v1 was imported as"]);
    assert_eq!(versions(&project, "retention-churn-dev"), after);
    // What was trained before is not trained again.
    let run = project.run(&["run", "--format", "json"]).expect(0, &[]).json();
    assert_eq!((codes(&run["models"][0]), steps(&run["models"][0])), (vec!["already-registered"], vec![]));
    // What awaits approval still does.
    project
        .run(&["import", "--group", "churn-prod", "--model", "churn", "--to", "prod"])
        .expect(0, &["retention-churn-prod v1 is PendingManualApproval"]);
    project.run(&["approve", "--model", "churn", "--group", "prod"]).expect(0, &["becomes current"]);
}

#[test]
fn another_home_is_read_and_never_becomes_current_over_what_is_there() {
    let mut project = old_project();
    let laptop = project.home().display().to_string();
    let new = project.outside().join("new-home").display().to_string();
    project.set("BRANCHLINE_HOME", &new);
    let args = ["import", "--group", "churn-dev", "--model", "churn", "--to", "dev", "--home", &laptop];
    project.run(&args).expect(0, &["churn-dev v2 is Approved"]);
    let taken = versions(&project, "churn-dev");
    assert_eq!(
        (&taken[0]["source"], &taken[0]["lineage"]["imported"]["version"]["group"]),
        (&().into(), &"churn-dev".into())
    );
    // The bytes are here now: the other home may go.
    fs::rename(&laptop, project.outside().join("gone")).expect("it can be moved");
    project.run(&["promote", "--model", "churn", "--from", "dev", "--to", "prod"]).expect(0, &["churn-prod v1"]);

    // A group that stands for a version of its own keeps standing for it.
    let gone = path(&project, "gone");
    let third = project.outside().join("third-home").display().to_string();
    project.set("BRANCHLINE_HOME", &third);
    project.git.write("train.sh", &format!("# 3\n{TRAINS}"));
    project.git.commit("3");
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    let from = ["import", "--group", "churn-dev", "--model", "churn", "--to", "dev", "--home", &gone];
    project.run(&from).expect(0, &["as PendingManualApproval, superseded: the group stands for a version of its own"]);
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    let dev = group(&status, "churn-dev");
    assert_eq!((&dev["current"], dev["versions"].as_array().map(Vec::len)), (&1.into(), Some(3)));
    project.run(&from).expect(0, &["nothing to do"]);
}

#[test]
fn a_bad_import_is_named() {
    let project = old_project();
    let import = |args: &[&str]| {
        let mut all = vec!["import", "--model", "churn"];
        all.extend(args);
        project.run(&all)
    };
    import(&["--group", "churn-dev", "--to", "dev"]).expect(2, &["churn-dev is both source and target"]);
    import(&["--group", "chrun-dev", "--to", "dev"])
        .expect(2, &["chrun-dev holds no version", "the groups there are: churn-dev, churn-prod"]);
    import(&["--group", "churn-dev", "--to", "staging"]).expect(2, &["there is no group or target `staging`"]);
    import(&["--group", "churn dev", "--to", "dev"]).expect(2, &["churn dev"]);
    let nowhere = path(&project, "nowhere");
    import(&["--group", "churn-dev", "--to", "dev", "--home", &nowhere])
        .expect(2, &["is not a state directory of Branchline"]);
    // A damaged artifact is not taken over.
    for entry in walkdir::WalkDir::new(project.home().join("artifacts")) {
        let entry = entry.expect("readable");
        if entry.file_type().is_file() {
            fs::remove_file(entry.path()).expect("removable");
            fs::write(entry.path(), "damaged").expect("writable");
        }
    }
    import(&["--group", "churn-dev", "--to", "feature"]).expect(50, &["could not use", "Nothing was overwritten"]);
    assert_eq!(versions(&project, "churn-feature"), Vec::<serde_json::Value>::new());
}
