//! What `origin` says and what was fetched from it: its default branch, and its branches as the last fetch left them.
//!
//! Deliberately absent: `refs/remotes/origin/HEAD`. A clone writes it once, and nothing corrects it when the default
//! branch is renamed. Local branches are left out too: one may be left over from an earlier job on the same machine.

use crate::adapters::git::GitRepository;
use crate::adapters::git::error::GitError;
use crate::adapters::git::error::failed;
use crate::adapters::git::tree::object_id;
use crate::adapters::git::trust;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use git2::ErrorCode;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

/// How long `git ls-remote` may take, in looks of [`LOOK`].
const LOOKS: u32 = 600;

/// The time between two looks at it.
const LOOK: Duration = Duration::from_millis(50);

/// Longest answer that is read, in bytes: two lines are expected.
const ANSWER_LIMIT: u64 = 64 * 1024;

/// Why `origin` did not say what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// There is no working Git program.
    #[error("could not run `git`: {0}")]
    NoGit(String),
    /// Git could not ask `origin`.
    #[error("`git ls-remote --symref origin {reference}` failed: {said}")]
    Failed {
        /// What it was asked about.
        reference: String,
        /// What Git said.
        said: String,
    },
    /// `origin` did not answer in time.
    #[error("`git ls-remote --symref origin {0}` timed out")]
    TimedOut(String),
    /// `origin` has no default branch, or one whose name cannot be read.
    #[error("`origin` names no default branch")]
    Unnamed,
}

impl GitRepository {
    /// Asks `origin` which branch is its default one.
    ///
    /// # Errors
    ///
    /// Git is not there, `origin` does not answer within 30 s, or it names no branch.
    pub fn origin_default(&self) -> Result<BranchName, OriginError> {
        default_of(&self.ask_origin("HEAD")?).ok_or(OriginError::Unnamed)
    }

    /// Asks `origin` where one of its branches is now. `None`: it has no such branch.
    ///
    /// # Errors
    ///
    /// As [`Self::origin_default`].
    pub fn origin_head(&self, branch: &BranchName) -> Result<Option<CommitSha>, OriginError> {
        let reference = format!("refs/heads/{branch}");
        Ok(commit_of(&self.ask_origin(&reference)?, &reference))
    }

    /// Git itself is run, because it has the credentials that the job fetched with. It gets none of this process's own.
    fn ask_origin(&self, reference: &str) -> Result<String, OriginError> {
        let mut child = trust::git_command()
            .current_dir(self.work_dir().unwrap_or_else(|| self.common_dir().to_path_buf()))
            .arg("--git-dir")
            .arg(self.common_dir())
            .args(["ls-remote", "--symref", "origin", reference])
            // Nobody is there to type a password.
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| OriginError::NoGit(error.to_string()))?;
        let mut ended = None;
        for _ in 0..LOOKS {
            ended = child.try_wait().map_err(|error| OriginError::NoGit(error.to_string()))?;
            if ended.is_some() {
                break;
            }
            std::thread::sleep(LOOK);
        }
        let Some(status) = ended else {
            drop(child.kill());
            drop(child.wait());
            return Err(OriginError::TimedOut(reference.to_owned()));
        };
        if !status.success() {
            let said = child.stderr.take().map(read).unwrap_or_default();
            let said = reason(&said).to_owned();
            return Err(OriginError::Failed { reference: reference.to_owned(), said });
        }
        Ok(child.stdout.take().map(read).unwrap_or_default())
    }

    /// Returns the commit of a branch of `origin`, as the last fetch left it. `None`: this clone does not have it.
    pub fn fetched_head(&self, branch: &BranchName) -> Result<Option<CommitSha>, GitError> {
        let repo = self.repo();
        match repo.find_reference(&format!("refs/remotes/origin/{branch}")) {
            Ok(reference) => {
                let doing = || format!("read the commit of origin/{branch}");
                let commit = reference.peel_to_commit().map_err(|error| failed(&repo, doing(), error))?;
                object_id(commit.id()).map(Some)
            }
            // A name that Git would not allow for a reference is no branch either.
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
            Err(error) => Err(failed(&repo, format!("read the branch origin/{branch}"), error)),
        }
    }

    /// Tells whether the last fetch brought a branch at this commit, as Git's `FETCH_HEAD` records it.
    pub fn last_fetch_brought(&self, branch: &BranchName, commit: &CommitSha) -> bool {
        let wanted = format!("refs/heads/{branch}");
        let mut found = false;
        // Without the file, or with one that cannot be read, nothing is known to have been fetched.
        let read = self.repo().fetchhead_foreach(|name, _, id, _| {
            found |= name == wanted && object_id(*id).is_ok_and(|id| id == *commit);
            true
        });
        read.is_ok() && found
    }
}

/// The line that says why: Git puts advice after it, and remarks of a server before it.
fn reason(said: &str) -> &str {
    let why = |line: &&str| line.starts_with("fatal: ") || line.starts_with("ERROR: ");
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines().find(why).or_else(|| lines().next()).unwrap_or("no message").trim_start_matches("fatal: ")
}

fn read(pipe: impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is as good as not said.
    drop(pipe.take(ANSWER_LIMIT).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads `ref: refs/heads/main<TAB>HEAD`.
fn default_of(answer: &str) -> Option<BranchName> {
    let of_head = answer.lines().filter_map(|line| line.strip_suffix("\tHEAD"));
    let name = of_head.filter_map(|line| line.strip_prefix("ref: refs/heads/")).next()?;
    BranchName::parse(name).ok()
}

/// Reads `<id><TAB>refs/heads/main`. Git answers with every reference that ends in what was asked, so the whole name counts.
fn commit_of(answer: &str, reference: &str) -> Option<CommitSha> {
    let mut lines = answer.lines().filter_map(|line| line.split_once('\t'));
    lines.find_map(|(id, name)| if name == reference { CommitSha::parse(id).ok() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told_and_not_the_advice() {
        let said = "remote: hello\nfatal: '/gone.git' does not appear to be a git repository\nfatal: Could not read from \
                    remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n";
        assert_eq!(reason(said), "'/gone.git' does not appear to be a git repository");
        assert_eq!(reason("ssh: no route to host\n"), "ssh: no route to host");
        assert_eq!(reason("\n"), "no message");
    }

    #[test]
    fn the_answer_of_origin_names_a_branch_or_nothing() {
        let id = "a1".repeat(20);
        let found = default_of(&format!("ref: refs/heads/rel/2\tHEAD\n{id}\tHEAD\n")).expect("a branch");
        assert_eq!(found.as_str(), "rel/2");
        for answer in ["", &format!("{id}\tHEAD\n"), "ref: refs/tags/v1\tHEAD\n", "ref: refs/heads/a..b\tHEAD\n"] {
            assert_eq!(default_of(answer), None, "{answer}");
        }
        let (other, asked) = ("b2".repeat(20), "refs/heads/main");
        let answer = format!("{other}\trefs/heads/refs/heads/main\n{id}\trefs/heads/main\n");
        assert_eq!(commit_of(&answer, asked).map(|id| id.as_str().to_owned()), Some(id));
        assert_eq!(commit_of(&format!("{other}\trefs/heads/refs/heads/main\n"), asked), None);
    }
}
