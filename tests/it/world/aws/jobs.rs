//! SageMaker's training jobs: a scripted one goes on by one step each time that somebody describes it; one without a
//! script really runs.

use super::archive::packed;
use super::container;
use super::s3;
use super::sagemaker::Answer;
use super::sagemaker::page;
use super::sagemaker::paged;
use super::sagemaker::shown;
use super::sagemaker::tags;
use super::sagemaker::time;
use super::state::State;
use super::wire::Reply;
use super::wire::Request;
use regex::Regex;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// The log group of all training jobs.
pub const LOG_GROUP: &str = "/aws/sagemaker/TrainingJobs";

/// How a job goes.
#[derive(Debug, Clone)]
pub struct Script {
    steps: VecDeque<(String, u32)>,
    end: End,
    /// What it leaves behind.
    pub output: Output,
}

#[derive(Debug, Clone)]
enum End {
    Completed,
    Failed(String),
    Stopped(String),
    Never,
    Real,
}

/// What a job leaves behind.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// The files of `model.tar.gz`.
    pub model: Vec<(String, Vec<u8>)>,
    /// The files of `output.tar.gz`.
    pub data: Vec<(String, Vec<u8>)>,
    /// What it said.
    pub log: Vec<String>,
}

impl Script {
    fn new(end: End) -> Self {
        Self { steps: VecDeque::new(), end, output: Output::default() }
    }

    /// It succeeds.
    pub fn completed() -> Self {
        Self::new(End::Completed)
    }

    /// It fails for this reason.
    pub fn failed(reason: &str) -> Self {
        Self::new(End::Failed(reason.to_owned()))
    }

    /// It is stopped, with this secondary status, such as `MaxRuntimeExceeded`.
    pub fn stopped(secondary: &str) -> Self {
        Self::new(End::Stopped(secondary.to_owned()))
    }

    /// It trains until it is stopped.
    pub fn forever() -> Self {
        Self::new(End::Never)
    }

    /// It really runs its command, after the steps.
    pub fn real() -> Self {
        Self::new(End::Real)
    }

    /// Before that, it is in this secondary status for so many describes.
    pub fn step(mut self, secondary: &str, polls: u32) -> Self {
        self.steps.push_back((secondary.to_owned(), polls));
        self
    }

    /// Its model has this file.
    pub fn model(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.output.model.push((name.to_owned(), bytes.into()));
        self
    }

    /// `/opt/ml/output/data` has this file.
    pub fn data(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.output.data.push((name.to_owned(), bytes.into()));
        self
    }

    /// It says this line.
    pub fn log(mut self, line: &str) -> Self {
        self.output.log.push(line.to_owned());
        self
    }
}

/// A training job.
pub struct Job {
    /// As it was asked for.
    pub request: Value,
    /// Its ARN.
    pub arn: String,
    /// Seconds of the epoch.
    pub created: f64,
    /// `TrainingJobStatus`
    pub status: String,
    /// `SecondaryStatus`
    pub secondary: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Somebody asked for its end.
    pub stop: Arc<AtomicBool>,
    script: Script,
    transitions: Vec<(String, f64)>,
    started: Option<f64>,
    ended: Option<f64>,
    failure: Option<String>,
    metrics: Vec<(String, f32, f64)>,
}

