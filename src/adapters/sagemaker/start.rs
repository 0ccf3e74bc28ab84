//! Beginning a training: everything checked, everything uploaded, then one request whose name makes it safe to repeat.
//!
//! The order carries it: what a later run needs (`spec.json`), the mark that it is open, the inputs, the job, and the
//! note that the job was made. Whoever dies in between leaves something that the next one finishes.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::s3::objects::Objects;
use crate::adapters::s3::objects::Stored;
use crate::adapters::s3::objects::write_json;
use crate::adapters::sagemaker::contract;
use crate::adapters::sagemaker::contract::Command;
use crate::adapters::sagemaker::contract::ML;
use crate::adapters::sagemaker::end::BegunRecord;
use crate::adapters::sagemaker::end::SCHEMA;
use crate::adapters::sagemaker::job;
use crate::adapters::sagemaker::job::Inputs;
use crate::adapters::sagemaker::keys::Keys;
use crate::adapters::sagemaker::limits;
use crate::adapters::sagemaker::source;
use crate::adapters::sagemaker::uploads::Machine;
use crate::adapters::system;
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
        if !self.claim().await? {
            // Somebody prepared it before: it may have ended, or run.
            let ended = self.keys.training(&self.spec.name, "end.json");
            if self.objects().has(&ended, &self.doing()).await? {
                return Ok(StartedTraining::Found);
            }
            let found =
                describe(self.session, &self.spec.name).await.map_err(|refused| refused.into_port(self.doing()))?;
            if let Some(job) = found {
                self.ours(&job).await?;
                return Ok(StartedTraining::Found);
            }
        }
        let open = self.keys.open(self.spec.name.as_str());
        self.objects().create(&open, Vec::new(), &self.doing()).await?;
        let inputs = self.inputs(&command).await?;
        let request = job::request(self.spec, &self.session.place, self.repository, &command, &inputs);
        let started = match self.create(&request).await {
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

    /// Writes the specification. `false`: it was there. One of another training is an error.
    async fn claim(&self) -> Result<bool, PortError> {
        let key = self.keys.training(&self.spec.name, "spec.json");
        let objects = self.objects();
        // The very same specification may have been there for long: then the training may have ended.
        if objects.claim(&key, &write_json(self.spec, &self.doing())?, &self.doing()).await? {
            return Ok(true);
        }
        let there = objects.get_json::<TrainingSpec>(&key, &self.doing()).await?;
        let same = there.is_none_or(|Stored { value: there, .. }| {
            there.name == self.spec.name
                && there.project == self.spec.project
                && there.attempt == self.spec.attempt
                && there.origin.model == self.spec.origin.model
                && there.origin.stage == self.spec.origin.stage
                && there.origin.fingerprint == self.spec.origin.fingerprint
        });
        if same {
            return Ok(false);
        }
        let why = format!("{} describes another training of the same name", objects.location(&key));
        Err(PortError::because(PortErrorKind::Bug, self.doing(), why)
            .hint("Do two projects share this bucket and prefix? Give one of them another `prefix`."))
    }

    async fn inputs(&self, command: &Command) -> Result<Inputs, PortError> {
        let (objects, keys, spec) = (self.objects(), self.keys, self.spec);
        let mut inputs = Inputs {
            output: objects.location(&keys.output()),
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
            let outputs = contract::outputs_file(spec);
            let mut files = vec![("environment.sh", environment.as_str()), ("command", line.as_str())];
            files.extend(outputs.as_deref().map(|text| ("outputs", text)));
            for (name, text) in files {
                let key = keys.training(&spec.name, &format!("input/{name}"));
                objects.create(&key, text.as_bytes().to_vec(), &self.doing()).await?;
            }
            inputs.run = objects.location(&keys.training(&spec.name, "input/"));
        }
        Ok(inputs)
    }

    /// Sends the request. A lost answer is followed by a look, never by a second job.
    async fn create(&self, request: &CreateTrainingJobInputBuilder) -> Result<StartedTraining, PortError> {
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
                    self.ours(&job).await?;
                    self.note(job.training_job_arn()).await?;
                    return Ok(if lost { StartedTraining::Fresh } else { StartedTraining::Found });
                }
                Class::Lost | Class::Other => {
                    lost = true;
                    tokio::time::sleep(self.pause).await;
                    let found = describe(self.session, &self.spec.name).await;
                    if let Some(job) = found.map_err(|refused| refused.into_port(self.doing()))? {
                        self.ours(&job).await?;
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
    async fn ours(&self, job: &DescribeTrainingJobOutput) -> Result<(), PortError> {
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
        if !is_of(self.session, self.keys, job) {
            return Err(foreign("it writes its output elsewhere".to_owned()));
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

/// Tells whether a job writes where ours do.
pub(super) fn is_of(session: &Arc<Session>, keys: Keys<'_>, job: &DescribeTrainingJobOutput) -> bool {
    let ours = Objects::of(session).location(&keys.output());
    let theirs = job.output_data_config().and_then(|output| output.s3_output_path());
    theirs.is_some_and(|path| path.trim_end_matches('/') == ours)
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
