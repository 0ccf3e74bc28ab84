//! How a registered model is served.

use crate::config::cloud::names;
use crate::config::cloud::names::shaped;
use crate::config::cloud::names::shaped_list;
use crate::config::cloud::raw::RawServe;
use crate::config::problem::quoted;
use crate::config::resolve::Inquiry;
use crate::config::route::Route;
use crate::config::shape::name;
use crate::model::cloud::Serve;

/// Most variables of a serving container, and most characters of a name or a value.
const VARIABLES: usize = 16;
const VARIABLE: usize = 1024;

/// Resolves `serve`; `None` where it is absent or lacks what it needs.
pub(in crate::config) fn resolve(inquiry: &mut Inquiry<'_>, route: &Route, raw: Option<&RawServe>) -> Option<Serve> {
    let raw = raw?;
    let image = shaped(inquiry, &route.key("image"), raw.image.as_deref(), names::image);
    let mut types = |key: &str, texts: &Option<Vec<String>>| {
        let at = route.key(key);
        let found = shaped_list(inquiry, &at, texts.as_deref(), names::content_type);
        if texts.as_ref().is_some_and(Vec::is_empty) && !inquiry.is_damaged(&at) {
            inquiry.say(&at, format!("{} is empty", name(&at)), "name a type, as in `[text/csv]`");
        }
        found
    };
    let content_types = types("content_types", &raw.content_types);
    let response_types = types("response_types", &raw.response_types);
    let mut machines = |key: &str, texts: &Option<Vec<String>>| {
        shaped_list(inquiry, &route.key(key), texts.as_deref(), names::machine).unwrap_or_default()
    };
    let realtime_instances = machines("realtime_instances", &raw.realtime_instances);
    let transform_instances = machines("transform_instances", &raw.transform_instances);
    let environment = raw.environment.clone().unwrap_or_default();
    let at = route.key("environment");
    if environment.len() > VARIABLES {
        inquiry.say_of_key(
            &at,
            format!("{} has {} variables, and SageMaker takes {VARIABLES}", name(&at), environment.len()),
            "put the rest into a file of the model",
        );
    }
    for (key, value) in &environment {
        let below = at.key(key);
        let begins = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || key.len() > VARIABLE || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            inquiry.say_of_key(
                &below,
                format!("{} cannot be the name of an environment variable", quoted(key)),
                "a name has letters, digits and `_`, and does not begin with a digit",
            );
        } else if value.len() > VARIABLE || value.contains('\0') {
            inquiry.say(
                &below,
                format!("{} is longer than {VARIABLE} bytes, or not text", name(&below)),
                "put it into a file of the model",
            );
        }
    }
    Some(Serve {
        image: image?,
        content_types: content_types?,
        response_types: response_types.unwrap_or_default(),
        environment,
        realtime_instances,
        transform_instances,
    })
}
