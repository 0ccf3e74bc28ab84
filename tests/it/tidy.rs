//! The walls: which layer may name which, file headers, sizes, and documents that must match the code.
//!
//! Cargo cannot keep layers apart inside one crate, so this test reads the sources. It reads text: one `use`
//! item a line, in `crate::` paths, is what makes that honest.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// A layer: its path prefix under `src/`, the crate modules it may name, the guarded crates it may use, and
/// whether it is pure.
struct Layer {
    prefix: &'static str,
    modules: &'static [&'static str],
    crates: &'static [&'static str],
    pure: bool,
}

const ALL: &[&str] = &[
    "model", "event", "config", "facts", "plan", "ports", "observe", "apply", "drive", "outcome", "report", "adapters",
    "cli",
];

/// The longest matching prefix counts. A file that no row matches fails the test.
/// What the adapters of Amazon's services may name.
const AMAZON: &[&str] = &[
    "aws_config",
    "aws_sdk_sagemaker",
    "aws_sdk_s3",
    "aws_sdk_sts",
    "aws_sdk_ecr",
    "aws_sdk_cloudwatchlogs",
    "tokio",
    "sha2",
    "tar",
    "tempfile",
];

const LAYERS: &[Layer] = &[
    Layer { prefix: "main.rs", modules: &["cli"], crates: &[], pure: false },
    Layer { prefix: "lib.rs", modules: ALL, crates: &[], pure: true },
    Layer { prefix: "model/", modules: &["model"], crates: &["sha2"], pure: true },
    Layer { prefix: "event/", modules: &["model", "event"], crates: &[], pure: true },
    Layer {
        prefix: "config/",
        modules: &["model", "config"],
        crates: &["serde_yaml", "saphyr_parser", "schemars"],
        pure: true,
    },
    Layer { prefix: "facts/", modules: &["model", "facts"], crates: &[], pure: true },
    Layer { prefix: "plan/", modules: &["model", "config", "event", "facts", "plan"], crates: &[], pure: true },
    Layer { prefix: "ports/", modules: &["model", "facts", "ports"], crates: &[], pure: true },
    Layer { prefix: "outcome.rs", modules: &["model", "plan", "outcome"], crates: &[], pure: true },
    Layer {
        prefix: "report/",
        modules: &["model", "facts", "plan", "outcome", "report"],
        crates: &["comfy_table"],
        pure: true,
    },
    // Git is not a port: the observer reads real repositories through one concrete adapter of plain types.
    Layer {
        prefix: "observe/",
        modules: &["model", "config", "facts", "plan", "ports", "observe", "adapters::git"],
        crates: &[],
        pure: true,
    },
    Layer {
        prefix: "apply/",
        modules: &["model", "plan", "ports", "observe", "outcome", "apply"],
        crates: &[],
        pure: true,
    },
    Layer {
        prefix: "drive.rs",
        modules: &["model", "facts", "plan", "ports", "observe", "apply", "outcome", "drive"],
        crates: &["tokio", "tokio_util"],
        pure: true,
    },
    Layer { prefix: "adapters/mod.rs", modules: &[], crates: &[], pure: true },
    Layer {
        prefix: "adapters/git/",
        modules: &["model", "adapters::git"],
        crates: &["git2", "sha2", "saphyr_parser", "rustix"],
        pure: false,
    },
    // One session and one set of words for every service of Amazon; then one folder for each of them.
    Layer {
        prefix: "adapters/aws/",
        modules: &["model", "config", "ports", "adapters::aws", "adapters::network", "adapters::system"],
        crates: AMAZON,
        pure: false,
    },
    Layer {
        prefix: "adapters/s3/",
        modules: &[
            "model",
            "facts",
            "ports",
            "adapters::aws",
            "adapters::s3",
            "adapters::local",
            "adapters::system",
            "adapters::unfinished",
        ],
        crates: AMAZON,
        pure: false,
    },
    Layer {
        prefix: "adapters/sagemaker/",
        modules: &[
            "model",
            "facts",
            "ports",
            "adapters::aws",
            "adapters::s3",
            "adapters::sagemaker",
            "adapters::local",
            "adapters::system",
        ],
        crates: AMAZON,
        pure: false,
    },
    Layer {
        prefix: "adapters/github/",
        modules: &["model", "ports", "adapters::github", "adapters::network"],
        crates: &["octocrab", "tokio", "hyper_util", "hyper_timeout"],
        pure: false,
    },
    Layer {
        prefix: "adapters/network/",
        modules: &["model", "adapters::network"],
        crates: &["tokio", "hyper_util", "hyper_rustls", "rustls"],
        pure: false,
    },
    Layer {
        prefix: "adapters/local/",
        modules: &[
            "model",
            "facts",
            "ports",
            "adapters::local",
            "adapters::regular",
            "adapters::system",
            "adapters::unfinished",
        ],
        crates: &["rusqlite", "tokio", "sha2", "md5", "tar", "libdeflater", "rustix", "signal_hook", "tempfile"],
        pure: false,
    },
    Layer {
        prefix: "adapters/material.rs",
        modules: &["model", "ports", "adapters::git", "adapters::local"],
        crates: &[],
        pure: false,
    },
    Layer {
        prefix: "adapters/runner/",
        modules: &["model", "ports", "report", "adapters::regular", "adapters::runner"],
        crates: &[],
        pure: false,
    },
    // What every adapter that reads or makes files of others needs.
    Layer { prefix: "adapters/regular.rs", modules: &[], crates: &["rustix"], pure: false },
    Layer { prefix: "adapters/unfinished.rs", modules: &[], crates: &[], pure: false },
    Layer { prefix: "adapters/system.rs", modules: &["ports"], crates: &["tokio", "rustix"], pure: false },
    Layer { prefix: "cli/", modules: ALL, crates: &["clap", "tokio", "tokio_util", "indicatif"], pure: false },
];

