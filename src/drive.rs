//! The loop: look, decide, do, look again, until settled. One loop for each model, several at a time.
//!
//! Deliberately absent: any policy (`plan`) and any write of its own (`apply`).

use crate::apply;
use crate::apply::Made;
use crate::facts::Facts;
use crate::facts::review::UnderReview;
use crate::model::name::ModelName;
use crate::model::name::TrainingName;
use crate::model::training::StopCause;
use crate::model::verdict::Verdict;
use crate::model::version::Version;
use crate::observe::Observer;
use crate::outcome::ModelOutcome;
use crate::outcome::StepRecord;
use crate::outcome::StepResult;
use crate::plan;
use crate::plan::Decision;
use crate::plan::ModelPlan;
use crate::plan::evidence::TooManyAttempts;
use crate::plan::goal::Task;
use crate::plan::reason::Reason;
use crate::plan::step::Step;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::Ports;
use crate::ports::Tick;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a model's world may move under its steps before the run gives up on it.
const PATIENCE_WITH_A_MOVING_WORLD: u32 = 10;

/// How many turns one model may take in one run. A healthy story needs fewer than ten.
const MOST_TURNS: u32 = 200;

/// How long one look at a training waits for news.
const LOOK: Duration = Duration::from_millis(500);

/// How long a step that goes on when the run is cancelled may still take: a cancelled run is gone within seven
/// seconds, its report included.
const GRACE: Duration = Duration::from_secs(4);

/// How long beginning a training run may still take then: what it began is ended after it, and that takes up to five
/// seconds.
const BEGIN_GRACE: Duration = Duration::from_secs(1);

/// How long a look at the world may still take then. Nothing is lost with it.
const LOOK_GRACE: Duration = Duration::from_secs(1);

/// How long a run stays with a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until it has ended.
    UntilDone,
    /// This long, then it leaves.
    For(Duration),
}

/// What happens to trainings that this run began when it is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCancel {
    /// They are ended.
    Stop,
    /// They go on, and a later run finishes.
    Leave,
}

/// The loop and all it needs.
pub struct Drive {
    /// Reads the world.
    pub observer: Arc<Observer>,
    /// Changes the world.
    pub ports: Ports,
    /// How long it stays.
    pub patience: Patience,
    /// What cancelling does.
    pub on_cancel: OnCancel,
    /// How many models at a time.
    pub parallel: usize,
    /// Set when the run is cancelled.
    pub cancelled: CancellationToken,
}

