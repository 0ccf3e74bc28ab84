//! An outcome, a status and a version for people at a terminal.
//!
//! Colour is written as ANSI styles always; whoever prints strips them where they do not belong. Foreign text
//! is stripped of control characters here, so that a branch name cannot move the cursor.

use crate::facts::GroupFacts;
use crate::model::approval::Approval;
use crate::model::artifact::Address;
use crate::model::artifact::Artifact;
use crate::model::metric::display_value;
use crate::model::text::is_invisible;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::model::verdict::Verdict;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::outcome::StepResult;
use crate::plan::cloud::charged;
use crate::plan::reason::Reason;
use crate::plan::wording::seconds;
use crate::plan::wording::time;
use crate::report::comparison;
use anstyle::AnsiColor;
use anstyle::Style;
use comfy_table::Table;

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

/// Renders what came of a run, or what a plan would do.
pub fn outcome(outcome: &Outcome) -> String {
    let mut text = format!("{}{}{}\n", BOLD.render(), plain(&outcome.event), BOLD.render_reset());
    for reason in &outcome.reasons {
        push_reason(&mut text, reason, "  ");
    }
    if outcome.models.is_empty() {
        text.push_str(&format!("{}\n", verdict(outcome.verdict)));
    }
    for model in &outcome.models {
        push_model(&mut text, model);
    }
    if outcome.models.len() > 1 {
        text.push_str(&format!("\nin all: {}\n", verdict(outcome.verdict)));
    }
    if let Some(after) = &outcome.after_merge {
        text.push_str(&format!(
            "\nunder the rules of this pull request, which hold after the merge: {}\n",
            verdict(after.outcome.verdict)
        ));
        for change in &after.changes {
            text.push_str(&format!("  {}\n", plain(change)));
        }
        for reason in &after.outcome.reasons {
            push_reason(&mut text, reason, "  ");
        }
        for model in &after.outcome.models {
            push_model(&mut text, model);
        }
    }
    text
}

fn push_model(text: &mut String, model: &ModelOutcome) {
    let planned = model.steps.iter().any(|record| record.result == StepResult::Planned);
    // What a limit of the whole event stops would not go on, whatever its steps.
    let goes_on = planned && model.verdict != Verdict::Blocked;
    let word = if goes_on { "would run".to_owned() } else { verdict(model.verdict) };
    let at = model.at.as_ref().map_or_else(String::new, |at| format!(" ({})", plain(at)));
    text.push_str(&format!("\n{}{}{}{at}  {word}\n", BOLD.render(), model.model, BOLD.render_reset()));
    for reason in &model.reasons {
        push_reason(text, reason, "  ");
    }
    // After a run the steps tell what went in; a prediction has to show what would.
    if model.merging.is_some() {
        text.push_str(&comparison::text(model));
    }
    if !model.steps.is_empty() {
        let mut table = table();
        for record in &model.steps {
            let group = record.step.group().map(ToString::to_string).unwrap_or_default();
            let result = record.result.as_str();
            table.add_row(vec![
                "".to_owned(),
                record.step.kind().to_owned(),
                group,
                result.to_owned(),
                plain(&record.note),
            ]);
        }
        text.push_str(&lines(&table));
    }
}

/// Renders one reason with its next move.
pub fn reason(reason: &Reason) -> String {
    let mut text = String::new();
    push_reason(&mut text, reason, "");
    text
}

fn push_reason(text: &mut String, reason: &Reason, indent: &str) {
    text.push_str(&format!("{indent}{}\n", plain(&reason.message())));
    if let Reason::TrainingFailed { log_tail, .. } = reason {
        for line in log_tail {
            text.push_str(&format!("{indent}  {}| {}{}\n", DIM.render(), plain(line), DIM.render_reset()));
        }
    }
    if let Some(hint) = reason.hint() {
        text.push_str(&format!("{indent}{}-> {}{}\n", DIM.render(), plain(&hint), DIM.render_reset()));
    }
}

