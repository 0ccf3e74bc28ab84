//! What may go wrong on the way, and when.

use super::state::State;
use std::time::Duration;

/// What befalls a request.
pub enum Fault {
    /// It is done, and the connection ends before an answer.
    LostAnswer,
    /// The connection ends, and nothing is done.
    Dropped,
    /// It is done, and half of the answer comes.
    HalfAnswer,
    /// It is refused before anything is done, with a status, a code and a sentence.
    Refused(u16, &'static str, &'static str),
    /// It is refused because there were too many.
    Throttle,
    /// A page in HTML instead of an answer; nothing is done.
    Status500Html,
    /// It is done, and the answer takes this long.
    Slow(Duration),
    /// S3's copies and completions: status 200, with this error as the body; nothing is done.
    OkWithError(&'static str),
    /// Something else happens first.
    Meanwhile(Box<dyn FnOnce(&mut State) + Send>),
}

impl Fault {
    /// Reports S3's refusal of two writers at once.
    pub fn conflict() -> Self {
        Self::Refused(409, "ConditionalRequestConflict", "A conflicting operation occurred. Please retry.")
    }

    /// Reports a missing right.
    pub fn denied() -> Self {
        Self::Refused(400, "AccessDeniedException", "User is not authorized to perform this action")
    }

    /// Reports a quota of the account.
    pub fn limit() -> Self {
        Self::Refused(
            400,
            "ResourceLimitExceeded",
            "The account-level service limit 'ml.m5.large for training job usage' is 0 Instances, with current \
             utilization of 0 Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request \
             an increase for this quota.",
        )
    }
}

/// A fault that waits for its request.
pub struct Planned {
    /// The operation, such as `CreateTrainingJob`; `*` is any.
    pub operation: String,
    /// How many such requests pass unharmed first.
    pub after: usize,
    /// What then happens.
    pub fault: Fault,
}

/// Where a process dies, seen from the services.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The request never came to effect.
    Before,
    /// It came to effect, and nobody heard of it.
    After,
}

impl State {
    /// Takes the fault that this request meets, if any.
    pub fn take_fault(&mut self, operation: &str) -> Option<Fault> {
        let mut due = None;
        for (at, planned) in self.faults.iter_mut().enumerate() {
            if planned.operation != operation && planned.operation != "*" {
                continue;
            }
            match planned.after {
                0 => due = due.or(Some(at)),
                _ => planned.after -= 1,
            }
        }
        due.map(|at| self.faults.remove(at).fault)
    }
}
