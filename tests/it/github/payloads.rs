//! Every payload in `fixtures/events` through the whole program, with the variables that stand beside it.

use super::team::Team;
use crate::events::Fixture;
use std::fs;

#[test]
fn each_ends_with_a_verdict_and_a_sentence() {
    let team = Team::with_rules("");
    team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1"]);
    let mut faults = Vec::new();
    for fixture in Fixture::all() {
        let mut command = team.command_again();
        for (name, value) in &fixture.variables {
            if name.starts_with("GITHUB_") && name != "GITHUB_API_URL" {
                command.env(name, value);
            }
        }
        for gone in ["GITHUB_RUN_ID", "GITHUB_ACTOR", "GITHUB_SHA", "GITHUB_REPOSITORY", "GITHUB_REPOSITORY_ID"] {
            if !fixture.variables.contains_key(gone) {
                command.env_remove(gone);
            }
        }
        fs::write(team.outside().join("event.json"), &fixture.payload).expect("a payload");
        let done = team.done(&mut command);
        let all = format!("{}{}", done.said.out, done.said.err);
        let exit = done.said.exit.unwrap_or(-1);
        let verdict = done.outputs.get("verdict").map_or("none", String::as_str);
        let error = done.commands().iter().any(|command| command.starts_with("error: ") && command.len() > 20);
        let expected = match exit {
            0 | 30 | 40 => verdict != "none" && !done.summary.is_empty(),
            // What could not be found out has no verdict where not even the rules could be read.
            2 | 20 | 21 | 50 => error,
            _ => false,
        };
        if !expected || done.writes() > 0 {
            faults.push(format!("{}: exit {exit}, {:#?}\n{all}\n{}", fixture.name, done.sent, done.summary));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n----\n"));
    team.world.finish();
}
