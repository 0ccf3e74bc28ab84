//! The training contract: the folders, files and variables that a SageMaker training container would see, on this
//! machine.
//!
//! Source: "Amazon SageMaker AI: how training information is provided" for `/opt/ml`, and the `SM_*` variables of
//! the `sagemaker-training` toolkit. `/opt/ml` itself is not used, so that trainings can run side by side: the
//! variables carry the paths.

use crate::adapters::local::hyperparameters::as_text;
use crate::adapters::local::hyperparameters::decode;
use crate::adapters::local::metrics;
use crate::adapters::local::metrics::METRICS_FILE_LIMIT;
use crate::adapters::local::metrics::Measured;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::model::contract;
use crate::model::name::ChannelName;
use crate::ports::trainer::TrainingSpec;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// The file in `output/data` that metrics are read from.
pub(super) const METRICS: &str = "metrics.json";

/// The one host that trains.
const HOST: &str = "algo-1";
/// What the toolkit calls a machine that is none of SageMaker's, and the one group of machines that are all alike.
const INSTANCE: &str = "local";
const GROUP: &str = "homogeneousCluster";
const NETWORK: &str = "lo";

/// The paths of the contract.
#[derive(Debug, Clone)]
pub(super) struct MlPaths {
    ml: PathBuf,
    code: PathBuf,
}

impl MlPaths {
    /// Places the contract.
    pub(super) fn new(ml: PathBuf, code: PathBuf) -> Self {
        Self { ml, code }
    }

    /// Where the command writes the model.
    pub(super) fn model(&self) -> PathBuf {
        self.ml.join("model")
    }

    /// Where the command finds a channel's data: always a folder, for a single file, too.
    pub(super) fn channel(&self, channel: &ChannelName) -> PathBuf {
        self.input().join("data").join(channel.as_str())
    }

    /// Where the command writes `metrics.json` and whatever else is not the model.
    pub(super) fn output_data(&self) -> PathBuf {
        self.output().join("data")
    }

    /// Where the command may say why it failed.
    pub(super) fn failure(&self) -> PathBuf {
        self.output().join("failure")
    }

    fn intermediate(&self) -> PathBuf {
        self.output().join("intermediate")
    }

