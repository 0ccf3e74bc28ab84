//! The training contract: the folders, files and variables that a SageMaker training container would see, on this
//! machine.
//!
//! Source: "Amazon SageMaker AI: how training information is provided" for `/opt/ml`, and the `SM_*` variables of
//! the `sagemaker-training` toolkit. `/opt/ml` itself is not used, so that trainings can run side by side: the
//! variables carry the paths.

use crate::adapters::local::bounded;
use crate::adapters::local::hyperparameters::as_text;
use crate::adapters::local::hyperparameters::decode;
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

/// The one host that trains.
const HOST: &str = "algo-1";

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

    /// Returns the variables that name a place of the contract. Together they are unique to one training run on this
    /// machine.
    pub(super) fn places(&self) -> [(&'static str, PathBuf); 6] {
        [
            ("SM_MODEL_DIR", self.model()),
            ("SM_OUTPUT_DIR", self.output()),
            ("SM_OUTPUT_DATA_DIR", self.output_data()),
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
        for folder in [self.model(), self.output_data(), self.config(), self.input().join("data")] {
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

    /// Returns the variables of the contract.
    pub(super) fn variables(&self, spec: &TrainingSpec) -> Vec<(OsString, OsString)> {
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
            "num_cpus": cpus,
            "num_gpus": 0,
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
            ("SM_HOSTS", json!([HOST]).to_string()),
            ("SM_HPS", Value::Object(decoded.clone()).to_string()),
            ("SM_INPUT_DATA_CONFIG", input_data_config(spec).to_string()),
            ("SM_NUM_CPUS", cpus.to_string()),
            ("SM_NUM_GPUS", "0".to_owned()),
            ("SM_RESOURCE_CONFIG", resource_config().to_string()),
            ("SM_TRAINING_ENV", environment.to_string()),
            ("SM_USER_ARGS", json!(arguments).to_string()),
            ("TRAINING_JOB_NAME", spec.name.as_str().to_owned()),
        ] {
            set(name.to_owned(), text.into());
        }
        for channel in spec.settings.data.keys() {
            set(format!("SM_CHANNEL_{}", channel.as_str().to_uppercase()), self.channel(channel).into_os_string());
        }
        for (name, value) in &decoded {
            set(format!("SM_HP_{}", name.to_uppercase()), as_text(value).into());
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
    json!({ "current_host": HOST, "hosts": [HOST], "network_interface_name": "lo" })
}

/// Reads what the command said about its failure: the first 1024 characters of `output/failure`, as the service does.
pub(super) fn failure_text(path: &Path) -> Option<String> {
    let bytes = bounded::read_start(path, 4096).ok()?;
    let text: String = String::from_utf8_lossy(&bytes).chars().take(1024).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