impl Job {
    /// Whether nothing happens to it any more.
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "Completed" | "Failed" | "Stopped")
    }

    /// Where its model comes to be.
    pub fn folder(&self) -> String {
        let root = self.request["OutputDataConfig"]["S3OutputPath"].as_str().unwrap_or_default();
        let name = self.request["TrainingJobName"].as_str().unwrap_or_default();
        format!("{}/{name}/output", root.trim_end_matches('/'))
    }

    /// Goes over to a secondary status.
    pub fn enter(&mut self, secondary: &str, now: f64) {
        if self.secondary != secondary {
            self.secondary = secondary.to_owned();
            self.transitions.push((secondary.to_owned(), now));
            if secondary == "Training" {
                self.started.get_or_insert(now);
            }
        }
    }

    /// What `DescribeTrainingJob` says.
    pub fn described(&self) -> Value {
        let mut answer = Value::Object(shown("DescribeTrainingJob", &self.request));
        let transitions: Vec<Value> = self
            .transitions
            .iter()
            .enumerate()
            .map(|(at, (status, start))| {
                let mut one = json!({ "Status": status, "StartTime": time(*start), "StatusMessage": "…" });
                if let Some((_, end)) = self.transitions.get(at + 1) {
                    one["EndTime"] = time(*end);
                }
                one
            })
            .collect();
        answer["TrainingJobArn"] = json!(self.arn);
        answer["TrainingJobStatus"] = json!(self.status);
        answer["SecondaryStatus"] = json!(self.secondary);
        answer["SecondaryStatusTransitions"] = json!(transitions);
        answer["CreationTime"] = time(self.created);
        answer["LastModifiedTime"] = time(self.transitions.last().map_or(self.created, |(_, at)| *at));
        answer["ModelArtifacts"] = json!({ "S3ModelArtifacts": format!("{}/model.tar.gz", self.folder()) });
        if let Some(started) = self.started {
            answer["TrainingStartTime"] = time(started);
        }
        if let Some(ended) = self.ended {
            let seconds = (ended - self.started.unwrap_or(ended)).ceil().max(1.0);
            let spot = self.request["EnableManagedSpotTraining"] == true;
            answer["TrainingEndTime"] = time(ended);
            answer["TrainingTimeInSeconds"] = json!(seconds as i64);
            answer["BillableTimeInSeconds"] = json!(if spot { (seconds * 0.3).ceil() } else { seconds } as i64);
        }
        if let Some(why) = &self.failure {
            answer["FailureReason"] = json!(why.chars().take(1024).collect::<String>());
        }
        if !self.metrics.is_empty() {
            let of = |(name, value, at): &(String, f32, f64)| json!({ "MetricName": name, "Value": f64::from(*value), "Timestamp": time(*at) });
            answer["FinalMetricDataList"] = json!(self.metrics.iter().map(of).collect::<Vec<_>>());
        }
        answer
    }
}

/// The last value of each metric that the definitions find in the log.
fn metrics(definitions: &Value, log: &[String], now: f64) -> Vec<(String, f32, f64)> {
    let mut found = Vec::new();
    for definition in definitions.as_array().into_iter().flatten() {
        let Ok(pattern) = Regex::new(definition["Regex"].as_str().unwrap_or_default()) else { continue };
        let value = log.iter().rev().find_map(|line| pattern.captures(line)?.get(1)?.as_str().parse::<f32>().ok());
        if let Some(value) = value {
            found.push((definition["Name"].as_str().unwrap_or_default().to_owned(), value, now));
        }
    }
    found
}

fn not_found() -> Reply {
    Reply::invalid("Requested resource not found.")
}

