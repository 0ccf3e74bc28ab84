//! What a person filled in, from text to a command: each input checked, each mistake named with what would do.
//!
//! Host-neutral: a form on the host and the options of the command line end here alike.

use crate::event::command::Action;
use crate::event::command::Command;
use crate::event::command::GroupChoice;
use crate::event::command_text::CommitText;
use crate::event::command_text::GroupText;
use crate::event::command_text::Reason;
use crate::event::shown;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::version::VersionNumber;

/// What a person filled in, still as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandInputs {
    /// One of [`Action::ALL`].
    pub action: Option<String>,
    /// A model.
    pub model: Option<String>,
    /// A group in full, or its target where `model` says whose.
    pub group: Option<String>,
    /// For `promote`: the group to copy from.
    pub from: Option<String>,
    /// For `promote`: the group to copy to, as `group` does too. For `rollback`: a version, as `version` does too.
    pub to: Option<String>,
    /// The number of a version, with or without a `v`.
    pub version: Option<String>,
    /// One sentence for the history.
    pub reason: Option<String>,
    /// A commit, all of it or its first 7 or more digits.
    pub commit: Option<String>,
    /// A stage.
    pub stage: Option<String>,
    /// The number of a pull request, with or without a `#`.
    pub pull_request: Option<String>,
    /// For `train`: `true` or `false`.
    pub again: Option<String>,
    /// For `prune`: `true` or `false`.
    pub yes: Option<String>,
}

impl CommandInputs {
    /// Takes the inputs from a look-up by name.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            action: lookup("action"),
            model: lookup("model"),
            group: lookup("group"),
            from: lookup("from"),
            to: lookup("to"),
            version: lookup("version"),
            reason: lookup("reason"),
            commit: lookup("commit"),
            stage: lookup("stage"),
            pull_request: lookup("pull_request"),
            again: lookup("again"),
            yes: lookup("yes"),
        }
    }

    /// Returns the first input beside `action` that says something. An unticked box says nothing.
    fn first_given(&self) -> Option<&'static str> {
        let ticked = |value: &Option<String>| given(value).is_some_and(|text| !text.eq_ignore_ascii_case("false"));
        [
            ("model", given(&self.model).is_some()),
            ("group", given(&self.group).is_some()),
            ("from", given(&self.from).is_some()),
            ("to", given(&self.to).is_some()),
            ("version", given(&self.version).is_some()),
            ("reason", given(&self.reason).is_some()),
            ("commit", given(&self.commit).is_some()),
            ("stage", given(&self.stage).is_some()),
            ("pull_request", given(&self.pull_request).is_some()),
            ("again", ticked(&self.again)),
            ("yes", ticked(&self.yes)),
        ]
        .into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
    }

    fn refuse_ignored(&self, action: Action) -> Result<(), CommandError> {
        let narrowing = [
            ("version", given(&self.version).is_some()),
            ("commit", given(&self.commit).is_some()),
            ("pull_request", given(&self.pull_request).is_some()),
            ("again", flag("again", &self.again)?),
        ];
        match narrowing.into_iter().find(|(name, is_given)| *is_given && !action.heeds(name)) {
            Some((input, _)) => Err(CommandError::Ignored { action, input }),
            None => Ok(()),
        }
    }

    fn model(&self) -> Result<Option<ModelName>, CommandError> {
        let parse = |text: &str| ModelName::parse(text).map_err(|_| illegal("model", text, NAME_ACCEPTS));
        given(&self.model).map(parse).transpose()
    }

    fn stage(&self) -> Result<Option<StageName>, CommandError> {
        let parse = |text: &str| StageName::parse(text).map_err(|_| illegal("stage", text, NAME_ACCEPTS));
        given(&self.stage).map(parse).transpose()
    }

    fn commit(&self) -> Result<Option<CommitText>, CommandError> {
        given(&self.commit).map(CommitText::parse).transpose()
    }

    fn reason(&self) -> Result<Option<Reason>, CommandError> {
        given(&self.reason).map(Reason::parse).transpose()
    }

    fn pull_request(&self) -> Result<Option<u64>, CommandError> {
        let parse = |text: &str| {
            let digits = text.strip_prefix('#').unwrap_or(text);
            positive(digits).ok_or_else(|| illegal("pull_request", text, "the number of a pull request, such as `71`"))
        };
        given(&self.pull_request).map(parse).transpose()
    }

    fn group_choice(&self, action: Action, model: Option<ModelName>) -> Result<GroupChoice, CommandError> {
        let group = required(action, "group", group("group", &self.group)?, GROUP_ACCEPTS)?;
        Ok(GroupChoice { group, model })
    }
}

