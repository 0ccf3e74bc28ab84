//! What people see, kept as files in `fixtures/reports`, and what no foreign text can do to it.

mod foreign;
mod samples;

use self::samples::*;
use crate::model::approval::Approval;
use crate::model::identity::ContentId;
use crate::model::name::TrainingName;
use crate::model::review::REVIEW_SCHEMA;
use crate::model::review::ReviewRecord;
use crate::model::review::Reviewed;
use crate::model::training::Cause;
use crate::model::verdict::Verdict;
use crate::outcome::AfterMerge;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::outcome::StepResult;
use crate::plan::prediction::CandidateState;
use crate::plan::prediction::MergeDoes;
use crate::plan::reason::Reason;
use crate::plan::step::Step;
use crate::report::markdown::Context;
use crate::report::markdown::check;
use crate::report::markdown::comment;
use crate::report::markdown::headline;
use crate::report::markdown::model_check;
use crate::report::markdown::summary;
use expect_test::expect_file;

fn one(event: &str, model: ModelOutcome, reasons: Vec<Reason>) -> Outcome {
    Outcome { reasons, ..Outcome::of_models(event.to_owned(), vec![model]) }
}

fn file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/reports").join(format!("{name}.md"))
}

fn shows(name: &str, text: &str) {
    expect_file![file(name)].assert_eq(text);
}

/// A pull request into prod that promotes 0.4.0.
fn promotes() -> ModelOutcome {
    let source = known("churn-dev", 12, "0.4.0");
    let content = content("churn", "0.4.0", Some(source.version.clone()));
    let promote = registers("prod", "churn-prod", content, Approval::PendingManualApproval);
    ModelOutcome {
        verdict: Verdict::Passed,
        reasons: vec![
            Reason::Promoting {
                source: source.clone(),
                groups: vec![group("churn-prod")],
                approval: Approval::PendingManualApproval,
                reviewed: false,
            },
            Reason::GatesPassed { results: Vec::new() },
        ],
        steps: vec![
            copy("churn", "churn-dev v12", "churn-prod", StepResult::Planned),
            step(Step::Promote(promote), StepResult::Planned),
        ],
        candidate: Some(Box::new(candidate(
            "churn",
            source,
            &[("accuracy", 0.87), ("auc", 0.93), ("latency_ms", 11.4)],
        ))),
        compared: vec![compared("churn", "prod", Some(0.87))],
        merging: merging("prod", MergeDoes::Promote),
        ..ModelOutcome::nothing(model("churn"))
    }
}

/// A pull request into dev: merging trains.
fn trains_again() -> ModelOutcome {
    let mut before = candidate("churn", known("churn-feature", 3, "0.4.0"), &[("accuracy", 0.86)]);
    before.before_merging = true;
    before.approval = Some(Approval::PendingManualApproval);
    let mut dev = compared("churn", "dev", Some(0.86));
    dev.code = None;
    dev.settings = Vec::new();
    let reason = Reason::TrainingNeeded {
        training: TrainingName::reported("churn-dev-9c1d22aa04be-1"),
        commit: commit("merge"),
        last_took: Some(6600.0),
        last_machines: None,
    };
    ModelOutcome {
        verdict: Verdict::Passed,
        reasons: vec![reason],
        steps: vec![trains("churn", StepResult::Planned)],
        candidate: Some(Box::new(before)),
        compared: vec![dev],
        merging: merging("dev", MergeDoes::Train),
        ..ModelOutcome::nothing(model("churn"))
    }
}

fn blocked(name: &str) -> ModelOutcome {
    let mut made = candidate(name, known(&format!("{name}-feature"), 3, "0.4.1"), &[("accuracy", 0.79)]);
    made.state = CandidateState::Trained;
    made.version = None;
    made.approval = None;
    ModelOutcome {
        verdict: Verdict::Blocked,
        reasons: vec![missed(0.79)],
        candidate: Some(Box::new(made)),
        compared: vec![compared(name, "dev", Some(0.79))],
        merging: merging("dev", MergeDoes::Train),
        ..ModelOutcome::nothing(model(name))
    }
}

