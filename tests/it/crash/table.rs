//! The fault table: computed, printed, and held against `docs/fault-table.md`.

use crate::crash::crowd;
use crate::crash::crowd::Lease;
use crate::crash::shim::Call;
use crate::crash::shim::How;
use crate::crash::shim::Program;
use crate::crash::shim::Role;
use crate::crash::shim::Strike;
use crate::crash::stories::Ground;
use crate::crash::stories::Holdings;
use crate::crash::stories::Kind;
use crate::crash::stories::World;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// How many cases run at once. They mostly wait: for the disk, and for each other.
const AT_ONCE: usize = 4;
/// A jump of the clock: more than a year.
const JUMP: i64 = 400 * 24 * 60 * 60;
/// Of the points that differ from their neighbours by what the process is told, and not by what is on the disk, one of
/// this many is struck.
const STRIDE: u32 = 3;
const SAME: &str = "same end state";

/// What came of one strike.
#[derive(Debug, Default)]
pub struct Case {
    pub struck: bool,
    duplicates: usize,
    lost: usize,
    verdict: &'static str,
    /// What is wrong with it.
    says: Vec<String>,
}

impl Case {
    /// Runs the story's command once more, and looks at what there is in the end.
    pub fn after(kind: Kind, program: &Program, wanted: &Holdings, mut says: Vec<String>) -> Self {
        let again = program.run(kind.act());
        if again.code != Some(0) {
            says.push(format!("the next run: exit {:?}:\n{}", again.code, again.said));
        }
        let difference = Holdings::of(program).compare(wanted);
        says.extend(difference.says);
        let plan = program.run(&kind.plan());
        if plan.code != Some(0) || !plan.said.contains("\"steps\": []") {
            says.push(format!("something is left to do: exit {:?}:\n{}", plan.code, plan.said));
        }
        let verdict = if says.is_empty() { SAME } else { "NOT the same end state" };
        Self { struck: true, duplicates: difference.duplicates, lost: difference.lost, verdict, says }
    }
}

/// A row.
#[derive(Debug)]
struct Row {
    step: String,
    fault: &'static str,
    points: usize,
    duplicates: usize,
    lost: usize,
    verdicts: BTreeSet<&'static str>,
    says: Vec<String>,
}

/// Something to be done, and the row that it belongs to.
struct Job<'a> {
    step: String,
    fault: &'static str,
    what: String,
    work: Box<dyn Fn() -> Case + Send + Sync + 'a>,
}

impl<'a> Job<'a> {
    fn meeting(step: &str, fault: &'static str, work: impl Fn() -> Case + Send + Sync + 'a) -> Self {
        Self { step: step.to_owned(), fault, what: fault.to_owned(), work: Box::new(work) }
    }
}

/// A world with what an undisturbed run does in it.
struct Told {
    world: World,
    calls: Vec<Call>,
    wanted: Holdings,
}

fn tell(kind: Kind) -> Told {
    let world = World::new(kind);
    let Ground { program, .. } = &world.ground();
    let (finished, calls) = program.listen(kind.act());
    assert_eq!(finished.code, Some(0), "{}", finished.said);
    let wanted = Holdings::of(program);
    let plan = program.run(&kind.plan());
    assert!(plan.said.contains("\"steps\": []"), "{kind:?} leaves something to do:\n{}", plan.said);
    assert!(calls.iter().any(|call| call.writes()), "{kind:?} writes nothing");
    Told { world, calls, wanted }
}

/// Strikes once.
fn strike(told: &Told, strike: Strike) -> Case {
    let kind = told.world.kind;
    let Ground { program, .. } = &told.world.ground();
    let finished = program.run_struck(kind.act(), strike);
    let struck = program.struck().is_some();
    let mut says = Vec::new();
    let survived = !(struck && strike.how.kills() && strike.role == Role::Main);
    if survived {
        let told_honestly = matches!(finished.code, Some(0 | 40 | 50));
        let bug = finished.said.contains("panicked") || finished.said.contains("bug in Branchline");
        if !told_honestly || bug {
            says.push(format!("the struck run: exit {:?}:\n{}", finished.code, finished.said));
        }
    }
    Case { struck, ..Case::after(kind, program, &told.wanted, says) }
}

fn fault(how: How) -> &'static str {
    match how {
        How::Before => "killed before a write",
        How::Half => "killed during a write",
        How::After => "killed after a write",
        How::Lost => "answer lost",
        How::Full => "disk full",
        How::Stop => "stopped",
        How::Clock(jump) if jump < 0 => "clock jumps back",
        How::Clock(_) => "clock jumps ahead",
    }
}

fn strikes(told: &Told) -> Vec<Job<'_>> {
    let kind = told.world.kind;
    let mut jobs = Vec::new();
    for call in &told.calls {
        let hows: &[How] = if call.is_clock() {
            &[How::Clock(-JUMP), How::Clock(JUMP)]
        } else {
            &[How::Before, How::Half, How::After, How::Lost, How::Full]
        };
        for how in hows {
            let fits = match how {
                How::Half => call.writes(),
                How::Full => call.needs_room(),
                How::Before | How::After | How::Lost | How::Stop | How::Clock(_) => true,
            };
            if !fits || !kind.is_struck_at(call) || call.number % stride(call.role, *how) != 0 {
                continue;
            }
            let at = Strike { role: call.role, how: *how, at: call.number };
            let step = if call.is_clock() { kind.name() } else { kind.step_of(call) };
            jobs.push(Job {
                step: step.to_owned(),
                fault: fault(*how),
                what: format!("{at:?} ({} {})", call.name, call.path),
                work: Box::new(move || strike(told, at)),
            });
        }
    }
    jobs
}

