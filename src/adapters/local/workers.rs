//! The workers that this process started: told at once when one has begun or ended, without asking again and again.
//!
//! Deliberately absent: where a training stands. Only its folder tells that; this says when it is worth a look. For
//! a training that another run began, nothing is known here.

use crate::model::name::TrainingName;
use std::collections::HashMap;
use std::io::Read as _;
use std::process::Child;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;
use tokio::sync::watch;

/// What the worker prints once its training has begun, on a pipe that only we read.
pub(super) const BEGUN: &[u8] = b"begun\n";

/// What a worker lets us know.
#[derive(Debug)]
pub(super) enum Heard {
    /// It has begun the training.
    Begun,
    /// It has ended. `None`: nobody can tell how.
    Ended(Option<ExitStatus>),
}

/// The workers by the names of their trainings.
#[derive(Debug, Clone, Default)]
pub(super) struct Workers {
    running: Arc<Mutex<HashMap<TrainingName, watch::Receiver<()>>>>,
}

impl Workers {
    /// Follows a worker that was just started, with its standard output piped, to its end.
    pub(super) fn follow(&self, name: &TrainingName, mut worker: Child) -> mpsc::Receiver<Heard> {
        let (tell, heard) = mpsc::channel();
        let (alive, ended) = watch::channel(());
        self.locked().insert(name.clone(), ended);
        // Somebody has to take its status, or it stays in the process table for as long as we live.
        thread::spawn(move || {
            let said = worker.stdout.take().map(|mut said| said.read(&mut [0; BEGUN.len()]));
            // Nobody may be listening any more, here and below.
            if matches!(said, Some(Ok(1..))) {
                let _ = tell.send(Heard::Begun);
            }
            let _ = tell.send(Heard::Ended(worker.wait().ok()));
            drop(alive);
        });
        heard
    }

    /// Returns when the worker of this training has ended; never, where it is not one of ours.
    pub(super) async fn ended(&self, name: &TrainingName) {
        let known = self.locked().get(name).cloned();
        match known {
            // It never changes; its other end goes when the worker does.
            Some(mut worker) => drop(worker.changed().await),
            None => std::future::pending().await,
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<TrainingName, watch::Receiver<()>>> {
        // One insertion or one look: a panic elsewhere cannot have left it half done.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::process::Command;
    use std::process::Stdio;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(20);

    fn started(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh starts")
    }

    #[tokio::test]
    async fn beginning_and_end_are_told_when_they_happen() {
        let (workers, name) = (Workers::default(), TrainingName::reported("a-dev-1"));
        let mut worker = started("echo begun; read wait; exit 3");
        let let_go = worker.stdin.take();
        let heard = workers.follow(&name, worker);
        assert!(matches!(heard.recv_timeout(LONG), Ok(Heard::Begun)));
        let early = tokio::time::timeout(Duration::from_millis(50), workers.ended(&name)).await;
        assert!(early.is_err(), "it still runs");
        drop(let_go);
        tokio::time::timeout(LONG, workers.ended(&name)).await.expect("its end is told");
        let Ok(Heard::Ended(Some(status))) = heard.recv_timeout(LONG) else { panic!("how it ended is told") };
        assert_eq!(status.code(), Some(3));
    }

    #[tokio::test]
    async fn one_that_never_begins_only_ends() {
        let (workers, name) = (Workers::default(), TrainingName::reported("a-dev-1"));
        let heard = workers.follow(&name, started("exit 0"));
        assert!(matches!(heard.recv_timeout(LONG), Ok(Heard::Ended(Some(status))) if status.success()));
        let other = TrainingName::reported("b-dev-1");
        let never = tokio::time::timeout(Duration::from_millis(50), workers.ended(&other)).await;
        assert!(never.is_err(), "a training of another run");
    }
}
