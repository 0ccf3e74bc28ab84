//! Foreign text in reports: whatever stands in it, the report stays what it is.

use super::one;
use super::promotes;
use super::samples::*;
use crate::model::git::BranchName;
use crate::model::metric::MetricName;
use crate::model::name::TrainingName;
use crate::model::training::Cause;
use crate::model::verdict::Verdict;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::gate::Answer;
use crate::plan::prediction::SettingDifference;
use crate::plan::reason::Reason;
use crate::report::markdown::Context;
use crate::report::markdown::check;
use crate::report::markdown::comment;
use crate::report::markdown::summary;
use proptest::prelude::*;

/// Any text, with a leaning to what is dangerous.
fn foreign() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        "[a-z ]{1,6}",
        Just("@ada".to_owned()),
        Just("|".to_owned()),
        Just("`".to_owned()),
        Just("``".to_owned()),
        Just("```\n".to_owned()),
        Just("<img src=x onerror=y>".to_owned()),
        Just("</details>".to_owned()),
        Just("<!-- branchline -->".to_owned()),
        Just("\\".to_owned()),
        Just("\n\n# head\n".to_owned()),
        Just("[x](javascript:y)".to_owned()),
        Just("branchline train --again".to_owned()),
        Just("\"] %%{init: {}}%%".to_owned()),
        Just("\u{202e}".to_owned()),
    ];
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

fn outcome(texts: &[String], value: f64) -> Outcome {
    let text = |at: usize| texts[at % texts.len()].clone();
    let mut model = promotes();
    model.at = Some(text(0));
    let safe = text(1).replace(char::is_control, "");
    let metric = MetricName::parse(&safe.chars().take(100).collect::<String>());
    if let (Some(metric), Some(comparison)) = (metric, model.compared.first_mut()) {
        let mut extra =
            row("accuracy", Some(value), Some(0.5), vec![bound("accuracy", "min", ">= 0.8", None, Answer::Fail)]);
        extra.metric = metric.clone();
        extra.gates[0].metric = metric.clone();
        extra.gates[0].note = Some(text(2));
        comparison.rows.insert(0, extra);
        for point in &mut comparison.recent {
            point.metrics.insert(metric.clone(), value);
        }
        comparison.code = Some(crate::facts::review::ChangedPaths { paths: vec![text(3); 8], total: 9 });
        comparison.settings = vec![SettingDifference { name: text(4), current: Some(text(5)), candidate: None }];
        for data in &mut comparison.data {
            data.candidate.iter_mut().for_each(|data| (data.uri, data.digest) = (text(6), text(7)));
        }
    }
    if let Some(record) = model.steps.first_mut() {
        record.note = text(8);
        record.result = crate::outcome::StepResult::Failed;
    }
    let failed = Reason::TrainingFailed {
        training: TrainingName::reported(&text(9)),
        attempt: 1,
        cause: Cause::Code,
        message: text(10),
        log_tail: vec![text(11), text(12)],
        exhausted: true,
        model: model.model.clone(),
    };
    model.reasons.insert(0, failed);
    model.reasons.push(Reason::Unreadable { why: text(13) });
    model.reasons.push(Reason::PortFailed { kind: text(0), message: text(1), hint: Some(text(2)), may_pass: true });
    if let Ok(branch) = BranchName::parse(&text(3)) {
        model.reasons.push(Reason::MergeConflict { base: branch, paths: vec![text(4)] });
    }
    model.verdict = Verdict::Failed;
    let mut other = model.clone();
    other.model = samples_model();
    let mut outcome = one(&text(5), model, vec![predicted("prod", false), Reason::NotOurs { why: text(6) }]);
    outcome.models.push(other);
    outcome.after_merge = Some(Box::new(crate::outcome::AfterMerge {
        changes: vec![text(7)],
        outcome: Outcome { after_merge: None, ..outcome.clone() },
    }));
    outcome
}

fn samples_model() -> crate::model::name::ModelName {
    model("fraud")
}

