//! Check runs: found by commit, name and our mark, whichever run wrote them; then created, updated or left alone.
//!
//! Our mark stands in `external_id`, with a digest of all that the check says, so that one list tells whether
//! anything has to be sent.

use crate::adapters::github::GitHub;
use crate::adapters::github::client::Answer;
use crate::adapters::github::client::Call;
use crate::adapters::github::client::Created;
use crate::adapters::github::client::encoded;
use crate::adapters::github::error::Refusal;
use crate::adapters::github::error::Subject;
use crate::adapters::github::wire;
use crate::model::digest::Sha256Digest;
use crate::model::git::CommitSha;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::forge::Annotation;
use crate::ports::forge::AnnotationLevel;
use crate::ports::forge::CHECK_TEXT_LIMIT;
use crate::ports::forge::Check;
use crate::ports::forge::CheckConclusion;
use crate::ports::forge::CheckReport;
use crate::ports::forge::CheckState;
use crate::ports::forge::Write;
use crate::ports::forge::Written;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

/// Annotations in one request. Source: "Create a check run" in GitHub's REST reference.
const BATCH: usize = 50;

/// How long a list of checks counts as read just now.
const JUST_NOW: Duration = Duration::from_secs(2);

/// The checks of one name on one commit, and when they were listed.
pub(super) struct Listed {
    commit: CommitSha,
    name: String,
    at: jiff::Timestamp,
    runs: Vec<wire::CheckRun>,
}

/// Begins every `external_id` of ours; the number is the version of its form.
const MARK: &str = "branchline:1:";

/// Longest `external_id` that a caller may give: with mark and digest it stays far below 255.
const EXTERNAL_ID_LIMIT: usize = 128;

impl GitHub {
    pub(super) async fn newest_check(&self, commit: &CommitSha, name: &str) -> Result<Option<Check>, PortError> {
        let runs = self.our_checks(commit, name).await?;
        let newest = runs.last().cloned();
        let older = runs.iter().rev().skip(1).filter_map(|run| run.output.text.clone()).collect();
        let listed = Listed { commit: commit.clone(), name: name.to_owned(), at: self.client.now(), runs };
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(listed);
        Ok(newest.map(|run| {
            let state = match (run.status.as_str(), run.conclusion.as_deref()) {
                ("completed", conclusion) => conclusion.and_then(word).map(CheckState::Completed),
                _ => Some(CheckState::InProgress),
            };
            let external_id = mark_of(&run).map(|(_, rest)| rest.to_owned()).unwrap_or_default();
            Check { id: run.id, state, external_id, text: run.output.text, older, url: run.html_url }
        }))
    }

    pub(super) async fn write_check(&self, report: &CheckReport) -> Result<Written, PortError> {
        let doing = format!("write the check {} on commit {}", report.name, report.commit.short());
        refuse_oversize(report, &doing)?;
        let digest = digest(report);
        let mut runs = match self.listed_just_now(&report.commit, &report.name) {
            Some(runs) => runs,
            None => self.our_checks(&report.commit, &report.name).await?,
        };
        let earlier: BTreeSet<u64> = runs.iter().map(|run| run.id).collect();
        let newest = runs.pop();
        let completes = matches!(report.state, CheckState::Completed(_));
        let written = match newest {
            // One that ended is not reopened: a new one takes its place, as GitHub's guide to checks does it.
            Some(run) if run.status == "completed" && !completes => {
                let written = self.create_check(report, &digest, &earlier, &doing).await?;
                Written { write: Write::Updated, url: written.url }
            }
            Some(run) => self.update_check(&run, report, &digest, &earlier, &doing).await?,
            None => self.create_check(report, &digest, &earlier, &doing).await?,
        };
        // Two runs that began at once made one each. The other would be open for ever.
        if completes {
            for open in runs.iter().filter(|run| run.status != "completed") {
                let call = self.patch_check(open.id, report, &digest, &[], &doing);
                self.client.send(&call).await?;
            }
        }
        Ok(written)
    }

    async fn create_check(
        &self,
        report: &CheckReport,
        digest: &str,
        earlier: &BTreeSet<u64>,
        doing: &str,
    ) -> Result<Written, PortError> {
        let (first, rest) = report.annotations.split_at(report.annotations.len().min(BATCH));
        let mut body = content(report, digest, first);
        body["name"] = json!(report.name);
        body["head_sha"] = json!(report.commit.as_str());
        let call = Call::post(self.route("/check-runs"), body, doing, Subject::Checks);
        let landed = || async {
            let runs = self.our_checks(&report.commit, &report.name).await?;
            let new = |run: &wire::CheckRun| !earlier.contains(&run.id);
            Ok(runs.into_iter().find(|run| new(run) && mark_of(run).is_some_and(|(found, _)| found == digest)))
        };
        let run: wire::CheckRun = match self.client.create(&call, landed).await? {
            Created::Answered(answer) => answer.read(&call)?,
            Created::Landed(run) => run,
        };
        if let Some(slug) = run.app.as_ref().and_then(|app| app.slug.as_deref()) {
            self.identity.learn_app(slug);
        }
        let mut sent = first.len();
        for batch in rest.chunks(BATCH) {
            self.annotate(run.id, report, digest, batch, sent, doing).await?;
            sent += batch.len();
        }
        Ok(Written { write: Write::Created, url: run.html_url })
    }