/// `CreateTrainingJob`
pub fn create(state: &mut State, request: &Request) -> Answer {
    let asked = &request.json;
    let name = request.text("TrainingJobName").to_owned();
    let arn = format!("arn:aws:sagemaker:{}:{}:training-job/{name}", request.region, request.account);
    if state.place(&request.account, &request.region).jobs.contains_key(&name) {
        let message = format!(
            "Training job names must be unique within an AWS account and region, and a training job with this name \
             already exists ({arn})"
        );
        return Err(Reply::refused(400, "ResourceInUse", &message));
    }
    let algorithm = &asked["AlgorithmSpecification"];
    if algorithm["TrainingImage"].is_null() == algorithm["AlgorithmName"].is_null() {
        return Err(Reply::invalid("Exactly one of TrainingImage and AlgorithmName must be given."));
    }
    let stopping = &asked["StoppingCondition"];
    let (runtime, wait) = (stopping["MaxRuntimeInSeconds"].as_i64(), stopping["MaxWaitTimeInSeconds"].as_i64());
    let spot = asked["EnableManagedSpotTraining"] == true;
    if spot && wait.is_none_or(|wait| wait < runtime.unwrap_or(86_400)) {
        let message =
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds";
        return Err(Reply::invalid(message));
    }
    if !spot && wait.is_some() {
        return Err(Reply::invalid("MaxWaitTimeInSeconds can only be given when EnableManagedSpotTraining is true"));
    }
    let output = asked["OutputDataConfig"]["S3OutputPath"].as_str().unwrap_or_default();
    let bucket = output.strip_prefix("s3://").map(|path| s3::place(path).0).unwrap_or_default();
    if !state.buckets.contains_key(bucket) {
        return Err(Reply::invalid(&format!("Invalid S3OutputPath: the bucket {bucket} cannot be found")));
    }
    let chosen = state.scripts.pop_front();
    let chosen = chosen.or_else(|| state.choices.iter().find_map(|choose| choose(asked)));
    let script = chosen.unwrap_or_else(Script::real);
    let now = state.now();
    let mut job = Job {
        request: asked.clone(),
        arn: arn.clone(),
        created: now,
        status: "InProgress".to_owned(),
        secondary: String::new(),
        tags: tags(&asked["Tags"])?,
        stop: Arc::default(),
        script,
        transitions: Vec::new(),
        started: None,
        ended: None,
        failure: None,
        metrics: Vec::new(),
    };
    job.enter("Starting", now);
    let begins = matches!(job.script.end, End::Real) && job.script.steps.is_empty();
    state.place(&request.account, &request.region).jobs.insert(name.clone(), job);
    if begins {
        container::begin(state, &request.account, &request.region, &name);
    }
    Ok(json!({ "TrainingJobArn": arn }))
}

/// `DescribeTrainingJob`: a scripted job goes on by one step.
pub fn describe(state: &mut State, request: &Request) -> Answer {
    let name = request.text("TrainingJobName").to_owned();
    let (account, region) = (&request.account, &request.region);
    let now = state.now();
    let job = state.place(account, region).jobs.get_mut(&name).ok_or_else(not_found)?;
    let stopped = job.stop.load(Ordering::SeqCst);
    let real = matches!(job.script.end, End::Real);
    let runs_by_itself = real && job.script.steps.is_empty();
    if !job.is_over() && !runs_by_itself {
        let output = job.script.output.clone();
        let step = job.script.steps.front_mut().map(|(secondary, polls)| {
            *polls = polls.saturating_sub(1);
            (secondary.clone(), *polls == 0)
        });
        match (stopped, step) {
            (true, _) => settle(state, account, region, &name, "Stopped", "Stopped", None, output),
            (false, Some((secondary, last))) => {
                job.enter(&secondary, now);
                if last {
                    job.script.steps.pop_front();
                }
                if real && job.script.steps.is_empty() {
                    container::begin(state, account, region, &name);
                }
            }
            (false, None) => {
                job.enter("Training", now);
                match job.script.end.clone() {
                    End::Completed => settle(state, account, region, &name, "Completed", "Completed", None, output),
                    End::Failed(why) => settle(state, account, region, &name, "Failed", "Failed", Some(why), output),
                    End::Stopped(why) => settle(state, account, region, &name, "Stopped", &why, None, output),
                    End::Never | End::Real => {}
                }
            }
        }
    }
    state.place(account, region).jobs.get(&name).map(Job::described).ok_or_else(not_found)
}

