//! Whether Git trusts a repository that belongs to somebody else.
//!
//! libgit2 reads `safe.directory` only from the files that it knows, and without patterns; Git also takes it from
//! `GIT_CONFIG_GLOBAL`, `GIT_CONFIG_SYSTEM` and `GIT_CONFIG_COUNT`. So Git itself is asked, and its answer counts. Trust
//! is never switched off: where there is no `git` to ask, the answer of libgit2 stands.

use crate::model::variables::SECRETS;
use git2::Repository;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

/// Variables that would make Git answer for another repository than the one around a folder.
const ELSEWHERE: [&str; 5] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"];

/// Where Git finds a repository that it trusts.
pub(super) struct TrustedPlace {
    git_dir: PathBuf,
    /// None in a bare repository.
    work_dir: Option<PathBuf>,
}

/// What Git says.
pub(super) enum Answer {
    /// It trusts the repository.
    Trusted(TrustedPlace),
    /// It does not, or it finds none.
    Refused,
    /// There is no Git on this machine.
    NoGit,
}

/// Asks Git about the repository around a folder.
pub(super) fn ask(start: &Path) -> Answer {
    match git(start, &["rev-parse", "--absolute-git-dir"]) {
        None => Answer::NoGit,
        Some(None) => Answer::Refused,
        Some(Some(git_dir)) => {
            let work_dir = git(start, &["rev-parse", "--show-toplevel"]).flatten();
            let work_dir = work_dir.filter(|path| !path.is_empty()).map(PathBuf::from);
            Answer::Trusted(TrustedPlace { git_dir: PathBuf::from(git_dir), work_dir })
        }
    }
}

/// Returns a value of Git's configuration, as Git reads it for the repository.
pub(super) fn config_value(git_dir: &Path, name: &str) -> Option<String> {
    git(git_dir, &["config", "--get", name]).flatten().filter(|value| !value.is_empty())
}

/// Opens a repository that Git trusts. libgit2 asks for the owner on every other way.
pub(super) fn open_trusted(place: &TrustedPlace) -> Result<Repository, git2::Error> {
    let repo = Repository::open_bare(&place.git_dir)?;
    if let Some(work_dir) = &place.work_dir {
        repo.set_workdir(work_dir, false)?;
    }
    Ok(repo)
}

/// Opens a Git directory, whose owner Git is asked about where libgit2 refuses it.
pub(super) fn open_verified(git_dir: &Path) -> Result<Repository, git2::Error> {
    let opened = Repository::open(git_dir);
    if !opened.as_ref().is_err_and(|error| error.code() == git2::ErrorCode::Owner) {
        return opened;
    }
    // Asked from the folder around it: inside of a Git directory, Git names no working tree.
    let around = git_dir.parent().filter(|_| git_dir.file_name().is_some_and(|name| name == ".git"));
    match ask(around.unwrap_or(git_dir)) {
        Answer::Trusted(place) => open_trusted(&place),
        Answer::Refused | Answer::NoGit => opened,
    }
}

/// Tells whether a folder belongs to who runs this program. Where files have no such owners, it does.
#[cfg(unix)]
pub(super) fn belongs_to_this_user(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let own = rustix::process::geteuid().as_raw();
    std::fs::metadata(path).map_or(true, |about| about.uid() == own)
}

/// Tells whether a folder belongs to who runs this program. Where files have no such owners, it does.
#[cfg(not(unix))]
pub(super) fn belongs_to_this_user(_path: &Path) -> bool {
    true
}

/// Starts a command of Git, which gets none of the secrets of this process.
pub(super) fn git_command() -> Command {
    let mut command = Command::new("git");
    for secret in SECRETS {
        command.env_remove(secret);
    }
    command
}

/// Runs Git. The outer `None`: there is no Git. The inner one: it refused.
fn git(start: &Path, args: &[&str]) -> Option<Option<String>> {
    let mut command = git_command();
    command.arg("-C").arg(start).args(args).stdin(Stdio::null()).stderr(Stdio::null());
    for name in ELSEWHERE {
        command.env_remove(name);
    }
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok().map(|text| text.trim_end_matches('\n').to_owned());
    Some(text.filter(|_| output.status.success()))
}
