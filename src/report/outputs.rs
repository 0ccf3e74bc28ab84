//! What a run hands to the steps after it: the step's outputs, their names and their meanings.
//!
//! Deliberately absent: writing them (`adapters::runner`).

use crate::model::artifact::Address;
use crate::model::artifact::Artifact;
use crate::model::verdict::Verdict;
use crate::model::version::Version;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::report::json::JSON_SCHEMA;
use crate::report::json::OutcomeJson;
use crate::report::limit;
use serde_json::Value;
use serde_json::json;

/// One output: a row of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputDoc {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub description: &'static str,
    /// What it may look like.
    pub example: &'static str,
}

/// All outputs, in the order in which they are written. Every one is always written, so that an expression never
/// meets a missing one; what there is not is empty.
pub const OUTPUTS: &[OutputDoc] = &[
    OutputDoc {
        name: "verdict",
        description: "How the run ended: `passed`, `skipped`, `waiting`, `blocked`, `failed`, `errored` or `cancelled`. The worst of all models.",
        example: "passed",
    },
    OutputDoc {
        name: "exit-code",
        description: "The exit code of the command. It is written, like `verdict`, also where the command failed before any verdict.",
        example: "0",
    },
    OutputDoc {
        name: "plan",
        description: "Everything as JSON: verdict, reasons, steps and versions of each model. The same as `--format json` prints.",
        example: "{\"schema\":1,\"verdict\":\"passed\",\"models\":[]}",
    },
    OutputDoc {
        name: "model",
        description: "The model, where the run was about one. Empty where it was about none or several: then read `results`.",
        example: "churn",
    },
    OutputDoc {
        name: "group",
        description: "The group of the version that stands for the commit: made by this run, or found in place. The same each time the job is run again.",
        example: "churn-dev",
    },
    OutputDoc { name: "version", description: "That version's number.", example: "12" },
    OutputDoc { name: "semver", description: "Its semantic version.", example: "0.4.0" },
    OutputDoc {
        name: "fingerprint",
        description: "What was trained: the digest of code, settings, data and image.",
        example: "1f0c…64 hexadecimal digits",
    },
    OutputDoc {
        name: "changed",
        description: "`true` where this run registered or changed a version or its group, `false` where it found everything in place.",
        example: "true",
    },
    OutputDoc {
        name: "code-id",
        description: "The digest of code and settings.",
        example: "9ab2…64 hexadecimal digits",
    },
    OutputDoc {
        name: "sha256",
        description: "The SHA-256 of its first artifact, where that is how it was digested.",
        example: "77de…64 hexadecimal digits",
    },
    OutputDoc {
        name: "artifact",
        description: "Where that artifact can be opened: an `s3://` URI, or the path of a file on the runner.",
        example: "s3://models/churn/model.tar.gz",
    },
    OutputDoc {
        name: "artifact-url",
        description: "Its page in the console of the service that keeps it; empty for a file on the runner.",
        example: "https://eu-west-1.console.aws.amazon.com/s3/object/models?region=eu-west-1&prefix=churn/model.tar.gz",
    },
    OutputDoc {
        name: "metrics",
        description: "Its metrics as a JSON object: `{}` where no version stands for the commit.",
        example: "{\"accuracy\":0.87}",
    },
    OutputDoc {
        name: "results",
        description: "A JSON list with the outputs above of each model, fit for a matrix: `matrix: { include: ${{ fromJSON(steps.branchline.outputs.results) }} }`. An empty list makes no matrix: guard that job with `if: outputs.results != '[]'`.",
        example: "[{\"model\":\"churn\",\"verdict\":\"passed\",\"version\":\"12\"}]",
    },
];

/// The outputs of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepOutputs {
    /// Name and value, in the order of [`OUTPUTS`].
    pub values: Vec<(&'static str, String)>,
    /// Those that were emptied because all together were more than a job may put out.
    pub emptied: Vec<&'static str>,
}

impl StepOutputs {
    /// Makes them. `plan` is the JSON to hand on instead of the outcome's own; `address` says where an artifact can be
    /// opened.
    pub fn of(outcome: &Outcome, plan: Option<&Value>, address: &dyn Fn(&Artifact) -> Address) -> Self {
        let plan = match plan {
            Some(plan) => plan.to_string(),
            // Plain data with string keys always serialises.
            None => serde_json::to_string(&OutcomeJson::of(outcome)).unwrap_or_default(),
        };
        let result = |model| result(model, address);
        let results: Vec<Value> = outcome.models.iter().map(result).collect();
        let single = single(outcome).map(result);
        let text = |name: &str| match single.as_ref().and_then(|result| result.get(name)) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        let values = OUTPUTS
            .iter()
            .map(|output| {
                let value = match output.name {
                    "verdict" => outcome.verdict.as_str().to_owned(),
                    "exit-code" => outcome.exit_code().to_string(),
                    "plan" => plan.clone(),
                    "changed" => outcome.models.iter().any(ModelOutcome::changed).to_string(),
                    "results" => Value::Array(results.clone()).to_string(),
                    name => text(name),
                };
                (output.name, value)
            })
            .collect();
        Self { values, emptied: Vec::new() }.fitted()
    }

