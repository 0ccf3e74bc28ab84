//! The commits that changed a model, with the versions that each of them gave.

use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::name::ModelName;
use crate::model::version::Version;
use crate::plan::wording::time;
use crate::report::json::JSON_SCHEMA;
use crate::report::json::VersionJson;
use crate::report::terminal::BOLD;
use crate::report::terminal::approval;
use crate::report::terminal::lines;
use crate::report::terminal::metrics;
use crate::report::terminal::plain;
use crate::report::terminal::table;
use serde::Serialize;

/// The history of one model on one branch.
pub struct LogView {
    /// The model.
    pub model: ModelName,
    /// The branch; `None` on a detached head.
    pub branch: Option<BranchName>,
    /// Its commits, newest first.
    pub commits: Vec<LogCommit>,
    /// Why older commits may be missing, as a sentence.
    pub more: Option<String>,
}

/// A commit that changed what the model watches.
pub struct LogCommit {
    /// Its id.
    pub id: CommitSha,
    /// When it was committed, UTC.
    pub time: jiff::Timestamp,
    /// Who wrote it. Foreign text.
    pub author: String,
    /// The first line of its message. Foreign text.
    pub subject: String,
    /// Versions that were trained from it, lowest stage first.
    pub versions: Vec<Version>,
}

/// Renders the histories for people.
pub fn text(views: &[LogView]) -> String {
    let mut text = String::new();
    for (index, view) in views.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let branch = view.branch.as_ref().map_or_else(|| "the checked-out commit".to_owned(), |b| plain(b.as_str()));
        text.push_str(&format!("{}{}{} on {branch}\n", BOLD.render(), view.model, BOLD.render_reset()));
        if view.commits.is_empty() {
            text.push_str("  no commit changed what the model watches\n");
        }
        let mut table = table();
        for commit in &view.commits {
            let mut versions = commit.versions.iter();
            let first = versions.next();
            table.add_row(vec![
                String::new(),
                commit.id.short().to_owned(),
                time(commit.time),
                plain(&commit.author),
                plain(&commit.subject),
                first.map_or_else(|| "-".to_owned(), version),
                first.map_or_else(String::new, metrics),
            ]);
            for more in versions {
                // A copy measures what it was copied from.
                let same = first.is_some_and(|first| first.content.metrics == more.content.metrics);
                let mut row = vec![String::new(); 5];
                row.extend([version(more), if same { String::new() } else { metrics(more) }]);
                table.add_row(row);
            }
        }
        if !view.commits.is_empty() {
            text.push_str(&lines(&table));
        }
        if let Some(more) = &view.more {
            text.push_str(&format!("  {more}\n"));
        }
    }
    text
}

fn version(version: &Version) -> String {
    format!("{} {} {}", version.reference(), version.content.semver, approval(version))
}

/// What `log --format json` prints.
#[derive(Debug, Serialize)]
pub struct LogJson {
    schema: u32,
    models: Vec<ModelLogJson>,
}

#[derive(Debug, Serialize)]
struct ModelLogJson {
    model: ModelName,
    branch: Option<BranchName>,
    commits: Vec<CommitJson>,
    more: Option<String>,
}

#[derive(Debug, Serialize)]
struct CommitJson {
    commit: String,
    time: jiff::Timestamp,
    author: String,
    subject: String,
    versions: Vec<VersionJson>,
}

impl LogJson {
    /// Builds the shape.
    pub fn of(views: &[LogView]) -> Self {
        let commit = |commit: &LogCommit| CommitJson {
            commit: commit.id.to_string(),
            time: commit.time,
            author: commit.author.clone(),
            subject: commit.subject.clone(),
            versions: commit.versions.iter().map(VersionJson::of).collect(),
        };
        let model = |view: &LogView| ModelLogJson {
            model: view.model.clone(),
            branch: view.branch.clone(),
            commits: view.commits.iter().map(commit).collect(),
            more: view.more.clone(),
        };
        Self { schema: JSON_SCHEMA, models: views.iter().map(model).collect() }
    }
}