/// Crates that only the layers which list them may use.
const GUARDED: &[&str] = &[
    "git2",
    "rusqlite",
    "tokio",
    "tokio_util",
    "clap",
    "indicatif",
    "comfy_table",
    "serde_yaml",
    "saphyr_parser",
    "schemars",
    "sha2",
    "md5",
    "tar",
    "libdeflater",
    "rustix",
    "signal_hook",
    "tempfile",
    "octocrab",
    "hyper_util",
    "hyper_rustls",
    "hyper_timeout",
    "rustls",
    "aws_config",
    "aws_sdk_sagemaker",
    "aws_sdk_s3",
    "aws_sdk_sts",
    "aws_sdk_ecr",
    "aws_sdk_cloudwatchlogs",
];

/// What a pure layer never says.
const IMPURE: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "std::env::",
    "std::fs::",
    "std::process::",
    "println!",
    "print!(",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut files: Vec<(String, String)> = walkdir::WalkDir::new(&src)
        .into_iter()
        .map(|entry| entry.expect("readable source tree"))
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
        .map(|entry| {
            let name = entry.path().strip_prefix(&src).expect("inside src").display().to_string();
            (name, fs::read_to_string(entry.path()).expect("readable source"))
        })
        .collect();
    files.sort();
    files
}

/// The part of a file before its tests: what ships.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

fn layer(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().filter(|layer| name.starts_with(layer.prefix)).max_by_key(|layer| layer.prefix.len())
}

fn faults_of(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{name}: no module header"));
    }
    let Some(layer) = layer(name) else {
        faults.push(format!("{name}: no layer knows this file; add a row to LAYERS"));
        return faults;
    };
    let text = production(text);
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    for line in &code {
        for (at, _) in line.match_indices("crate::") {
            let path = &line[at + "crate::".len()..];
            let allowed = layer.modules.iter().any(|module| {
                path.strip_prefix(module)
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            });
            if !allowed && !path.starts_with('{') {
                faults.push(format!("{name}: {} may not name crate::{}", layer.prefix, path.trim()));
            }
        }
        for guarded in GUARDED {
            let used = line.contains(&format!("use {guarded}::")) || line.contains(&format!(" {guarded}::"));
            if used && !layer.crates.contains(guarded) && !line.contains(&format!("crate::{guarded}")) {
                faults.push(format!("{name}: {} may not use {guarded}", layer.prefix));
            }
        }
        if layer.pure {
            for impure in IMPURE {
                if line.contains(impure) {
                    faults.push(format!("{name}: a pure layer says {impure}"));
                }
            }
        }
        if line.contains("#[cfg(test)]") {
            faults.push(format!("{name}: cfg(test) outside of `mod tests`"));
        }
    }
    faults
}

