//! Beginning a training: everything checked, everything uploaded, then one request whose name makes it safe to repeat.
//!
//! The order carries it: what a later run needs (`spec.json`), the mark that it is open, the inputs, the job, and the
//! note that the job was made. Whoever dies in between leaves something that the next one finishes.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::s3::objects::Created;
use crate::adapters::s3::objects::Objects;
use crate::adapters::s3::objects::Replaced;
use crate::adapters::s3::objects::Stored;
use crate::adapters::s3::objects::write_json;
use crate::adapters::sagemaker::contract;
use crate::adapters::sagemaker::contract::Command;
use crate::adapters::sagemaker::contract::ML;
use crate::adapters::sagemaker::end::BegunRecord;
use crate::adapters::sagemaker::end::EndRecord;
use crate::adapters::sagemaker::end::SCHEMA;
use crate::adapters::sagemaker::job;
use crate::adapters::sagemaker::job::Inputs;
use crate::adapters::sagemaker::keys::Keys;
use crate::adapters::sagemaker::limits;
use crate::adapters::sagemaker::source;
use crate::adapters::sagemaker::uploads::Machine;
use crate::adapters::system;
use crate::model::digest::Sha256Digest;
use crate::model::git::RepositoryId;
use crate::model::name::TrainingName;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::trainer::StartedTraining;
use crate::ports::trainer::TrainingSpec;
use aws_sdk_sagemaker::operation::create_training_job::builders::CreateTrainingJobInputBuilder;
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use std::sync::Arc;
use std::time::Duration;

/// How often a creation is sent again after its answer was lost and nothing was found.
const AGAIN: u32 = 3;

/// A training that is to begin.
#[derive(Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) session: &'a Arc<Session>,
    pub(super) keys: Keys<'a>,
    pub(super) spec: &'a TrainingSpec,
    pub(super) repository: &'a RepositoryId,
    pub(super) machine: Machine<'a>,
    /// How long a job that was just made may be invisible.
    pub(super) pause: Duration,
}

