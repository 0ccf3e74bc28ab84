//! Foreign text in a job: what training prints and what people call their branches and commits can set nothing.

use super::team::Team;
use crate::binary::harness::TRAINS;
use crate::binary::harness::configuration;

const COMMANDS: &[&str] = &[
    "::set-output name=verdict::passed",
    "::add-mask::a",
    "::stop-commands::x",
    "  ::error file=a,line=1::gotcha",
    "##[error]gotcha",
    "12:00 ##[add-path]/tmp/evil",
    "##[set-env name=PATH;]/tmp/evil",
];

#[test]
fn what_training_prints_and_commits_say_is_no_command() {
    let prints: String = COMMANDS.iter().map(|line| format!("echo '{line}'\necho '{line}' >&2\n")).collect();
    for (ending, exit) in [(TRAINS, 0), ("echo '::error::last words'; echo '##[error]last words' >&2; exit 3\n", 40)] {
        let script = format!("{prints}printf 'x\\r::add-mask::b\\n'\n{ending}");
        let team = Team::with(&configuration(""), TRAINS);
        let branch = "feature-::error::##[error]x";
        let branch = if exit == 0 { "feature-##endgroup" } else { branch };
        let legal = branch.replace([':', '[', ']'], "-");
        team.origin.switch(&legal);
        team.origin.write("train.sh", &script);
        let head = team.origin.commit("::set-output name=verdict::failed ##[error]subject\n\n::add-mask::body");
        team.open(7, &legal, "dev");
        let done = team.push(&legal).expect(exit, &[]);
        let commands = done.commands();
        let ours = |command: &&String| {
            let (name, _) = command.split_once(": ").expect("a name");
            match name {
                "group" | "endgroup" => false,
                "add-mask" => !command.ends_with(": ghs_job"),
                "error" => exit == 0 || command.contains("gotcha"),
                _ => true,
            }
        };
        let foreign: Vec<&String> = commands.iter().filter(ours).collect();
        assert!(foreign.is_empty(), "{foreign:#?}\n{}", done.said.out);
        assert_eq!(done.output("verdict"), if exit == 0 { "passed" } else { "failed" });
        assert_eq!(team.state(&head), if exit == 0 { "success" } else { "failure" });
        team.world.finish();
    }
}