impl Drive {
    /// Looks once and decides, for every model: `run` without `apply`. One after another: two threads at it take as
    /// long, because they wait for the one registry, and hold more in memory.
    pub async fn plan(&self, tasks: &[Task]) -> Vec<ModelOutcome> {
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(match self.decide(task).await {
                Ok((facts, plan)) => {
                    let standing = standing(&facts, &plan.reasons);
                    ModelOutcome { standing, ..ModelOutcome::of_plan(plan) }
                }
                Err(reason) => errored(&task.rules.model, *reason),
            });
        }
        outcomes
    }

    /// Says for every model what merging would do, and what the pull request already has of it.
    pub async fn predict(&self, tasks: &[Task], reviewed: &UnderReview) -> Vec<ModelOutcome> {
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(match self.predict_one(task, reviewed).await {
                Ok(outcome) => outcome,
                Err(reason) => errored(&task.rules.model, *reason),
            });
        }
        outcomes
    }

    async fn predict_one(&self, task: &Task, reviewed: &UnderReview) -> Result<ModelOutcome, Box<Reason>> {
        let (facts, plan) = self.decide(task).await?;
        let review = self.observer.review(task, reviewed, &facts, &self.ports).await;
        let review = review.map_err(|error| Box::new(port_failed(&error)))?;
        let predicted = plan::candidate::predict(&task.goal, &task.rules, &facts, &review, plan);
        Ok(ModelOutcome::of_prediction(predicted))
    }

    /// Drives every model until it is settled.
    pub async fn run(self: &Arc<Self>, tasks: Vec<Task>) -> Vec<ModelOutcome> {
        let slots = Arc::new(tokio::sync::Semaphore::new(self.parallel.max(1)));
        let mut running = Vec::new();
        for task in tasks {
            let (drive, slots) = (Arc::clone(self), Arc::clone(&slots));
            let model = task.rules.model.clone();
            let handle = tokio::spawn(async move {
                // The semaphore is never closed; without a permit the model would only run at once.
                let _slot = slots.acquire_owned().await;
                ModelLoop::new(&drive, &task).run().await
            });
            running.push((model, handle));
        }
        let mut outcomes = Vec::new();
        for (model, handle) in running {
            outcomes.push(handle.await.unwrap_or_else(|panic| {
                errored(&model, Reason::PlanBroken { what: format!("the loop of {model} ended early: {panic}") })
            }));
        }
        apply::remember_data(&self.ports).await;
        outcomes
    }

    async fn decide(&self, task: &Task) -> Result<(Facts, ModelPlan), Box<Reason>> {
        let facts = self.observer.observe(task, &self.ports).await.map_err(|error| Box::new(port_failed(&error)))?;
        let plan = plan::plan(&task.goal, &task.rules, &facts);
        let broken = plan::check::check(&task.goal, &task.rules, &facts, &plan);
        if broken.is_empty() {
            Ok((facts, plan))
        } else {
            Err(Box::new(Reason::PlanBroken { what: broken.join("; ") }))
        }
    }
}

fn errored(model: &ModelName, reason: Reason) -> ModelOutcome {
    ModelOutcome { verdict: Verdict::Errored, reasons: vec![reason], ..ModelOutcome::nothing(model.clone()) }
}

/// Turns a port's failure into a reason.
pub fn port_failed(error: &PortError) -> Reason {
    Reason::PortFailed {
        kind: error.kind.as_str().to_owned(),
        message: error.chain(),
        hint: error.hint.clone(),
        may_pass: error.kind.may_pass(),
    }
}

/// The loop of one model.
struct ModelLoop<'a> {
    drive: &'a Drive,
    task: &'a Task,
    /// Reasons of turns in which something was done.
    reasons: Vec<Reason>,
    steps: Vec<StepRecord>,
    versions: Vec<Version>,
    /// The version that was found in place at the end.
    standing: Option<Box<Version>>,
    /// The world before the last version was made: what the version is compared with.
    before: Option<Facts>,
    /// Trainings that this run began.
    begun: Vec<TrainingName>,
    /// The one that it was beginning when it was cancelled.
    beginning: Option<TrainingName>,
    cursors: BTreeMap<TrainingName, u64>,
    started: jiff::Timestamp,
}

impl<'a> ModelLoop<'a> {
    fn new(drive: &'a Drive, task: &'a Task) -> Self {
        Self {
            drive,
            task,
            reasons: Vec::new(),
            steps: Vec::new(),
            versions: Vec::new(),
            standing: None,
            before: None,
            begun: Vec::new(),
            beginning: None,
            cursors: BTreeMap::new(),
            started: drive.ports.clock.now(),
        }
    }