impl Start<'_> {
    fn doing(&self) -> String {
        format!("start training {} on SageMaker", self.spec.name)
    }

    fn objects(&self) -> Objects {
        Objects::of(self.session)
    }

    /// Begins it, or finds it.
    pub(super) async fn run(&self) -> Result<StartedTraining, PortError> {
        let wrong = |why: String| {
            PortError::because(PortErrorKind::Configuration, self.doing(), why)
                .hint("Nothing was uploaded or sent. Change it in branchline.yaml, then run again.")
        };
        let command = Command::of(self.spec).map_err(wrong)?;
        limits::check(self.spec, &self.session.place, &command).map_err(wrong)?;
        let claimed = self.claim().await?;
        if !claimed.is_new {
            // Somebody prepared it before: it may have ended, or run.
            let ended = self.keys.training(&self.spec.name, "end.json");
            let ended = self.objects().get_json::<EndRecord>(&ended, &self.doing()).await?;
            if ended.is_some_and(|end| !end.value.needs_its_job()) {
                return Ok(StartedTraining::Found);
            }
            let found =
                describe(self.session, &self.spec.name).await.map_err(|refused| refused.into_port(self.doing()))?;
            if let Some(job) = found {
                self.ours(&job, &claimed.digest).await?;
                return Ok(StartedTraining::Found);
            }
        }
        let claimed = if claimed.is_ours { claimed } else { self.claim_again(&claimed).await? };
        // What is stored is what is sent: the digest of it is a part of the job.
        let start = Start { spec: &claimed.spec, ..*self };
        start.send(&claimed.digest, &command).await
    }

    /// Uploads what is needed and creates the job.
    async fn send(&self, digest: &Sha256Digest, command: &Command) -> Result<StartedTraining, PortError> {
        let open = self.keys.open(self.spec.name.as_str());
        self.objects().create(&open, Vec::new(), &self.doing()).await?;
        let inputs = self.inputs(digest, command).await?;
        let request = job::request(self.spec, &self.session.place, self.repository, command, &inputs);
        let started = match self.create(&request, digest).await {
            Ok(started) => started,
            Err(error) => {
                if !error.kind.may_pass() {
                    // It will not begin by itself: `reconcile` must not try it for ever. The same push run again does.
                    let _ = self.objects().delete(&open, None, &self.doing()).await;
                }
                return Err(error);
            }
        };
        self.stop_if_asked().await?;
        Ok(started)
    }

    fn specification_key(&self) -> String {
        self.keys.training(&self.spec.name, "spec.json")
    }

    /// Writes the specification, or reads the one that is there. One of another training is an error.
    async fn claim(&self) -> Result<Claimed, PortError> {
        let (objects, key) = (self.objects(), self.specification_key());
        let bytes = write_json(self.spec, &self.doing())?;
        // The very same specification may have been there for long: then the training may have ended.
        if objects.claim(&key, &bytes, &self.doing()).await? {
            return Ok(Claimed::of(self.spec.clone(), &bytes, None));
        }
        let Some(Stored { value, etag }) = objects.get(&key, &self.doing()).await? else {
            let why = format!("{} was deleted at this moment", objects.location(&key));
            return Err(PortError::because(PortErrorKind::Throttling, self.doing(), why).hint("Run again."));
        };
        let there: TrainingSpec = objects.read_json(&key, &value, &self.doing())?;
        let same = there.name == self.spec.name
            && there.project == self.spec.project
            && there.attempt == self.spec.attempt
            && there.origin.model == self.spec.origin.model
            && there.origin.stage == self.spec.origin.stage
            && there.origin.fingerprint == self.spec.origin.fingerprint;
        if same {
            let is_ours = asks_the_same(&there, self.spec);
            return Ok(Claimed { is_new: false, is_ours, ..Claimed::of(there, &value, Some(etag)) });
        }
        let why = format!("{} describes another training of the same name", objects.location(&key));
        Err(PortError::because(PortErrorKind::Bug, self.doing(), why)
            .hint("Do two projects share this bucket and prefix? Give one of them another `prefix`."))
    }

    /// Replaces a specification that asks for something else, and of which nothing was begun.
    async fn claim_again(&self, there: &Claimed) -> Result<Claimed, PortError> {
        let bytes = write_json(self.spec, &self.doing())?;
        let etag = there.etag.as_deref().unwrap_or_default();
        let replaced = self.objects().replace(&self.specification_key(), etag, bytes.clone(), &self.doing()).await?;
        if replaced == Replaced::Moved {
            let why = format!("another run prepared {} at this moment", self.spec.name);
            return Err(PortError::because(PortErrorKind::Throttling, self.doing(), why).hint("Run again."));
        }
        Ok(Claimed::of(self.spec.clone(), &bytes, None))
    }

    async fn inputs(&self, digest: &Sha256Digest, command: &Command) -> Result<Inputs, PortError> {
        let (objects, keys, spec) = (self.objects(), self.keys, self.spec);
        let mut inputs = Inputs {
            output: objects.location(&keys.output(&spec.name, digest)),
            checkpoints: objects.location(&keys.checkpoints(spec.origin.fingerprint.digest().as_str())),
            ..Inputs::default()
        };
        for (channel, dataset) in &spec.origin.datasets {
            let uri = self.machine.place(spec, channel, dataset, &objects, keys).await?;
            inputs.data.push((channel.as_str().to_owned(), uri));
        }
        if *command == Command::OfImage {
            return Ok(inputs);
        }
        let source = source::packed(self.machine.home, self.machine.material, spec).await?;
        inputs.source = source.upload(&objects, keys).await?;
        if let Command::Bootstrap(line) = command {
            let environment = contract::environment_file(spec, ML, &source.notes);
            // By its content: an earlier release may have written something else for the same training.
            let content = Sha256Digest::of(format!("{environment}\0{line}").as_bytes());
            let input = format!("input/{}/", content.short());
            for (name, text) in [("environment.sh", environment.as_str()), ("command", line.as_str())] {
                let key = keys.training(&spec.name, &format!("{input}{name}"));
                if let Created::Existing(_) = objects.create(&key, text.as_bytes().to_vec(), &self.doing()).await? {
                    return Err(source::occupied(&objects.location(&key), self.doing()));
                }
            }
            inputs.run = objects.location(&keys.training(&spec.name, &input));
        }
        Ok(inputs)
    }

    /// Sends the request. A lost answer is followed by a look, never by a second job.
    async fn create(
        &self,
        request: &CreateTrainingJobInputBuilder,
        digest: &Sha256Digest,
    ) -> Result<StartedTraining, PortError> {
        const ACTION: &str = "sagemaker:CreateTrainingJob";
        let mut lost = false;
        for _ in 0..AGAIN {
            let send = || request.clone().send_with(&self.session.sagemaker);
            let refused = match self.session.call(Kind::Create, ACTION, send).await {
                Ok(made) => {
                    self.note(made.training_job_arn()).await?;
                    return Ok(StartedTraining::Fresh);
                }
                Err(refused) => refused,
            };
            match refused.class {
                Class::Exists => {
                    let job = describe(self.session, &self.spec.name).await;
                    let job = job.map_err(|refused| refused.into_port(self.doing()))?;
                    let Some(job) = job else { return Err(refused.into_port(self.doing())) };
                    self.ours(&job, digest).await?;
                    self.note(job.training_job_arn()).await?;
                    return Ok(if lost { StartedTraining::Fresh } else { StartedTraining::Found });
                }
                Class::Lost | Class::Other => {
                    lost = true;
                    tokio::time::sleep(self.pause).await;
                    let found = describe(self.session, &self.spec.name).await;
                    if let Some(job) = found.map_err(|refused| refused.into_port(self.doing()))? {
                        self.ours(&job, digest).await?;
                        self.note(job.training_job_arn()).await?;
                        return Ok(StartedTraining::Fresh);
                    }
                }
                _ => return Err(self.explain(refused)),
            }
        }
        Err(PortError::because(
            PortErrorKind::Network,
            self.doing(),
            "SageMaker's answers were lost, and there is no job",
        )
        .hint("Run again: what was prepared is used."))
    }

    fn explain(&self, refused: Refused) -> PortError {
        let text = refused.message.to_ascii_lowercase();
        let capacity = refused.code.as_deref().is_some_and(|code| code.contains("Capacity"))
            || text.contains("insufficient capacity");
        if capacity {
            return PortError::because(PortErrorKind::Throttling, self.doing(), refused)
                .hint("There is no free machine of this type now. Run again later, or use another `instance.type`.");
        }
        let role = refused.class == Class::Invalid && text.contains("could not assume role");
        let error = refused.into_port(self.doing());
        if role {
            return error.hint(
                "The execution role must exist and trust sagemaker.amazonaws.com: `branchline iam` prints its policies.",
            );
        }
        error
    }

    /// Notes that the job was made: without it, one that is deleted later looks as if it had never been.
    async fn note(&self, arn: Option<&str>) -> Result<(), PortError> {
        let begun = BegunRecord { schema: SCHEMA, at: system::now(), arn: arn.map(str::to_owned) };
        let key = self.keys.training(&self.spec.name, "begun.json");
        self.objects().create_json(&key, &begun, &self.doing()).await.map(drop)
    }

    /// Refuses a job of the same name that somebody else made.
    async fn ours(&self, job: &DescribeTrainingJobOutput, digest: &Sha256Digest) -> Result<(), PortError> {
        let foreign = |what: String| {
            let name = &self.spec.name;
            PortError::because(
                PortErrorKind::Configuration,
                self.doing(),
                format!("SageMaker has a training job {name} that is not ours: {what}"),
            )
            .hint(format!(
                "A name is unique in an account and region. Delete that job (`aws sagemaker delete-training-job \
                 --training-job-name {name}`), or train again: `branchline train --again --reason \"name taken\"`."
            ))
        };
        let place = self.objects().location(&self.keys.outputs_of(&self.spec.name));
        if !output_of(job).is_some_and(|path| path.starts_with(&place)) {
            return Err(foreign("it writes its output elsewhere".to_owned()));
        }
        if !is_of(self.session, self.keys, &self.spec.name, digest, job) {
            return Err(foreign("it was created with another specification".to_owned()));
        }
        let Some(arn) = job.training_job_arn() else { return Ok(()) };
        let tags = self
            .session
            .call(Kind::List, "sagemaker:ListTags", || self.session.sagemaker.list_tags().resource_arn(arn).send())
            .await;
        // Who may not read tags has seen where it writes, which nobody else's job does.
        let Ok(tags) = tags else { return Ok(()) };
        let theirs = tags.tags().iter().find(|tag| tag.key() == Some("branchline:fingerprint"));
        let ours = self.spec.origin.fingerprint.to_string();
        match theirs.and_then(|tag| tag.value()) {
            Some(value) if value != ours => Err(foreign(format!("its fingerprint is {value}"))),
            Some(_) | None => Ok(()),
        }
    }

    /// Stops it where somebody asked for that while it began.
    async fn stop_if_asked(&self) -> Result<(), PortError> {
        let asked = self.keys.training(&self.spec.name, "stop.json");
        if self.objects().has(&asked, &self.doing()).await? {
            let stopped = send_stop(self.session, &self.spec.name).await;
            stopped.map_err(|refused| refused.into_port(format!("stop training {}", self.spec.name)))?;
        }
        Ok(())
    }
}

