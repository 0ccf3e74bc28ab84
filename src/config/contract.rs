//! Whether the names of one training stage survive the training contract: no two channels or hyperparameters share a
//! variable, and none is a name that the command could never read. Checked once stage and model have met, because a
//! stage may add the second of two names.

use crate::config::problem::quoted;
use crate::config::resolve::Inquiry;
use crate::config::route::Route;
use crate::model::contract;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::settings::TrainingSettings;
use std::collections::BTreeMap;

/// Says which names of a training stage meet.
pub(in crate::config) fn names(
    inquiry: &mut Inquiry<'_>,
    model: &ModelName,
    stage: &StageName,
    settings: &TrainingSettings,
) {
    let channels: Vec<&str> = settings.data.keys().map(|channel| channel.as_str()).collect();
    let parameters: Vec<&str> = settings.hyperparameters.keys().map(String::as_str).collect();
    let own = Route::model(model);
    let overlay = own.key("stages").key(stage.as_str()).key("train");
    for (key, what, prefix, names) in [
        ("data", "channels", contract::CHANNEL, channels),
        ("hyperparameters", "hyperparameters", contract::HYPERPARAMETER, parameters),
    ] {
        let mut known: BTreeMap<String, &str> = BTreeMap::new();
        for name in names {
            let variable = contract::portable(prefix, name);
            let Some(other) = known.get(&variable) else {
                known.insert(variable, name);
                continue;
            };
            let written = overlay.key(key).key(name);
            let route = if inquiry.is_written(&written) { written } else { own.key("train").key(key).key(name) };
            if !inquiry.is_damaged(&route) {
                let message =
                    format!("the {what} {} and {} both become {}", quoted(other), quoted(name), quoted(&variable));
                inquiry.say_of_key(&route, message, "rename one of the two");
            }
        }
    }
}
