//! Whether the state directory of the local backend outlives the job. A registry that ends with its job is refused:
//! every run would train from nothing and report success.
//!
//! Deliberately absent: any other question about the directory; its form is `adapters::local::home`'s.

use crate::adapters::runner::Hosting;
use crate::adapters::runner::Runner;
use crate::cli::compose::Place;
use crate::cli::env_vars;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::config::resolved::BackendKind;
use crate::model::variables;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// Why a state directory does not outlive its job.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ShortLived {
    /// None is named, so it would be in the checkout.
    NotNamed,
    /// It is inside a folder that the CI host clears.
    Inside { what: &'static str, folder: PathBuf },
    /// GitHub deletes the whole runner.
    Hosted,
}

/// Refuses the local backend in CI where its state directory does not outlive the job.
pub fn refuse_short_lived(place: &Place, config: &Config) -> Result<(), Failure> {
    let local = [config.backend.registry, config.backend.artifacts].contains(&BackendKind::Local);
    let runner = Runner::from_lookup(env_vars::get);
    let in_ci = place.in_ci && (runner.is_some() || env_vars::get(env_vars::CI).is_some());
    if !local || !in_ci {
        return Ok(());
    }
    match short_lived(place, config, runner.as_ref()) {
        Some(why) => Err(refusal(&why, &place.home)),
        None => Ok(()),
    }
}

fn short_lived(place: &Place, config: &Config, runner: Option<&Runner>) -> Option<ShortLived> {
    if runner.is_some() && env_vars::get(env_vars::HOME).is_none() {
        return Some(ShortLived::NotNamed);
    }
    let folder = |what, path: Option<PathBuf>| path.map(|path| (what, path));
    let of_runner = |name| runner.and_then(|_| env_vars::get(name)).map(PathBuf::from);
    let cleared = [
        folder("the checkout", place.git.work_dir()),
        folder("the checkout", place.git.main_work_dir()),
        folder("the workspace", of_runner(variables::GITHUB_WORKSPACE)),
        folder("the runner's temporary folder", of_runner(variables::RUNNER_TEMP)),
    ];
    let home = real(&place.home);
    let inside = cleared.into_iter().flatten().find(|(_, folder)| home.starts_with(real(folder)));
    if let Some((what, folder)) = inside {
        return Some(ShortLived::Inside { what, folder });
    }
    let hosted = runner.is_some_and(|runner| runner.hosted() == Hosting::GitHub);
    (hosted && !config.state_outlives_job).then_some(ShortLived::Hosted)
}

/// Resolves links of what exists, and `..` of what does not: a directory may not be there yet.
fn real(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                real.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                real.push(part);
                real = std::fs::canonicalize(&real).unwrap_or(real);
            }
        }
    }
    real
}

fn refusal(why: &ShortLived, home: &Path) -> Failure {
    let what = match why {
        ShortLived::NotNamed => {
            "no state directory is named, so the registry would be inside the checkout, which the next job clears"
                .to_owned()
        }
        ShortLived::Inside { what, folder } => format!(
            "the state directory {} is inside {what} ({}), which the next job clears",
            home.display(),
            folder.display()
        ),
        ShortLived::Hosted => format!(
            "the state directory {} ends with this job: a GitHub-hosted runner is deleted after the job",
            home.display()
        ),
    };
    let failure = Failure::configuration(format!(
        "`backend: local` cannot keep its registry and artifacts here: {what}"
    ))
    .hint(
        "run the job on a self-hosted runner, and name a folder outside the checkout in BRANCHLINE_HOME (the Action's \
             input `home`), such as /var/lib/branchline",
    )
    .hint("or keep registry and artifacts in the cloud: write `backend: { sagemaker: { … } }` (docs/sagemaker.md)");
    match why {
        ShortLived::Hosted => failure.hint(
            "or, where the folder is on storage that outlives the job, say so in branchline.yaml: `state: { outlives_job: \
             true }`",
        ),
        ShortLived::NotNamed | ShortLived::Inside { .. } => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_compared_as_it_really_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = std::fs::canonicalize(folder.path()).expect("it exists");
        std::fs::create_dir(root.join("checkout")).expect("a folder");
        assert_eq!(real(&root.join("other/../checkout/./state/x")), root.join("checkout/state/x"));
        assert_eq!(real(&root.join("checkout/../state")), root.join("state"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("checkout"), root.join("link")).expect("a link");
            assert_eq!(real(&root.join("link/state")), root.join("checkout/state"));
        }
    }
}