/// A specification that is stored under the name of a training run.
struct Claimed {
    spec: TrainingSpec,
    /// Of its bytes.
    digest: Sha256Digest,
    etag: Option<String>,
    /// It was written just now.
    is_new: bool,
    /// It asks for what this run asks for.
    is_ours: bool,
}

impl Claimed {
    fn of(spec: TrainingSpec, bytes: &[u8], etag: Option<String>) -> Self {
        Self { spec, digest: Sha256Digest::of(bytes), etag, is_new: true, is_ours: true }
    }
}

/// Tells whether two specifications differ at most in who asked, and when.
fn asks_the_same(a: &TrainingSpec, b: &TrainingSpec) -> bool {
    let asked = |spec: &TrainingSpec| {
        let mut spec = spec.clone();
        let origin = &mut spec.origin;
        (origin.actor, origin.pull_request, origin.run_url, origin.again) = (None, None, None, None);
        (origin.run_key, origin.run_attempt) = (String::new(), 0);
        spec
    };
    asked(a) == asked(b)
}

/// Tells whether a job was created with this specification: where it writes says so.
pub(super) fn is_of(
    session: &Arc<Session>,
    keys: Keys<'_>,
    name: &TrainingName,
    digest: &Sha256Digest,
    job: &DescribeTrainingJobOutput,
) -> bool {
    output_of(job).is_some_and(|path| path == Objects::of(session).location(&keys.output(name, digest)))
}