#[test]
fn layers_keep_their_walls() {
    let faults: Vec<String> = sources().iter().flat_map(|(name, text)| faults_of(name, text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_guard_finds_planted_faults() {
    let planted = "use crate::adapters::git::GitRepository;\nuse octocrab::Octocrab;\nlet x = SystemTime::now();\n";
    let faults = faults_of("plan/planted.rs", planted);
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert_eq!(faults_of("elsewhere/x.rs", "//! x\n").len(), 1);
}

/// The ten largest files, in lines that ship. A file that grows past its number is split, or its number is
/// raised here, in the commit that grows it.
#[test]
fn large_files_do_not_grow_silently() {
    let listed = fs::read_to_string(root().join("tests/it/largest.txt")).expect("tests/it/largest.txt");
    let listed: BTreeMap<&str, usize> = listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(lines, name)| (name, lines.parse().expect("a number of lines")))
        .collect();
    let mut sizes: Vec<(usize, String)> =
        sources().into_iter().map(|(name, text)| (production(&text).lines().count(), name)).collect();
    sizes.sort_by(|a, b| b.cmp(a));
    sizes.truncate(10);
    let grown: Vec<String> = sizes
        .iter()
        .filter(|(lines, name)| listed.get(name.as_str()).is_none_or(|limit| lines > limit))
        .map(|(lines, name)| format!("{lines} {name}"))
        .collect();
    let now: Vec<String> = sizes.iter().map(|(lines, name)| format!("{lines} {name}")).collect();
    assert!(
        grown.is_empty(),
        "split these, or raise the number in tests/it/largest.txt:\n{}\nall ten:\n{}",
        grown.join("\n"),
        now.join("\n")
    );
    assert!(sizes.iter().all(|(lines, _)| *lines <= 600), "a file above 600 lines has two subjects");
}

/// Words that the field does not use, each with the one that it does use.
const WORDS: [(&str, &str); 14] = [
    ("by hand", "manually"),
    ("fault of ours", "internal error"),
    ("missed its gate", "failed its gate"),
    ("takes away", "removes"),
    ("take away", "remove"),
    ("taken away", "removed"),
    ("took away", "removed"),
    ("take on the role", "assume the role"),
    ("takes on the role", "assumes the role"),
    ("spare capacity", "Spot capacity"),
    ("trained elsewhere", "externally trained"),
    ("mended", "fixed"),
    ("would go on", "would run"),
    ("return by itself", "come back automatically"),
];

fn words_in(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // The name of a workflow that repositories have installed.
        let line = line.replace("branchline by hand", "");
        for (word, instead) in WORDS.iter().filter(|(word, _)| line.contains(word)) {
            found.push(format!("{name}:{}: `{word}`; say `{instead}`", number + 1));
        }
    }
    found
}

/// What people read, and the names and comments of the code, use the terms that GitHub, SageMaker and MLflow document.
#[test]
fn texts_use_the_words_of_the_field() {
    let folders = ["src", "docs", "workflows", "action", "fixtures/cases", "fixtures/reports"];
    let singles = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "action.yml"].map(|name| root().join(name));
    let within = folders.iter().flat_map(|folder| walkdir::WalkDir::new(root().join(folder)).into_iter().flatten());
    let files = within.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).chain(singles);
    let mut found = Vec::new();
    let mut read = 0;
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        read += 1;
        found.extend(words_in(&path.strip_prefix(root()).unwrap_or(&path).display().to_string(), &text));
    }
    assert!(read > 300, "only {read} files were read");
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(words_in("planted", "it was mended\nby hand").len(), 2);
}

/// The anchors that GitHub gives to the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in page.lines() {
        fenced ^= line.starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !fenced) else { continue };
        let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let text: String = heading.trim_start_matches('#').trim().to_lowercase().chars().filter(|c| kept(*c)).collect();
        found.insert(text.replace(' ', "-"));
    }
    found
}

