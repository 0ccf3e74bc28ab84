//! Looking at one training: what the bucket knows of it, what its job says, and what follows from both.

use crate::adapters::aws::Session;
use crate::adapters::s3::objects::Objects;
use crate::adapters::sagemaker::end;
use crate::adapters::sagemaker::end::BegunRecord;
use crate::adapters::sagemaker::end::EndRecord;
use crate::adapters::sagemaker::end::StopRecord;
use crate::adapters::sagemaker::keys;
use crate::adapters::sagemaker::keys::Keys;
use crate::adapters::sagemaker::settle;
use crate::adapters::sagemaker::settle::Ended;
use crate::adapters::sagemaker::start;
use crate::adapters::sagemaker::state;
use crate::adapters::sagemaker::state::Stand;
use crate::adapters::sagemaker::trainer::Setting;
use crate::adapters::sagemaker::watch::Followed;
use crate::adapters::system;
use crate::model::digest::Sha256Digest;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::training::Cause;
use crate::model::training::StopCause;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a job that was made may be invisible before it counts as deleted.
const INVISIBLE: Duration = Duration::from_secs(600);

/// What a trainer knows and works with.
pub(super) struct Inner {
    pub(super) setting: Setting,
    /// A specification does not change once its job was created.
    pub(super) known: Mutex<BTreeMap<TrainingName, Known>>,
    /// Ends that were compared with their jobs: neither changes any more.
    pub(super) proved: Mutex<BTreeSet<TrainingName>>,
    pub(super) followed: Mutex<BTreeMap<TrainingName, Followed>>,
}

/// A training that exists, and its account.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) session: Arc<Session>,
    pub(super) spec: Arc<TrainingSpec>,
    /// Of the specification as it is stored.
    pub(super) digest: Sha256Digest,
    pub(super) layout: Layout,
}

