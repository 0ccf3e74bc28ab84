//! Processes that meet: a lease that is busy, left behind, or taken over, and eight processes at once.

use crate::crash::shim::Call;
use crate::crash::shim::Finished;
use crate::crash::shim::How;
use crate::crash::shim::Role;
use crate::crash::shim::Strike;
use crate::crash::shim::signal;
use crate::crash::stories::Ground;
use crate::crash::stories::Holdings;
use crate::crash::stories::Kind;
use crate::crash::stories::MEETING_SCRIPT;
use crate::crash::stories::World;
use crate::crash::table::Case;
use std::time::Duration;

/// How many processes meet.
const CROWD: usize = 8;

/// What becomes of the process that holds the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// It holds it for longer than others wait.
    Busy,
    /// It dies, and another process comes.
    Expired,
    /// It dies, and is started again.
    TakenOver,
}

impl Lease {
    pub const ALL: [Self; 3] = [Self::Busy, Self::Expired, Self::TakenOver];

    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "lease busy",
            Self::Expired => "lease expired",
            Self::TakenOver => "lease taken over by its own owner",
        }
    }
}

/// Halts a process while it holds the registry's lock, inside the transaction that commits.
pub fn registry_lease(world: &World, calls: &[Call], wanted: &Holdings, lease: Lease) -> Case {
    let inside = calls.iter().rfind(|call| call.path.ends_with("branchline.db-wal") && call.writes());
    let inside = inside.expect("a commit writes to the write-ahead log");
    let Ground { program, .. } = &world.ground();
    let act = world.kind.act();
    let strike = Strike { role: Role::Main, how: How::Stop, at: inside.number };
    let holder = program.begin(act, Some(strike));
    let process = program.await_strike();
    let mut says = Vec::new();
    match lease {
        Lease::Busy => {
            let other = program.run(act);
            if other.code != Some(50) || !other.said.contains("another Branchline is writing") {
                says.push(format!("while it was busy: exit {:?}:\n{}", other.code, other.said));
            }
            signal(process, "CONT");
            let holder = program.wait(holder);
            if holder.code != Some(0) {
                says.push(format!("the holder itself: exit {:?}:\n{}", holder.code, holder.said));
            }
        }
        Lease::Expired => {
            // The other one waits already when the holder dies.
            let other = program.begin(act, None);
            std::thread::sleep(Duration::from_millis(300));
            signal(process, "KILL");
            program.wait(holder);
            let other = program.wait(other);
            if other.code != Some(0) {
                says.push(format!("after it died: exit {:?}:\n{}", other.code, other.said));
            }
        }
        Lease::TakenOver => {
            signal(process, "KILL");
            program.wait(holder);
        }
    }
    Case::after(world.kind, program, wanted, says)
}

/// Halts the supervisor of a training, which holds the training's lock.
pub fn training_lease(world: &World, calls: &[Call], wanted: &Holdings, lease: Lease) -> Case {
    let inside =
        calls.iter().find(|call| call.role == Role::Worker && call.path.ends_with("/log.txt") && call.writes());
    let inside = inside.expect("the command prints a line");
    let Ground { program, .. } = &world.ground();
    let act = world.kind.act();
    let strike = Strike { role: Role::Worker, how: How::Stop, at: inside.number };
    let starter = program.begin(act, Some(strike));
    let starter_process = starter.id();
    let worker = program.await_strike();
    let mut finished: Vec<Finished> = Vec::new();
    match lease {
        Lease::Busy => {
            let other = program.begin(act, None);
            std::thread::sleep(Duration::from_secs(1));
            signal(worker, "CONT");
            finished.extend([program.wait(starter), program.wait(other)]);
        }
        Lease::Expired => {
            signal(worker, "KILL");
            finished.push(program.wait(starter));
        }
        Lease::TakenOver => {
            signal(starter_process, "KILL");
            program.wait(starter);
            let again = program.begin(act, None);
            std::thread::sleep(Duration::from_millis(300));
            signal(worker, "CONT");
            finished.push(program.wait(again));
        }
    }
    let says = unsuccessful(&finished);
    Case::after(world.kind, program, wanted, says)
}

/// Runs the same command in eight processes at once.
pub fn same_at_once(world: &World, wanted: &Holdings) -> Case {
    let Ground { program, .. } = &world.ground();
    let crowd: Vec<_> = (0..CROWD).map(|_| program.begin(world.kind.act(), None)).collect();
    let finished: Vec<Finished> = crowd.into_iter().map(|child| program.wait(child)).collect();
    Case::after(world.kind, program, wanted, unsuccessful(&finished))
}

/// Runs eight processes at once, each for a model of its own, on a registry that none of them has seen.
pub fn different_at_once() -> Case {
    let models: Vec<String> = (1..=CROWD).map(|number| format!("model-{number}")).collect();
    let world = World::of_models(&models, MEETING_SCRIPT);
    let alone = world.ground();
    for model in &models {
        assert_eq!(alone.program.run(&["run", "--branch", "dev", "--model", model]).code, Some(0));
    }
    let wanted = Holdings::of(&alone.program);
    assert_eq!(wanted.versions.len(), CROWD);
    let Ground { program, .. } = &world.ground();
    let crowd: Vec<_> =
        models.iter().map(|model| program.begin(&["run", "--branch", "dev", "--model", model], None)).collect();
    let finished: Vec<Finished> = crowd.into_iter().map(|child| program.wait(child)).collect();
    Case::after(Kind::Train, program, &wanted, unsuccessful(&finished))
}

fn unsuccessful(finished: &[Finished]) -> Vec<String> {
    finished
        .iter()
        .filter(|finished| finished.code != Some(0))
        .map(|finished| format!("exit {:?}:\n{}", finished.code, finished.said))
        .collect()
}
