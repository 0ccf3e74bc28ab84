//! Plays the container of a training job: lays out what SageMaker lays out below `/opt/ml`, in a folder of its own,
//! runs the job's command with that path put in its place, and carries back what it leaves.

use super::archive::files_below;
use super::jobs::LOG_GROUP;
use super::jobs::Output;
use super::jobs::settle;
use super::s3;
use super::state::State;
use branchline::adapters::system;
use branchline::adapters::system::Stopwatch;
use serde_json::Value;
use serde_json::json;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

const INSIDE: &str = "/opt/ml";
/// After SIGTERM; SageMaker gives 120.
const GRACE: Duration = Duration::from_secs(2);

struct Run {
    state: Arc<Mutex<State>>,
    account: String,
    region: String,
    name: String,
    request: Value,
    arn: String,
    stop: Arc<AtomicBool>,
}

/// Begins to run a job, in a thread.
pub fn begin(state: &mut State, account: &str, region: &str, name: &str) {
    let Some(this) = state.this.upgrade() else { return };
    let Some(job) = state.place(account, region).jobs.get(name) else { return };
    let run = Run {
        state: this,
        account: account.to_owned(),
        region: region.to_owned(),
        name: name.to_owned(),
        request: job.request.clone(),
        arn: job.arn.clone(),
        stop: Arc::clone(&job.stop),
    };
    state.threads.push(std::thread::spawn(move || run.whole()));
}

