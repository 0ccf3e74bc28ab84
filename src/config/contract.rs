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
    lengths(inquiry, model, stage, settings);
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

/// The longest text that Linux hands to a program as one argument or variable, with its name and its end (128 KiB).
const LONGEST: usize = 128 << 10;

/// The most that all hyperparameters of a stage have together as JSON: one variable holds them, beside other things.
const HYPERPARAMETERS: usize = 96 << 10;

/// The most that the command and all declared variables have together. Linux has room for about 2 MiB, in which the
/// hyperparameters stand several times.
const ALL: usize = 1 << 20;

/// Says what no program could be started with.
fn lengths(inquiry: &mut Inquiry<'_>, model: &ModelName, stage: &StageName, settings: &TrainingSettings) {
    let own = Route::model(model);
    let overlay = own.key("stages").key(stage.as_str()).key("train");
    let place = |inquiry: &Inquiry<'_>, below: &dyn Fn(Route) -> Route| {
        let written = below(overlay.clone());
        if inquiry.is_written(&written) { written } else { below(own.key("train")) }
    };
    let hint = "write it to a file of the model's `paths`, and name the file instead";
    let command = settings.command.as_ref().map_or(0, String::len);
    if command >= LONGEST {
        let route = place(inquiry, &|train| train.key("command"));
        say(
            inquiry,
            &route,
            format!("the command has {command} bytes, and Linux starts none of {LONGEST} or more"),
            hint,
        );
    }
    let mut all = command;
    for (name, value) in &settings.environment {
        let length = name.len() + value.len() + 2;
        all += length;
        if length > LONGEST {
            let route = place(inquiry, &|train| train.key("environment").key(name));
            let message = format!("{} has {} bytes, more than Linux hands to a program", quoted(name), value.len());
            say(inquiry, &route, message, hint);
        }
    }
    if all > ALL {
        let route = place(inquiry, &|train| train.key("environment"));
        let message = format!("command and variables have {all} bytes together, more than Linux hands to a program");
        say(inquiry, &route, message, hint);
    }
    let as_json = |text: &str| serde_json::Value::from(text).to_string().len();
    let together: usize = settings.hyperparameters.iter().map(|(name, value)| as_json(name) + as_json(value) + 2).sum();
    if together > HYPERPARAMETERS {
        let route = place(inquiry, &|train| train.key("hyperparameters"));
        let message = format!(
            "the hyperparameters have {together} bytes together as JSON, more than the {HYPERPARAMETERS} that fit into SM_HPS"
        );
        say(inquiry, &route, message, hint);
    }
}

fn say(inquiry: &mut Inquiry<'_>, route: &Route, message: String, hint: &str) {
    if !inquiry.is_damaged(route) {
        inquiry.say_of_key(route, message, hint);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::SourceText;
    use crate::config::load;

    /// What is wrong with a training whose `train` has these further lines.
    fn problems(train: &str) -> String {
        let text = format!(
            "version: 1\nproject: p\nmodels:\n  m:\n    paths: [train.sh]\n    train:\n      data: none\n      {train}\n"
        );
        let source = SourceText::new("branchline.yaml", text);
        load(&source, &source).err().map_or_else(String::new, |problems| format!("{problems:?}"))
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        let (long, part) = ("x".repeat(133_120), "x".repeat(30_000));
        let command = "command: sh train.sh";
        assert!(problems(&format!("{command} {long}")).contains("the command has"));
        assert!(problems(&format!("{command}\n      environment: {{ BIG: {long} }}")).contains("than Linux hands"));
        assert!(problems(&format!("{command}\n      hyperparameters: {{ big: {long} }}")).contains("SM_HPS"));
        let five = (0..5).map(|number| format!("h{number}: {part}")).collect::<Vec<_>>().join(", ");
        assert!(problems(&format!("{command}\n      hyperparameters: {{ {five} }}")).contains("SM_HPS"));
        let fine = format!("{command}\n      environment: {{ A: {part} }}\n      hyperparameters: {{ a: {part} }}");
        assert_eq!(problems(&fine), "");
    }
}