    async fn update_check(
        &self,
        run: &wire::CheckRun,
        report: &CheckReport,
        digest: &str,
        earlier: &BTreeSet<u64>,
        doing: &str,
    ) -> Result<Written, PortError> {
        let url = run.html_url.clone();
        // A person who asks GitHub to run a check again sets it back without touching its mark.
        let as_far = (run.status == "completed") == matches!(report.state, CheckState::Completed(_));
        let says_the_same = as_far && mark_of(run).is_some_and(|(found, _)| found == digest);
        if says_the_same && run.output.annotations_count >= report.annotations.len() {
            return Ok(Written { write: Write::Unchanged, url });
        }
        // Annotations are only ever added, so those that stand there already are not sent again.
        let missing = self.missing_annotations(run, report, doing).await?;
        let call = self.patch_check(run.id, report, digest, &[], doing);
        let answer = self.client.send(&call).await?;
        if is_of_another_app(&answer) {
            return self.create_check(report, digest, earlier, doing).await;
        }
        answer.read::<serde::de::IgnoredAny>(&call)?;
        let mut sent = run.output.annotations_count;
        for batch in missing.chunks(BATCH) {
            self.annotate(run.id, report, digest, batch, sent, doing).await?;
            sent += batch.len();
        }
        Ok(Written { write: Write::Updated, url })
    }

    /// Adds annotations to a check that has `before` of them. To send them twice would show them twice.
    async fn annotate(
        &self,
        id: u64,
        report: &CheckReport,
        digest: &str,
        batch: &[Annotation],
        before: usize,
        doing: &str,
    ) -> Result<(), PortError> {
        let call = self.patch_check(id, report, digest, batch, doing);
        let landed = || async {
            let look = Call::get(self.route(&format!("/check-runs/{id}")), doing, Subject::Checks);
            let run: wire::CheckRun = self.client.send(&look).await?.read(&look)?;
            Ok((run.output.annotations_count >= before + batch.len()).then_some(()))
        };
        match self.client.create(&call, landed).await? {
            Created::Answered(answer) => answer.read::<serde::de::IgnoredAny>(&call).map(|_| ()),
            Created::Landed(()) => Ok(()),
        }
    }

    fn patch_check(&self, id: u64, report: &CheckReport, digest: &str, batch: &[Annotation], doing: &str) -> Call {
        let mut body = content(report, digest, batch);
        // A text of before would stay where none is sent.
        if report.text.is_none() {
            body["output"]["text"] = json!("");
        }
        Call::patch(self.route(&format!("/check-runs/{id}")), body, doing, Subject::Checks)
    }

    async fn missing_annotations(
        &self,
        run: &wire::CheckRun,
        report: &CheckReport,
        doing: &str,
    ) -> Result<Vec<Annotation>, PortError> {
        if run.output.annotations_count == 0 || report.annotations.is_empty() {
            return Ok(report.annotations.clone());
        }
        let route = self.route(&format!("/check-runs/{}/annotations?per_page=100", run.id));
        let call = Call::get(route, doing, Subject::Checks);
        let pages: Vec<Vec<wire::CheckAnnotation>> = self.client.pages(&call).await?;
        let mut there: Vec<wire::CheckAnnotation> = pages.into_iter().flatten().collect();
        let mut missing = report.annotations.clone();
        missing.retain(|wanted| match there.iter().position(|found| is_same(found, wanted)) {
            Some(at) => {
                there.swap_remove(at);
                false
            }
            None => true,
        });
        Ok(missing)
    }