fn waiting() -> ModelOutcome {
    let mut made = candidate("churn", known("churn-feature", 3, "0.4.1"), &[]);
    made.state = CandidateState::Training;
    made.version = None;
    made.approval = None;
    made.before_merging = true;
    let training = TrainingName::reported("churn-feature-9c1d22aa04be-1");
    ModelOutcome {
        verdict: Verdict::Waiting,
        reasons: vec![Reason::TrainingOpen { training, since: Some(time(12)) }],
        candidate: Some(Box::new(made)),
        compared: vec![compared("churn", "dev", None)],
        merging: merging("dev", MergeDoes::Train),
        ..ModelOutcome::nothing(model("churn"))
    }
}

fn quiet(name: &str) -> ModelOutcome {
    ModelOutcome {
        verdict: Verdict::Passed,
        reasons: vec![Reason::AlreadyCurrent { version: known(&format!("{name}-prod"), 4, "1.2.0") }],
        merging: merging("prod", MergeDoes::Nothing),
        ..ModelOutcome::nothing(model(name))
    }
}

/// A merge to prod that fed champion and challenger; the second awaits a person.
fn fanned_out() -> ModelOutcome {
    let source = reference("churn-dev", 12);
    let to =
        |name: &str, number, approval| version(name, number, content("churn", "0.4.0", Some(source.clone())), approval);
    let promote = |target: &str, approval| {
        let name = format!("churn-{target}");
        let content = content("churn", "0.4.0", Some(source.clone()));
        step(Step::Promote(registers(target, &name, content, approval)), StepResult::Done)
    };
    let mut challenger = compared("churn", "challenger", Some(0.87));
    challenger.recent = Vec::new();
    ModelOutcome {
        verdict: Verdict::Passed,
        reasons: vec![
            Reason::Promoting {
                source: known("churn-dev", 12, "0.4.0"),
                groups: vec![group("churn-champion"), group("churn-challenger")],
                approval: Approval::Approved,
                reviewed: true,
            },
            Reason::AwaitsApproval {
                version: known("churn-champion", 12, "0.4.0"),
                target: target("champion"),
                model: model("churn"),
            },
        ],
        steps: vec![
            copy("churn", "churn-dev v12", "churn-champion", StepResult::Done),
            copy("churn", "churn-dev v12", "churn-challenger", StepResult::Found),
            promote("champion", Approval::PendingManualApproval),
            promote("challenger", Approval::Approved),
        ],
        versions: vec![
            to("churn-champion", 12, Approval::PendingManualApproval),
            to("churn-challenger", 5, Approval::Approved),
        ],
        candidate: Some(Box::new(candidate(
            "churn",
            known("churn-champion", 12, "0.4.0"),
            &[("accuracy", 0.87), ("auc", 0.93), ("latency_ms", 11.4)],
        ))),
        compared: vec![compared("churn", "champion", Some(0.87)), challenger],
        ..ModelOutcome::nothing(model("churn"))
    }
}

fn pushed() -> ModelOutcome {
    let content = content("churn", "0.4.0", None);
    let register = registers("dev", "churn-dev", content.clone(), Approval::Approved);
    ModelOutcome {
        verdict: Verdict::Passed,
        reasons: vec![Reason::GatesPassed { results: Vec::new() }],
        steps: vec![
            trains("churn", StepResult::Done),
            copy("churn", "training churn-dev-9c1d22aa04be-1", "churn-dev", StepResult::Done),
            step(Step::Register(register), StepResult::Done),
        ],
        versions: vec![version("churn-dev", 12, content, Approval::Approved)],
        candidate: Some(Box::new(candidate("churn", known("churn-dev", 12, "0.4.0"), &[("accuracy", 0.87)]))),
        compared: vec![compared("churn", "dev", Some(0.87))],
        ..ModelOutcome::nothing(model("churn"))
    }
}

