//! The runner adapter against the runner's own reading of logs and files: no foreign text becomes a command, an
//! output, or more than the runner takes.

pub mod parser;

use crate::world::clock::ManualClock;
use branchline::adapters::runner::ANNOTATIONS_PER_LEVEL;
use branchline::adapters::runner::Annotation;
use branchline::adapters::runner::Console;
use branchline::adapters::runner::Hosting;
use branchline::adapters::runner::LINE_LIMIT;
use branchline::adapters::runner::Level;
use branchline::adapters::runner::NeutralWriter;
use branchline::adapters::runner::Runner;
use branchline::adapters::runner::RunnerFileError;
use branchline::adapters::runner::RunnerFiles;
use branchline::adapters::runner::RunnerProgress;
use branchline::adapters::runner::SHORTEST_MASK;
use branchline::adapters::runner::SummaryWritten;
use branchline::adapters::runner::log_line;
use branchline::adapters::runner::neutral;
use branchline::model::name::ModelName;
use branchline::ports::Progress;
use branchline::ports::Tick;
use branchline::report::limit;
use expect_test::expect;
use parser::command;
use parser::commands;
use proptest::prelude::*;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

/// What was written, kept where the test can see it.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Tape {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("one thread").clone()).expect("UTF-8")
    }

    fn console(&self) -> Console {
        Console::new(Box::new(self.clone()), true)
    }
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Text that tries.
fn foreign() -> impl Strategy<Value = String> {
    const FRAGMENTS: &[&str] = &[
        "::",
        ":",
        "##[",
        "#",
        "[",
        "]",
        "error",
        "set-output name=x",
        "add-mask",
        "stop-commands",
        "group",
        "\n",
        "\r",
        "\r\n",
        " ",
        "\t",
        "\u{a0}",
        "\u{2028}",
        "\u{85}",
        "\u{200b}",
        "\u{feff}",
        "\u{ad}",
        "\u{fe0f}",
        "\0",
        "\u{1b}[31m",
        "\u{1b}",
        "\u{8}",
        "%0A",
        "%25",
        "%",
        ",",
        ";",
        "=",
        "<<",
        "EOF",
        "x<<EOF",
        "verdict=passed",
        "branchline_",
        "\\",
        "::error::",
        "##[error]",
        "::add-mask::",
        "é",
        "🦀",
        "\u{301}",
    ];
    let fragment = prop_oneof![
        4 => prop::sample::select(FRAGMENTS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|c| c.to_string()),
    ];
    prop::collection::vec(fragment, 0..14).prop_map(|fragments| fragments.concat())
}

