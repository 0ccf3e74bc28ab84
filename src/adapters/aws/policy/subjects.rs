//! Which jobs may take on which role: the subjects of their identity tokens. Pure.

use crate::adapters::aws::policy::Trust;
use crate::config::Config;
use crate::model::stage::Does;
use crate::model::stage::Stage;

/// The subjects of a stage's jobs.
pub(super) fn subjects_of(trust: &Trust, stage: &Stage) -> Vec<String> {
    let patterns: Vec<String> = stage.branches.clone().into();
    let refs = patterns.iter().filter(|pattern| !pattern.starts_with('!')).map(|pattern| as_iam(pattern));
    let mut subjects: Vec<String> =
        refs.map(|branch| format!("{}:ref:refs/heads/{branch}", trust.subject_prefix)).collect();
    subjects.push(format!("{}:environment:{}", trust.subject_prefix, stage.name));
    subjects
}

/// Who may only read: pull requests, and jobs that train, which compare with what stands elsewhere.
pub(super) fn reading_subjects(config: &Config, trust: &Trust) -> Vec<String> {
    let mut subjects = vec![format!("{}:pull_request", trust.subject_prefix)];
    let training = config.stages.iter().filter(|stage| matches!(stage.does, Does::Train { .. }));
    subjects.extend(training.flat_map(|stage| subjects_of(trust, stage)));
    subjects
}

/// Writes a pattern of branches as IAM does: there, `*` crosses slashes.
pub(super) fn as_iam(pattern: &str) -> String {
    let mut text = pattern.replace("**", "*");
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    // What only GitHub knows (`[a-z]`, `+`) becomes any text: who may push such a branch is GitHub's to say.
    match text.find(['[', '+', '\\', '?']) {
        Some(at) => format!("{}*", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