/// Ends a job: its files come to S3, its log to CloudWatch.
#[expect(clippy::too_many_arguments, reason = "what a job ends with")]
pub fn settle(
    state: &mut State,
    account: &str,
    region: &str,
    name: &str,
    status: &str,
    secondary: &str,
    failure: Option<String>,
    output: Output,
) {
    let now = state.now();
    let place = state.place(account, region);
    let Some(job) = place.jobs.get_mut(name) else { return };
    let folder = job.folder();
    let mut log = output.log;
    let streams = place.logs.entry(LOG_GROUP.to_owned()).or_default();
    let begins = format!("{name}/");
    match streams.iter().find(|(stream, _)| stream.starts_with(&begins)) {
        Some((_, lines)) => log = lines.iter().map(|(_, line)| line.clone()).chain(log).collect(),
        None if log.is_empty() => {}
        None => {
            let ms = (now * 1000.0) as i64;
            let lines = log.iter().map(|line| (ms, line.clone())).collect();
            streams.insert(format!("{name}/algo-1-{ms}"), lines);
        }
    }
    job.metrics = metrics(&job.request["AlgorithmSpecification"]["MetricDefinitions"], &log, now);
    job.failure = failure;
    job.enter(secondary, now);
    job.status = status.to_owned();
    job.ended = Some(now);
    let path = folder.strip_prefix("s3://").unwrap_or_default().to_owned();
    let (bucket, key) = s3::place(&path);
    if !state.buckets.contains_key(bucket) {
        return;
    }
    if status == "Completed" || (status == "Stopped" && !output.model.is_empty()) {
        state.write_object(bucket, &format!("{key}/model.tar.gz"), packed(&output.model));
    }
    if !output.data.is_empty() {
        state.write_object(bucket, &format!("{key}/output.tar.gz"), packed(&output.data));
    }
}

/// `StopTrainingJob`
pub fn stop(state: &mut State, request: &Request) -> Answer {
    let now = state.now();
    let jobs = &mut state.place(&request.account, &request.region).jobs;
    let job = jobs.get_mut(request.text("TrainingJobName")).ok_or_else(not_found)?;
    if job.is_over() {
        let message = format!("The request was rejected because the training job is in status {}.", job.status);
        return Err(Reply::invalid(&message));
    }
    job.stop.store(true, Ordering::SeqCst);
    job.status = "Stopping".to_owned();
    job.enter("Stopping", now);
    Ok(Value::Null)
}

/// `ListTrainingJobs`
pub fn list(state: &mut State, request: &Request) -> Answer {
    let behind = state.lag.get("ListTrainingJobs").copied().unwrap_or_default();
    let wanted = request.json["StatusEquals"].as_str();
    let place = state.place(&request.account, &request.region);
    let mut jobs: Vec<(&String, &Job)> = place.jobs.iter().collect();
    jobs.sort_by(|a, b| a.1.created.total_cmp(&b.1.created));
    jobs.truncate(jobs.len().saturating_sub(behind));
    let items = jobs
        .into_iter()
        .filter(|(_, job)| wanted.is_none_or(|wanted| wanted == job.status))
        .map(|(name, job)| {
            let whole = job.described();
            let mut shown = json!({});
            for member in ["TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime"] {
                if !whole[member].is_null() {
                    shown[member] = whole[member].clone();
                }
            }
            shown["TrainingJobName"] = json!(name);
            shown["TrainingJobStatus"] = json!(job.status);
            shown["SecondaryStatus"] = json!(job.secondary);
            (job.created, name.clone(), shown)
        })
        .collect();
    Ok(paged("TrainingJobSummaries", page(state, request, items)?))
}

/// `DeleteTrainingJob`
pub fn delete(state: &mut State, request: &Request) -> Answer {
    let jobs = &mut state.place(&request.account, &request.region).jobs;
    let name = request.text("TrainingJobName");
    let job = jobs.get(name).ok_or_else(not_found)?;
    if !job.is_over() {
        let message = format!("The training job is in status {} and cannot be deleted.", job.status);
        return Err(Reply::refused(400, "ResourceInUse", &message));
    }
    jobs.remove(name);
    Ok(Value::Null)
}