    async fn run(mut self) -> ModelOutcome {
        let mut moved = 0;
        let mut before: Option<(Facts, Vec<Step>)> = None;
        for _ in 0..MOST_TURNS {
            if self.drive.cancelled.is_cancelled() {
                return self.cancel(None).await;
            }
            let decided = tokio::select! {
                decided = self.drive.decide(self.task) => decided,
                // Whatever is being read or hashed for it: nobody waits for the answer any more.
                () = self.too_late(LOOK_GRACE) => return self.cancel(None).await,
            };
            let (facts, plan) = match decided {
                Ok(decided) => decided,
                Err(reason) => return self.finish(Verdict::Errored, vec![*reason]),
            };
            match plan.decision {
                Decision::Settled(verdict) => {
                    self.standing = standing(&facts, &plan.reasons);
                    return self.finish(verdict, plan.reasons);
                }
                Decision::Wait(training) => {
                    if let Some(outcome) = self.watch(&training, plan.reasons).await {
                        return outcome;
                    }
                    if self.drive.cancelled.is_cancelled() {
                        return self.cancel(Some(training)).await;
                    }
                    before = None;
                }
                Decision::Act(steps) => {
                    if let Some(repeated) = repeats(&before, &facts, &steps) {
                        return self.finish(Verdict::Errored, vec![Reason::DoesNotConverge { step: repeated }]);
                    }
                    // What this run wrote was overtaken by somebody else's write since: it is not written again.
                    if self.is_overtaken(&steps) {
                        return self.finish(Verdict::Passed, vec![Reason::Overtaken]);
                    }
                    if let Some(reason) = self.begins_too_often(&steps) {
                        return self.finish(Verdict::Failed, vec![reason]);
                    }
                    self.say(&plan.reasons);
                    match self.act(&steps).await {
                        Ok(true) => {
                            if steps.iter().any(|step| step.registration().is_some()) {
                                self.before = Some(facts.clone());
                            }
                            before = Some((facts, steps));
                        }
                        Ok(false) => {
                            moved += 1;
                            before = None;
                            if moved > PATIENCE_WITH_A_MOVING_WORLD {
                                let what = self.steps.last().map_or_else(String::new, |step| step.note.clone());
                                return self.finish(Verdict::Errored, vec![Reason::TooBusy { what }]);
                            }
                            let pause = Duration::from_millis(20 * u64::from(moved));
                            self.drive.ports.clock.sleep(pause).await;
                        }
                        Err(error) => {
                            return self.finish(Verdict::Errored, vec![port_failed(&error)]);
                        }
                    }
                }
            }
        }
        let step = self.steps.last().map_or_else(|| "watching".to_owned(), |record| record.step.kind().to_owned());
        self.finish(Verdict::Errored, vec![Reason::DoesNotConverge { step }])
    }