/// Of how many points one is struck: every one where the process is killed before or during a write, and every one
/// of the worker. What is on the disk after one write is what is there before the next.
fn stride(role: Role, how: How) -> u32 {
    match (role, how) {
        (Role::Worker, _) | (Role::Main, How::Before | How::Half | How::Stop | How::Clock(_)) => 1,
        (Role::Main, How::After | How::Lost | How::Full) => STRIDE,
    }
}

fn meetings(told: &Told) -> Vec<Job<'_>> {
    let kind = told.world.kind;
    let mut jobs = Vec::new();
    if kind != Kind::StopOlder {
        let step = if kind == Kind::Train { "register" } else { kind.name() };
        for lease in Lease::ALL {
            let work = move || crowd::registry_lease(&told.world, &told.calls, &told.wanted, lease);
            jobs.push(Job::meeting(step, lease.name(), work));
        }
    }
    if kind == Kind::Train {
        for lease in Lease::ALL {
            let work = move || crowd::training_lease(&told.world, &told.calls, &told.wanted, lease);
            jobs.push(Job::meeting("train", lease.name(), work));
        }
        jobs.push(Job::meeting(kind.name(), "8 processes, 8 models", crowd::different_at_once));
    }
    let work = move || crowd::same_at_once(&told.world, &told.wanted);
    jobs.push(Job::meeting(kind.name(), "8 processes, the same command", work));
    jobs
}

/// Does all the work, some at a time, and sorts what comes of it into rows.
fn rows(jobs: &[Job<'_>]) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Case)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((index, job)) = {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    jobs.get(index).map(|job| (index, job))
                } {
                    let case = (job.work)();
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, case));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    let mut rows: Vec<Row> = Vec::new();
    for (index, case) in results {
        let job = &jobs[index];
        let position = rows.iter().position(|row| row.step == job.step && row.fault == job.fault);
        let position = position.unwrap_or_else(|| {
            rows.push(Row {
                step: job.step.clone(),
                fault: job.fault,
                points: 0,
                duplicates: 0,
                lost: 0,
                verdicts: BTreeSet::new(),
                says: Vec::new(),
            });
            rows.len() - 1
        });
        let row = &mut rows[position];
        row.points += usize::from(case.struck);
        row.duplicates += case.duplicates;
        row.lost += case.lost;
        row.verdicts.insert(case.verdict);
        row.says.extend(case.says.iter().map(|text| format!("{}: {}:\n  {text}", job.step, job.what)));
    }
    rows
}

/// The order of the rows: that of the steps' lives, and from the plain faults to the crowded ones.
fn in_order(mut rows: Vec<Row>) -> Vec<Row> {
    const STEPS: [&str; 12] = [
        "train",
        "copy",
        "register",
        "train, copy, register",
        "stop an older training",
        "promote",
        "promote to two groups",
        "approve",
        "reject",
        "restore",
        "register manually",
        "import",
    ];
    const FAULTS: [&str; 6] =
        ["killed before a write", "killed during a write", "killed after a write", "answer lost", "disk full", "lease"];
    let place = |list: &[&str], text: &str| list.iter().position(|known| text.starts_with(known));
    rows.sort_by_key(|row| {
        let step = STEPS.iter().position(|step| *step == row.step);
        (step.unwrap_or(STEPS.len()), place(&FAULTS, row.fault).unwrap_or(FAULTS.len()), row.fault)
    });
    rows
}

fn render(rows: &[Row]) -> String {
    let mut text = String::from("| Step | Fault | Points | Duplicates | Lost | After the next run |\n");
    text.push_str("|---|---|--:|--:|--:|---|\n");
    for row in rows {
        let verdicts: Vec<&str> = row.verdicts.iter().copied().collect();
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            row.step,
            row.fault,
            row.points,
            row.duplicates,
            row.lost,
            verdicts.join("; ")
        ));
    }
    text
}

/// The table without the number of points, which depends on the machine.
fn comparable(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells.into_iter().enumerate().filter(|(column, _)| *column != 2).map(|(_, cell)| cell).collect()
        })
        .collect()
}

const BEGIN: &str = "<!-- fault table: begin -->\n";
const END: &str = "<!-- fault table: end -->";

#[test]
fn the_fault_table_shows_zeros() {
    let told: Vec<Told> = Kind::ALL.into_iter().map(tell).collect();
    let mut jobs: Vec<Job<'_>> = Vec::new();
    for told in &told {
        jobs.extend(strikes(told));
        jobs.extend(meetings(told));
    }
    let rows = in_order(rows(&jobs));
    let table = render(&rows);
    let points: usize = rows.iter().map(|row| row.points).sum();
    say(&format!(
        "{table}\n{points} strikes: killed before and during every write; killed after, answer lost and disk full at one \
         of {STRIDE} writes of the main program and at every write of the worker\n"
    ));

    let wrong: Vec<&str> = rows.iter().flat_map(|row| &row.says).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    for row in &rows {
        assert_eq!((row.duplicates, row.lost), (0, 0), "{row:?}");
        assert!(row.points > 0, "nothing was struck: {row:?}");
    }

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fault-table.md");
    let kept = fs::read_to_string(&path).expect("docs/fault-table.md");
    let (head, rest) = kept.split_once(BEGIN).expect("docs/fault-table.md marks where the table begins");
    let (old, tail) = rest.split_once(END).expect("docs/fault-table.md marks where the table ends");
    if wants_update() {
        fs::write(&path, format!("{head}{BEGIN}{table}{END}{tail}")).expect("docs/fault-table.md can be written");
    } else {
        assert_eq!(comparable(old), comparable(&table), "docs/fault-table.md is old: UPDATE_EXPECT=1 rewrites it");
    }
}

#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::disallowed_methods, reason = "the switch that expect-test has, too")]
fn wants_update() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}