    /// Takes the list of a look that has just been made: whoever reads a check in order to write it asks once.
    fn listed_just_now(&self, commit: &CommitSha, name: &str) -> Option<Vec<wire::CheckRun>> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let age = self.client.now().duration_since(listed.at).unsigned_abs();
        (age < JUST_NOW && &listed.commit == commit && listed.name == name).then_some(listed.runs)
    }

    /// Our checks of a name on a commit, oldest first. A check that carries our mark and is another App's is not ours.
    async fn our_checks(&self, commit: &CommitSha, name: &str) -> Result<Vec<wire::CheckRun>, PortError> {
        let query = format!("check_name={}&filter=all&per_page=100", encoded(name));
        let route = self.route(&format!("/commits/{commit}/check-runs?{query}"));
        let doing = format!("find the check {name} of commit {}", commit.short());
        let call = Call::get(route, doing, Subject::Checks);
        let pages: Vec<wire::CheckRuns> = self.client.pages(&call).await?;
        let mut runs: Vec<wire::CheckRun> = pages
            .into_iter()
            .flat_map(|page| page.check_runs)
            .filter(|run| run.name == name && mark_of(run).is_some())
            .collect();
        // As whom we write is only asked where somebody else could be meant.
        let by = |run: &wire::CheckRun| run.app.as_ref().and_then(|app| app.slug.clone()).unwrap_or_default();
        let own = self.own_app(runs.iter().map(by)).await?;
        runs.retain(|run| by(run).eq_ignore_ascii_case(&own));
        runs.sort_by_key(|run| run.id);
        Ok(runs)
    }
}

/// The digest and the caller's own part of an `external_id` of ours.
fn mark_of(run: &wire::CheckRun) -> Option<(&str, &str)> {
    run.external_id.as_deref()?.strip_prefix(MARK)?.split_once(':')
}

fn is_of_another_app(answer: &Answer) -> bool {
    // "Invalid app_id `1` - check run can only be modified by the GitHub App that created it."
    answer.status.as_u16() == 403 && answer.error().is_some_and(|error| error.message().contains("app_id"))
}

fn digest(report: &CheckReport) -> String {
    let annotations: Vec<Value> = report.annotations.iter().map(annotation).collect();
    let all = json!([content(report, "", &[]), report.name, annotations]);
    Sha256Digest::of(all.to_string().as_bytes()).as_str()[..16].to_owned()
}

/// The body that creating and updating share.
fn content(report: &CheckReport, digest: &str, batch: &[Annotation]) -> Value {
    let mut output = json!({ "title": report.title, "summary": report.summary });
    if let Some(text) = &report.text {
        output["text"] = json!(text);
    }
    if !batch.is_empty() {
        output["annotations"] = batch.iter().map(annotation).collect();
    }
    let mut body = json!({ "external_id": format!("{MARK}{digest}:{}", report.external_id), "output": output });
    match report.state {
        CheckState::InProgress => body["status"] = json!("in_progress"),
        CheckState::Completed(conclusion) => {
            body["status"] = json!("completed");
            body["conclusion"] = json!(conclusion.as_str());
        }
    }
    if let Some(url) = &report.details_url {
        body["details_url"] = json!(url);
    }
    body
}

fn annotation(annotation: &Annotation) -> Value {
    let mut value = json!({
        "path": annotation.path,
        "start_line": annotation.start_line,
        "end_line": annotation.end_line,
        "annotation_level": level(annotation.level),
        "message": annotation.message,
    });
    if let Some(title) = &annotation.title {
        value["title"] = json!(title);
    }
    value
}

fn level(level: AnnotationLevel) -> &'static str {
    match level {
        AnnotationLevel::Notice => "notice",
        AnnotationLevel::Warning => "warning",
        AnnotationLevel::Failure => "failure",
    }
}

fn is_same(found: &wire::CheckAnnotation, wanted: &Annotation) -> bool {
    found.path == wanted.path
        && found.start_line == wanted.start_line
        && found.end_line == wanted.end_line
        && found.annotation_level.as_deref() == Some(level(wanted.level))
        && found.message.as_deref() == Some(wanted.message.as_str())
        && found.title.as_deref().unwrap_or_default() == wanted.title.as_deref().unwrap_or_default()
}

fn word(text: &str) -> Option<CheckConclusion> {
    Some(match text {
        "success" => CheckConclusion::Success,
        "failure" => CheckConclusion::Failure,
        "neutral" => CheckConclusion::Neutral,
        "cancelled" => CheckConclusion::Cancelled,
        "action_required" => CheckConclusion::ActionRequired,
        _ => return None,
    })
}

/// Refuses what GitHub would, before anything of it is sent.
fn refuse_oversize(report: &CheckReport, doing: &str) -> Result<(), PortError> {
    let texts = [("the summary", Some(&report.summary)), ("the text", report.text.as_ref())];
    for (what, text) in texts {
        let length = text.map_or(0, |text| text.chars().count());
        if length > CHECK_TEXT_LIMIT {
            return Err(Refusal::too_long(doing, what, length, CHECK_TEXT_LIMIT));
        }
    }
    if report.external_id.len() > EXTERNAL_ID_LIMIT {
        let why = format!("the id `{}` is longer than {EXTERNAL_ID_LIMIT} bytes", report.external_id);
        return Err(PortError::because(PortErrorKind::Bug, doing, why));
    }
    Ok(())
}
