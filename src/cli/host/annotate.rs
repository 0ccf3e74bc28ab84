//! Which line of the configuration said no: the place that a reason points at.

use crate::config::Config;
use crate::config::Route;
use crate::model::name::ModelName;
use crate::outcome::Outcome;
use crate::plan::gate::Answer;
use crate::plan::reason::Reason;

/// A line of the configuration, and what it said.
pub(super) struct Pointed {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) title: String,
    pub(super) message: String,
}

/// Finds the lines that said no.
pub(super) fn pointed(config: &Config, outcome: &Outcome) -> Vec<Pointed> {
    let mut found = Vec::new();
    for reason in &outcome.reasons {
        found.extend(at(config, routes(None, reason), reason, None));
    }
    for model in &outcome.models {
        for reason in &model.reasons {
            found.extend(at(config, routes(Some(&model.model), reason), reason, Some(&model.model)));
        }
    }
    found
}

fn at(config: &Config, routes: Vec<Route>, reason: &Reason, model: Option<&ModelName>) -> Vec<Pointed> {
    routes
        .iter()
        .filter_map(|route| {
            let (file, line, _) = config.place(route)?;
            let title = model.map_or_else(|| reason.code().to_owned(), |model| format!("{model}: {}", reason.code()));
            Some(Pointed { file: file.to_owned(), line, title, message: reason.message() })
        })
        .collect()
}

fn routes(model: Option<&ModelName>, reason: &Reason) -> Vec<Route> {
    match (model, reason) {
        (Some(model), Reason::GateFailed { results, .. }) => {
            let failed = results.iter().filter(|result| result.answer != Answer::Pass);
            failed.map(|result| Route::gate(model, &result.metric)).collect()
        }
        (Some(model), Reason::MissingPaths { .. }) => vec![Route::paths(model)],
        (Some(model), Reason::CommandFileUnusable { .. }) => vec![Route::model(model).key("train").key("command")],
        (Some(model), Reason::MissingData { .. }) => vec![Route::model(model).key("train").key("data")],
        (_, Reason::LimitReached { limit, .. }) => {
            vec![Route::of(&limit.split('.').collect::<Vec<_>>())]
        }
        (Some(model), Reason::MissingImage(_)) => vec![Route::model(model).key("train").key("image")],
        (Some(model), Reason::InstanceNotAllowed(_)) => vec![Route::model(model).key("train").key("instance")],
        (Some(model), Reason::TagsRequired(_)) => vec![Route::model(model).key("train").key("tags")],
        (Some(model), Reason::VpcRequired(_) | Reason::KmsRequired(_)) => vec![Route::model(model).key("train")],
        (_, Reason::ReviewRequired { .. }) => vec![Route::of(&["require_review"])],
        (_, Reason::NotPermitted { .. }) => vec![Route::of(&["permissions"])],
        _ => Vec::new(),
    }
}