    /// Does the steps in order. `Ok(false)`: the world had moved, look again.
    async fn act(&mut self, steps: &[Step]) -> Result<bool, PortError> {
        let mut made = Made::default();
        for step in steps {
            let work = apply::apply(step, &mut made, &self.drive.observer, &self.drive.ports);
            let (grace, beginning) = match step {
                Step::Train(train) => (BEGIN_GRACE, Some(&train.name)),
                _ => (GRACE, None),
            };
            let applied = tokio::select! {
                applied = work => applied,
                () = self.too_late(grace) => {
                    // Whatever it had begun is found again by its name, or removed by whoever holds it.
                    self.beginning = beginning.cloned();
                    self.record(step, StepResult::Failed, "stopped by a signal half-way".to_owned());
                    return Ok(true);
                }
            };
            match applied {
                Ok(applied) => {
                    if let (Step::Train(train), StepResult::Done) = (step, applied.result) {
                        self.begun.push(train.name.clone());
                    }
                    let stale = applied.result == StepResult::Stale;
                    if let Some(version) = applied.version {
                        self.versions.push(version);
                    }
                    self.record(step, applied.result, applied.note);
                    if stale {
                        return Ok(false);
                    }
                }
                Err(error) => {
                    self.record(step, StepResult::Failed, error.chain());
                    return Err(error);
                }
            }
            if self.drive.cancelled.is_cancelled() {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Returns when the run was cancelled and a grace is over.
    async fn too_late(&self, grace: Duration) {
        self.drive.cancelled.cancelled().await;
        tokio::time::sleep(grace).await;
    }

    /// One run begins no more training runs of a model than there may be attempts. The plan counts those that it sees;
    /// this counts those, too, that nobody sees any more.
    fn begins_too_often(&self, steps: &[Step]) -> Option<Reason> {
        let begun = u32::try_from(self.begun.len()).unwrap_or(u32::MAX);
        let begins = steps.iter().any(|step| matches!(step, Step::Train(_)));
        (begins && begun >= self.task.rules.max_attempts)
            .then(|| Reason::TooManyAttempts(TooManyAttempts { model: self.task.rules.model.clone(), begun }))
    }

    /// Tells whether every change of a group that is planned was made by this very run before.
    fn is_overtaken(&self, steps: &[Step]) -> bool {
        let done = |result: StepResult| matches!(result, StepResult::Done | StepResult::Found);
        let mine: Vec<_> =
            self.steps.iter().filter(|record| done(record.result)).filter_map(|r| r.step.changes()).collect();
        let mut planned = steps.iter().filter_map(Step::changes).peekable();
        planned.peek().is_some() && planned.all(|change| mine.contains(&change))
    }

    fn record(&mut self, step: &Step, result: StepResult, note: String) {
        let text = format!("{}: {} ({note})", step.kind(), result.as_str());
        self.tell(&text);
        self.steps.push(StepRecord { step: step.clone(), result, note });
    }

    /// Follows an open training for a while. `Some`: patience is at its end.
    async fn watch(&mut self, training: &TrainingName, reasons: Vec<Reason>) -> Option<ModelOutcome> {
        let clock = &self.drive.ports.clock;
        loop {
            if let Patience::For(limit) = self.drive.patience {
                let waited = clock.now().duration_since(self.started).unsigned_abs();
                if waited >= limit {
                    return Some(self.leave(training, reasons));
                }
            }
            let cursor = self.cursors.get(training).copied().unwrap_or(0);
            let look = self.drive.ports.trainer.watch(training, cursor, self.look_for());
            let seen = tokio::select! {
                seen = look => seen,
                () = self.drive.cancelled.cancelled() => return None,
            };
            match seen {
                Ok(Some(seen)) => {
                    for line in &seen.lines {
                        self.drive.ports.progress.tick(&self.task.rules.model, Tick::LogLine(line));
                    }
                    self.cursors.insert(training.clone(), seen.cursor);
                    if !seen.training.is_running() {
                        return None;
                    }
                    let elapsed = seen
                        .training
                        .started_at
                        .map_or(0, |at| u64::try_from(clock.now().duration_since(at).as_secs()).unwrap_or(0));
                    let tick = match (seen.packing, &seen.status) {
                        (Some((done, total)), _) => {
                            Tick::Moves { what: "packing model.tar.gz", done, total: Some(total) }
                        }
                        (None, Some(status)) => Tick::Moves { what: status, done: elapsed, total: None },
                        (None, None) => Tick::Moves { what: "training", done: elapsed, total: None },
                    };
                    self.drive.ports.progress.tick(&self.task.rules.model, tick);
                }
                Ok(None) => return None,
                Err(error) => {
                    return Some(self.finish_now(Verdict::Errored, vec![port_failed(&error)]));
                }
            }
        }
    }

    fn look_for(&self) -> Duration {
        match self.drive.patience {
            Patience::UntilDone => LOOK,
            Patience::For(limit) => {
                let waited = self.drive.ports.clock.now().duration_since(self.started).unsigned_abs();
                limit.saturating_sub(waited).min(LOOK)
            }
        }
    }

    fn leave(&mut self, training: &TrainingName, mut reasons: Vec<Reason>) -> ModelOutcome {
        reasons.push(Reason::Left { training: training.clone() });
        self.finish_now(Verdict::Waiting, reasons)
    }

    async fn cancel(self, watched: Option<TrainingName>) -> ModelOutcome {
        let (mut stopped, mut left) = (Vec::new(), Vec::new());
        let mut open = self.begun.clone();
        open.extend(self.beginning.clone());
        if let Some(watched) = watched
            && !open.contains(&watched)
        {
            left.push(watched);
        }
        open.dedup();
        for name in open {
            let still = self
                .drive
                .ports
                .trainer
                .find(std::slice::from_ref(&name))
                .await
                .map_or(true, |found| found.iter().any(crate::model::training::Training::is_open));
            // One that is not there yet could still begin behind our back: it is asked not to.
            let unseen = !still && self.beginning.as_ref() == Some(&name);
            if !still && !unseen {
                continue;
            }
            match self.drive.on_cancel {
                OnCancel::Leave | OnCancel::Stop if unseen => {
                    match self.drive.ports.trainer.stop(&name, StopCause::Cancelled).await {
                        Ok(()) => stopped.push(name),
                        // It never began.
                        Err(error) if error.kind == PortErrorKind::NotFound => {}
                        Err(error) => {
                            self.tell(&error.chain());
                            left.push(name);
                        }
                    }
                }
                OnCancel::Leave => left.push(name),
                OnCancel::Stop => match self.drive.ports.trainer.stop(&name, StopCause::Cancelled).await {
                    Ok(()) => stopped.push(name),
                    Err(error) => {
                        self.tell(&error.chain());
                        left.push(name);
                    }
                },
            }
        }
        self.finish(Verdict::Cancelled, vec![Reason::Cancelled { stopped, left }])
    }

    /// Says what is about to be done, before it is done, and keeps why.
    fn say(&mut self, reasons: &[Reason]) {
        for reason in reasons {
            if !self.reasons.contains(reason) {
                self.tell(&reason.message());
                self.reasons.push(reason.clone());
            }
        }
    }

    fn tell(&self, text: &str) {
        self.drive.ports.progress.tick(&self.task.rules.model, Tick::Says(text));
    }

    fn finish(mut self, verdict: Verdict, reasons: Vec<Reason>) -> ModelOutcome {
        self.finish_now(verdict, reasons)
    }

    fn finish_now(&mut self, verdict: Verdict, last: Vec<Reason>) -> ModelOutcome {
        let acted = self.steps.iter().any(|record| record.result == StepResult::Done);
        let done = std::mem::take(&mut self.reasons);
        let last = last.into_iter().filter(|reason| !(done.contains(reason) || (acted && reason.says_nothing_to_do())));
        let reasons = if verdict == Verdict::Passed {
            done.iter().cloned().chain(last).collect()
        } else {
            // What says no comes first; what was done before it stands below.
            last.chain(done.iter().cloned()).collect()
        };
        let versions = std::mem::take(&mut self.versions);
        let shown = self.before.take().zip(versions.last()).and_then(|(before, version)| {
            plan::candidate::of_version(&self.task.goal, &self.task.rules, &before, version)
        });
        let (candidate, compared) = shown.map_or((None, Vec::new()), |(one, compared)| (Some(Box::new(one)), compared));
        ModelOutcome {
            verdict,
            reasons,
            steps: std::mem::take(&mut self.steps),
            versions,
            standing: self.standing.take(),
            candidate,
            compared,
            ..ModelOutcome::nothing(self.task.rules.model.clone())
        }
    }
}

/// The version that the reasons say is in place. Of several targets the last, as of several registrations.
fn standing(facts: &Facts, reasons: &[Reason]) -> Option<Box<Version>> {
    let named = reasons.iter().rev().find_map(Reason::stands)?;
    facts.version(named).cloned().map(Box::new)
}

/// The same facts and the same steps although every step said done: the loop would never end.
fn repeats(before: &Option<(Facts, Vec<Step>)>, facts: &Facts, steps: &[Step]) -> Option<String> {
    let (old_facts, old_steps) = before.as_ref()?;
    // A training run may vanish at once with all that tells of it: those are counted (`begins_too_often`).
    if steps.iter().any(|step| matches!(step, Step::Train(_))) {
        return None;
    }
    let same_world = Facts { now: facts.now, ..old_facts.clone() } == *facts;
    (same_world && old_steps == steps).then(|| steps.first().map_or_else(String::new, |step| step.kind().to_owned()))
}
