//! Why a training job failed: a class and a sentence, from what Amazon says and the last lines of the log. Pure.
//!
//! The class follows from the code before the first colon (`DescribeTrainingJob`, `FailureReason`), never from the words
//! behind it: those may be the command's own, and a class decides whether another attempt is paid for.
//!
//! A failure of the command is explained by the same rule as on this machine, so that a verdict does not depend on
//! the backend.

use crate::adapters::local::ending::Exit;
use crate::adapters::local::ending::Failure;
use crate::adapters::sagemaker::contract::ML;
use crate::model::training::Cause;
use crate::ports::trainer::TrainingSpec;
use std::path::Path;

/// Finds the class and the sentence of a job that failed.
pub(super) fn explain(spec: &TrainingSpec, reason: &str, tail: &[String]) -> (Cause, String) {
    let reason = one_line(reason);
    let (kind, text) = reason.split_once(':').map_or(("", reason.as_str()), |(kind, text)| (kind.trim(), text.trim()));
    match kind {
        "AlgorithmError" => of_command(spec, text, tail),
        "ClientError" => (of_client(text), format!("SageMaker could not run it: {text}")),
        "CapacityError" | "InsufficientCapacityError" => (Cause::Capacity, format!("no machine could be had: {text}")),
        "InternalServerError" => (Cause::LostWorker, format!("SageMaker failed, not the training: {text}")),
        "ResourceLimitExceeded" => (Cause::Configuration, format!("a limit of the account: {reason}")),
        _ if reason.is_empty() => (Cause::LostWorker, "SageMaker does not say why".to_owned()),
        _ => (Cause::LostWorker, format!("SageMaker says: {reason}")),
    }
}

/// Reads `<what output/failure said>, exit code: 1`.
fn of_command(spec: &TrainingSpec, text: &str, tail: &[String]) -> (Cause, String) {
    let (said, code) = match text.rsplit_once("exit code:") {
        Some((said, code)) => (said, code.trim().trim_end_matches('.').parse::<i32>().ok()),
        None => (text, None),
    };
    let said = said.trim().trim_end_matches([',', '.']).trim();
    let said = (!said.is_empty()).then(|| said.to_owned());
    let code_folder = format!("{ML}/code");
    let failure = Failure {
        exit: Exit::Code(code.unwrap_or(1)),
        command: what_ran(spec),
        tail,
        said,
        code: Path::new(&code_folder),
        disk_full: false,
    };
    failure.explain()
}

/// Returns what a person would call the thing that ran.
pub(super) fn what_ran(spec: &TrainingSpec) -> &str {
    spec.settings.command.as_deref().or(spec.settings.image.as_deref()).unwrap_or("the container")
}

/// A `ClientError` is never retried automatically. Only how its text begins, which SageMaker writes itself, tells data
/// from settings: what follows may quote names that anybody chose.
fn of_client(text: &str) -> Cause {
    if text.starts_with("Data download failed") { Cause::Data } else { Cause::Configuration }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
