//! Names that people choose (project, model, stage, target, channel) and names derived from them (groups,
//! trainings), with the one rule that keeps two different names from ever meeting.

use crate::model::digest::Sha256Digest;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// Longest name of a group or a training, in bytes: the limit of a SageMaker model package group and of a
/// training job name.
pub const REMOTE_NAME_LIMIT: usize = 63;

/// A name that is not `[A-Za-z0-9][A-Za-z0-9._-]*`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what} name: use letters, digits, `.`, `_` and `-`, starting with a letter or digit")]
pub struct NameError {
    what: &'static str,
    text: String,
}

macro_rules! chosen_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses a name, or says what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                if is_chosen_name(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { what: $what, text: text.to_owned() })
                }
            }

            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

chosen_name!(
    /// The name of the whole configuration: the first part of every derived name.
    ProjectName,
    "project"
);
chosen_name!(
    /// A thing that the repository trains.
    ModelName,
    "model"
);
chosen_name!(
    /// A named rung between a feature branch and production.
    StageName,
    "stage"
);
chosen_name!(
    /// What a group serves: `feature`, `dev`, `prod`, `champion`, `challenger`.
    TargetName,
    "target"
);
chosen_name!(
    /// A named input of training, mounted at `input/data/<channel>`.
    ChannelName,
    "channel"
);

fn is_chosen_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && text.len() <= 128
}

/// The name of a model group: 1 to 63 of `[a-zA-Z0-9-]`, never starting or ending with `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

impl GroupName {
    /// Derives `<project>-<model>-<target>`, leaving the model out where it equals the project.
    ///
    /// Where sanitising or shortening changed the text, a short hash of the exact parts is appended, so that
    /// two different triples never share a name.
    pub fn derive(project: &ProjectName, model: &ModelName, target: &TargetName) -> Self {
        let mut parts = vec![project.as_str()];
        if model.as_str() != project.as_str() {
            parts.push(model.as_str());
        }
        parts.push(target.as_str());
        Self(derived(&parts, REMOTE_NAME_LIMIT))
    }

    /// Parses a name given in full by a person or by the rules.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let legal = !text.is_empty()
            && text.len() <= REMOTE_NAME_LIMIT
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if legal {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError { what: "group (1 to 63 of letters, digits and `-`)", text: text.to_owned() })
        }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for GroupName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> String {
        name.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of one training attempt: `<project>-<model>-<stage>-<fingerprint 12>-<attempt>`, at most 63.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrainingName(String);

impl TrainingName {
    /// Derives the name. The tail (fingerprint and attempt) is always kept whole.
    pub fn derive(
        project: &ProjectName,
        model: &ModelName,
        stage: &StageName,
        fingerprint: &Sha256Digest,
        attempt: u32,
    ) -> Self {
        let tail = format!("-{}-{attempt}", fingerprint.short());
        let mut parts = vec![project.as_str()];
        if model.as_str() != project.as_str() {
            parts.push(model.as_str());
        }
        parts.push(stage.as_str());
        let head = derived(&parts, REMOTE_NAME_LIMIT - tail.len());
        Self(format!("{head}{tail}"))
    }

    /// Takes a name that a trainer reported. It is only ever compared and shown.
    pub fn reported(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrainingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Joins the parts with `-` into at most `limit` characters of `[a-zA-Z0-9-]`.
///
/// The parts themselves may contain `-`, so `a-b` + `c` and `a` + `b-c` join to the same text. Neither is
/// marked: a person who names a project `a` with a model `b-c` beside a project `a-b` with a model `c` means
/// two repositories, and a group refuses a second repository.
fn derived(parts: &[&str], limit: usize) -> String {
    let joined = parts.join("-");
    let mut clean = String::with_capacity(joined.len());
    for c in joined.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '-' };
        if !(c == '-' && clean.ends_with('-')) {
            clean.push(c);
        }
    }
    let clean = clean.trim_matches('-');
    if clean == joined && clean.len() <= limit {
        return joined;
    }
    // NUL cannot occur in a part, so different parts never hash alike.
    let hash = Sha256Digest::of(parts.join("\0").as_bytes());
    let mark = &hash.as_str()[..8];
    let room = limit - mark.len() - 1;
    let cut = clean[..clean.len().min(room)].trim_end_matches('-');
    format!("{cut}-{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group(project: &str, model: &str, target: &str) -> String {
        GroupName::derive(
            &ProjectName::parse(project).expect("project"),
            &ModelName::parse(model).expect("model"),
            &TargetName::parse(target).expect("target"),
        )
        .to_string()
    }

    #[test]
    fn a_model_named_like_its_project_is_left_out() {
        assert_eq!(group("churn", "churn", "dev"), "churn-dev");
        assert_eq!(group("risk", "churn", "prod"), "risk-churn-prod");
    }

    #[test]
    fn sanitised_names_never_meet() {
        assert_ne!(group("a_b", "a_b", "dev"), group("a-b", "a-b", "dev"));
        assert_ne!(group("a.b", "a.b", "dev"), group("a_b", "a_b", "dev"));
    }

    proptest! {
        #[test]
        fn any_legal_parts_give_a_legal_name(
            project in "[A-Za-z0-9][A-Za-z0-9._-]{0,100}",
            model in "[A-Za-z0-9][A-Za-z0-9._-]{0,100}",
            target in "[A-Za-z0-9][A-Za-z0-9._-]{0,100}",
        ) {
            let name = group(&project, &model, &target);
            prop_assert!(GroupName::parse(&name).is_ok(), "{name}");
            let training = TrainingName::derive(
                &ProjectName::parse(&project).expect("project"),
                &ModelName::parse(&model).expect("model"),
                &StageName::parse(&target).expect("stage"),
                &Sha256Digest::of(b"x"),
                3,
            );
            prop_assert!(GroupName::parse(training.as_str()).is_ok(), "{training}");
        }

        #[test]
        fn different_projects_give_different_names(
            a in "[A-Za-z0-9][A-Za-z0-9._]{0,70}",
            b in "[A-Za-z0-9][A-Za-z0-9._]{0,70}",
        ) {
            prop_assume!(a != b);
            prop_assert_ne!(group(&a, "m", "dev"), group(&b, "m", "dev"));
        }
    }
}
