//! The names of the training contract: what channels and hyperparameters are called in the environment of a training
//! command, which variables are taken, and which ones of a machine may be handed on.
//!
//! Source: `sagemaker-training-toolkit`, which sets `SM_CHANNEL_<NAME>` and `SM_HP_<NAME>` with the name in upper case
//! and nothing else changed. POSIX, "Shell Command Language": a shell hands on only variables whose names have ASCII
//! letters, digits and `_`; dash drops every other one. So a name with another character gets a second variable, with `_`
//! in place of each such character. Deliberately absent: the values.

/// What the name of a channel's variable begins with.
pub const CHANNEL: &str = "SM_CHANNEL_";
/// What the name of a hyperparameter's variable begins with.
pub const HYPERPARAMETER: &str = "SM_HP_";

/// Returns the variable of a channel or hyperparameter that every shell hands on.
pub fn portable(prefix: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.to_uppercase().chars().map(plain).collect();
    format!("{prefix}{name}")
}

/// Returns every variable of a channel or hyperparameter: the portable one, and the one of the toolkit where it differs
/// and can be a variable at all.
pub fn variables(prefix: &str, name: &str) -> Vec<String> {
    let portable = portable(prefix, name);
    let toolkit = format!("{prefix}{}", name.to_uppercase());
    if toolkit == portable || toolkit.contains(['=', '\0']) { vec![portable] } else { vec![portable, toolkit] }
}

/// Who sets a variable, so that no configuration can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The training contract: every training run gets it.
    Contract,
    /// The shell that runs the command: what is declared never arrives.
    Shell,
}

/// Tells whether a variable is set by somebody else, whatever a configuration declares.
pub fn owner(variable: &str) -> Option<Owner> {
    // What POSIX shells, dash and bash set when they start or whenever it is read, or do not let anybody set.
    const SHELL: &[&str] = &[
        "_",
        "BASH",
        "BASHOPTS",
        "BASHPID",
        "BASH_COMMAND",
        "BASH_SUBSHELL",
        "BASH_VERSINFO",
        "BASH_VERSION",
        "EPOCHREALTIME",
        "EPOCHSECONDS",
        "EUID",
        "HISTCMD",
        "IFS",
        "LINENO",
        "OLDPWD",
        "OPTERR",
        "OPTIND",
        "PPID",
        "PS4",
        "PWD",
        "RANDOM",
        "SECONDS",
        "SHELLOPTS",
        "SHLVL",
        "SRANDOM",
        "UID",
    ];
    if variable.starts_with("SM_") || matches!(variable, "TRAINING_JOB_NAME" | "TRAINING_JOB_ARN") {
        Some(Owner::Contract)
    } else if SHELL.contains(&variable) {
        Some(Owner::Shell)
    } else {
        None
    }
}

/// Tells whether a text can be the name of an environment variable: letters, digits and `_`, no digit first.
pub fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Tells whether a variable of a machine holds a secret, or what only a CI job, a cloud account or this program may use.
/// By its name alone, so a little more than that is refused.
pub fn may_hold_a_secret(variable: &str) -> bool {
    const BEGIN: &[&str] = &["GITHUB_", "ACTIONS_", "RUNNER_", "INPUT_", "AWS_", "AZURE_", "GOOGLE_", "BRANCHLINE_"];
    const PARTS: &[&str] =
        &["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY"];
    let upper = variable.to_ascii_uppercase();
    BEGIN.iter().any(|begin| upper.starts_with(begin)) || PARTS.iter().any(|part| upper.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_variable_that_a_posix_shell_hands_on() {
        assert_eq!(variables(CHANNEL, "train"), ["SM_CHANNEL_TRAIN"]);
        assert_eq!(variables(CHANNEL, "train-data"), ["SM_CHANNEL_TRAIN_DATA", "SM_CHANNEL_TRAIN-DATA"]);
        assert_eq!(variables(HYPERPARAMETER, "a.b c"), ["SM_HP_A_B_C", "SM_HP_A.B C"]);
        assert_eq!(variables(HYPERPARAMETER, "größe"), ["SM_HP_GR_SSE", "SM_HP_GRÖSSE"]);
        assert_eq!(variables(HYPERPARAMETER, "a=b"), ["SM_HP_A_B"]);
        for name in ["train-data", "a.b c", "größe", "a=b", "x\u{1f600}"] {
            assert!(is_variable(&portable(HYPERPARAMETER, name)), "{name}");
        }
    }

    #[test]
    fn variables_with_secrets_are_known_by_their_names() {
        for name in
            ["GITHUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "AWS_PROFILE", "BRANCHLINE_HOME", "HF_TOKEN", "my_secret"]
        {
            assert!(may_hold_a_secret(name), "{name}");
        }
        for name in ["CUDA_HOME", "OMP_NUM_THREADS", "WANDB_MODE", "TMPDIR"] {
            assert!(!may_hold_a_secret(name), "{name}");
        }
    }
}
