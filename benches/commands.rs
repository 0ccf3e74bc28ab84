//! Whole processes, each beside a yardstick that a person would use instead: time, memory and growth.
//!
//! `cargo bench --bench commands` measures all, `cargo bench --bench commands -- plan pack` only the chapters that
//! are named: start, plan, versions, run, pack, identity, fleet. Nothing here fails: the table says what missed its goal, and
//! `benches/README.md` keeps the figures.

mod world;

use crate::world::measure;
use crate::world::measure::Line;
use crate::world::measure::Table;
use crate::world::measure::Times;
use crate::world::measure::milliseconds;
use crate::world::measure::ratio;
use crate::world::measure::shown;
use crate::world::model_folder;
use crate::world::registry;
use crate::world::repository::Shape;
use crate::world::repository::Watches;
use crate::world::repository::git;
use branchline::adapters::git::GitRepository;
use branchline::adapters::local::pack::pack_directory;
use branchline::model::cloud::CloudSettings;
use branchline::model::identity::code_id;
use branchline::model::settings::TrainingSettings;
use branchline::model::settings::Watched;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const ROUNDS: usize = 9;
const TRAIN_NOTHING: &str = "echo model > $SM_MODEL_DIR/model";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // The adapters' own measures run in a process of their own, so that their memory can be told.
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["child-pack", folder, archive] => return child_pack(Path::new(folder), Path::new(archive)),
        ["child-watch", folder, paths] => return child_watch(Path::new(folder), paths),
        _ => {}
    }
    let wanted = |chapter: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == chapter);
    let worlds = Worlds { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder") };
    let mut table = Table::begin();
    type Chapter = (&'static str, fn(&Worlds, &mut Table));
    let chapters: [Chapter; 7] = [
        ("start", start),
        ("plan", plan),
        ("versions", versions),
        ("run", run),
        ("pack", pack),
        ("identity", identity),
        ("fleet", fleet),
    ];
    for (name, chapter) in chapters {
        if wanted(name) {
            chapter(&worlds, &mut table);
        }
    }
    table.end();
}

struct Worlds {
    folder: tempfile::TempDir,
}

impl Worlds {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Moves a folder out of the way. Removing it would slow the next round down: ext4 without a journal searches for
    /// a long time for a number to give to a new file, where thousands were freed within the last seconds.
    fn set_aside(&self, folder: &Path) {
        if folder.exists() {
            let aside = tempfile::tempdir_in(self.folder.path()).expect("a temporary folder").keep();
            fs::rename(folder, aside.join("old")).expect("it can be moved");
        }
    }
}

fn branchline(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(measure::program());
    command.args(arguments).current_dir(folder);
    command
}

fn succeeds(command: &mut Command) {
    let exit = measure::run(command);
    assert_eq!(exit, Some(0), "{command:?} ended with {exit:?}");
}

/// Measures a command of ours, with its memory.
fn timed(folder: &Path, arguments: &[&str]) -> (Times, u64) {
    let times = Times::of(ROUNDS, || (), |()| succeeds(&mut branchline(folder, arguments)));
    (times, measure::peak_kib(&branchline(folder, arguments)).unwrap_or(0))
}

fn with_memory(times: &Times, kib: u64) -> String {
    format!("{}, {:.1} MiB", shown(times), kib as f64 / 1024.0)
}

fn start(worlds: &Worlds, table: &mut Table) {
    let shape = small(1, 10);
    let folder = worlds.at("start");
    shape.make(&folder);
    let git_version = Times::of(ROUNDS, || (), |()| succeeds(Command::new("git").arg("--version")));
    for (measure, arguments) in [("`--version`", "--version"), ("`check`, 1 model", "check")] {
        let (ours, kib) = timed(&folder, &[arguments]);
        table.line(Line {
            measure,
            ours: with_memory(&ours, kib),
            yardstick: format!("`git --version` {}", shown(&git_version)),
            ratio: Some(ratio(ours.best(), git_version.best())),
            goal: "< 15 ms",
            met: Some(ours.best() < Duration::from_millis(15)),
        });
    }
    let thousand = small(1_000, 1_000);
    fs::write(folder.join("branchline.yaml"), thousand.configuration()).expect("it can be written");
    let (ours, kib) = timed(&folder, &["check"]);
    table.line(Line {
        measure: "`check`, 1,000 models",
        ours: with_memory(&ours, kib),
        yardstick: String::new(),
        ratio: None,
        goal: "",
        met: None,
    });
}

fn small(models: usize, files: usize) -> Shape {
    Shape { models, files, commits: 1, watches: Watches::OwnFolder, command: TRAIN_NOTHING.to_owned(), parallel: 2 }
}

fn plan(worlds: &Worlds, table: &mut Table) {
    for (models, versions) in [(10, 1_000), (100, 100), (1_000, 10)] {
        let shape = Shape { commits: 10_000, ..small(models, 100_000) };
        let folder = worlds.at(&format!("plan-{models}"));
        shape.make(&folder);
        registry::fill(&folder.join(".git/branchline/branchline.db"), (0..models).map(Shape::model), versions);
        let (ours, kib) = timed(&folder, &["plan"]);
        let git_status =
            Times::of(ROUNDS, || (), |()| succeeds(git_in(&folder, &["status", "--porcelain"]).args(["-uno"])));
        let goal = models == 1_000;
        table.line(Line {
            measure: &format!("`plan`, {models} models, 100,000 files, 10,000 commits, 10,000 versions"),
            ours: with_memory(&ours, kib),
            yardstick: format!("`git status -uno` {}", shown(&git_status)),
            ratio: Some(ratio(ours.best(), git_status.best())),
            goal: if goal { "< 200 ms, < 60 MiB" } else { "" },
            met: goal.then_some(ours.best() < Duration::from_millis(200) && kib < 60 * 1024),
        });
        if goal {
            git(&folder, &["remote", "remove", "origin"]);
            let (ours, kib) = timed(&folder, &["plan"]);
            table.line(Line {
                measure: "the same without an `origin`, so that the first commit is looked for",
                ours: with_memory(&ours, kib),
                yardstick: String::new(),
                ratio: None,
                goal: "< 200 ms, < 60 MiB",
                met: Some(ours.best() < Duration::from_millis(200) && kib < 60 * 1024),
            });
        }
        fs::remove_dir_all(&folder).expect("it can be removed");
    }
}

fn versions(worlds: &Worlds, table: &mut Table) {
    let mut least: Option<Times> = None;
    for versions in [100, 1_000, 10_000] {
        let folder = worlds.at(&format!("versions-{versions}"));
        small(10, 1_000).make(&folder);
        registry::fill(&folder.join(".git/branchline/branchline.db"), (0..10).map(Shape::model), versions);
        let (ours, kib) = timed(&folder, &["plan"]);
        let base = least.get_or_insert_with(|| ours.clone());
        let growth = ratio(ours.best(), base.best());
        table.line(Line {
            measure: &format!("`plan`, 10 models, {versions} versions in each group"),
            ours: with_memory(&ours, kib),
            yardstick: format!("100 versions: {}", milliseconds(base.best())),
            ratio: Some(growth),
            goal: "flat: < 1.3",
            met: Some(growth < 1.3),
        });
        fs::remove_dir_all(&folder).expect("it can be removed");
    }
}

fn run(worlds: &Worlds, table: &mut Table) {
    for (what, watches) in [("one file", Watches::OwnFolder), ("all 1,000 files", Watches::Everything)] {
        let folder = worlds.at("run");
        Shape { watches, ..small(1, 1_000) }.make(&folder);
        let ours = Times::of(
            ROUNDS,
            || worlds.set_aside(&folder.join(".git/branchline")),
            |()| succeeds(&mut branchline(&folder, &["run"])),
        );
        let bare = Times::of(
            ROUNDS,
            || (),
            |()| {
                succeeds(Command::new("sh").args(["-c", TRAIN_NOTHING]).env("SM_MODEL_DIR", &folder));
            },
        );
        let over = ours.best().saturating_sub(bare.best());
        table.line(Line {
            measure: &format!("`run` around a command that does nothing; the model watches {what} of 1,000"),
            ours: shown(&ours),
            yardstick: format!("the command alone {}", shown(&bare)),
            ratio: None,
            goal: "< 200 ms more",
            met: Some(over < Duration::from_millis(200)),
        });
        // Set aside, too: removing a thousand files here would slow the file system's search for free inodes in the next round.
        worlds.set_aside(&folder);
    }
}

fn pack(worlds: &Worlds, table: &mut Table) {
    let (model, ours_to, theirs_to) = (worlds.at("model"), worlds.at("ours.tar.gz"), worlds.at("theirs.tar.gz"));
    let mut peaks = Vec::new();
    for gibibyte_parts in [4, 1] {
        drop(fs::remove_dir_all(&model));
        model_folder::make(&model, (1 << 30) / gibibyte_parts);
        let child = || child(&[&"child-pack", &model, &ours_to]);
        peaks.push(measure::peak_kib(&child()).unwrap_or(0));
        if gibibyte_parts != 1 {
            continue;
        }
        let ours = Times::of(2, || (), |()| succeeds(&mut child()));
        let script = "tar czf \"$1\" -C \"$0\" . && sha256sum \"$1\"";
        let theirs = Times::of(
            2,
            || (),
            |()| {
                succeeds(Command::new("sh").args(["-c", script]).arg(&model).arg(&theirs_to));
            },
        );
        let size = |path: &Path| fs::metadata(path).expect("it was made").len() as f64;
        let larger = size(&ours_to) / size(&theirs_to) - 1.0;
        let faster = ratio(theirs.best(), ours.best());
        table.line(Line {
            measure: "packing and hashing a model of 1 GiB, half floats, half JSON",
            ours: with_memory(&ours, peaks[1]),
            yardstick: format!("`tar czf` and `sha256sum` {}", shown(&theirs)),
            ratio: Some(1.0 / faster),
            goal: "at least 3 times as fast: < 0.33",
            met: Some(faster >= 3.0),
        });
        table.line(Line {
            measure: "its size",
            ours: format!("{:.1} MiB", size(&ours_to) / 1048576.0),
            yardstick: format!("{:.1} MiB", size(&theirs_to) / 1048576.0),
            ratio: Some(1.0 + larger),
            goal: "at most 3% larger",
            met: Some(larger <= 0.03),
        });
    }
    let growth = peaks[1] as f64 / peaks[0].max(1) as f64;
    table.line(Line {
        measure: "its memory, 1 GiB beside 256 MiB",
        ours: format!("{:.1} MiB", peaks[1] as f64 / 1024.0),
        yardstick: format!("{:.1} MiB", peaks[0] as f64 / 1024.0),
        ratio: Some(growth),
        goal: "flat: < 1.1",
        met: Some(growth < 1.1),
    });
    drop(fs::remove_dir_all(&model));
}

fn identity(worlds: &Worlds, table: &mut Table) {
    let folder = worlds.at("identity");
    small(1, 100_001).make(&folder);
    let listing = Times::of(ROUNDS, || (), |()| succeeds(&mut git_in(&folder, &["ls-tree", "-r", "HEAD"])));
    let ours = Times::of(ROUNDS, || (), |()| succeeds(&mut child(&[&"child-watch", &folder, &"src/**/*.py"])));
    let kib = measure::peak_kib(&child(&[&"child-watch", &folder, &"src/**/*.py"])).unwrap_or(0);
    table.line(Line {
        measure: "code id over a glob that matches 100,000 files",
        ours: with_memory(&ours, kib),
        yardstick: format!("`git ls-tree -r` {}", shown(&listing)),
        ratio: Some(ratio(ours.best(), listing.best())),
        goal: "within 3 times",
        met: Some(ratio(ours.best(), listing.best()) <= 3.0),
    });
    let small_folder = Times::of(ROUNDS, || (), |()| succeeds(&mut child(&[&"child-watch", &folder, &"models"])));
    let large_folder = Times::of(ROUNDS, || (), |()| succeeds(&mut child(&[&"child-watch", &folder, &"src"])));
    table.line(Line {
        measure: "code id over a folder of 100,000 files",
        ours: shown(&large_folder),
        yardstick: format!("over a folder of 1 file {}", shown(&small_folder)),
        ratio: Some(ratio(large_folder.best(), small_folder.best())),
        goal: "flat: < 1.3",
        met: Some(ratio(large_folder.best(), small_folder.best()) < 1.3),
    });
    fs::remove_dir_all(&folder).expect("it can be removed");
}

fn fleet(worlds: &Worlds, table: &mut Table) {
    const MODELS: u32 = 200;
    for parallel in [4_u32, 8, 16] {
        let folder = worlds.at(&format!("fleet-{parallel}"));
        let command = format!("sleep 0.1; {TRAIN_NOTHING}");
        Shape { command, parallel: parallel as usize, ..small(MODELS as usize, 1_000) }.make(&folder);
        let ours = Times::of(
            3,
            || worlds.set_aside(&folder.join(".git/branchline")),
            |()| succeeds(&mut branchline(&folder, &["run"])),
        );
        let ideal = Duration::from_millis(100) * MODELS / parallel;
        table.line(Line {
            measure: &format!("200 models changed by one push, trainings of 0.1 s, `parallel: {parallel}`"),
            ours: shown(&ours),
            yardstick: format!("ideal {}", milliseconds(ideal)),
            ratio: Some(ratio(ours.best(), ideal)),
            goal: "within 1.3 times",
            met: Some(ratio(ours.best(), ideal) <= 1.3),
        });
        fs::remove_dir_all(&folder).expect("it can be removed");
    }
}

fn git_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    command
}

fn child(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
    command.args(arguments.iter().map(|argument| argument.as_ref()));
    command
}

fn child_pack(folder: &Path, archive: &Path) {
    pack_directory(folder, archive, &mut |_, _| {}).expect("the model can be packed");
}

/// Computes a code id as a run does, with nothing but a command in the settings.
fn child_watch(folder: &Path, paths: &str) {
    let git = GitRepository::discover(folder).expect("a repository");
    let head = git.resolve_commit("HEAD").expect("a commit");
    let settings = TrainingSettings {
        watched: Watched::Paths(vec![paths.to_owned()]),
        command: Some("true".to_owned()),
        image: None,
        hyperparameters: BTreeMap::new(),
        environment: BTreeMap::new(),
        data: BTreeMap::new(),
        metrics: BTreeMap::new(),
        outputs: branchline::model::settings::Outputs::default(),
        signature: None,
        max_runtime: None,
        cloud: CloudSettings::default(),
        serve: None,
    };
    let entries = git.watched_entries(&head, &settings.watched).expect("watched paths");
    measure::say(code_id(&settings, &entries).short());
}
