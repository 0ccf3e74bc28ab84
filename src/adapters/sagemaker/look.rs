//! Looking at one training: what the bucket knows of it, what its job says, and what follows from both.

use crate::adapters::aws::Session;
use crate::adapters::s3::objects::Objects;
use crate::adapters::sagemaker::end;
use crate::adapters::sagemaker::end::BegunRecord;
use crate::adapters::sagemaker::end::EndRecord;
use crate::adapters::sagemaker::end::SCHEMA;
use crate::adapters::sagemaker::end::StopRecord;
use crate::adapters::sagemaker::keys::Keys;
use crate::adapters::sagemaker::settle;
use crate::adapters::sagemaker::settle::Ended;
use crate::adapters::sagemaker::start;
use crate::adapters::sagemaker::state;
use crate::adapters::sagemaker::state::Stand;
use crate::adapters::sagemaker::trainer::Setting;
use crate::adapters::sagemaker::watch::Followed;
use crate::adapters::system;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::training::Cause;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a job that was made may be invisible before it counts as deleted.
const INVISIBLE: Duration = Duration::from_secs(600);

/// What a trainer knows and works with.
pub(super) struct Inner {
    pub(super) setting: Setting,
    /// Specifications never change once they are written.
    pub(super) known: Mutex<BTreeMap<TrainingName, Known>>,
    pub(super) followed: Mutex<BTreeMap<TrainingName, Followed>>,
}

/// A training that exists, and its account.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) session: Arc<Session>,
    pub(super) spec: Arc<TrainingSpec>,
}

/// Whether an end that has come must be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Whoever waits for it must be told why it cannot be.
    Needed,
    /// A role that may only read leaves it to one that may write, and sees the training as open.
    IfAllowed,
}

/// What a look at a training found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Look {
    pub(super) training: Training,
    pub(super) words: Option<String>,
}

