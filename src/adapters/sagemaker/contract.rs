//! What a training finds in its container when our bootstrap runs its command: the variables of AWS's training
//! toolkit, as far as they are known when it is submitted, as a small shell file. Pure.
//!
//! The rest (hosts, processors) only the machine knows: `bootstrap.sh` adds it.

use crate::adapters::local::hyperparameters::as_text;
use crate::adapters::local::hyperparameters::decode;
use crate::model::cloud::Entrypoint;
use crate::model::contract;
use crate::model::name::ChannelName;
use crate::ports::trainer::TrainingSpec;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// The channel that carries the source archive and the bootstrap.
pub(super) const SOURCE_CHANNEL: &str = "branchline";
/// The channel that carries what only one training needs.
pub(super) const RUN_CHANNEL: &str = "branchline-run";
/// What runs first in the container.
pub(super) const BOOTSTRAP: &str = include_str!("bootstrap.sh");
/// Where SageMaker mounts everything.
pub(super) const ML: &str = "/opt/ml";

/// How the training is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// The image trains by itself.
    OfImage,
    /// Our bootstrap runs a command line.
    Bootstrap(String),
    /// The image's toolkit runs a program.
    Toolkit(String),
}

impl Command {
    /// Reads the settings. The error is a sentence.
    pub(super) fn of(spec: &TrainingSpec) -> Result<Self, String> {
        let Some(command) = &spec.settings.command else { return Ok(Self::OfImage) };
        if spec.settings.cloud.entrypoint == Entrypoint::Bootstrap {
            return Ok(Self::Bootstrap(command.clone()));
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["python" | "python3", program] | [program] if !program.starts_with('-') => {
                Ok(Self::Toolkit((*program).to_owned()))
            }
            _ => Err(format!(
                "with `entrypoint: toolkit` the command names one program, and its arguments are the hyperparameters: \
                 `python3 train.py` or `train.py`, and it is `{command}`"
            )),
        }
    }

    /// How many channels of ours it needs.
    pub(super) fn channels(&self) -> usize {
        match self {
            Self::Bootstrap(_) => 2,
            Self::OfImage | Self::Toolkit(_) => 0,
        }
    }
}

/// Writes the shell file that `bootstrap.sh` reads: it appends `NAME=value` words to the positional parameters, in
/// single quotes, so that no value is ever taken for a command. `ml`: where the contract begins.
pub(super) fn environment_file(spec: &TrainingSpec, ml: &str, notes: &[String]) -> String {
    let decoded: Map<String, Value> =
        spec.settings.hyperparameters.iter().map(|(name, text)| (name.clone(), decode(text))).collect();
    let folder = |channel: &ChannelName| format!("{ml}/input/data/{channel}");
    let folders: Map<String, Value> = spec
        .settings
        .data
        .keys()
        .map(|channel| (channel.as_str().to_owned(), Value::String(folder(channel))))
        .collect();
    let mode = spec.settings.cloud.input_mode.as_deref().unwrap_or("File");
    let inputs: Map<String, Value> = spec
        .settings
        .data
        .keys()
        .map(|channel| {
            let config =
                json!({ "TrainingInputMode": mode, "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None" });
            (channel.as_str().to_owned(), config)
        })
        .collect();
    let channels: Vec<&str> = spec.settings.data.keys().map(ChannelName::as_str).collect();
    let mut arguments = Vec::new();
    for (name, value) in &decoded {
        arguments.push(format!("--{name}"));
        arguments.push(as_text(value));
    }
    // Left open at its end: the bootstrap adds what the machine knows.
    let known = json!({
        "channel_input_dirs": folders,
        "hyperparameters": decoded,
        "input_config_dir": format!("{ml}/input/config"),
        "input_data_config": inputs,
        "input_dir": format!("{ml}/input"),
        "job_name": spec.name.as_str(),
        "model_dir": format!("{ml}/model"),
        "module_dir": format!("{ml}/code"),
        "output_data_dir": format!("{ml}/output/data"),
        "output_dir": format!("{ml}/output"),
    })
    .to_string();
    let mut text = String::from("# Made for one training. Every value is in single quotes.\n");
    for note in notes {
        text.push_str(&format!("printf '%s\\n' {}\n", quoted(&format!("branchline: {note}"))));
    }
    text.push_str(&format!("known={}\n", quoted(known.strip_suffix('}').unwrap_or(&known))));
    let mut set = |name: &str, value: &str| {
        text.push_str(&format!("set -- \"$@\" {}\n", quoted(&format!("{name}={value}"))));
    };
    for (name, path) in [
        ("SM_MODEL_DIR", "model"),
        ("SM_OUTPUT_DIR", "output"),
        ("SM_OUTPUT_DATA_DIR", "output/data"),
        ("SM_OUTPUT_INTERMEDIATE_DIR", "output/intermediate"),
        ("SM_INPUT_DIR", "input"),
        ("SM_INPUT_CONFIG_DIR", "input/config"),
        ("SM_MODULE_DIR", "code"),
    ] {
        set(name, &format!("{ml}/{path}"));
    }
    set("SM_CHANNELS", &json!(channels).to_string());
    set("SM_HPS", &Value::Object(decoded.clone()).to_string());
    set("SM_INPUT_DATA_CONFIG", &Value::Object(inputs).to_string());
    set("SM_USER_ARGS", &json!(arguments).to_string());
    set("TRAINING_JOB_NAME", spec.name.as_str());
    for channel in spec.settings.data.keys() {
        for variable in contract::variables(contract::CHANNEL, channel.as_str()) {
            set(&variable, &folder(channel));
        }
    }
    for (name, value) in &decoded {
        for variable in contract::variables(contract::HYPERPARAMETER, name) {
            set(&variable, &as_text(value));
        }
    }
    text
}

/// How the line begins by which the bootstrap lists what a command without a model wrote in its working folder.
pub(super) const WROTE: &str = "branchline: no model; the command wrote in its working folder: ";

/// The folder in `output/data` that the bootstrap keeps declared files of metrics in.
pub(super) const OUTPUTS: &str = "branchline-outputs";

/// Writes the list of declared outputs that `bootstrap.sh` reads: a kind, a tab and a path on each line. `None`: there
/// are none. No path has a control character.
pub(super) fn outputs_file(spec: &TrainingSpec) -> Option<String> {
    let outputs = &spec.settings.outputs;
    let files = outputs.files().into_iter().map(|path| format!("file\t{path}\n"));
    let model = outputs.model.iter().map(|pattern| format!("model\t{pattern}\n"));
    (!outputs.is_empty()).then(|| files.chain(model).collect())
}

/// Puts text into single quotes for a POSIX shell. A NUL cannot stand in a variable; it is left out.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "'\\''"))
}
