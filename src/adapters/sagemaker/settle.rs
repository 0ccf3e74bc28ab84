//! Writing down how a training ended, once: the metrics are read, the model is copied to where it stays, and `end.json`
//! says the rest. Safe to repeat and safe side by side: every object is made once, and whoever is second reads it.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Session;
use crate::adapters::local::ending;
use crate::adapters::local::ending::EVIDENCE_LINES;
use crate::adapters::local::ending::EVIDENCE_WIDTH;
use crate::adapters::local::metrics;
use crate::adapters::local::metrics::LogScan;
use crate::adapters::local::metrics::MetricsError;
use crate::adapters::s3::CopyOptions;
use crate::adapters::s3::S3Place;
use crate::adapters::s3::copy_object;
use crate::adapters::s3::datasets;
use crate::adapters::s3::objects::Created;
use crate::adapters::s3::objects::Objects;
use crate::adapters::s3::objects::Replaced;
use crate::adapters::sagemaker::end::EndRecord;
use crate::adapters::sagemaker::end::SCHEMA;
use crate::adapters::sagemaker::end::StopRecord;
use crate::adapters::sagemaker::failure;
use crate::adapters::sagemaker::keys::Keys;
use crate::adapters::sagemaker::limits;
use crate::adapters::sagemaker::logs;
use crate::adapters::sagemaker::logs::LogPlace;
use crate::adapters::sagemaker::output;
use crate::adapters::sagemaker::output::Search;
use crate::adapters::sagemaker::state;
use crate::adapters::sagemaker::state::Stand;
use crate::adapters::system;
use crate::model::artifact::Artifact;
use crate::model::dataset::DatasetKind;
use crate::model::metric::Metrics;
use crate::model::training::Cause;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use std::sync::Arc;

const MODEL: &str = "model.tar.gz";
/// Lines of a log that are searched for metrics which SageMaker did not find, at most.
const SEARCHED_LINES: u64 = 200_000;

/// A training whose job has ended.
pub(super) struct Ended<'a> {
    pub(super) session: &'a Arc<Session>,
    pub(super) keys: Keys<'a>,
    pub(super) spec: &'a TrainingSpec,
    /// How the job stands now.
    pub(super) stand: Stand,
    pub(super) job: &'a DescribeTrainingJobOutput,
}

/// Why a training that ended well failed all the same; or something could not be done.
enum Bad {
    Failed(Cause, String),
    Port(PortError),
}

impl From<PortError> for Bad {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl Ended<'_> {
    /// Finds out how it ended, writes it down and returns it.
    pub(super) async fn settle(&self) -> Result<Training, PortError> {
        let end = match self.end().await {
            Ok(end) => end,
            Err(Bad::Port(error)) => return Err(error),
            Err(Bad::Failed(cause, message)) => TrainingState::Failed { cause, message, log_tail: self.tail().await },
        };
        let (started_at, ended_at) = state::times(self.job);
        let record = EndRecord {
            schema: SCHEMA,
            started_at,
            ended_at: ended_at.or(started_at).unwrap_or_else(system::now),
            end,
            job_created_at: state::created(self.job),
            bill: state::bill(self.job),
            url: Some(state::console(&self.session.place.region, self.spec.name.as_str())),
        };
        write_down(self.session, self.keys, self.spec, record).await
    }

    async fn end(&self) -> Result<TrainingState, Bad> {
        let reason = self.job.failure_reason().unwrap_or_default();
        match self.stand {
            Stand::Completed => self.success().await,
            Stand::Failed => {
                let tail = self.tail().await;
                let (cause, message) = failure::explain(self.spec, reason, &tail);
                Ok(TrainingState::Failed { cause, message, log_tail: tail })
            }
            Stand::TimedOut => {
                let message = ending::too_long(failure::what_ran(self.spec), limits::run_time(self.spec));
                Err(Bad::Failed(Cause::TimeLimit, message))
            }
            Stand::WaitedTooLong => {
                Err(Bad::Failed(Cause::Capacity, "no spot machine came within instance.max_wait".to_owned()))
            }
            Stand::Stopped | Stand::Stopping | Stand::Running => {
                let key = self.keys.training(&self.spec.name, "stop.json");
                let doing = format!("look at training {}", self.spec.name);
                match Objects::of(self.session).get_json::<StopRecord>(&key, &doing).await? {
                    Some(stop) => Ok(TrainingState::Stopped { cause: stop.value.cause }),
                    None => Err(Bad::Failed(
                        Cause::StoppedElsewhere,
                        "somebody stopped it in SageMaker: neither a run nor a command of ours did".to_owned(),
                    )),
                }
            }
        }
    }

    async fn success(&self) -> Result<TrainingState, Bad> {
        let no_model = || Bad::Failed(Cause::Code, "wrote no model: nothing in $SM_MODEL_DIR".to_owned());
        let uri = self.job.model_artifacts().and_then(|model| model.s3_model_artifacts());
        let model = uri.and_then(S3Place::parse).ok_or_else(no_model)?;
        let about = self.head(&model).await?.ok_or_else(no_model)?;
        if about <= output::NOTHING && output::is_empty(self.session, &model).await? {
            return Err(no_model());
        }
        let metrics = self.metrics(&model).await?;
        let to = self.keys.training(&self.spec.name, MODEL);
        let to = Objects::of(self.session).place(&to);
        let copied = copy_object(self.session, self.session, &model, &to, &CopyOptions::default()).await;
        let copied =
            copied.map_err(|failure| failure.into_port(format!("keep the model of training {}", self.spec.name)))?;
        let artifact =
            Artifact { name: MODEL.to_owned(), digest: copied.digest, size: copied.size, location: to.uri() };
        Ok(TrainingState::Succeeded { metrics, artifacts: vec![artifact], data_moved: self.data_moved().await? })
    }

