//! `demo`: makes a sample repository and walks through the whole story in it, with the very commands that a
//! person would type. Every step runs Git and this program itself; nothing is staged.

mod sample;

use crate::cli::failure::Failure;
use crate::cli::notice;
use crate::cli::print;
use crate::report::terminal::plain;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

/// The sample's authors, so that the demo needs no Git configuration.
const AUTHOR: [&str; 4] = ["-c", "user.name=Ada Example", "-c", "user.email=ada@example.com"];

/// Walks through the story.
pub fn demo(directory: Option<&Path>, dir: &Path) -> Result<u8, Failure> {
    let dir = directory.map_or_else(|| dir.to_path_buf(), |base| base.join(dir));
    make_folder(&dir)?;
    let program = std::env::current_exe().map_err(|error| Failure::io("find this program's own file", &error))?;
    let teller = Teller { dir, program };
    teller.needs("git", &["--version"])?;
    teller.needs("python3", &["--version"])?;
    story(&teller)?;
    Ok(0)
}

fn story(t: &Teller) -> Result<(), Failure> {
    t.title("The first release: dev trains, prod gets the very same artifact, a person approves")?;
    sample::write(&t.dir, sample::BASE)?;
    t.git(&["init", "--quiet", "--initial-branch", "dev"])?;
    t.commit("Tell malignant tumours from benign ones")?;
    t.run(0)?;
    t.git(&["switch", "--quiet", "--create", "prod"])?;
    t.run(0)?;
    t.branchline(&["approve", "--group", "prod", "--version", "1"], 0)?;

    t.title("A better model on a feature branch: trained, gated against dev, registered")?;
    t.git(&["switch", "--quiet", "--create", "feature-better", "dev"])?;
    sample::write(&t.dir, sample::SCALE_FEATURES)?;
    t.commit("Scale the features")?;
    t.run(0)?;

    t.title("A change that makes it worse: the gate says no, with the numbers, and nothing is registered")?;
    sample::write(&t.dir, sample::TRAIN_FASTER)?;
    t.commit("Train faster")?;
    t.run(30)?;

    t.title("Mended")?;
    sample::write(&t.dir, sample::TRAIN_LONG_ENOUGH)?;
    t.commit("Train long enough again")?;
    t.run(0)?;

    t.title("A squash merge to dev: trained there, approved by rule")?;
    t.git(&["switch", "--quiet", "dev"])?;
    t.git(&["merge", "--quiet", "--squash", "feature-better"])?;
    t.commit("Scale the features and train long enough (#1)")?;
    t.run(0)?;

    t.title("A merge to prod: copied, not trained, the digest compared; it awaits approval")?;
    t.git(&["switch", "--quiet", "prod"])?;
    t.git(&["merge", "--quiet", "--no-ff", "-m", "Merge dev", "dev"])?;
    t.run(0)?;
    t.branchline(&["approve", "--group", "prod", "--version", "2"], 0)?;

    t.title("The same event again: nothing to do")?;
    t.run(0)?;

    t.title("A push that changes only documentation: nothing to do, and why")?;
    t.git(&["switch", "--quiet", "dev"])?;
    sample::write(&t.dir, sample::DOCS_ONLY)?;
    t.commit("Say how to read the numbers")?;
    t.run(0)?;

    t.title("git revert on prod: the older model returns as v3, nothing trained, nothing copied")?;
    t.git(&["switch", "--quiet", "prod"])?;
    t.git(&["revert", "--no-edit", "--mainline", "1", "HEAD"])?;
    t.run(0)?;

    t.title("Where everything stands now")?;
    t.branchline(&["status"], 0)?;
    t.branchline(&["show", "prod"], 0)?;
    t.next()
}

/// Tells the story: prints what is done, does it, prints what came of it.
struct Teller {
    dir: PathBuf,
    program: PathBuf,
}