const INTO_PROD: &str = "pull request #42 into prod (dev)";
const INTO_DEV: &str = "pull request #41 into dev (feature-age)";

#[test]
fn a_merge_that_promotes() {
    let outcome = one(INTO_PROD, promotes(), vec![predicted("prod", false)]);
    assert_eq!(
        headline(&outcome),
        "Merging promotes churn 0.4.0 (dev v12) to prod: accuracy 0.87, +0.02 against what prod has now"
    );
    shows("promotes", &comment(&outcome, &context()));
}

#[test]
fn a_merge_that_trains() {
    let outcome = one(INTO_DEV, trains_again(), vec![predicted("dev", true)]);
    assert_eq!(headline(&outcome), "Merging trains churn again, about 1 h 50 min: the data changed");
    shows("trains", &comment(&outcome, &context()));
}

#[test]
fn a_merge_that_a_gate_blocks() {
    let outcome = one(INTO_DEV, blocked("churn"), vec![predicted("dev", true)]);
    assert_eq!(headline(&outcome), "Merging is blocked: accuracy 0.79, required ≥ 0.8");
    shows("blocked-by-a-gate", &comment(&outcome, &context()));
}

#[test]
fn a_merge_of_which_no_version_exists() {
    let model = ModelOutcome {
        verdict: Verdict::Blocked,
        reasons: vec![diverged()],
        merging: merging("prod", MergeDoes::Nothing),
        ..ModelOutcome::nothing(model("churn"))
    };
    let outcome = one(INTO_PROD, model, vec![predicted("prod", false)]);
    assert_eq!(headline(&outcome), "Merging is blocked: dev has no version of exactly this content to promote");
    shows("blocked-diverged", &comment(&outcome, &context()));
}

#[test]
fn a_merge_that_waits() {
    let outcome = one(INTO_DEV, waiting(), vec![predicted("dev", true)]);
    assert_eq!(headline(&outcome), "churn is not ready yet: its training is still running");
    shows("waiting", &comment(&outcome, &context()));
}

#[test]
fn a_merge_with_conflicts() {
    let reason = Reason::MergeConflict { base: branch("prod"), paths: vec!["train.py".to_owned()] };
    let outcome = Outcome { verdict: Verdict::Errored, ..Outcome::skipped(INTO_PROD.to_owned(), reason) };
    assert_eq!(headline(&outcome), "This cannot be merged into prod as it is: 1 file in conflict");
    shows("conflict", &comment(&outcome, &context()));
}

#[test]
fn the_first_pull_request_is_neutral() {
    let begins = "pushes to feature/** and dev train churn, and merges to prod promote it".to_owned();
    let reason = Reason::NoRules { branch: branch("prod"), begins };
    let outcome = Outcome::skipped(INTO_PROD.to_owned(), reason);
    shows("first-pull-request", &comment(&outcome, &context()));
}

#[test]
fn several_models_are_counted_and_the_worst_is_named() {
    let models = vec![promotes(), blocked("fraud"), quiet("age"), quiet("lapse")];
    let outcome =
        Outcome { reasons: vec![predicted("prod", false)], ..Outcome::of_models(INTO_PROD.to_owned(), models) };
    assert_eq!(headline(&outcome), "Merging is blocked by 1 of 4 models: fraud: accuracy 0.79, required ≥ 0.8");
    let text = comment(&outcome, &context());
    assert!(text.contains("Nothing to do for age, lapse."), "{text}");
    shows("several-models", &text);
    let alone = model_check(&outcome, &outcome.models[0], &context());
    assert_eq!(alone.title, headline(&one(INTO_PROD, promotes(), Vec::new())));
    assert!(!alone.summary.contains("fraud"));
}

#[test]
fn changed_rules_show_both_results() {
    let mut after = one(INTO_DEV, trains_again(), vec![predicted("dev", true)]);
    after.models[0].steps.clear();
    let outcome = Outcome {
        after_merge: Some(Box::new(AfterMerge {
            changes: vec!["models.churn.gates.accuracy.min: 0.8 -> 0.5".to_owned()],
            outcome: after,
        })),
        ..one(INTO_DEV, blocked("churn"), vec![predicted("dev", true)])
    };
    shows("rules-changed", &comment(&outcome, &context()));
}