    /// Returns the variables that name a place of the contract. Together they are unique to one training run on this
    /// machine.
    pub(super) fn places(&self) -> [(&'static str, PathBuf); 7] {
        [
            ("SM_MODEL_DIR", self.model()),
            ("SM_OUTPUT_DIR", self.output()),
            ("SM_OUTPUT_DATA_DIR", self.output_data()),
            ("SM_OUTPUT_INTERMEDIATE_DIR", self.intermediate()),
            ("SM_INPUT_DIR", self.input()),
            ("SM_INPUT_CONFIG_DIR", self.config()),
            ("SM_MODULE_DIR", self.code.clone()),
        ]
    }

    fn input(&self) -> PathBuf {
        self.ml.join("input")
    }

    fn config(&self) -> PathBuf {
        self.input().join("config")
    }

    fn output(&self) -> PathBuf {
        self.ml.join("output")
    }

    /// Creates the folders and the files of `input/config`.
    pub(super) fn create(&self, spec: &TrainingSpec) -> io::Result<()> {
        for folder in [self.model(), self.output_data(), self.intermediate(), self.config(), self.input().join("data")]
        {
            fs::create_dir_all(folder)?;
        }
        for channel in spec.settings.data.keys() {
            fs::create_dir_all(self.channel(channel))?;
        }
        let write = |name: &str, value: &Value| {
            let text = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
            fs::write(self.config().join(name), text)
        };
        // Every value is a string here, whatever it looks like; that is how the service writes the file.
        let hyperparameters: Map<String, Value> =
            spec.settings.hyperparameters.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
        write("hyperparameters.json", &Value::Object(hyperparameters))?;
        write("inputdataconfig.json", &input_data_config(spec))?;
        write("resourceconfig.json", &resource_config())
    }

    /// Returns the variables of the contract. `gpus`: how many graphics processors the command can use.
    pub(super) fn variables(&self, spec: &TrainingSpec, gpus: usize) -> Vec<(OsString, OsString)> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let decoded: Map<String, Value> =
            spec.settings.hyperparameters.iter().map(|(name, text)| (name.clone(), decode(text))).collect();
        let channels: Vec<&str> = spec.settings.data.keys().map(ChannelName::as_str).collect();
        let folders: Map<String, Value> = spec
            .settings
            .data
            .keys()
            .map(|channel| (channel.as_str().to_owned(), json!(self.channel(channel).display().to_string())))
            .collect();
        let shown = |path: PathBuf| json!(path.display().to_string());
        let environment = json!({
            "channel_input_dirs": folders,
            "current_host": HOST,
            "current_instance_group": GROUP,
            "current_instance_group_hosts": [HOST],
            "current_instance_type": INSTANCE,
            "hosts": [HOST],
            "hyperparameters": decoded,
            "input_config_dir": shown(self.config()),
            "input_data_config": input_data_config(spec),
            "input_dir": shown(self.input()),
            "is_master": true,
            "job_name": spec.name.as_str(),
            "master_hostname": HOST,
            "model_dir": shown(self.model()),
            "module_dir": shown(self.code.clone()),
            "network_interface_name": NETWORK,
            "num_cpus": cpus,
            "num_gpus": gpus,
            "output_data_dir": shown(self.output_data()),
            "output_dir": shown(self.output()),
            "resource_config": resource_config(),
        });
        let mut arguments = Vec::new();
        for (name, value) in &decoded {
            arguments.push(format!("--{name}"));
            arguments.push(as_text(value));
        }

        let mut variables: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |name: String, value: OsString| variables.push((OsString::from(name), value));
        for (name, path) in self.places() {
            set(name.to_owned(), path.into_os_string());
        }
        for (name, text) in [
            ("SM_CHANNELS", json!(channels).to_string()),
            ("SM_CURRENT_HOST", HOST.to_owned()),
            ("SM_CURRENT_INSTANCE_GROUP", GROUP.to_owned()),
            ("SM_CURRENT_INSTANCE_GROUP_HOSTS", json!([HOST]).to_string()),
            ("SM_CURRENT_INSTANCE_TYPE", INSTANCE.to_owned()),
            ("SM_HOSTS", json!([HOST]).to_string()),
            ("SM_HPS", Value::Object(decoded.clone()).to_string()),
            ("SM_INPUT_DATA_CONFIG", input_data_config(spec).to_string()),
            ("SM_NUM_CPUS", cpus.to_string()),
            ("SM_MASTER", HOST.to_owned()),
            ("SM_NETWORK_INTERFACE_NAME", NETWORK.to_owned()),
            ("SM_NUM_GPUS", gpus.to_string()),
            ("SM_RESOURCE_CONFIG", resource_config().to_string()),
            ("SM_TRAINING_ENV", environment.to_string()),
            ("SM_USER_ARGS", json!(arguments).to_string()),
            ("TRAINING_JOB_NAME", spec.name.as_str().to_owned()),
        ] {
            set(name.to_owned(), text.into());
        }
        for channel in spec.settings.data.keys() {
            for variable in contract::variables(contract::CHANNEL, channel.as_str()) {
                set(variable, self.channel(channel).into_os_string());
            }
        }
        for (name, value) in &decoded {
            for variable in contract::variables(contract::HYPERPARAMETER, name) {
                set(variable, as_text(value).into());
            }
        }
        variables
    }
}

fn input_data_config(spec: &TrainingSpec) -> Value {
    let channels: Map<String, Value> = spec
        .settings
        .data
        .keys()
        .map(|channel| {
            let config = json!({
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            });
            (channel.as_str().to_owned(), config)
        })
        .collect();
    Value::Object(channels)
}

fn resource_config() -> Value {
    json!({
        "current_host": HOST,
        "current_instance_type": INSTANCE,
        "current_group_name": GROUP,
        "hosts": [HOST],
        "network_interface_name": NETWORK,
    })
}

/// Reads a file of metrics that the command wrote. Nothing there: nothing was measured.
pub(super) fn measured(path: &Path, name: &str) -> Measured {
    match regular::read(path, Links::Refuse, METRICS_FILE_LIMIT) {
        Ok(bytes) => metrics::parse_file(name, bytes.len() as u64, &bytes),
        Err(error) if error.is_absent() => Measured::default(),
        Err(error) => Measured::unusable(name, error.to_string()),
    }
}

/// Reads what the command said about its failure: the first 1024 characters of `output/failure`, as the service does.
pub(super) fn failure_text(path: &Path) -> Option<String> {
    let bytes = regular::read_start(path, Links::Refuse, 4096).ok()?;
    let text: String = String::from_utf8_lossy(&bytes).chars().take(1024).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