impl Inner {
    pub(super) fn keys(&self) -> Keys<'_> {
        Keys { project: &self.setting.project }
    }

    /// Returns the accounts that may hold a training: by the stage in its name where that is plain, else all.
    pub(super) fn places(&self, name: Option<&TrainingName>) -> Vec<Arc<Session>> {
        let named = |stage: &&StageName| {
            let head = name.and_then(|name| name.as_str().rsplitn(3, '-').nth(2));
            head.is_some_and(|head| head.ends_with(&format!("-{stage}")))
        };
        let mut stages: Vec<&StageName> = self.setting.stages.iter().filter(named).collect();
        if stages.is_empty() {
            stages = self.setting.stages.iter().collect();
        }
        let mut places: Vec<Arc<Session>> = Vec::new();
        for stage in stages {
            let session = self.setting.accounts.of_stage(stage);
            if !places.iter().any(|place| Arc::ptr_eq(place, session)) {
                places.push(Arc::clone(session));
            }
        }
        if places.is_empty() {
            places.push(Arc::clone(self.setting.accounts.default_account()));
        }
        places
    }

    pub(super) async fn known(&self, name: &TrainingName) -> Result<Option<Known>, PortError> {
        if let Some(known) = self.known.lock().await.get(name) {
            return Ok(Some(known.clone()));
        }
        // A name is a part of a key: what is no name of a job is none of ours.
        if !name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') || name.as_str().is_empty() {
            return Ok(None);
        }
        for session in self.places(Some(name)) {
            let key = self.keys().training(name, "spec.json");
            let spec = Objects::of(&session).get_json::<TrainingSpec>(&key, &looking(name)).await?;
            if let Some(spec) = spec.filter(|spec| spec.value.name == *name) {
                let known = Known { session, spec: Arc::new(spec.value) };
                self.known.lock().await.insert(name.clone(), known.clone());
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    pub(super) async fn existing(&self, name: &TrainingName) -> Result<Known, PortError> {
        self.known(name).await?.ok_or_else(|| {
            let why = format!("there is none of this name in project {}", self.setting.project);
            PortError::because(PortErrorKind::NotFound, format!("find training {name}"), why)
        })
    }

    pub(super) async fn written_end(&self, known: &Known) -> Result<Option<Training>, PortError> {
        let name = &known.spec.name;
        let key = self.keys().training(name, "end.json");
        let end = Objects::of(&known.session).get_json::<EndRecord>(&key, &looking(name)).await?;
        Ok(end.map(|end| end.value.training(&known.spec)))
    }

    pub(super) async fn stop_record(&self, known: &Known) -> Result<Option<StopRecord>, PortError> {
        let name = &known.spec.name;
        let key = self.keys().training(name, "stop.json");
        let stop = Objects::of(&known.session).get_json(&key, &looking(name)).await?;
        Ok(stop.map(|stop| stop.value))
    }

    /// Looks at a training, and writes its end down where it has come.
    pub(super) async fn look(&self, known: &Known, ending: Ending) -> Result<Look, PortError> {
        let spec = &known.spec;
        let still = |training| Look { training, words: None };
        if let Some(ended) = self.written_end(known).await? {
            return Ok(still(ended));
        }
        let described = start::describe(&known.session, &spec.name).await;
        let job = described.map_err(|refused| refused.into_port(looking(&spec.name)))?;
        // A job of somebody else under this name: ours was never begun. Beginning it will say so.
        let Some(job) = job.filter(|job| start::is_of(&known.session, self.keys(), job)) else {
            return self.without_job(known).await.map(still);
        };
        let (started_at, _) = state::times(&job);
        let url = Some(state::console(&known.session.place.region, spec.name.as_str()));
        let open = |state| Training { started_at, url: url.clone(), ..end::open(spec, state) };
        let stand = Stand::of(&job);
        match stand {
            Stand::Running => Ok(Look { training: open(TrainingState::Open), words: Some(state::words(&job)) }),
            Stand::Stopping => {
                let state = match self.stop_record(known).await? {
                    Some(stop) => TrainingState::Stopped { cause: stop.cause },
                    None => TrainingState::Open,
                };
                Ok(Look { training: open(state), words: Some(state::words(&job)) })
            }
            Stand::Completed | Stand::Failed | Stand::TimedOut | Stand::WaitedTooLong | Stand::Stopped => {
                let keys = self.keys();
                let ended = Ended { session: &known.session, keys, spec, stand, job: &job };
                match ended.settle().await {
                    Err(error) if error.kind.is_denial() && ending == Ending::IfAllowed => {
                        Ok(Look { training: open(TrainingState::Open), words: None })
                    }
                    other => other.map(still),
                }
            }
        }
    }

    /// There is a specification and no job: never begun, not visible yet, or deleted.
    pub(super) async fn without_job(&self, known: &Known) -> Result<Training, PortError> {
        let (session, spec, keys) = (&known.session, &known.spec, self.keys());
        let begun = keys.training(&spec.name, "begun.json");
        let begun = Objects::of(session).get_json::<BegunRecord>(&begun, &looking(&spec.name)).await?;
        let Some(begun) = begun.map(|begun| begun.value) else {
            return Ok(end::open(spec, TrainingState::Prepared));
        };
        let now = system::now();
        if now.duration_since(begun.at).unsigned_abs() < INVISIBLE {
            return Ok(Training { started_at: Some(begun.at), ..end::open(spec, TrainingState::Open) });
        }
        let end = match self.stop_record(known).await? {
            Some(stop) => TrainingState::Stopped { cause: stop.cause },
            None => TrainingState::Failed {
                cause: Cause::StoppedElsewhere,
                message: "somebody deleted its training job in SageMaker".to_owned(),
                log_tail: settle::evidence(session, spec).await,
            },
        };
        let record =
            EndRecord { schema: SCHEMA, started_at: Some(begun.at), ended_at: now, end, bill: None, url: None };
        settle::write_down(session, keys, spec, record).await
    }
}

fn looking(name: &TrainingName) -> String {
    format!("look at training {name}")
}