/// Renders all groups of a project.
pub fn status(groups: &[(String, GroupFacts)]) -> String {
    let mut table = table();
    table.set_header(vec!["MODEL", "GROUP", "CURRENT", "METRICS", "COMMIT", "SINCE", "AWAITS APPROVAL"]);
    let mut frozen = String::new();
    for (model, group) in groups {
        let current = group.current.as_ref();
        let awaiting: Vec<String> = group
            .recent
            .iter()
            .filter(|version| version.awaits_approval())
            .map(|version| format!("{} {}", version.number, version.content.semver))
            .collect();
        table.add_row(vec![
            model.clone(),
            group.name.to_string(),
            current.map_or_else(|| "-".to_owned(), |v| format!("{} {}", v.number, v.content.semver)),
            current.map_or_else(|| "-".to_owned(), metrics),
            current.map_or_else(|| "-".to_owned(), |v| v.content.lineage.commit.short().to_owned()),
            current.map_or_else(|| "-".to_owned(), |v| time(v.registered_at)),
            if awaiting.is_empty() { "-".to_owned() } else { awaiting.join(", ") },
        ]);
        if let Some(freeze) = &group.frozen {
            frozen.push_str(&format!(
                "{} is frozen since {}{}{}\n",
                group.name,
                time(freeze.since),
                freeze.by.actor.as_ref().map_or_else(String::new, |actor| format!(" by {}", plain(actor))),
                freeze.by.reason.as_ref().map_or_else(String::new, |reason| format!(": \"{}\"", plain(reason))),
            ));
        }
    }
    format!("{}{frozen}", lines(&table))
}

/// Renders the versions of a group, newest first.
pub fn versions(group: &GroupFacts, versions: &[Version]) -> String {
    let mut table = table();
    table.set_header(vec!["VERSION", "SEMVER", "APPROVAL", "METRICS", "COMMIT", "BRANCH", "FROM", "REGISTERED"]);
    for version in versions {
        let current = if group.current_number() == Some(version.number) { " *" } else { "" };
        table.add_row(vec![
            format!("{}{current}", version.number),
            version.content.semver.to_string(),
            approval(version),
            metrics(version),
            version.content.lineage.commit.short().to_owned(),
            version.content.lineage.branch.as_ref().map_or_else(|| "-".to_owned(), |b| plain(b.as_str())),
            origin(version),
            time(version.registered_at),
        ]);
    }
    let mut text = format!("{}{}{}", BOLD.render(), group.name, BOLD.render_reset());
    text.push_str(match (&group.current, versions.is_empty()) {
        (_, true) => ": no versions yet\n",
        (Some(_), false) => " (* current)\n",
        (None, false) => " (nothing is current)\n",
    });
    if !versions.is_empty() {
        text.push_str(&lines(&table));
    }
    text
}

/// Renders what stands in a version's commit in place of watched content, below the version itself.
pub fn left_out(paths: &[String]) -> String {
    paths.iter().map(|path| format!("left out        {}\n", plain(path))).collect()
}

/// Renders everything known of one version, with the attempts of its training that are still known. `address` says where
/// an artifact can be opened.
pub fn version(
    version: &Version,
    is_current: bool,
    attempts: &[Training],
    address: &dyn Fn(&Artifact) -> Address,
) -> String {
    let content = &version.content;
    let lineage = &content.lineage;
    let mut table = table();
    let mut row = |name: &str, value: String| {
        table.add_row(vec![name.to_owned(), value]);
    };
    row("version", format!("{}{}", version.reference(), if is_current { " (current)" } else { "" }));
    row("semver", content.semver.to_string());
    row("model", content.model.to_string());
    row("approval", approval(version));
    for (name, value) in &content.metrics {
        row("metric", format!("{} {}", plain(name.as_str()), display_value(*value)));
    }
    row("commit", lineage.commit.to_string());
    if let Some(branch) = &lineage.branch {
        row("branch", plain(branch.as_str()));
    }
    row("repository", plain(&lineage.repository.to_string()));
    if let Some(number) = lineage.pull_request {
        row("pull request", format!("#{number}"));
    }
    if let Some(actor) = &lineage.actor {
        row("actor", plain(actor));
    }
    if let Some(url) = &lineage.run_url {
        row("run", plain(url));
    }
    if let Some(stage) = &lineage.stage {
        row("trained in", stage.to_string());
    }
    if let Some(signature) = &content.signature {
        row("signature", plain(signature));
    }
    if let Some(image) = &lineage.image {
        row("image", plain(image));
    }
    for (channel, dataset) in &lineage.datasets {
        row("data", format!("{channel}: {}", plain(&dataset.to_string())));
    }
    if content.data_moved {
        row("data moved", "yes: the data changed while it was trained".to_owned());
    }
    for (name, value) in &lineage.hyperparameters {
        row("hyperparameter", format!("{} = {}", plain(name), plain(value)));
    }
    for note in &lineage.metric_notes {
        row("not a number", format!("{} is {}", plain(&note.name), plain(&note.value)));
    }
    for artifact in &content.artifacts {
        row("artifact", format!("{}, {} bytes, {}", plain(&artifact.name), artifact.size, artifact.digest));
        row("location", plain(&address(artifact).location));
    }
    row("fingerprint", content.fingerprint.to_string());
    row("code id", content.code_id.to_string());
    row("content", content.content.to_string());
    if let Some(training) = &lineage.training {
        let attempt = lineage.attempt.map_or_else(String::new, |attempt| format!(", attempt {attempt}"));
        let took = lineage.training_seconds.map_or_else(String::new, |s| format!(", {}", seconds(s)));
        row("training", format!("{training}{attempt}{took}"));
    }
    if let Some(bill) = &lineage.bill {
        row("machines", plain(&charged(bill)));
    }
    if let Some(url) = &lineage.training_url {
        row("seen at", plain(url));
    }
    if let Some(at) = lineage.trained_at {
        row("trained", time(at));
    }
    for earlier in attempts.iter().filter(|earlier| Some(earlier.attempt) != lineage.attempt) {
        let how = match &earlier.state {
            TrainingState::Failed { cause, message, .. } => format!("failed, cause {}: {message}", cause.as_str()),
            TrainingState::Stopped { .. } => "was stopped".to_owned(),
            TrainingState::Succeeded { .. } => "ended well".to_owned(),
            TrainingState::Open | TrainingState::Prepared => "is open".to_owned(),
        };
        row("attempt", plain(&format!("{} {how}", earlier.attempt)));
    }
    if let Some(source) = &lineage.elsewhere {
        row("externally trained", plain(source));
    }
    if let Some(imported) = &lineage.imported {
        row("imported from", format!("{}, registered {}", imported.version, time(imported.registered_at)));
    }
    if let Some(again) = &lineage.again {
        row("trained again", plain(again));
    }
    if let Some(source) = &content.source {
        row("copied from", source.to_string());
    }
    if let Some(restored) = content.restores {
        row("restores", restored.to_string());
    }
    if let Some(why) = &content.not_promotable {
        row("not promotable", plain(why));
    }
    row("registered", time(version.registered_at));
    lines(&table)
}