    /// Makes those of a command that ended without an outcome.
    pub fn without_outcome(verdict: Verdict, exit: u8) -> Self {
        let plan = json!({ "schema": JSON_SCHEMA, "verdict": verdict.as_str(), "models": [] });
        let value = |name: &str| match name {
            "verdict" => verdict.as_str().to_owned(),
            "exit-code" => exit.to_string(),
            "changed" => false.to_string(),
            "plan" => plan.to_string(),
            // An expression that reads them as JSON must not fail.
            "results" => "[]".to_owned(),
            "metrics" => "{}".to_owned(),
            _ => String::new(),
        };
        Self { values: OUTPUTS.iter().map(|output| (output.name, value(output.name))).collect(), emptied: Vec::new() }
    }

    /// Sets the exit code of the command, which a signal may have changed.
    pub fn ending_with(mut self, exit: u8) -> Self {
        for (name, value) in &mut self.values {
            if *name == "exit-code" {
                *value = exit.to_string();
            }
        }
        self
    }

    /// Returns one value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Returns them as pairs of text, as the runner's file takes them.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// Returns a sentence about what was emptied, where anything was.
    pub fn sentence(&self) -> Option<String> {
        (!self.emptied.is_empty()).then(|| {
            format!(
                "the outputs {} are empty: all together are more than the {} bytes that a job may put out; read them with `branchline plan --format json`",
                self.emptied.join(", "),
                limit::OUTPUTS.size
            )
        })
    }

    /// JSON cannot be cut, so whole values go, the most dispensable first.
    fn fitted(mut self) -> Self {
        for name in ["plan", "results", "metrics", "artifact-url", "artifact"] {
            let size: usize = self
                .values
                .iter()
                .map(|(name, value)| limit::OUTPUTS.measure(name) + limit::OUTPUTS.measure(value))
                .sum();
            if size <= limit::OUTPUTS.size {
                break;
            }
            for (known, value) in &mut self.values {
                if *known == name {
                    // `fromJSON` of nothing fails the workflow; of an empty list it does not.
                    *value = if name == "results" { "[]".to_owned() } else { String::new() };
                    self.emptied.push(*known);
                }
            }
        }
        self
    }
}

/// Returns the outputs as rows of Markdown, for the documentation.
pub fn table() -> String {
    let mut text = "| Output | What it holds | Example |\n|---|---|---|\n".to_owned();
    for output in OUTPUTS {
        let example = crate::report::escape::code_cell(output.example);
        text.push_str(&format!("| `{}` | {} | {example} |\n", output.name, output.description));
    }
    text
}

/// Returns the one model that a run was about. A run that registers may go on upwards: then its own entry counts, or
/// else the first that has a version.
fn single(outcome: &Outcome) -> Option<&ModelOutcome> {
    let first = outcome.models.first()?;
    if outcome.models.iter().any(|other| other.model != first.model) {
        return None;
    }
    let own = outcome.models.iter().find(|entry| entry.at.is_none());
    own.or_else(|| outcome.models.iter().find(|entry| entry.version().is_some())).or(Some(first))
}

/// Everything is text or an object, never null, so that a matrix gets what an output gets.
fn result(outcome: &ModelOutcome, address: &dyn Fn(&Artifact) -> Address) -> Value {
    let version = outcome.version();
    let opened = version.and_then(|version| version.content.artifacts.first()).map(address);
    let text = |value: Option<String>| Value::String(value.unwrap_or_default());
    let of = |value: fn(&Version) -> String| text(version.map(value));
    json!({
        "model": outcome.model.as_str(),
        "at": outcome.at.clone().unwrap_or_default(),
        "verdict": outcome.verdict.as_str(),
        "changed": outcome.changed().to_string(),
        "group": of(|version| version.group.to_string()),
        "version": of(|version| version.number.0.to_string()),
        "semver": of(|version| version.content.semver.to_string()),
        "fingerprint": of(|version| version.content.fingerprint.to_string()),
        "code-id": of(|version| version.content.code_id.to_string()),
        "sha256": text(version.and_then(Version::sha256).map(ToString::to_string)),
        "artifact": text(opened.as_ref().map(|address| address.location.clone())),
        "artifact-url": text(opened.and_then(|address| address.url)),
        "metrics": version.map_or_else(|| json!({}), |version| json!(version.content.metrics)),
    })
}