impl Command {
    /// Builds a command out of what a person filled in. White space around a value does not count, and an
    /// empty value is one that was not given.
    pub fn from_inputs(inputs: &CommandInputs) -> Result<Self, CommandError> {
        let Some(text) = given(&inputs.action) else {
            return match inputs.first_given() {
                Some(input) => Err(CommandError::NoAction { input }),
                None => Ok(Self::Run),
            };
        };
        let action = Action::parse(text)?;
        inputs.refuse_ignored(action)?;
        let model = inputs.model()?;
        let reason = inputs.reason()?;
        match action {
            Action::Run => Ok(Self::Run),
            Action::Train => {
                let again = flag("again", &inputs.again)?;
                if again && reason.is_none() {
                    return Err(missing(action, "reason", "a sentence why the same training is paid for again"));
                }
                Ok(Self::Train { model, commit: inputs.commit()?, again, reason })
            }
            Action::Promote => {
                let to = match (group("to", &inputs.to)?, group("group", &inputs.group)?) {
                    (Some(to), Some(other)) if to != other => {
                        return Err(CommandError::Conflict { first: "to", second: "group" });
                    }
                    (Some(to), _) | (None, Some(to)) => to,
                    (None, None) => return Err(missing(action, "to", GROUP_ACCEPTS)),
                };
                let from = group("from", &inputs.from)?;
                Ok(Self::Promote { model, from, to, version: version("version", &inputs.version)?, reason })
            }
            Action::Approve => {
                let version = required(action, "version", version("version", &inputs.version)?, VERSION_ACCEPTS)?;
                Ok(Self::Approve { group: inputs.group_choice(action, model)?, version, reason })
            }
            Action::Reject => {
                let version = required(action, "version", version("version", &inputs.version)?, VERSION_ACCEPTS)?;
                let reason = required(action, "reason", reason, REASON_ACCEPTS)?;
                Ok(Self::Reject { group: inputs.group_choice(action, model)?, version, reason })
            }
            Action::Rollback => {
                let to = match (version("to", &inputs.to)?, version("version", &inputs.version)?) {
                    (Some(to), Some(other)) if to != other => {
                        return Err(CommandError::Conflict { first: "to", second: "version" });
                    }
                    (to, other) => to.or(other),
                };
                let reason = required(action, "reason", reason, REASON_ACCEPTS)?;
                Ok(Self::Rollback { group: inputs.group_choice(action, model)?, to, reason })
            }
            Action::Freeze => {
                let reason = required(action, "reason", reason, REASON_ACCEPTS)?;
                Ok(Self::Freeze { group: inputs.group_choice(action, model)?, reason })
            }
            Action::Unfreeze => {
                let reason = required(action, "reason", reason, REASON_ACCEPTS)?;
                Ok(Self::Unfreeze { group: inputs.group_choice(action, model)?, reason })
            }
            Action::Repin => Ok(Self::Repin { pull_request: inputs.pull_request()?, model, reason }),
            Action::Reconcile => Ok(Self::Reconcile { stage: inputs.stage()? }),
            Action::Prune => Ok(Self::Prune { yes: flag("yes", &inputs.yes)? }),
        }
    }
}

