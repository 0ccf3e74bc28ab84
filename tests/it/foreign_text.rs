//! Foreign text in Markdown against a host's own reading of it, texts against the limits of their places, and the
//! outputs of a step against their documentation.

use branchline::model::artifact::Address;
use branchline::model::artifact::Artifact;
use branchline::outcome::Outcome;
use branchline::report::escape;
use branchline::report::limit;
use branchline::report::limit::Limit;
use branchline::report::limit::Section;
use branchline::report::limit::Unit;
use branchline::report::outputs;
use branchline::report::outputs::StepOutputs;
use proptest::prelude::*;
use regex::Regex;
use serde_json::Value;
use serde_json::json;
use std::path::Path;

/// Text that tries to become a link, a call, markup or a hidden mark.
fn foreign() -> impl Strategy<Value = String> {
    const FRAGMENTS: &[&str] = &[
        "@ada",
        "@o/team",
        "#1",
        "o/r#1",
        "GH-1",
        "gh-",
        "1",
        "#",
        "@",
        "deadbeef",
        "0a1b2c3",
        "a1",
        "f",
        "https://x.y",
        "http:",
        "//",
        "www.",
        "x.y",
        ":x:",
        ":+1:",
        ":",
        "`",
        "``",
        "```",
        "~~~",
        "|",
        "\\",
        "*",
        "_",
        "[a](b)",
        "]",
        "(",
        ")",
        "<!--",
        "-->",
        "<img src=x>",
        "<",
        "&lt;",
        "&#64;",
        "&",
        "\n",
        "\r",
        "# ",
        "- ",
        "1. ",
        "> ",
        "$x$",
        "!",
        " ",
        "\u{202e}",
        "\0",
        "é",
        "🦀",
        "<details>",
        "</details>",
        "ada",
        "o/r@deadbeef",
    ];
    let fragment = prop_oneof![
        5 => prop::sample::select(FRAGMENTS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|c| c.to_string()),
    ];
    prop::collection::vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
}

/// What a reader would see of escaped inline text: backslashes and entities resolved. Fails where markup is left.
fn rendered(markdown: &str) -> Result<String, String> {
    let mut seen = String::new();
    let mut rest = markdown;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let next = rest.chars().next().filter(char::is_ascii_punctuation).ok_or("a bare backslash")?;
                seen.push(next);
                rest = &rest[1..];
            }
            '&' => {
                let (entity, after) = rest.split_once(';').ok_or("a bare &")?;
                seen.push(match entity {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    other => return Err(format!("an entity: {other}")),
                });
                rest = after;
            }
            // Between letters or digits it begins and ends nothing: GitHub Flavored Markdown, "Emphasis".
            '_' if seen.ends_with(char::is_alphanumeric) && rest.starts_with(char::is_alphanumeric) => seen.push(c),
            '<' | '>' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '!' => return Err(format!("markup: {c}")),
            c if c.is_control() => return Err("a control character".to_owned()),
            c => seen.push(c),
        }
    }
    Ok(seen)
}

/// What a host makes of the text that a reader sees: people, issues, addresses, emoji. Digits of a commit are linked only
/// where this very repository has it, and stay whole: names hold such digits, and are copied.
fn joined(seen: &str) -> Vec<String> {
    const PATTERNS: &[&str] = &[
        r"@[A-Za-z0-9]",
        r"#[0-9]",
        r"(?i)\bGH-[0-9]",
        r"(?i)(?:https?|ftp)://",
        r"(?i)www\.",
        r":[A-Za-z_+-][A-Za-z0-9_+-]*:",
        r":[0-9]{3,}:",
    ];
    PATTERNS
        .iter()
        .filter_map(|pattern| Regex::new(pattern).expect("a pattern").find(seen))
        .map(|found| found.as_str().to_owned())
        .collect()
}

