//! What came of a run: the verdict of each model, what was done, and the one table from verdicts to exit codes
//! and check conclusions.
//!
//! Deliberately absent: how any of it is shown (`report`) and where exit codes are returned (`cli`).

use crate::model::name::ModelName;
use crate::model::verdict::Verdict;
use crate::model::version::Version;
use crate::plan::Decision;
use crate::plan::ModelPlan;
use crate::plan::candidate::Predicted;
use crate::plan::prediction::Candidate;
use crate::plan::prediction::Comparison;
use crate::plan::prediction::Merging;
use crate::plan::reason::BeforeVerdict;
use crate::plan::reason::Reason;
use crate::plan::step::Step;
use serde::Deserialize;
use serde::Serialize;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the event was about, in words.
    pub event: String,
    /// The worst of the models' verdicts.
    pub verdict: Verdict,
    /// Why no model was concerned, where none was; or what else is true of the whole run.
    pub reasons: Vec<Reason>,
    /// Each model.
    pub models: Vec<ModelOutcome>,
    /// The same under the rules that hold after the merge, where a pull request changes rules.
    #[serde(default)]
    pub after_merge: Option<Box<AfterMerge>>,
}

/// A prediction under the rules that a pull request brings. It decides nothing until the merge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AfterMerge {
    /// The rules that change: `gates.accuracy.min: 0.8 -> 0.5`.
    pub changes: Vec<String>,
    /// What comes of it under them.
    pub outcome: Outcome,
}

/// What came of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelOutcome {
    /// The model.
    pub model: ModelName,
    /// Which branch head it is about, where a run looks at several: `dev at 1a2b3c4`.
    pub at: Option<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, most important first.
    pub reasons: Vec<Reason>,
    /// What was done, or for a plan what would be done first.
    pub steps: Vec<StepRecord>,
    /// Versions that came out of it.
    pub versions: Vec<Version>,
    /// The version that stands for what was asked, where this run found it in place.
    #[serde(default)]
    pub standing: Option<Box<Version>>,
    /// The result that goes in: the one that merging would bring, or the version that this run made.
    #[serde(default)]
    pub candidate: Option<Box<Candidate>>,
    /// What it is compared with: each target group as it was before, and the group that gates compare with.
    #[serde(default)]
    pub compared: Vec<Comparison>,
    /// What merging would do, where this is a prediction.
    #[serde(default)]
    pub merging: Option<Merging>,
}

/// A step, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step.
    pub step: Step,
    /// What came of it.
    pub result: StepResult,
    /// More about that, for people.
    pub note: String,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepResult {
    /// Not done: this is a plan.
    Planned,
    /// Done now.
    Done,
    /// It had been done before, and is reused.
    Found,
    /// The world had moved: nothing was done, and the world is looked at again.
    Stale,
    /// It could not be done.
    Failed,
}

impl StepResult {
    /// Returns the word for people and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Done => "done",
            Self::Found => "found",
            Self::Stale => "stale",
            Self::Failed => "failed",
        }
    }
}

impl Outcome {
    /// Joins the models: the worst verdict stands for the run.
    pub fn of_models(event: String, models: Vec<ModelOutcome>) -> Self {
        let verdict = models
            .iter()
            .map(|model| model.verdict)
            .max_by_key(|verdict| verdict.badness())
            .unwrap_or(Verdict::Skipped);
        Self { event, verdict, reasons: Vec::new(), models, after_merge: None }
    }

    /// Makes the outcome of an event that concerns no model.
    pub fn skipped(event: String, reason: Reason) -> Self {
        Self { event, verdict: Verdict::Skipped, reasons: vec![reason], models: Vec::new(), after_merge: None }
    }

    /// Returns the process's exit code.
    ///
    /// Where everything that errored is a refusal before any verdict, its own code is returned: a command that
    /// names an unknown version is a usage error, not an outage.
    pub fn exit_code(&self) -> u8 {
        if self.verdict == Verdict::Errored {
            let refusals: Vec<Option<BeforeVerdict>> = self
                .models
                .iter()
                .filter(|model| model.verdict == Verdict::Errored)
                .map(|model| model.reasons.iter().find_map(Reason::before_verdict))
                .chain(self.reasons.iter().map(Reason::before_verdict).filter(Option::is_some))
                .collect();
            if let Some(Some(first)) = refusals.first()
                && refusals.iter().all(|refusal| refusal == &Some(*first))
            {
                return before_verdict_exit(*first);
            }
        }
        verdict_exit(self.verdict)
    }
}

/// The public table of exit codes for verdicts. The README shows it.
pub fn verdict_exit(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Passed | Verdict::Skipped | Verdict::Waiting => 0,
        Verdict::Blocked => 30,
        Verdict::Failed => 40,
        Verdict::Errored => 50,
        Verdict::Cancelled => 130,
    }
}

/// The public table of exit codes before any verdict.
pub fn before_verdict_exit(refusal: BeforeVerdict) -> u8 {
    match refusal {
        BeforeVerdict::Usage => 2,
        BeforeVerdict::Configuration => 20,
        BeforeVerdict::DoesNotConverge => 60,
        BeforeVerdict::Bug => 1,
    }
}

/// How a verdict looks as a check run: its conclusion, or `None` while it stays in progress.
pub fn check_conclusion(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Passed => Some("success"),
        Verdict::Skipped => Some("neutral"),
        Verdict::Waiting => None,
        Verdict::Blocked | Verdict::Failed | Verdict::Errored => Some("failure"),
        Verdict::Cancelled => Some("cancelled"),
    }
}

impl ModelOutcome {
    /// Shows a plan as an outcome: the verdict known now, with the steps still to do.
    pub fn of_plan(plan: ModelPlan) -> Self {
        let verdict = match &plan.decision {
            // Steps still to do count as a pass: nothing says no yet.
            Decision::Act(_) => Verdict::Passed,
            Decision::Wait(_) => Verdict::Waiting,
            Decision::Settled(verdict) => *verdict,
        };
        let steps = plan
            .steps()
            .iter()
            .map(|step| StepRecord { step: step.clone(), result: StepResult::Planned, note: String::new() })
            .collect();
        Self { verdict, reasons: plan.reasons, steps, ..Self::nothing(plan.model) }
    }

    /// Shows a prediction as an outcome: the plan of the merge, and what the pull request already has.
    pub fn of_prediction(predicted: Predicted) -> Self {
        let Predicted { plan, candidate, compared, merging } = predicted;
        Self { candidate: candidate.map(Box::new), compared, merging, ..Self::of_plan(plan) }
    }

    /// Begins an outcome of which nothing is known yet.
    pub fn nothing(model: ModelName) -> Self {
        Self {
            model,
            at: None,
            verdict: Verdict::Skipped,
            reasons: Vec::new(),
            steps: Vec::new(),
            versions: Vec::new(),
            standing: None,
            candidate: None,
            compared: Vec::new(),
            merging: None,
        }
    }

    /// Returns the version that the steps after this one work with: the one that this run made, or found in place.
    pub fn version(&self) -> Option<&Version> {
        self.versions.last().or(self.standing.as_deref())
    }

    /// Tells whether this run registered a version, or changed one or its group. What an interrupted run began and
    /// this one completed counts.
    pub fn changed(&self) -> bool {
        let done = |record: &&StepRecord| matches!(record.result, StepResult::Done | StepResult::Found);
        self.steps.iter().filter(done).any(|record| record.step.changes().is_some())
    }

    /// Tells whether anything was written.
    pub fn wrote(&self) -> bool {
        self.steps.iter().any(|record| record.result == StepResult::Done)
    }
}