    /// Returns the size of an object. `None`: there is none.
    async fn head(&self, place: &S3Place) -> Result<Option<u64>, PortError> {
        let s3 = &self.session.s3;
        let head = || s3.head_object().bucket(&place.bucket).key(&place.key).send();
        match self.session.call(Kind::Read, "s3:GetObject", head).await {
            Ok(about) => Ok(Some(about.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0))),
            Err(refused) if refused.class == Class::NotFound => Ok(None),
            Err(refused) => Err(refused.into_port(format!("look at the model {}", place.uri()))),
        }
    }

    async fn metrics(&self, model: &S3Place) -> Result<Metrics, Bad> {
        let bad = |error: MetricsError| Bad::Failed(Cause::Code, error.to_string());
        let folder = model.key.rsplit_once('/').map_or("", |(folder, _)| folder);
        let archive = S3Place::new(model.bucket.clone(), format!("{folder}/output.tar.gz"));
        let file = match output::metrics(self.session, &archive).await? {
            Search::Found(file) => metrics::parse_file(file.size, &file.content).map_err(bad)?,
            Search::Absent => Metrics::new(),
            Search::Unusable(why) => return Err(Bad::Failed(Cause::Code, why)),
        };
        let log = self.of_log().await?.map_err(bad)?;
        metrics::complete(file, log, &self.spec.required_metrics).map_err(bad)
    }

    /// Returns the declared metrics: as SageMaker found them, else from the log itself. Its own list may come later
    /// than the end of the job.
    async fn of_log(&self) -> Result<Result<Metrics, MetricsError>, PortError> {
        let declared = &self.spec.settings.metrics;
        let mut found = Metrics::new();
        for data in self.job.final_metric_data_list() {
            let (Some(name), Some(value)) = (data.metric_name(), data.value()) else { continue };
            if let Some((name, _)) = declared.iter().find(|(declared, _)| declared.as_str() == name) {
                match metrics::of_single(name, value) {
                    Ok(value) => drop(found.insert(name.clone(), value)),
                    Err(error) => return Ok(Err(error)),
                }
            }
        }
        let mut missing = declared.clone();
        missing.retain(|name, _| !found.contains_key(name));
        if missing.is_empty() {
            return Ok(Ok(found));
        }
        let mut scan = match LogScan::new(&missing) {
            Ok(scan) => scan,
            Err(error) => return Ok(Err(error)),
        };
        let mut place = LogPlace::default();
        while place.lines < SEARCHED_LINES {
            // A log that may not be read has no metrics in it: a gate will say which one is missing.
            let Ok(lines) = logs::since(self.session, &self.spec.name, &mut place).await else { break };
            if lines.is_empty() {
                break;
            }
            scan.feed(&lines.join("\n"));
        }
        Ok(scan.metrics().map(|more| {
            found.extend(more);
            found
        }))
    }

    /// Identifies the data in buckets again: what they are now, the training may have read.
    async fn data_moved(&self) -> Result<bool, PortError> {
        for (channel, before) in &self.spec.origin.datasets {
            let Some(source) = self.spec.settings.data.get(channel) else { continue };
            if before.kind != DatasetKind::Remote {
                continue;
            }
            match datasets::identify(self.session, source).await? {
                Ok(now) if now.digest == before.digest => {}
                Ok(_) | Err(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    async fn tail(&self) -> Vec<String> {
        evidence(self.session, self.spec).await
    }
}

/// Returns the last lines for people. A log that cannot be read is said instead of it: the failure itself counts more.
pub(super) async fn evidence(session: &Session, spec: &TrainingSpec) -> Vec<String> {
    let lines = match logs::tail(session, &spec.name, EVIDENCE_LINES).await {
        Ok(lines) => lines,
        Err(refused) => vec![format!("(the log cannot be read: {refused})")],
    };
    lines.into_iter().map(|line| line.chars().take(EVIDENCE_WIDTH).collect()).collect()
}

/// Writes an end down. Where one is written already, that one holds, unless it tells of a success that is not this
/// job's.
pub(super) async fn write_down(
    session: &Arc<Session>,
    keys: Keys<'_>,
    spec: &TrainingSpec,
    record: EndRecord,
) -> Result<Training, PortError> {
    let objects = Objects::of(session);
    let doing = format!("write down the end of training {}", spec.name);
    if matches!(record.end, TrainingState::Succeeded { .. }) {
        // First: a crash here leaves a mark that leads back to this very work. Later, nobody would look for it.
        let mark = keys.ended_at(&spec.name, record.ended_at);
        objects.create(&mark, Vec::new(), &doing).await?;
    }
    let key = keys.training(&spec.name, "end.json");
    let record = match objects.create_json(&key, &record, &doing).await? {
        Created::New(_) => record,
        Created::Existing(stored) => {
            let there: EndRecord = objects.read_json(&key, &stored.value, &doing)?;
            if there.holds_against(&record) {
                there
            } else if objects.replace_json(&key, &stored.etag, &record, &doing).await? == Replaced::Moved {
                return Err(PortError::because(
                    PortErrorKind::Throttling,
                    &doing,
                    "another run wrote it at this moment",
                )
                .hint("Run again: what is there then is looked at anew."));
            } else {
                record
            }
        }
    };
    close(session, keys, spec).await?;
    Ok(record.training(spec))
}

/// Takes the mark of an open training away.
pub(super) async fn close(session: &Arc<Session>, keys: Keys<'_>, spec: &TrainingSpec) -> Result<(), PortError> {
    let doing = format!("take training {} from the open ones", spec.name);
    Objects::of(session).delete(&keys.open(spec.name.as_str()), None, &doing).await.map(drop)
}