impl Run {
    fn whole(self) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("ml");
        let (status, secondary, failure) = match self.lay_out(&root) {
            Ok(()) => self.execute(&root),
            Err(why) => ("Failed", "Failed", Some(format!("ClientError: {why}"))),
        };
        let mut state = self.state.lock().expect("nobody panics");
        if state.ending {
            return;
        }
        if let Some(checkpoints) = self.checkpoints(&root) {
            for (name, bytes) in files_below(&checkpoints) {
                let uri = self.request["CheckpointConfig"]["S3Uri"].as_str().unwrap_or_default();
                let path = format!("{}/{name}", uri.trim_start_matches("s3://").trim_end_matches('/'));
                let (bucket, key) = s3::place(&path);
                state.write_object(bucket, key, bytes);
            }
        }
        let output = Output {
            model: files_below(&root.join("model")),
            data: files_below(&root.join("output/data")),
            log: Vec::new(),
        };
        settle(&mut state, &self.account, &self.region, &self.name, status, secondary, failure, output);
    }

    fn enter(&self, secondary: &str) {
        let mut state = self.state.lock().expect("nobody panics");
        let now = state.now();
        if let Some(job) = state.place(&self.account, &self.region).jobs.get_mut(&self.name)
            && job.status == "InProgress"
        {
            job.enter(secondary, now);
        }
    }

    fn checkpoints(&self, root: &Path) -> Option<std::path::PathBuf> {
        let config = &self.request["CheckpointConfig"];
        config["S3Uri"].as_str()?;
        let local = config["LocalPath"].as_str().unwrap_or("/opt/ml/checkpoints");
        Some(root.join(local.strip_prefix(INSIDE).unwrap_or(local).trim_start_matches('/')))
    }

    fn lay_out(&self, root: &Path) -> Result<(), String> {
        self.enter("Downloading");
        for folder in ["input/config", "input/data", "model", "output/data", "code"] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        let mut channels = json!({});
        for channel in self.request["InputDataConfig"].as_array().into_iter().flatten() {
            let name = channel["ChannelName"].as_str().unwrap_or_default();
            channels[name] = json!({
                "TrainingInputMode": channel["InputMode"].as_str().unwrap_or("File"),
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            });
            self.download(channel, &root.join("input/data").join(name), name == "branchline", root)?;
        }
        if let Some(folder) = self.checkpoints(root) {
            fs::create_dir_all(&folder).expect("a folder");
            let uri = self.request["CheckpointConfig"]["S3Uri"].as_str().unwrap_or_default();
            for (name, bytes) in self.below(&format!("{}/", uri.trim_end_matches('/'))) {
                write(&folder.join(name), &bytes);
            }
        }
        let hyperparameters = match &self.request["HyperParameters"] {
            Value::Null => json!({}),
            some => some.clone(),
        };
        let instance = self.request["ResourceConfig"]["InstanceType"].clone();
        let resources = json!({
            "current_host": "algo-1",
            "current_instance_type": instance,
            "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1"],
            "network_interface_name": "eth0",
        });
        let config = root.join("input/config");
        write(&config.join("hyperparameters.json"), moved(&hyperparameters.to_string(), root).as_bytes());
        write(&config.join("inputdataconfig.json"), channels.to_string().as_bytes());
        write(&config.join("resourceconfig.json"), resources.to_string().as_bytes());
        Ok(())
    }

    /// The objects that a URI is the beginning of: their names behind it, and bytes.
    fn below(&self, uri: &str) -> Vec<(String, Vec<u8>)> {
        let path = uri.trim_start_matches("s3://");
        let (bucket, prefix) = s3::place(path);
        let state = self.state.lock().expect("nobody panics");
        let Some(bucket) = state.buckets.get(bucket) else { return Vec::new() };
        let named = |key: &str| {
            let rest = &key[prefix.len()..];
            let from = prefix.rfind('/').map_or(0, |at| at + 1);
            let name = if prefix.ends_with('/') || rest.starts_with('/') { rest } else { &key[from..] };
            name.trim_start_matches('/').to_owned()
        };
        let keys = bucket.objects.keys().filter(|key| key.starts_with(prefix) && !key.ends_with('/'));
        keys.filter_map(|key| Some((named(key), bucket.current(key)?.bytes.to_vec()))).collect()
    }

    fn download(&self, channel: &Value, folder: &Path, ours: bool, root: &Path) -> Result<(), String> {
        let source = &channel["DataSource"]["S3DataSource"];
        let uri = source["S3Uri"].as_str().unwrap_or_default();
        let files = match source["S3DataType"].as_str() {
            Some("ManifestFile") => self.of_manifest(uri),
            _ => self.below(uri),
        };
        if files.is_empty() {
            return Err(format!(
                "Data download failed:No S3 objects found under S3 URL \"{uri}\" given in input data source."
            ));
        }
        for (name, bytes) in files {
            match std::str::from_utf8(&bytes) {
                Ok(text) if ours => write(&folder.join(name), moved(text, root).as_bytes()),
                _ => write(&folder.join(name), &bytes),
            }
        }
        Ok(())
    }

    fn of_manifest(&self, uri: &str) -> Vec<(String, Vec<u8>)> {
        let manifest = self.below(uri).into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default();
        let entries: Vec<Value> = serde_json::from_slice(&manifest).unwrap_or_default();
        let prefix = entries.first().and_then(|first| first["prefix"].as_str()).unwrap_or_default();
        let one = |name: &str| Some((name.to_owned(), self.below(&format!("{prefix}{name}")).into_iter().next()?.1));
        entries.iter().filter_map(Value::as_str).filter_map(one).collect()
    }

    fn execute(&self, root: &Path) -> (&'static str, &'static str, Option<String>) {
        let algorithm = &self.request["AlgorithmSpecification"];
        let words = [&algorithm["ContainerEntrypoint"], &algorithm["ContainerArguments"]];
        let words: Vec<String> = words
            .iter()
            .flat_map(|list| list.as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .map(|word| moved(word, root))
            .collect();
        let Some((program, arguments)) = words.split_first() else {
            return (
                "Failed",
                "Failed",
                Some("AlgorithmError: this World has no image, so it needs an entrypoint".to_owned()),
            );
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(system::kept_environment()).current_dir(root.join("code"));
        command.env("HOME", root).env("AWS_REGION", &self.region);
        command.env("TRAINING_JOB_NAME", &self.name).env("TRAINING_JOB_ARN", &self.arn);
        for (name, value) in self.request["Environment"].as_object().into_iter().flatten() {
            command.env(name, moved(value.as_str().unwrap_or_default(), root));
        }
        command.stdin(Stdio::null());
        // One pipe for both, so that lines stay in their order.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        command.stdout(writer.try_clone().expect("its other end")).stderr(writer);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        self.enter("Training");
        let started = command.spawn();
        // It holds the writing end, and the reader would wait for it.
        drop(command);
        let mut child = match started {
            Ok(child) => child,
            Err(why) => return ("Failed", "Failed", Some(format!("AlgorithmError: {program} cannot start: {why}"))),
        };
        let reader = self.read(reader);
        let watch = Stopwatch::start();
        let limit = self.request["StoppingCondition"]["MaxRuntimeInSeconds"].as_u64().unwrap_or(86_400);
        let mut why_stopped = None;
        let mut signalled: Option<Stopwatch> = None;
        let code = loop {
            if let Ok(Some(code)) = child.try_wait() {
                break code;
            }
            let ending = self.state.lock().expect("nobody panics").ending;
            if signalled.is_none() {
                if self.stop.load(Ordering::SeqCst) {
                    why_stopped = Some("Stopped");
                } else if watch.elapsed() > Duration::from_secs(limit) {
                    why_stopped = Some("MaxRuntimeExceeded");
                }
                if why_stopped.is_some() || ending {
                    end(&mut child, false);
                    signalled = Some(Stopwatch::start());
                }
            } else if ending || signalled.as_ref().is_some_and(|since| since.elapsed() > GRACE) {
                end(&mut child, true);
            }
            std::thread::sleep(Duration::from_millis(15));
        };
        // What the command left running holds its pipes.
        end(&mut child, true);
        let _ = reader.join();
        if let Some(why) = why_stopped {
            return ("Stopped", why, None);
        }
        self.enter("Uploading");
        if code.success() {
            return ("Completed", "Completed", None);
        }
        let said = fs::read_to_string(root.join("output/failure")).unwrap_or_default();
        let said: String = said.chars().take(900).collect();
        ("Failed", "Failed", Some(format!("AlgorithmError: {said}, exit code: {}", code.code().unwrap_or(137))))
    }

    fn read(&self, pipe: std::io::PipeReader) -> std::thread::JoinHandle<()> {
        let state = Arc::clone(&self.state);
        let (account, region, name) = (self.account.clone(), self.region.clone(), self.name.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let mut state = state.lock().expect("nobody panics");
                let ms = (state.now() * 1000.0) as i64;
                let streams = state.place(&account, &region).logs.entry(LOG_GROUP.to_owned()).or_default();
                let begins = format!("{name}/");
                let known = streams.keys().find(|stream| stream.starts_with(&begins)).cloned();
                let stream = known.unwrap_or_else(|| format!("{name}/algo-1-{ms}"));
                streams.entry(stream).or_default().push((ms, line));
            }
        })
    }
}

fn moved(text: &str, root: &Path) -> String {
    text.replace(INSIDE, &root.to_string_lossy())
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("below a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

#[cfg(unix)]
fn end(child: &mut std::process::Child, at_once: bool) {
    use rustix::process::Pid;
    use rustix::process::Signal;
    let signal = if at_once { Signal::KILL } else { Signal::TERM };
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn end(child: &mut std::process::Child, _: bool) {
    let _ = child.kill();
}