/// Every link from page to page leads to a file that exists, and to a heading that it has.
#[test]
fn links_between_pages_lead_somewhere() {
    let entries = fs::read_dir(root().join("docs")).expect("docs");
    let docs = entries.map(|entry| entry.expect("an entry").path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let singles = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in pages.chain(singles) {
        let text = fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            let leads = match fs::read_to_string(&target) {
                Ok(found) => anchor.is_empty() || anchors(&found).contains(anchor),
                Err(_) => target.exists() && anchor.is_empty(),
            };
            if !leads {
                broken.push(format!("{}: {link}", page.strip_prefix(root()).unwrap_or(&page).display()));
            }
        }
    }
    assert!(followed > 40, "only {followed} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_eq!(anchors("# `run`, and A_b!\n```\n# no\n```\n## Two"), ["run-and-a_b", "two"].map(str::to_owned).into());
}

/// Every path in backticks that a document names exists.
#[test]
fn documents_name_paths_that_exist() {
    let mut ghosts = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).expect(document);
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "tests/", "fixtures/", "docs/", "benches/", "workflows/", ".ci/", ".github/"]
                .iter()
                .any(|prefix| quoted.starts_with(prefix));
            if is_path && !quoted.contains(['*', '<', ' ']) && !root().join(quoted).exists() {
                ghosts.push(format!("{document}: {quoted}"));
            }
        }
    }
    assert!(ghosts.is_empty(), "{}", ghosts.join("\n"));
}

/// The names of the CI host's variables stand in one table: a name that the sources mention is in it, and only it
/// spells one as a value.
#[test]
fn variables_of_the_ci_host_are_named_once() {
    use branchline::model::variables::VARIABLES;
    let name = regex::Regex::new(r#""?\b(?:GITHUB|RUNNER|ACTIONS)_[A-Z][A-Z_]*[A-Z]\b"?"#).expect("a pattern");
    let mut faults = Vec::new();
    let mut named = std::collections::BTreeSet::new();
    for (file, text) in sources() {
        if file == "model/variables.rs" {
            continue;
        }
        for found in name.find_iter(production(&text)) {
            let word = found.as_str().trim_matches('"');
            named.insert(word.to_owned());
            if !VARIABLES.iter().any(|variable| variable.name == word) {
                faults.push(format!("{file}: {word} is not in model/variables.rs"));
            }
            if found.as_str().starts_with('"') && found.as_str().ends_with('"') {
                faults.push(format!("{file}: write variables::{word} for \"{word}\""));
            }
        }
    }
    let unused = VARIABLES.iter().filter(|variable| !named.contains(variable.name));
    faults.extend(unused.map(|variable| format!("model/variables.rs: nothing reads {}", variable.name)));
    for forbidden in ["GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE"] {
        assert!(VARIABLES.iter().all(|variable| variable.name != forbidden), "{forbidden} is never written");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The README's table of exit codes is the one in the code.
#[test]
fn the_readme_has_every_exit_code() {
    use branchline::model::verdict::Verdict;
    let text = fs::read_to_string(root().join("README.md")).expect("README.md");
    let verdicts = [
        Verdict::Passed,
        Verdict::Skipped,
        Verdict::Waiting,
        Verdict::Blocked,
        Verdict::Failed,
        Verdict::Errored,
        Verdict::Cancelled,
    ];
    for verdict in verdicts {
        let exit = branchline::outcome::verdict_exit(verdict);
        let row = text
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&format!("`{verdict}`")))
            .unwrap_or_else(|| panic!("README.md has no row for {verdict}"));
        assert!(row.contains(&exit.to_string()), "{row} does not say {exit}");
    }
}

/// Dependencies are compiled once for `cargo run` and `cargo test`: the tests switch on no feature that the program does
/// not have switched on in the same crate.
#[test]
fn tests_switch_on_no_feature_of_a_crate_of_the_program() {
    let features = |edges: &str| -> std::collections::BTreeSet<String> {
        let output = std::process::Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["tree", "--locked", "--offline", "--prefix", "none", "-f", "{p} {f}", "-e", edges])
            .output()
            .expect("cargo tree runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    };
    let program = features("normal,build");
    let tests = features("normal,build,dev");
    let differ: Vec<&String> = program.difference(&tests).collect();
    assert!(differ.is_empty(), "ask for the features of the tests in [dependencies] of Cargo.toml, too: {differ:?}");
    assert!(program.len() > 100 && tests.len() > program.len(), "cargo tree lists the dependencies");
}
