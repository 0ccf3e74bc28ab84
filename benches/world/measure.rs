//! Measuring child processes, and the table of what came of it.

#![allow(dead_code, reason = "each bench uses a part of it")]

use branchline::adapters::system::Stopwatch;
use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

/// Variables that would make a run on a laptop look like one in CI.
const OF_CI: [&str; 5] = ["CI", "GITHUB_ACTIONS", "GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "BRANCHLINE_HOME"];

/// The program that is measured: the one of this build, or another one that BRANCHLINE_BENCH_PROGRAM names.
#[expect(clippy::disallowed_methods, reason = "how a person tells a bench what to measure")]
pub fn program() -> String {
    std::env::var("BRANCHLINE_BENCH_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_branchline").to_owned())
}

/// Several measurements of one thing.
#[derive(Debug, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Measures `rounds` times, after one round that only warms the caches. `before` is not measured.
    pub fn of<T>(rounds: usize, mut before: impl FnMut() -> T, mut work: impl FnMut(T)) -> Self {
        let mut round = || {
            let given = before();
            let watch = Stopwatch::start();
            work(given);
            watch.elapsed()
        };
        round();
        let mut times: Vec<Duration> = (0..rounds).map(|_| round()).collect();
        times.sort();
        Self(times)
    }

    /// Measures two things in turns, so that whatever else the machine does meets both.
    pub fn of_two<T>(rounds: usize, mut before: impl FnMut() -> T, works: [&dyn Fn(T); 2]) -> [Self; 2] {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            for (work, times) in works.iter().zip(&mut times) {
                let given = before();
                let watch = Stopwatch::start();
                work(given);
                if round > 0 {
                    times.push(watch.elapsed());
                }
            }
        }
        times.map(|mut times| {
            times.sort();
            Self(times)
        })
    }

    /// The fastest: what the program can do when nobody else uses the machine.
    pub fn best(&self) -> Duration {
        self.0[0]
    }

    /// The middle one.
    pub fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }
}

/// Runs a command to its end, silently, and returns its exit code.
pub fn run(command: &mut Command) -> Option<i32> {
    for name in OF_CI {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts").code()
}

/// Runs a command under `/usr/bin/time` and returns its peak resident memory in KiB; none without that program.
pub fn peak_kib(command: &Command) -> Option<u64> {
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-f", "%M", "--"]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    for name in OF_CI {
        timed.env_remove(name);
    }
    let out = timed.stdin(Stdio::null()).stdout(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&out.stderr).lines().last()?.trim().parse().ok()
}

/// The table, printed line by line as measures come in.
pub struct Table {
    met: usize,
    missed: Vec<String>,
}

/// What stands in one line.
pub struct Line<'a> {
    /// What was measured.
    pub measure: &'a str,
    /// What we need.
    pub ours: String,
    /// What we are compared with.
    pub yardstick: String,
    /// Ours to the yardstick, where there is one.
    pub ratio: Option<f64>,
    /// What is wanted.
    pub goal: &'a str,
    /// Whether it is so; none where nothing is wanted.
    pub met: Option<bool>,
}

impl Table {
    /// Begins with the head.
    pub fn begin() -> Self {
        say("| measure | ours | yardstick | ratio | goal | met? |\n|---|---|---|---|---|---|");
        Self { met: 0, missed: Vec::new() }
    }

    /// Adds a line.
    pub fn line(&mut self, line: Line<'_>) {
        let met = match line.met {
            Some(true) => {
                self.met += 1;
                "yes"
            }
            Some(false) => {
                self.missed.push(line.measure.to_owned());
                "NO"
            }
            None => "",
        };
        let ratio = line.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        say(&format!("| {} | {} | {} | {ratio} | {} | {met} |", line.measure, line.ours, line.yardstick, line.goal));
    }

    /// Ends with a sentence.
    pub fn end(self) {
        say(&format!("\n{} goals met, {} missed. {}", self.met, self.missed.len(), self.missed.join("; ")));
    }
}

/// Writes best and median.
pub fn shown(times: &Times) -> String {
    format!("{} ({})", milliseconds(times.best()), milliseconds(times.median()))
}

/// Writes milliseconds.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Divides durations.
pub fn ratio(ours: Duration, theirs: Duration) -> f64 {
    ours.as_secs_f64() / theirs.as_secs_f64()
}

/// Prints one line.
pub fn say(text: &str) {
    // A reader that went away wants no more lines.
    drop(writeln!(std::io::stdout(), "{text}"));
}
