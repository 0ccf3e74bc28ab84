// action.yml run as the runner runs it: what of it reaches the program, and what comes back.
import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { condition, interpolate, readOutputs } from "./host.mjs";
import { inWorld, ROOT } from "./world.mjs";

test("outputs and summary come back", inWorld(async (world) => {
  const answer = await world.release().run();
  assert.equal(answer.exit, 0, answer.log);
  assert.equal(answer.outputs.verdict, "passed");
  assert.equal(answer.outputs["code-id"], "c0de");
  assert.equal(answer.outputs.results, '[{"model":\n"churn"}]');
  assert.equal(answer.outputs.semver, "", "what the program does not write is empty");
  assert.equal(answer.summary, "# churn passed\n");
  assert.equal(answer.written, "", "environment, path and state files are left alone");
}));

test("the program's exit code is the step's", inWorld(async (world) => {
  const answer = await world.release().run({ env: { STUB_EXIT: "30" } });
  assert.equal(answer.exit, 30);
  assert.equal(answer.outputs.verdict, "passed", "outputs of a step that failed are there");
}));

test("inputs become arguments", inWorld(async (world) => {
  world.release();
  const folder = join(world.workspace, "a b");
  mkdirSync(folder);
  const given = [
    [{}, ["run"]],
    [{ command: "plan", models: "churn, fraud\nrisk" }, ["plan", "--model=churn", "--model=fraud", "--model=risk"]],
    [{ command: "reconcile", stage: "prod" }, ["reconcile", "--stage=prod"]],
    [{ command: "prune" }, ["prune"]],
    [{ command: "prune", yes: "true", models: "churn" }, ["prune", "--model=churn", "--yes"]],
    [{ command: "check", "working-directory": "a b" }, ["--directory=a b", "check"]],
    [{ command: "fingerprint", stage: "dev" }, ["fingerprint", "--stage=dev"]],
    [{ command: "status", version: "v0.1.0" }, ["status"]],
  ];
  for (const [inputs, args] of given) {
    const answer = await world.run({ inputs });
    assert.equal(answer.exit, 0, answer.log);
    assert.deepEqual(world.args(), args);
  }
}));

test("wrong inputs end with one sentence before anything is fetched", inWorld(async (world) => {
  world.release();
  // What `*` would become, if a shell looked.
  writeFileSync(join(world.workspace, "churn"), "");
  const given = [
    [{ command: "approve" }, "the input `command` is `approve`"],
    [{ command: "--help" }, "the input `command` is `--help`"],
    [{ models: "churn --yes" }, "the input `models` has `--yes`"],
    [{ models: "*" }, "the input `models` has `*`"],
    [{ models: "$(touch /tmp/x)" }, "the input `models` has `$(touch`"],
    [{ stage: "dev" }, "the input `stage` is for `reconcile`"],
    [{ command: "reconcile", stage: "dev;id" }, "the input `stage` is `dev;id`"],
    [{ yes: "true" }, "the input `yes` is for `prune`"],
    [{ command: "prune", yes: "yes" }, "the input `yes` is `yes`: write true or false"],
    [{ "build-from-source": "1" }, "the input `build-from-source` is `1`"],
    [{ "working-directory": "nowhere" }, "names no folder: nowhere"],
    [{ version: "latest" }, "the input `version` is `latest`"],
    [{ version: "../../x" }, "the input `version` is `../../x`"],
    [{ command: "check", models: "churn" }, "not for `check`"],
    [{ "binary-path": "/bin/true", "build-from-source": "true" }, "exclude each other"],
  ];
  for (const [inputs, text] of given) {
    const answer = await world.run({ inputs });
    assert.equal(answer.exit, 20, `${JSON.stringify(inputs)}: ${answer.log}`);
    assert.ok(answer.log.includes(text), answer.log);
  }
  assert.ok(!world.ran());
  assert.equal(world.requests.length, 0);
}));

test("no input can set a command of the runner, or more than one line", inWorld(async (world) => {
  world.release();
  for (const name of ["command", "models", "stage", "yes", "version", "working-directory", "binary-path", "build-from-source", "download-base-url"]) {
    const answer = await world.run({ inputs: { command: name === "command" ? "x\n::set-output name=a::b\r\n##[error]x" : "reconcile", ...(name === "command" ? {} : { [name]: "x\n::set-output name=a::b\r\n##[error]x" }) } });
    assert.notEqual(answer.exit, 0);
    const lines = answer.log.trim().split("\n");
    const commands = lines.filter((line) => line.trimStart().startsWith("::"));
    assert.deepEqual(commands.map((line) => line.split(" ")[0]), ["::error"], answer.log);
    assert.ok(!lines.some((line) => line.startsWith("##[")), answer.log);
  }
}));

test("the program sees the token and the home, and none of the inputs", inWorld(async (world) => {
  world.release();
  await world.run({ inputs: { home: "/var/lib/branchline" } });
  const environment = world.environment();
  assert.equal(environment.GITHUB_TOKEN, "ghs_secretsecret", "github.token is the default");
  assert.equal(environment.BRANCHLINE_HOME, "/var/lib/branchline");
  assert.deepEqual(Object.keys(environment).filter((name) => name.startsWith("BRANCHLINE_INPUT_")), []);
  await world.run({ inputs: { token: "ghp_another" }, env: { BRANCHLINE_HOME: "/set/by/the/job" } });
  assert.equal(world.environment().GITHUB_TOKEN, "ghp_another");
  assert.equal(world.environment().BRANCHLINE_HOME, "/set/by/the/job", "an empty input changes nothing");
  await world.run({ inputs: { token: "" }, env: { GITHUB_TOKEN: "ghs_of_the_job" } });
  assert.equal(world.environment().GITHUB_TOKEN, undefined, "no token means none");
}));