#[test]
fn a_pinned_review_names_what_is_newer() {
    let mut model = promotes();
    model.reasons.push(Reason::NewerThanReview { newer: known("churn-dev", 13, "0.4.1"), pull_request: 42 });
    let reviewed = Reviewed {
        model: model.model.clone(),
        content: ContentId::from_digest(digest("content")),
        version: reference("churn-dev", 12),
        digests: vec![format!("sha256:{}", digest("bytes of 0.4.0"))],
    };
    let review =
        ReviewRecord { schema: REVIEW_SCHEMA, pull_request: 42, head: commit("head"), versions: vec![reviewed] };
    let context = Context { review: Some(review), ..context() };
    let text = comment(&one(INTO_PROD, model, vec![predicted("prod", false)]), &context);
    assert!(text.contains("dev v12 is pinned"), "{text}");
    shows("review-pinned", &text);
}

#[test]
fn a_push_that_trained() {
    let outcome = one("push to dev", pushed(), Vec::new());
    assert_eq!(
        headline(&outcome),
        "churn 0.4.0 was trained and registered as dev v12: accuracy 0.87, +0.02 against what dev had before"
    );
    shows("push-trained", &summary(&outcome, &context()));
}

#[test]
fn a_merge_that_fed_two_groups() {
    let outcome = one("push to prod", fanned_out(), Vec::new());
    assert_eq!(
        headline(&outcome),
        "churn 0.4.0 went from dev v12 to champion v12 (awaiting approval) and challenger v5: accuracy 0.87, \
         +0.02 against what champion had before"
    );
    let text = summary(&outcome, &context());
    assert!(text.contains(&digest("bytes of 0.4.0").to_string()), "the whole digest stands in the details: {text}");
    shows("champion-and-challenger", &text);
}

#[test]
fn a_merge_that_awaits_approval() {
    let mut model = fanned_out();
    model.steps.remove(3);
    model.steps.remove(1);
    model.versions.remove(1);
    model.compared.remove(1);
    shows("awaiting-approval", &summary(&one("push to prod", model, Vec::new()), &context()));
}

#[test]
fn a_rollback_by_hand() {
    let mut back = content("churn", "0.3.2", None);
    back.restores = Some(crate::model::version::VersionNumber(11));
    let restore = registers("prod", "churn-prod", back.clone(), Approval::Approved);
    let model = ModelOutcome {
        verdict: Verdict::Passed,
        reasons: vec![
            Reason::RollingBack { from: known("churn-prod", 12, "0.4.0"), to: known("churn-prod", 11, "0.3.2") },
            Reason::RolledBack {
                version: known("churn-prod", 13, "0.3.2"),
                replaced: known("churn-prod", 12, "0.4.0"),
            },
        ],
        steps: vec![step(Step::Restore(restore), StepResult::Done), rejects("churn-prod", 12), freezes("churn-prod")],
        versions: vec![version("churn-prod", 13, back, Approval::Approved)],
        ..ModelOutcome::nothing(model("churn"))
    };
    shows("rollback", &summary(&one("rollback of churn-prod", model, Vec::new()), &context()));
}

#[test]
fn a_training_that_failed() {
    let reason = Reason::TrainingFailed {
        training: TrainingName::reported("churn-dev-9c1d22aa04be-1"),
        attempt: 1,
        cause: Cause::Code,
        message: "the command ended with exit code 1".to_owned(),
        log_tail: vec![
            "Traceback (most recent call last):".to_owned(),
            "  File \"train.py\", line 41, in <module>".to_owned(),
            "KeyError: 'age'".to_owned(),
        ],
        exhausted: false,
        model: model("churn"),
    };
    let model =
        ModelOutcome { verdict: Verdict::Failed, reasons: vec![reason], ..ModelOutcome::nothing(model("churn")) };
    let outcome = one("push to dev", model, Vec::new());
    assert_eq!(headline(&outcome), "churn failed: cause code: the command ended with exit code 1");
    shows("training-failed", &summary(&outcome, &context()));
}

