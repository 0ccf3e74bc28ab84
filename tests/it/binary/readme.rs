//! Keeps README.md honest: its commands exist, and what it shows of the demo is what the demo says.

use super::harness::Project;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md")
}

/// The fenced block under the heading `The demo`, without lines that stand for something left out.
pub fn demo_excerpt() -> Vec<String> {
    let text = readme();
    let section = text.split("\n## The demo").nth(1).expect("README.md has a section `The demo`");
    let block = section.split("```").nth(1).expect("the section shows output");
    let lines = block.lines().skip(1).map(str::trim);
    lines.filter(|line| !line.is_empty() && *line != "...").map(str::to_owned).collect()
}

/// Every `branchline ...` that the README shows after a `$`.
fn commands() -> BTreeSet<Vec<String>> {
    let text = readme();
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("$ branchline "));
    let lines = lines.map(|line| line.split(" #").next().unwrap_or(line));
    lines.map(words).collect()
}

/// Splits a line as a shell would: the README quotes with `"` only.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn every_command_in_the_readme_is_real() {
    let project = Project::empty();
    let help = project.run(&["--help"]).expect(0, &[]).out;
    let commands = commands();
    assert!(commands.len() >= 8, "README.md shows too little: {commands:?}");
    for words in &commands {
        let command = words[0].as_str();
        let listed = help.lines().any(|line| line.split_whitespace().next() == Some(command));
        assert!(listed || command.starts_with("--"), "README.md: `branchline {command}` does not exist");
        if command.starts_with("--") {
            continue;
        }
        // Clap refuses one word too many before it answers `--help`, and answers for the innermost command.
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.push("--help");
        let own = project.run(&args).expect(0, &[]).out;
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(own.contains(flag.as_str()), "README.md: `branchline {command}` has no {flag}");
        }
    }
}

#[test]
fn the_configurations_that_the_pages_show_are_valid() {
    let sagemaker =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sagemaker.md")).expect("the page");
    let blocks = |page: &str| -> Vec<String> {
        let fenced = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        fenced.filter(|yaml| yaml.contains("\nmodels:\n")).map(str::to_owned).collect()
    };
    let shown = [blocks(&readme()), blocks(&sagemaker)];
    assert!(shown[0].len() >= 2 && !shown[1].is_empty(), "{shown:?}");
    for yaml in shown.concat() {
        // The page shows only what the cloud adds to the first one.
        let head = if yaml.contains("version: 1") { "" } else { "version: 1\nproject: churn\n" };
        let project = Project::empty();
        project.git.write("branchline.yaml", &format!("{head}{yaml}"));
        // What it names is there.
        for file in ["train.py", "features/scale.py", "src/__init__.py", "requirements.txt"] {
            project.git.write(file, "");
        }
        project.run(&["check"]).expect(0, &["branchline.yaml is valid"]);
    }
}

#[test]
fn every_flag_of_every_command_stands_in_the_docs() {
    let project = Project::empty();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pages = readme();
    for entry in fs::read_dir(docs).expect("docs") {
        let path = entry.expect("a page").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push_str(&fs::read_to_string(path).expect("a page"));
        }
    }
    let words: BTreeSet<&str> =
        pages.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|word| word.starts_with("--")).collect();
    let help = project.run(&["--help"]).expect(0, &[]).out;
    let listed = help.split("\nCommands:").nth(1).expect("a list of commands");
    let names: Vec<&str> = listed
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() > 20, "{names:?}");
    let mut missing = Vec::new();
    for name in names.into_iter().filter(|name| *name != "help") {
        let own = project.run(&[name, "--help"]).expect(0, &[]).out;
        for line in own.lines().map(str::trim_start).filter(|line| line.starts_with('-')) {
            let flag = line.split([' ', ',', '[', '=']).find(|word| word.starts_with("--"));
            missing.extend(flag.filter(|flag| !words.contains(flag)).map(|flag| format!("{name} {flag}")));
        }
    }
    assert!(missing.is_empty(), "no page says what they do: {missing:#?}");
}