fn model(name: &str) -> ModelName {
    ModelName::parse(name).expect("a name")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_neutral_line_is_no_command(text in foreign()) {
        let line = neutral(&text);
        prop_assert_eq!(commands(&line), vec![], "{:?}", line);
        prop_assert_eq!(neutral(&line), line.clone());
        let logged = log_line(&text);
        prop_assert_eq!(commands(&logged), vec![], "{:?}", logged);
        prop_assert!(!logged.contains(char::is_control), "{:?}", logged);
    }

    #[test]
    fn a_neutral_stream_holds_no_command(text in foreign(), size in 1_usize..9) {
        let tape = Tape::default();
        let mut writer = NeutralWriter::new(tape.clone());
        for piece in text.as_bytes().chunks(size) {
            writer.write_all(piece).expect("memory");
            writer.flush().expect("memory");
        }
        drop(writer);
        prop_assert_eq!(commands(&tape.text()), vec![], "{:?}", tape.text());
    }

    #[test]
    fn a_log_holds_only_our_own_commands(texts in prop::collection::vec((0_u8..4, foreign()), 0..8)) {
        let tape = Tape::default();
        let console = Arc::new(tape.console());
        let progress = RunnerProgress::new(Arc::clone(&console), Arc::new(ManualClock::new()));
        for (how, text) in &texts {
            match how {
                0 => progress.tick(&model("churn"), Tick::Says(text)),
                1 => progress.tick(&model("churn"), Tick::LogLine(text)),
                2 => progress.tick(&model("fraud"), Tick::LogLine(text)),
                _ => console.say(text),
            }
        }
        progress.finish();
        console.finish();
        let mut open = false;
        for found in commands(&tape.text()) {
            match found.name.as_str() {
                "group" => {
                    prop_assert!(!open && found.data.ends_with(": training log"), "{}", tape.text());
                    open = true;
                }
                "endgroup" => {
                    prop_assert!(open, "{}", tape.text());
                    open = false;
                }
                other => prop_assert!(false, "{other} in {}", tape.text()),
            }
        }
        prop_assert!(!open);
    }

    #[test]
    fn an_annotation_says_what_was_meant(message in foreign(), title in foreign(), file in foreign()) {
        let tape = Tape::default();
        let annotation = Annotation::new(Level::Error, format!("gate: {message}")).titled(format!("t{title}")).at(
            format!("f{file}"), Some(3), None);
        tape.console().annotate(&annotation);
        let found = commands(&tape.text());
        prop_assert_eq!(found.len(), 1, "{:?}", tape.text());
        let found = &found[0];
        prop_assert_eq!(found.name.as_str(), "error");
        prop_assert!(found.data.starts_with("gate: "));
        prop_assert_eq!(found.properties["line"].as_str(), "3");
        prop_assert!(found.properties.keys().all(|key| ["file", "line", "title"].contains(&key.as_str())));
    }

    #[test]
    fn a_mask_hides_each_line_and_nothing_short(secret in foreign()) {
        let tape = Tape::default();
        let all = tape.console().mask(&secret);
        for line in parser::lines(&tape.text()).iter().filter(|line| !line.is_empty()) {
            let found = command(line).expect("a command");
            prop_assert_eq!(found.name.as_str(), "add-mask");
            prop_assert!(found.data.chars().count() >= SHORTEST_MASK && secret.contains(&found.data));
        }
        let lines: Vec<&str> = secret.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
        prop_assert_eq!(all, !lines.is_empty() && lines.iter().all(|line| line.chars().count() >= SHORTEST_MASK));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn outputs_are_read_as_they_were_meant(values in prop::collection::vec(foreign(), 0..5), left in "(x=1)?(\n)?") {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("output");
        std::fs::write(&path, &left).expect("written");
        let names = ["verdict", "plan", "code-id", "sha256", "results"];
        let pairs: Vec<(&str, &str)> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
        files(&path, &folder.path().join("summary")).append_outputs(&pairs).expect("written");
        let text = std::fs::read_to_string(&path).expect("read");
        let mut expected: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        if left.starts_with('x') {
            expected.insert(0, ("x".to_owned(), "1".to_owned()));
        }
        prop_assert_eq!(parser::outputs(&text, false).expect("a legal file"), expected.clone());
        // On Windows a value's own last CR belongs to the line break; no output comes or goes.
        let windows = parser::outputs(&text, true).expect("a legal file");
        prop_assert_eq!(windows.len(), expected.len());
        for ((name, value), (read_name, read)) in expected.iter().zip(&windows) {
            prop_assert_eq!(name, read_name);
            prop_assert!(read == value || Some(read.as_str()) == value.strip_suffix('\r'));
        }
    }
}

fn files(output: &Path, summary: &Path) -> RunnerFiles {
    RunnerFiles::from_lookup(|name| match name {
        "GITHUB_OUTPUT" => Some(output.display().to_string()),
        "GITHUB_STEP_SUMMARY" => Some(summary.display().to_string()),
        _ => None,
    })
}

#[test]
fn each_value_gets_a_mark_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("output");
    let files = files(&path, &folder.path().join("summary"));
    files.append_outputs(&[("a", "1"), ("b", "2")]).expect("written");
    files.append_outputs(&[("a", "3")]).expect("written");
    let text = std::fs::read_to_string(&path).expect("read");
    let marks: Vec<&str> = text.lines().filter_map(|line| line.split_once("<<")).map(|(_, mark)| mark).collect();
    assert_eq!(marks.len(), 3);
    assert!(marks.iter().all(|mark| mark.len() >= 36) && marks[0] != marks[1] && marks[1] != marks[2], "{marks:?}");
}

#[test]
fn too_many_outputs_are_refused_with_the_largest_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("output");
    let files = files(&path, &folder.path().join("summary"));
    let large = "x".repeat(limit::OUTPUTS.size / 2);
    let error = files.append_outputs(&[("verdict", "passed"), ("plan", &large)]).expect_err("refused");
    assert!(matches!(&error, RunnerFileError::TooLarge { largest, .. } if largest == "plan"), "{error}");
    assert!(!path.exists(), "nothing was written");
    let nowhere = RunnerFiles::from_lookup(|name| (name == "GITHUB_OUTPUT").then(|| "/nowhere/at/all".to_owned()));
    let error = nowhere.append_outputs(&[("verdict", "passed")]).expect_err("no such folder");
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    assert!(RunnerFiles::default().append_outputs(&[("verdict", "passed")]).is_ok(), "no file, no output, no error");
}

#[test]
fn summaries_of_one_step_share_their_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary");
    let files = files(&folder.path().join("output"), &path);
    let text = format!("## Report\n\n{}", "| row | 0.87 |\n".repeat(45_000));
    let size = || std::fs::metadata(&path).expect("there").len();
    let full = Some("https://github.com/o/r/actions/runs/1");
    assert_eq!(files.append_summary(&text, full).expect("written"), SummaryWritten::Whole);
    assert_eq!(files.append_summary(&text, full).expect("written"), SummaryWritten::Cut);
    assert!(size() <= 1024 * 1024, "{}", size());
    for _ in 0..5 {
        files.append_summary(&text, full).expect("written");
        assert!(size() <= 1024 * 1024, "{}", size());
    }
    assert_eq!(files.append_summary(&text, full).expect("written"), SummaryWritten::NoRoom);
    assert_eq!(RunnerFiles::default().append_summary(&text, full).expect("fine"), SummaryWritten::NoFile);
}

