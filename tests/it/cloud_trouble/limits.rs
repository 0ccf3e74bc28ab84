//! Rules that a training would break: refused before anything is sent that spends or writes.

use super::MODEL;
use super::Team;
use crate::world::cloud::for_the_cloud;
use branchline::config::SourceText;
use branchline::model::verdict::Verdict;

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_broken_costs_nothing() {
    for (limits, code, words) in [
        (
            "instance_types: [ml.c5.*]",
            "instance-not-allowed",
            ["limits.instance_types allows ml.c5.*, and the settings ask for ml.m5.large: nothing was started", "-> "],
        ),
        (
            "required_tags: [team, cost-center]",
            "tags-required",
            [
                "limits.required_tags demands tags that the settings lack: team, cost-center",
                "-> add them to the model: `train: { tags: { team: ..., cost-center: ... } }`",
            ],
        ),
        (
            "require_vpc: true",
            "vpc-required",
            ["limits.require_vpc demands a private network, and there is none at train.vpc", "-> "],
        ),
        (
            "require_kms: true",
            "kms-required",
            ["limits.require_kms demands keys of your own, and there is none at train.volume_kms_key", "-> "],
        ),
    ] {
        let team = Team::with(&format!("{MODEL}limits: {{ {limits} }}\n"));
        team.push("dev").await.ends(Verdict::Blocked, &[code]).says(&words);
        team.is_untouched();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_machines_cost_nothing() {
    let team = Team::with(&format!("{MODEL}limits: {{ max_instances: 2 }}\n"));
    let config = std::fs::read_to_string(team.laptop.repository.root().join("branchline.yaml")).expect("readable");
    let many = config.replace("count: 1", "count: 3");
    assert_ne!(config, many);
    team.commit(&[("branchline.yaml", many.as_str())]);
    team.push("dev").await.ends(Verdict::Blocked, &["limit-reached"]).says(&[
        "limits.max_instances allows 2, and this event asks for 3: nothing was started",
        "ask for fewer machines with `instance.count`",
    ]);
    team.is_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hyperparameter_of_5000_characters_is_never_sent() {
    let long = "x".repeat(5000);
    let train = "train: { command: sh train.sh, data: none";
    let text = MODEL.replace(train, &format!("{train}, hyperparameters: {{ tree: {long} }}"));
    let source = SourceText::new("branchline.yaml", for_the_cloud(&text, Team::new().world()));
    let problems = branchline::config::load(&source, &source).expect_err("too long").to_string();
    assert!(problems.contains("tree` has 5000 characters, and SageMaker takes 2500"), "{problems}");
    assert!(problems.contains("hint: put it into a file of the repository that `paths` names"), "{problems}");
    // The adapter says so by itself, too.
    let (head, tail) = text.split_once("backend:").expect("a backend");
    let (_, models) = tail.split_once("models:").expect("models");
    let team = Team::with(&format!("{head}models:{models}"));
    team.push("dev").await.ends(Verdict::Errored, &["port-failed"]).says(&[
        "hyperparameter `tree` has 5000 characters, and SageMaker takes 2500: put it into a file of the repository",
        "-> Nothing was uploaded or sent. Change it in branchline.yaml, then run again.",
    ]);
    team.is_untouched();
}