impl Teller {
    fn title(&self, text: &str) -> Result<(), Failure> {
        let bold = anstyle::Style::new().bold();
        print(&format!("\n{}== {text}{}\n", bold.render(), bold.render_reset())).map(drop)
    }

    fn commit(&self, message: &str) -> Result<(), Failure> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "-m", message])
    }

    fn run(&self, expected: i32) -> Result<(), Failure> {
        self.branchline(&["run"], expected)
    }

    fn git(&self, args: &[&str]) -> Result<(), Failure> {
        self.say("git", args)?;
        let mut command = Command::new("git");
        command.args(AUTHOR).args(["-c", "commit.gpgsign=false", "-c", "core.hooksPath=", "-c", "core.autocrlf=false"]);
        self.execute(command.args(args), "git", 0, Show::OnFailure)
    }

    fn branchline(&self, args: &[&str], expected: i32) -> Result<(), Failure> {
        self.say("branchline", args)?;
        self.execute(Command::new(&self.program).args(args), "branchline", expected, Show::Always)
    }

    fn needs(&self, program: &str, args: &[&str]) -> Result<(), Failure> {
        let found = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
        match found {
            Ok(status) if status.success() => Ok(()),
            Ok(_) | Err(_) => Err(Failure::usage(format!("the demo needs {program}, which was not found"))
                .hint(format!("install {program} and run the demo again"))),
        }
    }

    fn say(&self, program: &str, args: &[&str]) -> Result<(), Failure> {
        let words: Vec<String> = std::iter::once(program).chain(args.iter().copied()).map(quoted).collect();
        let dim = anstyle::Style::new().dimmed();
        print(&format!("{}$ {}{}\n", dim.render(), words.join(" "), dim.render_reset())).map(drop)
    }

    /// Runs a command in the sample as on a laptop: without the variables of a CI host, and with its own home.
    fn execute(&self, command: &mut Command, name: &str, expected: i32, show: Show) -> Result<(), Failure> {
        let ci = std::env::vars_os().map(|(name, _)| name).filter(|name| {
            let name = name.to_string_lossy();
            name == "CI"
                || ["GITHUB_", "RUNNER_", "ACTIONS_", "BRANCHLINE_", "GIT_"].iter().any(|p| name.starts_with(p))
        });
        for name in ci {
            command.env_remove(name);
        }
        let output = command
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::io(&format!("start {name}"), &error))?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if show == Show::Always {
            for line in out.lines() {
                print(&format!("  {}\n", plain(line)))?;
            }
        }
        if output.status.code() == Some(expected) {
            return Ok(());
        }
        for line in err.lines() {
            notice(&plain(line));
        }
        let code = output.status.code().map_or_else(|| "a signal".to_owned(), |code| format!("exit {code}"));
        Err(Failure::new(
            super::failure::BUG,
            format!("the story stopped: `{name}` ended with {code}, expected exit {expected}"),
        ))
    }

    fn next(&self) -> Result<(), Failure> {
        let bold = anstyle::Style::new().bold();
        print(&format!(
            "\n{}== Yours to try{}\n  cd {}\n  branchline show prod 3                         # everything known of v3\n  branchline approve --group prod --version 3    # let the older model be current again\n  branchline plan --branch dev                   # what a push to dev would do now\n  git log --oneline --graph --all\n",
            bold.render(),
            bold.render_reset(),
            quoted(&self.dir.display().to_string()),
        ))
        .map(drop)
    }
}

/// When a command's output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Always,
    OnFailure,
}

fn make_folder(dir: &Path) -> Result<(), Failure> {
    let taken = || {
        Failure::usage(format!("{} is not empty: the demo never writes over anything", dir.display()))
            .hint("name another folder: branchline demo DIR")
    };
    match std::fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(taken());
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => return Err(taken()),
    }
    std::fs::create_dir_all(dir).map_err(|error| Failure::io(&format!("make {}", dir.display()), &error))
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