#[test]
fn ten_annotations_of_a_level_and_then_a_count() {
    let tape = Tape::default();
    let console = tape.console();
    for number in 0..13 {
        let annotation =
            Annotation::new(Level::Error, format!("problem {number}")).at("branchline.yaml", Some(number), None);
        assert_eq!(console.annotate(&annotation), number < ANNOTATIONS_PER_LEVEL);
    }
    console.annotate(&Annotation::new(Level::Notice, "fine"));
    console.finish();
    let found = commands(&tape.text());
    assert_eq!(found.iter().filter(|found| found.name == "error").count(), 10);
    assert_eq!(found.iter().filter(|found| found.name == "notice").count(), 1);
    assert!(tape.text().contains("\nerror: branchline.yaml:12: problem 12\n"), "{}", tape.text());
    assert!(tape.text().ends_with(
        "not shown as annotations, because the runner keeps 10 of each level: 3 of level error; they are in the log above\n"
    ), "{}", tape.text());
}

/// A run as somebody reads it: two trainings at once, and something that takes long.
#[test]
fn a_log_reads_well() {
    let tape = Tape::default();
    let clock = Arc::new(ManualClock::new());
    let console = Arc::new(tape.console());
    let progress = RunnerProgress::new(Arc::clone(&console), Arc::clone(&clock) as _);
    let (churn, fraud) = (model("churn"), model("fraud"));
    let packing = |done| Tick::Moves { what: "packing model.tar.gz", done, total: Some(100) };
    progress.tick(&churn, Tick::Says("trains attempt 1"));
    progress.tick(&churn, Tick::LogLine("\u{1b}[32mepoch 1\u{1b}[0m"));
    progress.tick(&fraud, Tick::LogLine("epoch 1"));
    progress.tick(&churn, Tick::LogLine("::error::not ours"));
    progress.tick(&fraud, Tick::LogLine("epoch 2 ##[warning]x"));
    clock.advance(11);
    progress.tick(&fraud, Tick::LogLine("epoch 3"));
    progress.tick(&churn, packing(1));
    clock.advance(30);
    progress.tick(&churn, packing(20));
    clock.advance(31);
    progress.tick(&churn, packing(50));
    progress.tick(&churn, packing(51));
    progress.tick(&churn, packing(100));
    progress.tick(&churn, Tick::Says("registered 0.1.0"));
    progress.finish();
    console.debug("details");
    console.finish();
    expect![[r#"
        08:00:00Z churn: trains attempt 1
        ::group::churn: training log
        epoch 1
        \::error::not ours
        ::endgroup::
        ::group::fraud: training log
        epoch 1
        epoch 2 ##\[warning]x
        epoch 3
        ::endgroup::
        08:01:12Z churn: packing model.tar.gz, 50 %
        08:01:12Z churn: registered 0.1.0
        ::debug::details
    "#]]
    .assert_eq(&tape.text());
}

#[test]
fn a_line_has_an_end() {
    assert!(log_line(&"x".repeat(1_000_000)).len() < LINE_LIMIT + 40);
}

#[test]
fn the_runner_is_known_by_its_variables() {
    let with = |pairs: &'static [(&'static str, &'static str)]| {
        Runner::from_lookup(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    };
    assert_eq!(with(&[]), None);
    assert_eq!(with(&[("GITHUB_ACTIONS", "false")]), None);
    let hosted = with(&[
        ("GITHUB_ACTIONS", "true"),
        ("RUNNER_ENVIRONMENT", "github-hosted"),
        ("RUNNER_DEBUG", "1"),
        ("GITHUB_SERVER_URL", "https://ghe.x"),
        ("GITHUB_REPOSITORY", "o/r"),
        ("GITHUB_RUN_ID", "7"),
        ("GITHUB_RUN_ATTEMPT", "2"),
    ])
    .expect("a runner");
    assert_eq!((hosted.hosted(), hosted.debug()), (Hosting::GitHub, true));
    assert_eq!(hosted.run_url(), Some("https://ghe.x/o/r/actions/runs/7/attempts/2"));
    let own = with(&[("GITHUB_ACTIONS", "true"), ("RUNNER_ENVIRONMENT", "self-hosted")]).expect("a runner");
    assert_eq!((own.hosted(), own.debug(), own.run_url()), (Hosting::SelfHosted, false, None));
    assert_eq!(with(&[("GITHUB_ACTIONS", "true")]).expect("a runner").hosted(), Hosting::Unknown);
}

#[test]
fn old_commands_are_warned_of_once() {
    let warned = |value: &'static str| {
        let tape = Tape::default();
        let runner = Runner::from_lookup(|name| match name {
            "GITHUB_ACTIONS" => Some("true".to_owned()),
            "ACTIONS_ALLOW_UNSECURE_COMMANDS" => Some(value.to_owned()),
            _ => None,
        })
        .expect("a runner");
        let console = runner.console(Box::new(tape.clone()));
        if value == "true" {
            console.warn_of_old_commands();
        }
        console.debug("nobody asked");
        commands(&tape.text())
    };
    let found = warned("true");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].name == "warning" && found[0].data.starts_with("ACTIONS_ALLOW_UNSECURE_COMMANDS is set"));
    assert_eq!(warned("false"), []);
    assert_eq!(warned(""), []);
}