/// Returns the text without code: blocks and spans show what they hold as it is.
fn without_code(text: &str) -> String {
    let mut kept = String::new();
    let mut fence: Option<usize> = None;
    for line in text.lines() {
        let body = line.trim_start_matches("> ");
        let run = body.len() - body.trim_start_matches('`').len();
        match fence {
            Some(length) if run >= length && body.trim_end().len() == run => fence = None,
            Some(_) => {}
            None if run >= 3 && !body[run..].contains('`') => fence = Some(run),
            None => kept.push_str(&format!("{}\n", without_spans(line))),
        }
    }
    assert!(fence.is_none(), "a fence stays open: {text}");
    kept
}

/// Takes out spans of code by the rule of CommonMark: a run of backticks is ended by the next run as long.
fn without_spans(line: &str) -> String {
    let (mut kept, mut rest) = (String::new(), line);
    while let Some(c) = rest.chars().next() {
        if c == '\\' {
            let length = rest.chars().take(2).map(char::len_utf8).sum();
            kept.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if c != '`' {
            kept.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let run = rest.len() - rest.trim_start_matches('`').len();
        let mut after = &rest[run..];
        let end = loop {
            let Some(at) = after.find('`') else { break None };
            let length = after[at..].len() - after[at..].trim_start_matches('`').len();
            after = &after[at + length..];
            if length == run {
                break Some(after);
            }
        };
        match end {
            Some(end) => {
                kept.push('·');
                rest = end;
            }
            None => {
                kept.push_str(&rest[..run]);
                rest = &rest[run..];
            }
        }
    }
    kept
}

fn is_sound(text: &str, limit: usize) -> Result<(), TestCaseError> {
    prop_assert!(text.len() <= limit, "{} bytes", text.len());
    prop_assert!(!text.contains("<!--"), "a hidden mark: {text}");
    let plain = without_code(text);
    let ours = ["<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>", "<code>", "</code>"];
    let mut bare = plain.clone();
    for tag in ours {
        bare = bare.replace(tag, "");
    }
    prop_assert!(!bare.contains('<'), "foreign HTML: {bare}");
    prop_assert_eq!(plain.matches("<details>").count(), plain.matches("</details>").count());
    let called = plain
        .match_indices('@')
        .any(|(at, _)| plain[at + 1..].chars().next().is_some_and(|next| next.is_ascii_alphanumeric()));
    prop_assert!(!called, "somebody is called: {plain}");
    let unescaped = plain.replace("\\\\", "").replace("\\]", "");
    prop_assert!(!unescaped.contains("](javascript"), "a foreign link: {plain}");
    let mut columns: Option<usize> = None;
    for line in plain.lines() {
        let escaped = line.replace("\\\\", "").replace("\\|", "");
        let borders = escaped.matches('|').count();
        if !line.starts_with("| ") {
            prop_assert!(borders == 0, "a border outside of a table: {line}");
            columns = None;
            continue;
        }
        prop_assert_eq!(*columns.get_or_insert(borders), borders, "a broken row: {}", line);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_foreign_changes_a_report(
        texts in proptest::collection::vec(foreign(), 1..14),
        value in any::<f64>(),
    ) {
        let outcome = outcome(&texts, value);
        let context = Context { run_url: Some(texts[0].clone()), ..context() };
        is_sound(&comment(&outcome, &context), 65_536)?;
        is_sound(&summary(&outcome, &context), 1024 * 1024)?;
        let check = check(&outcome, &context);
        is_sound(&check.summary, 65_535)?;
        is_sound(&check.text, 65_535)?;
        prop_assert!(check.description.encode_utf16().count() <= 140);
        prop_assert!(!check.title.contains('\n'));
        for chart in comment(&outcome, &context).split("```mermaid\n").skip(1) {
            let source = chart.split("\n```").next().unwrap_or_default();
            prop_assert!(!source.contains("NaN") && !source.contains("inf"), "{source}");
            prop_assert_eq!(source.matches("%%{").count(), 1, "a foreign directive: {}", source);
        }
    }

    #[test]
    fn a_report_of_any_size_fits(number in 0_usize..150, long in 0_usize..4000) {
        let models: Vec<ModelOutcome> = (0..number)
            .map(|at| {
                let mut one = promotes();
                one.model = model(&format!("model-{at}"));
                one.reasons.push(Reason::Unreadable { why: "é|".repeat(long) });
                one
            })
            .collect();
        let outcome = Outcome::of_models("push".to_owned(), models);
        is_sound(&comment(&outcome, &context()), 65_536)?;
    }
}
