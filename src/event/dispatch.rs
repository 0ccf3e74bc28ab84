//! Events that somebody or something sends on purpose: `workflow_dispatch`, `repository_dispatch`, `schedule`.

use crate::event::BranchHead;
use crate::event::EventKind;
use crate::event::command::Command;
use crate::event::command_inputs::CommandInputs;
use crate::event::error::EventError;
use crate::event::fields::Fields;
use crate::event::fields::is_zeros;
use crate::event::not_ours::NotOurs;
use crate::event::push::Reference;
use crate::event::variables::RunnerVariables;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::TrainingName;
use crate::model::variables as names;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// The inputs that a form needs so that every command can be given: ten, because GitHub long took no more.
///
/// `to` and `pull_request` are understood as well. A form does without them: `group` says where a promotion goes,
/// `version` what a rollback brings back, and the branch which pull request is meant.
pub const FORM_INPUTS: [&str; 10] =
    ["action", "model", "group", "from", "version", "reason", "commit", "stage", "again", "yes"];

/// Something that happened in the cloud: a reason to look, and nothing to believe.
///
/// Whoever holds a token may send one, so it only says where to look first. What is true is read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// What is said to have happened. It goes into the lineage.
    pub cause: HintCause,
    /// The training that is said to be concerned. A name that no training can have is left out.
    pub training: Option<TrainingName>,
    /// The group that is said to be concerned.
    pub group: Option<GroupName>,
    /// The model that is said to be concerned.
    pub model: Option<ModelName>,
}

/// What is said to have happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HintCause {
    /// A training ended.
    TrainingFinished,
    /// Somebody approved or rejected a version elsewhere.
    ApprovalChanged,
    /// A deployed model sees other data than it was trained with.
    Drift,
    /// There are new data.
    NewData,
    /// Something else, in the sender's words.
    Other(String),
}

impl HintCause {
    /// Reads an event type. Case, and `_` for `-`, make no difference.
    fn parse(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().replace('_', "-").as_str() {
            "training-finished" => Self::TrainingFinished,
            "approval-changed" => Self::ApprovalChanged,
            "drift" => Self::Drift,
            "new-data" => Self::NewData,
            _ => Self::Other(text.to_owned()),
        }
    }
}

impl fmt::Display for HintCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrainingFinished => f.write_str("training finished"),
            Self::ApprovalChanged => f.write_str("approval changed"),
            Self::Drift => f.write_str("drift"),
            Self::NewData => f.write_str("new data"),
            Self::Other(text) => write!(f, "`{}`", crate::event::shown(text)),
        }
    }
}

/// Reads a `workflow_dispatch`, and on which branch it was started.
///
/// No action at all is a plain run: as if the branch had been pushed.
pub(super) fn workflow_dispatch(
    variables: &RunnerVariables,
    fields: &Fields<'_>,
) -> Result<(EventKind, Option<BranchHead>), EventError> {
    let inputs = inputs(fields)?;
    let command =
        Command::from_inputs(&inputs).map_err(|source| EventError::Usage { event: fields.event(), source })?;
    // The runner's word comes first: callers of the API may give a short name, and the payload repeats it.
    let reference = match (variables.reference(), fields.text("ref")?) {
        (Some(text), _) => Some(Reference::parse(fields, names::GITHUB_REF, &text)?),
        (None, Some(text)) => Some(Reference::parse(fields, "ref", text)?),
        (None, None) => None,
    };
    let is_run = matches!(command, Command::Run);
    let branch = match reference {
        Some(Reference::Branch(branch)) => Some(branch),
        Some(Reference::MergeQueue(branch)) if is_run => {
            return Ok((EventKind::NotOurs(NotOurs::MergeQueueBranch { branch }), None));
        }
        Some(Reference::Tag(tag)) if is_run => return Ok((EventKind::NotOurs(NotOurs::Tag { tag }), None)),
        Some(Reference::Other(reference)) if is_run => {
            return Ok((EventKind::NotOurs(NotOurs::OtherReference { reference }), None));
        }
        None if is_run => return Err(fields.missing("ref", Some(names::GITHUB_REF))),
        // The other commands name what they act on.
        Some(Reference::MergeQueue(_) | Reference::Tag(_) | Reference::Other(_)) | None => None,
    };
    let sha = match &variables.sha {
        Some(text) if !is_zeros(text) => {
            Some(fields.read_commit(names::GITHUB_SHA, text, "leave the variable as the runner set it")?)
        }
        _ => None,
    };
    Ok((EventKind::ByHand(command), branch.map(|branch| BranchHead { branch, sha })))
}

/// Takes the inputs out of the payload. GitHub sends text only; other hosts send numbers and flags as they are.
fn inputs(fields: &Fields<'_>) -> Result<CommandInputs, EventError> {
    let given = match fields.at("inputs") {
        None => return Ok(CommandInputs::default()),
        Some(Value::Object(given)) => given,
        Some(other) => return Err(fields.wrong_type("inputs", other, "an object")),
    };
    let text = |name: &str| match given.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Bool(flag)) => Some(flag.to_string()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let inputs = CommandInputs::from_lookup(text);
    // Half of what a person filled in must never be acted on.
    for name in FORM_INPUTS.into_iter().chain(["to", "pull_request"]) {
        if let Some(value @ (Value::Array(_) | Value::Object(_))) = given.get(name) {
            return Err(fields.wrong_type(&format!("inputs.{name}"), value, "text"));
        }
    }
    Ok(inputs)
}

/// Reads a `repository_dispatch`. Names that nothing can have are left out: the hint stays one.
pub(super) fn repository_dispatch(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    let cause = HintCause::parse(fields.required("action")?);
    let told_group = |path: &str| fields.told(path).and_then(|text| GroupName::parse(text).ok());
    Ok(EventKind::Hint(Hint {
        cause,
        // The names of trainings and of groups have the same form.
        training: told_group("client_payload.training").map(|name| TrainingName::reported(name.as_str())),
        group: told_group("client_payload.group"),
        model: fields.told("client_payload.model").and_then(|text| ModelName::parse(text).ok()),
    }))
}

/// Reads a `schedule`.
pub(super) fn schedule(fields: &Fields<'_>) -> EventKind {
    EventKind::Tick { cron: fields.told("schedule").map(str::to_owned) }
}
