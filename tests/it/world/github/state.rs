//! What is true on this GitHub: one repository, its people, its tokens, and what went over the wire.

use branchline::model::git::CommitSha;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What stands at a path.
#[derive(Clone)]
pub enum Node {
    /// A file.
    File(Vec<u8>),
    /// A folder.
    Folder,
    /// Another repository.
    Submodule,
    /// A symbolic link that leads nowhere.
    Symlink(String),
    /// A file above 1 MB, of which no content is given.
    Large(u64),
}

/// A pull request.
#[derive(Clone)]
pub struct Pull {
    pub number: u64,
    pub state: &'static str,
    pub merged: bool,
    pub title: String,
    pub author: Option<String>,
    pub head_branch: String,
    pub head: CommitSha,
    pub base_branch: String,
    /// The number of the repository of its head. `None`: it is gone.
    pub head_repository: Option<u64>,
    /// Commits that it brings or brought, its head and the commit of its merge among them.
    pub commits: Vec<CommitSha>,
    /// Whether it is a draft.
    pub draft: bool,
    /// Logins of the authors of its commits.
    pub authors: Vec<String>,
    /// Its reviews, oldest first.
    pub reviews: Vec<Review>,
}

/// A review of a pull request.
#[derive(Clone)]
pub struct Review {
    pub by: String,
    /// GitHub's word: `APPROVED`, ...
    pub state: &'static str,
    pub commit: CommitSha,
}

/// A comment.
#[derive(Clone, Debug)]
pub struct Comment {
    pub id: u64,
    pub issue: u64,
    pub author: String,
    pub body: String,
}

/// A check run.
#[derive(Clone, Debug)]
pub struct CheckRun {
    pub id: u64,
    pub app: String,
    pub sha: String,
    pub name: String,
    pub status: String,
    pub conclusion: Option<String>,
    pub external_id: Option<String>,
    pub details_url: Option<String>,
    pub title: Option<String>,
    pub summary: Option<String>,
    pub text: Option<String>,
    pub annotations: Vec<serde_json::Value>,
}

/// A commit status.
#[derive(Clone, Debug)]
pub struct Status {
    pub id: u64,
    pub sha: String,
    pub context: String,
    pub state: String,
    pub description: Option<String>,
    pub target_url: Option<String>,
}

/// As whom a token writes, and what it may do.
#[derive(Clone)]
pub struct Token {
    /// The login that its comments carry.
    pub login: String,
    /// The App, where it is an App's.
    pub app: Option<String>,
    /// Lines of `permissions:`; write contains read.
    pub permissions: BTreeSet<String>,
}

/// What goes wrong with one request.
pub enum Act {
    /// An answer with this status and message.
    Answer(u16, &'static str),
    /// A page of a proxy.
    Html(u16),
    /// Too many requests; come again after so many seconds.
    TooMany(u64),
    /// A secondary limit as a plain 403.
    Secondary,
    /// The hour's requests are used up until this second.
    Exhausted(i64),
    /// No answer, ever.
    Hang,
    /// The head of the answer and half of its body.
    HalfBody,
    /// It is carried out, and the connection breaks before the answer.
    LoseAnswer,
    /// The connection breaks before anything is done.
    Reset,
    /// Somebody else does something first; then all goes well.
    Meanwhile(Box<dyn FnOnce(&mut State) + Send>),
}

/// The next request that fits meets this.
pub struct Fault {
    pub method: &'static str,
    /// A part of the path.
    pub path: String,
    pub act: Act,
}

/// A request that came, and its answer.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// The path of GitHub's description that it means.
    pub template: String,
    /// Path and query as sent.
    pub target: String,
    /// `None`: the connection was broken.
    pub status: Option<u16>,
}

/// All of it.
pub struct State {
    pub owner: String,
    pub name: String,
    pub id: u64,
    /// The name that it had before.
    pub old_name: Option<String>,
    pub branches: BTreeMap<String, CommitSha>,
    pub commits: BTreeSet<CommitSha>,
    /// By ref and path.
    pub files: BTreeMap<(String, String), Node>,
    pub pulls: Vec<Pull>,
    pub comments: Vec<Comment>,
    pub checks: Vec<CheckRun>,
    pub statuses: Vec<Status>,
    /// The login of the author of a commit, where GitHub knows them.
    pub commit_authors: BTreeMap<CommitSha, String>,
    /// Login to `permission` and `role_name`.
    pub people: BTreeMap<String, (&'static str, &'static str)>,
    pub tokens: BTreeMap<String, Token>,
    pub faults: Vec<Fault>,
    pub seen: Vec<Seen>,
    /// What broke GitHub's own description of its API.
    pub violations: Vec<String>,
    last_id: u64,
}

impl State {
    /// An empty repository `acme/churn` with the token of a job that may do everything.
    pub fn new() -> Self {
        let all = ["checks: write", "statuses: write", "pull-requests: write", "contents: read", "metadata: read"];
        let job = Token {
            login: "github-actions[bot]".to_owned(),
            app: Some("github-actions".to_owned()),
            permissions: all.iter().map(|&line| line.to_owned()).collect(),
        };
        Self {
            owner: "acme".to_owned(),
            name: "churn".to_owned(),
            id: 4711,
            old_name: None,
            branches: BTreeMap::new(),
            commits: BTreeSet::new(),
            files: BTreeMap::new(),
            pulls: Vec::new(),
            comments: Vec::new(),
            checks: Vec::new(),
            statuses: Vec::new(),
            commit_authors: BTreeMap::new(),
            people: BTreeMap::new(),
            tokens: BTreeMap::from([("ghs_job".to_owned(), job)]),
            faults: Vec::new(),
            seen: Vec::new(),
            violations: Vec::new(),
            last_id: 100,
        }
    }

    /// A number that nothing has yet.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Somebody comments.
    pub fn comment(&mut self, issue: u64, author: &str, body: &str) -> u64 {
        let id = self.next_id();
        self.comments.push(Comment { id, issue, author: author.to_owned(), body: body.to_owned() });
        id
    }

    /// Somebody pushes a commit.
    pub fn push(&mut self, commit: CommitSha) {
        self.commits.insert(commit);
    }

    /// Takes the first fault that fits.
    pub fn take_fault(&mut self, method: &str, path: &str) -> Option<Act> {
        let at = self.faults.iter().position(|fault| fault.method == method && path.contains(&fault.path))?;
        Some(self.faults.remove(at).act)
    }
}