test("what an earlier step left for bash has no effect", inWorld(async (world) => {
  world.release();
  const harm = join(world.folder, "harm");
  const file = join(world.folder, "startup.sh");
  writeFileSync(file, `touch '${harm}'\n`);
  mkdirSync(join(world.folder, "elsewhere/action"), { recursive: true });
  const answer = await world.run({
    env: {
      BASH_ENV: file, ENV: file, CDPATH: join(world.folder, "elsewhere"), SHELLOPTS: "xtrace:noexec", BASHOPTS: "extdebug", PS4: `$(touch '${harm}')`, IFS: "x",
      "BASH_FUNC_curl%%": `() { touch '${harm}'; }`, "BASH_FUNC_source%%": `() { touch '${harm}'; }`, "BASH_FUNC_printf%%": `() { touch '${harm}'; }`,
      "BASH_FUNC_sha256sum%%": `() { touch '${harm}'; }`, "BASH_FUNC_tar%%": `() { touch '${harm}'; }`,
    },
  });
  assert.equal(answer.exit, 0, answer.log);
  assert.ok(!existsSync(harm));
  assert.ok(world.ran());
  const environment = world.environment();
  for (const name of ["BASH_ENV", "ENV", "CDPATH", "SHELLOPTS", "BASHOPTS"]) assert.equal(environment[name], undefined, name);
}));

// The real program, where it is built: `run` reads its name.
const PROGRAM = process.env.BRANCHLINE_PROGRAM;
test("the real program takes every action of the form, with all that is not filled in", { skip: PROGRAM ? false : "BRANCHLINE_PROGRAM is not set" }, inWorld(async (world) => {
  const git = (...args) => execFileSync("git", ["-C", world.workspace, "-c", "user.name=ann", "-c", "user.email=ann@example.com", ...args]).toString().trim();
  git("init", "--quiet", "--initial-branch=dev");
  writeFileSync(join(world.workspace, "branchline.yaml"), "version: 1\nproject: churn\nmodels:\n  churn:\n    paths: [train.sh]\n    train: { command: sh train.sh, data: none }\n");
  writeFileSync(join(world.workspace, "train.sh"), "exit 0\n");
  git("add", ".");
  git("commit", "--quiet", "-m", "first");
  const form = parse(readFileSync(join(ROOT, "workflows/branchline-by-hand.yml"), "utf8")).on.workflow_dispatch.inputs;
  // GitHub sends text only, and every input that has a default.
  const untouched = Object.fromEntries(Object.entries(form).map(([name, input]) => [name, String(input.default)]));
  const filled = {
    promote: { group: "prod", from: "dev" }, approve: { group: "prod", version: "1" }, reject: { group: "prod", version: "v1", reason: "too slow" }, rollback: { group: "prod", reason: "worse" },
    freeze: { group: "prod", reason: "audit" }, unfreeze: { group: "prod", reason: "done" }, train: { again: "true", reason: "new data" }, prune: { yes: "true" }, reconcile: { stage: "dev" },
  };
  const env = { GITHUB_REF: "refs/heads/dev", GITHUB_SHA: git("rev-parse", "HEAD") };
  const dispatch = (inputs) => world.run({
    event: "workflow_dispatch", inputs: { command: "plan", "binary-path": PROGRAM, home: join(world.folder, "home"), token: "" }, env,
    payload: { inputs, ref: "refs/heads/dev", repository: { id: 1, full_name: "acme/churn", default_branch: "dev" }, sender: { login: "ann", type: "User" } },
  });
  for (const action of form.action.options) {
    const answer = await dispatch({ ...untouched, action, ...filled[action] });
    // A missing version is 2 as a wrong input is: the sentence tells them apart.
    assert.ok(!answer.log.includes("reading the inputs"), `${action}: ${answer.log}`);
    assert.ok(![1, 20, 21, 60, 101, 127].includes(answer.exit), `${action} ended with ${answer.exit}: ${answer.log}`);
  }
  const wrong = await dispatch({ ...untouched, action: "aprove", group: "prod" });
  assert.equal(wrong.exit, 2, wrong.log);
  assert.ok(wrong.log.includes("reading the inputs"), wrong.log);
}));

test("the host runner itself: conditions, interpolation, output files", () => {
  const contexts = { inputs: { a: "x", flag: true, list: ["1", "2"] }, github: { event: { number: 7 } } };
  assert.equal(interpolate("${{ inputs.a }}-${{ github.event.number }}-${{ github.nothing }}", contexts), "x-7-");
  assert.equal(interpolate("${{ format('{0}!', join(inputs.list, ',')) }}", contexts), "1,2!");
  assert.equal(condition("inputs.a == 'x'", contexts, false), true);
  assert.equal(condition("${{ inputs.a == 'y' }}", contexts, false), false);
  assert.equal(condition("inputs.flag", contexts, true), false, "without a status function only after success");
  assert.equal(condition("always() && inputs.a == 'x'", contexts, true), true);
  assert.equal(condition("failure()", contexts, true), true);
  assert.deepEqual(readOutputs("a=1=2\nb<<E\nx\ny=1\nE\nc=\n"), { a: "1=2", b: "x\ny=1", c: "" });
  assert.throws(() => readOutputs("b<<E\nx\n"), /delimiter/);
  assert.throws(() => readOutputs("nothing\n"), /is none/);
});