/// Where the records of a training run lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Below those of its stage.
    OfStage,
    /// Where training jobs could write: only that the name is taken follows from them.
    Earlier,
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
    /// The keys of a training run.
    pub(super) fn keys<'a>(&'a self, spec: &'a TrainingSpec) -> Keys<'a> {
        self.keys_of(&spec.origin.stage)
    }

    /// The keys of the trainings of a stage.
    pub(super) fn keys_of<'a>(&'a self, stage: &'a StageName) -> Keys<'a> {
        Keys { project: &self.setting.project, stage }
    }

    /// Returns the stages that may hold a training run, and their accounts: by the stage in its name where that is plain,
    /// else all.
    pub(super) fn places(&self, name: Option<&TrainingName>) -> Vec<(&StageName, &Arc<Session>)> {
        let named = |stage: &&StageName| {
            let head = name.and_then(|name| name.as_str().rsplitn(3, '-').nth(2));
            head.is_some_and(|head| head.ends_with(&format!("-{stage}")))
        };
        let mut stages: Vec<&StageName> = self.setting.stages.iter().filter(named).collect();
        if stages.is_empty() {
            stages = self.setting.stages.iter().collect();
        }
        stages.into_iter().map(|stage| (stage, self.setting.accounts.of_stage(stage))).collect()
    }

    pub(super) async fn known(&self, name: &TrainingName) -> Result<Option<Known>, PortError> {
        if let Some(known) = self.known.lock().await.get(name) {
            return Ok(Some(known.clone()));
        }
        // A name is a part of a key: what is no name of a job is none of ours.
        if !name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') || name.as_str().is_empty() {
            return Ok(None);
        }
        for (stage, session) in self.places(Some(name)) {
            let key = self.keys_of(stage).training(name, "spec.json");
            if let Some(known) = self.specified(name, stage, session, &key, Layout::OfStage).await? {
                return Ok(Some(self.remember(known).await));
            }
        }
        for (stage, session) in self.places(Some(name)) {
            let key = keys::earlier(&self.setting.project, name);
            if let Some(known) = self.specified(name, stage, session, &key, Layout::Earlier).await? {
                return Ok(Some(self.remember(known).await));
            }
        }
        Ok(None)
    }

    async fn remember(&self, known: Known) -> Known {
        self.known.lock().await.insert(known.spec.name.clone(), known.clone());
        known
    }

    /// Reads a specification. One that says another name or stage than the place where it lies is none.
    async fn specified(
        &self,
        name: &TrainingName,
        stage: &StageName,
        session: &Arc<Session>,
        key: &str,
        layout: Layout,
    ) -> Result<Option<Known>, PortError> {
        let objects = Objects::of(session);
        let Some(stored) = objects.get(key, &looking(name)).await? else { return Ok(None) };
        let spec: TrainingSpec = objects.read_json(key, &stored.value, &looking(name))?;
        let says = spec.name == *name && spec.project == self.setting.project && spec.origin.stage == *stage;
        let digest = Sha256Digest::of(&stored.value);
        Ok(says.then(|| Known { session: Arc::clone(session), spec: Arc::new(spec), digest, layout }))
    }

    pub(super) async fn existing(&self, name: &TrainingName) -> Result<Known, PortError> {
        self.known(name).await?.ok_or_else(|| {
            let why = format!("there is none of this name in project {}", self.setting.project);
            PortError::because(PortErrorKind::NotFound, format!("find training {name}"), why)
        })
    }

    pub(super) async fn written_end(&self, known: &Known) -> Result<Option<EndRecord>, PortError> {
        let name = &known.spec.name;
        let key = self.keys(&known.spec).training(name, "end.json");
        let end = Objects::of(&known.session).get_json::<EndRecord>(&key, &looking(name)).await?;
        Ok(end.map(|end| end.value))
    }

    pub(super) async fn stop_record(&self, known: &Known) -> Result<Option<StopRecord>, PortError> {
        let name = &known.spec.name;
        let key = self.keys(&known.spec).training(name, "stop.json");
        let stop = Objects::of(&known.session).get_json(&key, &looking(name)).await?;
        Ok(stop.map(|stop| stop.value))
    }

    /// Describes the job of a training run. `None`: there is none that was created with this specification.
    pub(super) async fn job_of(&self, known: &Known) -> Result<Option<DescribeTrainingJobOutput>, PortError> {
        let described = start::describe(&known.session, &known.spec.name).await;
        let job = described.map_err(|refused| refused.into_port(looking(&known.spec.name)))?;
        let keys = self.keys(&known.spec);
        Ok(job.filter(|job| start::is_of(&known.session, keys, &known.spec.name, &known.digest, job)))
    }

    /// Looks at a training, and writes its end down where it has come.
    pub(super) async fn look(&self, known: &Known, ending: Ending) -> Result<Look, PortError> {
        let spec = &known.spec;
        let still = |training| Look { training, words: None };
        if known.layout == Layout::Earlier {
            return self.look_at_earlier(known).await;
        }
        let written = self.written_end(known).await?;
        match written {
            Some(end) if !end.needs_its_job() => return Ok(still(end.training(spec))),
            Some(end) if self.proved.lock().await.contains(&spec.name) => return Ok(still(end.training(spec))),
            Some(_) | None => {}
        }
        // A job of somebody else under this name: ours was never begun. Beginning it will say so.
        let Some(job) = self.job_of(known).await? else {
            return self.without_job(known).await.map(still);
        };
        if let Some(end) = written.filter(|end| end.is_of(&job)) {
            self.proved.lock().await.insert(spec.name.clone());
            return Ok(still(end.training(spec)));
        }
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
                let keys = self.keys(spec);
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

    /// Looks at a training run whose records lie where training jobs could write. While its job runs, its name is taken;
    /// what it leaves is not used, and the same content trains as the next attempt.
    async fn look_at_earlier(&self, known: &Known) -> Result<Look, PortError> {
        let spec = &known.spec;
        let described = start::describe(&known.session, &spec.name).await;
        let job = described.map_err(|refused| refused.into_port(looking(&spec.name)))?;
        let running = job.filter(|job| matches!(Stand::of(job), Stand::Running | Stand::Stopping));
        let (state, words) = match running {
            Some(job) => (TrainingState::Open, Some(state::words(&job))),
            None => (TrainingState::Stopped { cause: StopCause::Pruned }, None),
        };
        Ok(Look { training: end::open(spec, state), words })
    }

    /// There is a specification and no job: never begun, not visible yet, or deleted.
    pub(super) async fn without_job(&self, known: &Known) -> Result<Training, PortError> {
        let (session, spec, keys) = (&known.session, &known.spec, self.keys(&known.spec));
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
        let record = EndRecord { started_at: Some(begun.at), ..EndRecord::without_job(now, end) };
        settle::write_down(session, keys, spec, record).await
    }
}

fn looking(name: &TrainingName) -> String {
    format!("look at training {name}")
}