fn without_breaks(text: &str) -> String {
    text.replace('\u{200b}', "")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn inline_text_stays_text(text in foreign()) {
        for escaped in [escape::markdown_cell(&text), escape::markdown_text(&text)] {
            let seen = rendered(&escaped).map_err(|error| TestCaseError::fail(format!("{error} in {escaped:?}")))?;
            prop_assert_eq!(joined(&seen), Vec::<String>::new(), "{:?}", escaped);
            let plain = branchline::report::terminal::plain(&text);
            let (seen, plain) = (without_breaks(&seen), without_breaks(&plain));
            prop_assert_eq!(seen.trim(), plain.trim());
        }
        let line = escape::markdown_text(&text);
        let begins = Regex::new(r"^(?:\s{4}|[-+=>]|#{1,6}(?:\s|$)|[0-9]+[.)](?:\s|$))").expect("a pattern");
        prop_assert!(!begins.is_match(&line), "{:?}", line);
    }

    #[test]
    fn code_ends_where_it_should(text in foreign()) {
        let span = escape::code_span(&text);
        let fence = span.len() - span.trim_start_matches('`').len();
        let inner = &span[fence..span.len() - fence];
        // Nothing inside is a run of exactly the fence's length, and none touches the fence.
        prop_assert!(inner.split(|c| c != '`').all(|run| run.len() != fence), "{:?}", span);
        prop_assert!(!inner.starts_with('`') && !inner.ends_with('`') && !inner.is_empty());
        prop_assert!(!span.contains('\n') && !span.contains("<!--"));
        let cell = escape::code_cell(&text);
        prop_assert!(!Regex::new(r"(?:^|[^\\])\|").expect("a pattern").is_match(&cell), "{:?}", cell);
        let block = escape::code_block(&text, "text");
        let lines: Vec<&str> = block.lines().collect();
        let fence = lines[0].trim_end_matches("text");
        let ends = lines.iter().skip(1).filter(|line| line.trim().starts_with(fence)).count();
        prop_assert!(ends == 1 && lines.last() == Some(&fence), "{:?}", block);
    }

    #[test]
    fn links_and_hidden_marks_hold(text in foreign(), address in foreign()) {
        let link = escape::link(&text, &format!("https://x.y/{address}"));
        let (label, target) = link.rsplit_once("](").expect("a link");
        prop_assert!(rendered(&label[1..]).is_ok(), "{:?}", link);
        let target = target.strip_suffix(')').expect("an end");
        prop_assert!(target.is_ascii() && !target.contains(['(', ')', '<', '>', '"', '|', '\\', '`', ' ']), "{target}");
        if let Some(target) = escape::link_target(&address) {
            prop_assert!(target.starts_with("http"), "{}", target);
        }
        let comment = escape::comment_text(&text);
        prop_assert!(!comment.contains("--") && !comment.contains(['<', '>', '\n']), "{comment:?}");
        let label = escape::chart_text(&text);
        prop_assert!(!label.is_empty() && label.chars().count() <= escape::CHART_TEXT_LIMIT + 1);
        prop_assert!(!label.contains(['"', '%', '\n', ';', '#', '`', '<', '{', '&', '\\']), "{label:?}");
    }

    #[test]
    fn a_chart_gets_numbers_only(value in any::<f64>()) {
        let number = Regex::new(r"^-?[0-9]+(?:\.[0-9]+)?$").expect("a pattern");
        if let Some(text) = escape::chart_number(value) {
            prop_assert!(number.is_match(&text), "{text}");
            // As the table beside it: six digits behind the point.
            let spacing = value.abs() * f64::EPSILON;
            let read: f64 = text.parse().expect("a number");
            prop_assert!((read - value).abs() <= 5.1e-7 + spacing, "{text} for {value}");
        } else {
            prop_assert!(!value.is_finite() || value.abs() >= 1e15 || value.abs() < 1e-9);
        }
    }
}

/// A document with tables, fences and folds, in any order, also left open.
fn markdown() -> impl Strategy<Value = String> {
    const LINES: &[&str] = &[
        "Answer: merged.",
        "",
        "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |",
        "```text",
        "```",
        "````",
        "~~~",
        "<details>",
        "<details><summary>Log</summary>",
        "</details>",
        "<!-- mark -->",
        "<!--",
        "-->",
        "🦀🦀🦀 é",
        "- item",
        "`` ` ``",
    ];
    prop::collection::vec(prop::sample::select(LINES), 0..40).prop_map(|lines| lines.join("\n"))
}