/// An input that a person filled in wrongly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nobody knows such an action.
    #[error("input `action`: there is no action `{text}`{}; use one of {}", did_you_mean(.nearest), all_actions())]
    UnknownAction {
        /// What was written, shortened.
        text: String,
        /// The action that was probably meant.
        nearest: Option<Action>,
    },
    /// Something was filled in, but not what to do.
    #[error("input `action` is empty although `{input}` is given; use one of {}", all_actions())]
    NoAction {
        /// What was given.
        input: &'static str,
    },
    /// An input is missing that the action cannot do without.
    #[error("input `{input}` is missing: `{action}` needs {accepts}")]
    Missing {
        /// The action.
        action: Action,
        /// The input.
        input: &'static str,
        /// What to give.
        accepts: &'static str,
    },
    /// An input holds what it cannot hold.
    #[error("input `{input}`: `{text}` is not {accepts}")]
    Illegal {
        /// The input.
        input: &'static str,
        /// What it holds, shortened.
        text: String,
        /// What it accepts.
        accepts: &'static str,
    },
    /// Two inputs say the same thing differently.
    #[error("inputs `{first}` and `{second}` mean the same here and differ; give one of them")]
    Conflict {
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// An input that narrows what to act on was given to an action that would act on more.
    #[error("input `{input}` means nothing to `{action}`, which would act without it; leave it empty")]
    Ignored {
        /// The action.
        action: Action,
        /// The input.
        input: &'static str,
    },
}

const NAME_ACCEPTS: &str = "a name of letters, digits, `.`, `_` and `-` that starts with a letter or digit";
pub(super) const GROUP_ACCEPTS: &str = "the full name of a group, or a target such as `prod` together with `model`";
const VERSION_ACCEPTS: &str = "the number of a version, such as `12` or `v12`";
const REASON_ACCEPTS: &str = "a sentence that the history keeps";

fn did_you_mean(nearest: &Option<Action>) -> String {
    nearest.map(|action| format!(" (did you mean `{action}`?)")).unwrap_or_default()
}

fn all_actions() -> String {
    Action::ALL.map(|action| format!("`{action}`")).join(", ")
}

fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

fn missing(action: Action, input: &'static str, accepts: &'static str) -> CommandError {
    CommandError::Missing { action, input, accepts }
}

pub(super) fn illegal(input: &'static str, text: &str, accepts: &'static str) -> CommandError {
    CommandError::Illegal { input, text: shown(text), accepts }
}

fn required<T>(
    action: Action,
    input: &'static str,
    value: Option<T>,
    accepts: &'static str,
) -> Result<T, CommandError> {
    value.ok_or_else(|| missing(action, input, accepts))
}

fn group(input: &'static str, value: &Option<String>) -> Result<Option<GroupText>, CommandError> {
    given(value).map(|text| GroupText::parse_input(input, text)).transpose()
}

fn version(input: &'static str, value: &Option<String>) -> Result<Option<VersionNumber>, CommandError> {
    let parse = |text: &str| {
        let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let number = positive(digits).and_then(|number| u32::try_from(number).ok());
        number.map(VersionNumber).ok_or_else(|| illegal(input, text, VERSION_ACCEPTS))
    };
    given(value).map(parse).transpose()
}

fn flag(input: &'static str, value: &Option<String>) -> Result<bool, CommandError> {
    match given(value).map(str::to_ascii_lowercase).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(illegal(input, other, "`true` or `false`")),
    }
}