fn output_of(job: &DescribeTrainingJobOutput) -> Option<&str> {
    let path = job.output_data_config().and_then(|output| output.s3_output_path());
    path.map(|path| path.trim_end_matches('/'))
}

/// Describes a job. `None`: there is none.
pub(super) async fn describe(
    session: &Session,
    name: &TrainingName,
) -> Result<Option<DescribeTrainingJobOutput>, Refused> {
    let send = || session.sagemaker.describe_training_job().training_job_name(name.as_str()).send();
    match session.call(Kind::Read, "sagemaker:DescribeTrainingJob", send).await {
        Ok(job) => Ok(Some(job)),
        Err(refused) if refused.class == Class::NotFound => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// Asks SageMaker to stop a job. One that has ended, or is gone, is no error.
pub(super) async fn send_stop(session: &Session, name: &TrainingName) -> Result<(), Refused> {
    let send = || session.sagemaker.stop_training_job().training_job_name(name.as_str()).send();
    // Stopping twice is stopping once: a lost answer may be sent again.
    match session.call(Kind::Repeatable, "sagemaker:StopTrainingJob", send).await {
        Ok(_) => Ok(()),
        // "The request was rejected because the training job is in status Completed."
        Err(refused) if refused.class == Class::NotFound || refused.message.contains("in status") => Ok(()),
        Err(refused) => Err(refused),
    }
}