/// What is open at the end: fence, comment, folds. Written apart from the limiter.
fn open_at_end(text: &str) -> (bool, bool, i32) {
    let (mut fence, mut comment, mut folds) = (None::<String>, false, 0);
    for line in text.lines() {
        if let Some(mark) = &fence {
            if line.starts_with(mark.as_str()) && line.trim_start_matches(&mark[..1]).trim().is_empty() {
                fence = None;
            }
            continue;
        }
        if !comment {
            let run: String = line.chars().take_while(|c| *c == '`').collect();
            let waves: String = line.chars().take_while(|c| *c == '~').collect();
            if run.len() >= 3 && !line[run.len()..].contains('`') {
                fence = Some(run);
                continue;
            }
            if waves.len() >= 3 {
                fence = Some(waves);
                continue;
            }
        }
        let mut rest = line;
        while !rest.is_empty() {
            if comment {
                let Some((_, after)) = rest.split_once("-->") else { break };
                (comment, rest) = (false, after);
            } else if let Some(after) = rest.strip_prefix("<!--") {
                (comment, rest) = (true, after);
            } else {
                if rest.starts_with("<details") {
                    folds += 1;
                } else if rest.starts_with("</details") {
                    folds = (folds - 1).max(0);
                }
                rest = &rest[rest.chars().next().map_or(1, char::len_utf8)..];
            }
        }
    }
    (fence.is_some(), comment, folds)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_document_fits_and_is_closed(text in markdown(), size in 0_usize..600) {
        let limit = Limit { size, unit: Unit::Bytes };
        let cut = limit::markdown(&text, limit, Some("https://x.y/run"));
        prop_assert!(limit.fits(&cut), "{} > {size}: {cut:?}", limit.measure(&cut));
        if limit.fits(&text) {
            prop_assert_eq!(&cut, &text);
        } else {
            prop_assert_eq!(open_at_end(&cut), (false, false, 0), "{}", cut);
            prop_assert!(cut.is_empty() || cut.contains("bytes are missing; see [the full report](https://x.y/run)._"));
            let (head, _) = cut.rsplit_once("\n\n_Cut here").unwrap_or(("", ""));
            let last = head.lines().next_back().unwrap_or_default();
            let in_code = open_at_end(head) != (false, false, 0) || head.ends_with("```\n") || head.ends_with("~~~\n");
            prop_assert!(in_code || (last != "| a | b |" && last != "|---|---|"), "a bare head: {}", cut);
        }
        prop_assert_eq!(limit::markdown(&cut, limit, None), cut);
    }

    #[test]
    fn any_text_fits_any_limit(text in foreign(), size in 0_usize..120, kind in 0..3) {
        let unit = [Unit::Bytes, Unit::Utf16, Unit::Utf16Bytes][kind as usize];
        let limit = Limit { size, unit };
        prop_assert!(limit.fits(&limit::markdown(&text, limit, None)));
        let line = limit::line(&text, limit);
        prop_assert!(limit.fits(&line));
        prop_assert_eq!(limit::line(&line, limit), line.clone());
        prop_assert!(!limit.fits(&text) || line == text);
    }

    #[test]
    fn sections_fit_and_the_first_stays(parts in prop::collection::vec((0_u8..3, markdown()), 0..6), size in 200_usize..900) {
        let mut sections: Vec<Section> = vec![Section::new("the answer", 0, "<!-- mark -->\nAnswer.")];
        sections.extend(parts.iter().enumerate().map(|(at, (rank, text))| Section::new(format!("part {at}"), *rank, text.clone())));
        let limit = Limit { size, unit: Unit::Bytes };
        let text = limit::document(&sections, limit, Some("https://x.y"));
        prop_assert!(limit.fits(&text));
        prop_assert!(text.starts_with("<!-- mark -->\nAnswer."), "{}", text);
    }
}

fn outcome(models: Vec<Value>) -> Outcome {
    let models = models.into_iter().map(|model| serde_json::from_value(model).expect("a model's outcome")).collect();
    Outcome::of_models("push to develop".to_owned(), models)
}

fn model(name: &str, at: Option<&str>, versions: Vec<Value>) -> Value {
    json!({ "model": name, "at": at, "verdict": "passed", "reasons": [], "steps": [], "versions": versions })
}

fn version(group: &str, number: u32, location: &str) -> Value {
    let digest = "ab".repeat(32);
    json!({
        "group": group, "number": number, "registered_at": "2026-11-01T08:00:00Z", "approval": "Approved",
        "rejection": null, "superseded": false, "once_approved": true,
        "content": {
            "model": "churn", "semver": "0.4.0", "fingerprint": digest, "code_id": digest, "content": digest,
            "signature": null, "metrics": { "accuracy": 0.87 },
            "artifacts": [{ "name": "model.tar.gz", "digest": { "algorithm": "sha256", "value": digest }, "size": 1,
                "location": location }],
            "data_moved": false, "source": null, "restores": null, "not_promotable": null,
            "lineage": { "schema": 1, "commit": "a".repeat(40), "tree": null, "branch": null,
                "repository": branchline::model::git::RepositoryId::default() },
        },
    })
}

