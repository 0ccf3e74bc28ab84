//! How a run can end: verdicts and exit codes. Each row: code, what it means, why it happens, what to do.

/// The verdicts.
pub(super) const VERDICTS: &[[&str; 4]] = &[
    [
        "passed",
        "what should be true is true: it was done now, or nothing needed doing",
        "every step was done and every gate held; a version that awaits approval is a pass that says so",
        "nothing, or approve the version that it names",
    ],
    [
        "skipped",
        "the event is not one to act on",
        "the branch belongs to no stage, was deleted, has moved on, or the event is of another kind",
        "nothing; `branchline check --explain-branch NAME` says what a branch reaches",
    ],
    [
        "waiting",
        "something is still in progress, and a later event finishes it",
        "a training runs, or a version that is to be promoted awaits approval",
        "nothing, or run the same again when it has ended; `branchline status` shows what is open",
    ],
    [
        "blocked",
        "a rule said no",
        "a gate, a missing version, a freeze, a rejection or missing data stands in the way",
        "read the reason: it names the rule, the evidence and the next move",
    ],
    [
        "failed",
        "a training ended badly",
        "the command ended with an error, wrote no model, or its metrics are missing or no numbers",
        "read the last lines of its log, fix the cause and commit",
    ],
    [
        "errored",
        "it could not be found out or done",
        "the registry, the disk, the network or a service did not answer; nothing half-done is left to repair",
        "follow the hint, then run the same again: it continues where this one ended",
    ],
    [
        "cancelled",
        "somebody stopped the run",
        "SIGINT or SIGTERM arrived: a person, or the CI host",
        "run the same again: what was stopped begins anew, what was left is found",
    ],
];

/// The exit codes.
pub(super) const EXITS: &[[&str; 4]] = &[
    [
        "0",
        "passed, skipped or waiting",
        "nothing said no",
        "nothing; the verdict in the output says which of the three",
    ],
    [
        "1",
        "a fault of Branchline",
        "it broke one of its own rules and stopped before doing harm",
        "report it with the output of `--format json`",
    ],
    [
        "2",
        "the command line asks for something that does not exist or does not fit",
        "a wrong argument, an unknown group, version, commit or code, or a detached head without `--branch`",
        "correct the command; its `--help` lists what it takes",
    ],
    [
        "20",
        "the configuration or the repository does not fit",
        "no repository, no branchline.yaml, problems in it, or a watched path that the commit does not have",
        "`branchline check` shows every problem with its line",
    ],
    [
        "21",
        "the event cannot be read",
        "the payload is not JSON, or lacks what its kind of event must have",
        "hand over the payload as the CI host wrote it",
    ],
    ["30", "blocked", "a rule said no", "read the reason: it names the rule, the evidence and the next move"],
    ["40", "failed", "a training ended badly", "read the last lines of its log, fix the cause and commit"],
    ["50", "errored", "it could not be found out or done", "follow the hint, then run the same again"],
    [
        "60",
        "the loop did not come to an end",
        "a step said done, but the world did not change, so that repeating it was given up",
        "report it with the output of `--format json`",
    ],
    [
        "130",
        "cancelled by SIGINT",
        "somebody pressed Ctrl-C",
        "run the same again: what was stopped begins anew, what was left is found",
    ],
    [
        "143",
        "cancelled by SIGTERM",
        "the CI host or the system ended the run",
        "run the same again: what was stopped begins anew, what was left is found",
    ],
];