/// Parses a number from 1, of digits only: Rust's own parser would take a sign.
fn positive(digits: &str) -> Option<u64> {
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number.filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::dispatch::FORM_INPUTS;
    use proptest::prelude::*;

    fn inputs(pairs: &[(&str, &str)]) -> CommandInputs {
        CommandInputs::from_lookup(|name| {
            pairs.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn command(pairs: &[(&str, &str)]) -> Result<Command, CommandError> {
        Command::from_inputs(&inputs(pairs))
    }

    #[test]
    fn ten_inputs_are_enough_for_every_action() {
        let values = [
            ("model", "churn"),
            ("group", "prod"),
            ("from", "dev"),
            ("version", "12"),
            ("reason", "because"),
            ("commit", "4d5e0ff"),
            ("stage", "prod"),
            ("again", "true"),
            ("yes", "true"),
        ];
        for action in Action::ALL {
            let mut pairs = vec![("action", action.as_str())];
            pairs.extend(values.into_iter().filter(|(name, _)| action.heeds(name)));
            assert!(pairs.iter().all(|(name, _)| FORM_INPUTS.contains(name)));
            let command = command(&pairs).expect("a command");
            assert_eq!(command.action(), action);
            let keeps_reason = !matches!(action, Action::Run | Action::Reconcile | Action::Prune);
            assert_eq!(command.reason().map(Reason::as_str), keeps_reason.then_some("because"));
        }
    }

    #[test]
    fn an_unticked_box_is_not_an_order() {
        assert_eq!(command(&[("action", ""), ("again", "false"), ("yes", "false")]), Ok(Command::Run));
        assert_eq!(command(&[("yes", "true")]), Err(CommandError::NoAction { input: "yes" }));
        assert_eq!(command(&[("action", "prune")]), Ok(Command::Prune { yes: false }));
    }

    #[test]
    fn what_would_be_passed_over_is_refused() {
        for (action, input, value) in [
            ("freeze", "version", "3"),
            ("promote", "commit", "4d5e0ff"),
            ("rollback", "again", "true"),
            ("train", "pull_request", "71"),
            ("run", "commit", "4d5e0ff"),
        ] {
            let result = command(&[("action", action), (input, value), ("group", "prod"), ("reason", "x")]);
            assert!(matches!(result, Err(CommandError::Ignored { input: said, .. }) if said == input), "{action}");
        }
    }

    #[test]
    fn a_rollback_takes_its_version_from_either_input() {
        let given = [("action", "rollback"), ("group", "prod"), ("reason", "x")];
        let to = |extra: &[(&str, &str)]| match command(&[&given, extra].concat()) {
            Ok(Command::Rollback { to, .. }) => to.map(|number| number.0),
            other => panic!("{other:?}"),
        };
        assert_eq!(to(&[]), None);
        assert_eq!(to(&[("version", "5")]), Some(5));
        assert_eq!(to(&[("to", "v5")]), Some(5));
        assert_eq!(to(&[("to", "v5"), ("version", "5")]), Some(5));
        let both = command(&[&given[..], &[("to", "4"), ("version", "5")]].concat());
        assert_eq!(both, Err(CommandError::Conflict { first: "to", second: "version" }));
    }

    #[test]
    fn versions_are_counted_from_one() {
        for text in ["0", "v0", "+1", "-1", "1.0", "v", "vv1", "4294967296", "0x1", "١"] {
            let result = version("version", &Some(text.to_owned()));
            assert!(matches!(result, Err(CommandError::Illegal { input: "version", .. })), "{text}");
        }
        assert_eq!(version("version", &Some(" V012 ".to_owned())), Ok(Some(VersionNumber(12))));
    }

    #[test]
    fn a_near_miss_is_named_and_a_far_one_is_not() {
        let nearest = |text: &str| match Action::parse(text) {
            Err(CommandError::UnknownAction { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest("rolback"), Some(Action::Rollback));
        assert_eq!(nearest("aprove"), Some(Action::Approve));
        assert_eq!(nearest("tarin"), Some(Action::Train));
        assert_eq!(nearest("deploy"), None);
        assert_eq!(nearest(&"a".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn any_inputs_give_a_command_or_an_error_that_names_an_input(
            action in prop::sample::select(&Action::ALL[..]),
            name in prop::sample::select(&FORM_INPUTS[1..]),
            value: String,
        ) {
            let pairs = [("action", action.as_str()), (name, value.as_str())];
            if let Err(error) = command(&pairs) {
                let sentence = error.to_string();
                prop_assert!(sentence.starts_with("input"), "{sentence}");
                prop_assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
            }
        }

        #[test]
        fn a_reason_is_one_line(text: String) {
            if let Ok(reason) = Reason::parse(&text) {
                prop_assert!(!reason.as_str().is_empty() && !reason.as_str().chars().any(char::is_control));
            }
        }
    }
}