/// Where the artifacts of these tests can be opened.
fn stored(artifact: &Artifact) -> Address {
    Address { location: format!("/opens/{}", artifact.location), url: None }
}

#[test]
fn the_outputs_of_one_model() {
    let outcome = outcome(vec![
        model("churn", None, vec![version("churn-dev", 12, "blob:x")]),
        model("churn", Some("prod at 1a2b3c4"), vec![version("churn-prod", 3, "blob:x")]),
    ]);
    let outputs = StepOutputs::of(&outcome, None, &stored);
    let names: Vec<&str> = outputs.values.iter().map(|(name, _)| *name).collect();
    let documented: Vec<&str> = outputs::OUTPUTS.iter().map(|output| output.name).collect();
    assert_eq!(names, documented);
    for (name, value) in [
        ("verdict", "passed"),
        ("model", "churn"),
        ("group", "churn-dev"),
        ("version", "12"),
        ("semver", "0.4.0"),
        ("sha256", &"ab".repeat(32)),
        ("artifact", "/opens/blob:x"),
        ("artifact-url", ""),
        ("metrics", "{\"accuracy\":0.87}"),
    ] {
        assert_eq!(outputs.get(name), Some(value), "{name}");
    }
    let plan: Value = serde_json::from_str(outputs.get("plan").expect("a plan")).expect("JSON");
    assert_eq!(plan["models"][0]["versions"][0]["version"], 12);
    let given = StepOutputs::of(&outcome, Some(&json!({ "schema": 7 })), &stored);
    assert_eq!(given.get("plan"), Some("{\"schema\":7}"));
}

#[test]
fn the_outputs_of_several_models_are_a_matrix() {
    let several =
        outcome(vec![model("churn", None, vec![version("churn-dev", 12, "blob:x")]), model("fraud", None, vec![])]);
    let outputs = StepOutputs::of(&several, None, &stored);
    for name in ["model", "group", "version", "metrics"] {
        assert_eq!(outputs.get(name), Some(""), "{name}: never the first of several");
    }
    let results: Value = serde_json::from_str(outputs.get("results").expect("results")).expect("JSON");
    assert_eq!((&results[0]["version"], &results[1]["version"]), (&json!("12"), &json!("")));
    let fields: Vec<&str> =
        results[1].as_object().expect("an object").keys().map(String::as_str).filter(|key| *key != "at").collect();
    for field in fields {
        assert!(outputs::OUTPUTS.iter().any(|output| output.name == field), "{field} is no output");
    }
    assert_eq!(StepOutputs::of(&outcome(vec![]), None, &stored).get("results"), Some("[]"));
}

#[test]
fn outputs_that_are_too_large_are_emptied_with_a_sentence() {
    let versions = (0..200).map(|number| version("churn-dev", number + 1, &"x".repeat(5_000))).collect();
    let outputs = StepOutputs::of(&outcome(vec![model("churn", None, versions)]), None, &stored);
    assert_eq!(outputs.emptied, ["plan"]);
    assert_eq!((outputs.get("plan"), outputs.get("version")), (Some(""), Some("200")));
    assert!(outputs.sentence().expect("a sentence").contains("plan are empty"), "{:?}", outputs.sentence());
    let size: usize = outputs.pairs().iter().map(|(_, value)| limit::OUTPUTS.measure(value)).sum();
    assert!(size <= limit::OUTPUTS.size);
}

/// `action.yml` and its page name exactly the outputs that are written.
#[test]
fn the_action_names_every_output() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Ok(text) = std::fs::read_to_string(root.join("action.yml")) {
        let action: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
        let named = action["outputs"].as_mapping().expect("outputs").keys();
        let mut named: Vec<&str> = named.filter_map(|key| key.as_str()).collect();
        let mut written: Vec<&str> = outputs::OUTPUTS.iter().map(|output| output.name).collect();
        named.sort_unstable();
        written.sort_unstable();
        assert_eq!(named, written, "action.yml");
    }
    if let Ok(text) = std::fs::read_to_string(root.join("docs/action.md")) {
        for output in outputs::OUTPUTS {
            assert!(text.contains(&format!("`{}`", output.name)), "docs/action.md does not name {}", output.name);
        }
    }
    assert_eq!(outputs::table().lines().count(), outputs::OUTPUTS.len() + 2);
}