#[test]
fn a_run_that_was_stopped() {
    let reason =
        Reason::Cancelled { stopped: Vec::new(), left: vec![TrainingName::reported("churn-dev-9c1d22aa04be-1")] };
    let model =
        ModelOutcome { verdict: Verdict::Cancelled, reasons: vec![reason], ..ModelOutcome::nothing(model("churn")) };
    shows("cancelled", &summary(&one("push to dev", model, Vec::new()), &context()));
}

#[test]
fn a_check_says_why_before_the_rest() {
    let outcome = one(INTO_DEV, blocked("churn"), vec![predicted("dev", true)]);
    let check = check(&outcome, &context());
    assert_eq!(check.title, "Merging is blocked: accuracy 0.79, required ≥ 0.8");
    assert_eq!(check.description, check.title);
    assert!(check.summary.contains("> **Why:**") && check.summary.contains("| accuracy |"), "{}", check.summary);
    assert!(check.text.contains("xychart-beta") && !check.summary.contains("xychart-beta"));
    shows("check-blocked", &format!("# {}\n\n{}\n---\n\n{}", check.title, check.summary, check.text));
}

#[test]
fn a_long_report_loses_what_few_people_need_first() {
    let models: Vec<ModelOutcome> =
        (0..60).map(|at| ModelOutcome { model: model(&format!("model-{at}")), ..promotes() }).collect();
    let outcome =
        Outcome { reasons: vec![predicted("prod", false)], ..Outcome::of_models(INTO_PROD.to_owned(), models) };
    let text = comment(&outcome, &context());
    assert!(text.len() <= 65_536, "{}", text.len());
    assert!(text.starts_with("### ✓ Merging acts on 60 of 60 models"), "{text}");
    assert!(text.contains("_Left out here for length: "), "{text}");
    assert!(!text.contains("xychart-beta") && text.contains("model-59"), "{text}");
    assert!(text.contains("[the full report](https://github.com/acme/models/actions/runs/4711)"));
    assert!(summary(&outcome, &context()).contains("xychart-beta"));
}

#[test]
fn a_merge_acts_on_what_it_changes_and_on_nothing_else() {
    let waiting = |name: &str| {
        let merging = merging("prod", MergeDoes::Nothing);
        let reason = Reason::AwaitsApproval {
            version: known("churn-prod", 2, "0.2.0"),
            target: target("prod"),
            model: model(name),
        };
        ModelOutcome { merging, reasons: vec![reason], steps: Vec::new(), versions: Vec::new(), ..promotes() }
    };
    let waiting = |name: &str| ModelOutcome { model: model(name), ..waiting(name) };
    let headline = |models: Vec<ModelOutcome>| {
        let outcome = Outcome::of_models(INTO_PROD.to_owned(), models);
        super::headline(&Outcome { reasons: vec![predicted("prod", false)], ..outcome })
    };
    assert_eq!(
        headline(vec![waiting("churn"), waiting("fraud")]),
        "Merging changes nothing for all 2 models: churn 0.4.0 and fraud 0.4.0 await approval"
    );
    assert_eq!(
        headline(vec![promotes(), waiting("fraud")]),
        "Merging acts on 1 of 2 models: churn 0.4.0; fraud 0.4.0 awaits approval"
    );
}

#[test]
fn what_reconcile_finds_wrong_again_is_no_news_and_no_success() {
    let mut failed = blocked("churn");
    failed.merging = None;
    failed.at = Some("dev at 1a2b3c4".to_owned());
    let outcome = Outcome { verdict: Verdict::Passed, ..one("schedule", failed, Vec::new()) };
    assert_eq!(super::headline(&outcome), "Nothing newly wrong; as before: churn (dev at 1a2b3c4) blocked");
}