pub(super) fn approval(version: &Version) -> String {
    let mut text = version.approval.to_string();
    match version.rejection {
        Some(Rejection::RolledBack) if version.approval == Approval::Rejected => text.push_str(" (rolled back)"),
        Some(Rejection::Duplicate) if version.approval == Approval::Rejected => text.push_str(" (duplicate)"),
        Some(_) | None => {}
    }
    if version.superseded {
        text.push_str(" (superseded)");
    }
    text
}

fn origin(version: &Version) -> String {
    match (&version.content.restores, &version.content.source) {
        (Some(number), _) => format!("restores {number}"),
        (None, Some(source)) => source.to_string(),
        (None, None) => match (&version.content.lineage.training, version.content.lineage.attempt) {
            (Some(_), Some(attempt)) if attempt > 1 => format!("trained, attempt {attempt}"),
            (Some(_), _) => "trained".to_owned(),
            (None, _) => "elsewhere".to_owned(),
        },
    }
}

pub(super) fn metrics(version: &Version) -> String {
    let list: Vec<String> = version
        .content
        .metrics
        .iter()
        .take(3)
        .map(|(name, value)| format!("{} {}", plain(name.as_str()), display_value(*value)))
        .collect();
    if list.is_empty() { "-".to_owned() } else { list.join(", ") }
}

fn verdict(verdict: Verdict) -> String {
    let style = match verdict {
        Verdict::Passed => AnsiColor::Green.on_default().bold(),
        Verdict::Skipped => AnsiColor::Cyan.on_default().bold(),
        Verdict::Waiting => AnsiColor::Yellow.on_default().bold(),
        Verdict::Blocked | Verdict::Failed | Verdict::Errored => AnsiColor::Red.on_default().bold(),
        Verdict::Cancelled => AnsiColor::Magenta.on_default().bold(),
    };
    format!("{}{verdict}{}", style.render(), style.render_reset())
}

/// Makes a table without borders.
pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table
}

/// Renders a table without the blanks that only fill its last column.
pub(super) fn lines(table: &Table) -> String {
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Makes untrusted text one line that moves nothing and hides nothing: a control character becomes U+FFFD, and one that
/// cannot be seen is written as its escape, such as `\u{202e}`.
pub fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            safe.push('\u{fffd}');
        } else if is_invisible(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(plain("feature-a\u{200b}b"), "feature-a\\u{200b}b");
        assert_eq!(plain("x\u{202e}y\u{2066}z"), "x\\u{202e}y\\u{2066}z");
        assert_eq!(plain("a\u{1b}[2Kb\r\n"), "a\u{fffd}[2Kb\u{fffd}\u{fffd}");
        assert_eq!(plain("\u{feff}tag\u{e0041}"), "\\u{feff}tag\\u{e0041}");
        assert_eq!(plain(&plain("a\u{200d}b")), plain("a\u{200d}b"));
        assert_eq!(plain("ü 🦀 ✓"), "ü 🦀 ✓");
    }
}
