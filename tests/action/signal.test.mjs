// A cancelled job: the runner interrupts the step's first process, and only that. It must be the program itself by then.
import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { inWorld } from "./world.mjs";

const CATCHES = `#!/bin/bash
trap 'echo "verdict=cancelled" >> "$GITHUB_OUTPUT"; echo caught; exit 130' INT
trap 'echo caught term; exit 143' TERM
echo "$$" > "$STUB_SAID.args"
while :; do sleep 0.1; done
`;

async function until(holds, what) {
  for (let turn = 0; turn < 600; turn += 1) {
    if (holds()) return;
    await pause(50);
  }
  throw new Error(`never: ${what}`);
}

test("the first process is the program, and gets SIGINT and SIGTERM", inWorld(async (world) => {
  world.release({ program: CATCHES });
  for (const [signal, exit] of [["SIGINT", 130], ["SIGTERM", 143]]) {
    writeFileSync(`${world.said}.args`, "");
    let child;
    const running = world.run({ started: (process) => { child = process; } });
    await until(() => world.args().length > 0, "the program starts");
    assert.equal(world.args()[0], String(child.pid), "bash has become the program");
    const from = Date.now();
    process.kill(child.pid, signal);
    const answer = await running;
    assert.equal(answer.exit, exit, answer.log);
    assert.ok(Date.now() - from < 7000);
    if (signal === "SIGINT") assert.equal(answer.outputs.verdict, "cancelled");
  }
}));

test("cancelled while it is fetched: ends at once, starts nothing, leaves nothing half made", inWorld(async (world) => {
  world.release();
  world.answers[world.path] = { bytes: world.archive, hang: true };
  let child;
  const running = world.run({ started: (process) => { child = process; } });
  await until(() => world.requests.length === 1, "the download begins");
  await pause(100);
  const from = Date.now();
  process.kill(child.pid, "SIGINT");
  const answer = await running;
  assert.equal(answer.exit, 130, answer.log);
  assert.ok(Date.now() - from < 2000);
  assert.ok(!world.ran());
  assert.ok(!existsSync(world.cached()));
  assert.deepEqual(execFileSync("find", [world.toolCache, "-name", "*.tar.gz"]).toString(), "");
}));

// The real program, where it is built: `run` reads its name.
const PROGRAM = process.env.BRANCHLINE_PROGRAM;
test("the real program ends a run within 7 s, with a report", { skip: PROGRAM ? false : "BRANCHLINE_PROGRAM is not set" }, inWorld(async (world) => {
  const git = (...args) => execFileSync("git", ["-C", world.workspace, "-c", "user.name=ann", "-c", "user.email=ann@example.com", ...args]).toString().trim();
  git("init", "--quiet", "--initial-branch=dev");
  writeFileSync(join(world.workspace, "branchline.yaml"), "version: 1\nproject: churn\nmodels:\n  churn:\n    paths: [train.sh]\n    train: { command: sh train.sh, data: none }\n");
  writeFileSync(join(world.workspace, "train.sh"), "echo training began\nsleep 600\n");
  git("add", ".");
  git("commit", "--quiet", "-m", "first");
  const sha = git("rev-parse", "HEAD");
  const payload = {
    ref: "refs/heads/dev", before: "0".repeat(40), after: sha, created: true, deleted: false, forced: false,
    repository: { id: 1, full_name: "acme/churn", default_branch: "dev" }, sender: { login: "ann", type: "User" },
  };
  const home = join(world.folder, "home");
  let child;
  const running = world.run({
    inputs: { "binary-path": PROGRAM, home, token: "" }, payload, env: { GITHUB_REF: "refs/heads/dev", GITHUB_SHA: sha },
    started: (process) => { child = process; },
  });
  let log = "";
  child.stdout.on("data", (bytes) => { log += bytes; });
  child.stderr.on("data", (bytes) => { log += bytes; });
  await until(() => /training began/.test(log) || child.exitCode !== null, "the training begins");
  assert.equal(child.exitCode, null, log);
  const from = Date.now();
  process.kill(child.pid, "SIGINT");
  const answer = await running;
  const took = Date.now() - from;
  assert.equal(answer.exit, 130, answer.log);
  assert.ok(took < 7000, `it took ${took} ms`);
  assert.match(answer.log, /cancelled/);
  assert.ok(existsSync(home), "the registry is where `home` says");
  console.log(`the real program ended ${took} ms after SIGINT`);
  const left = execFileSync("ps", ["-eo", "args"]).toString().split("\n").filter((line) => line.includes(home));
  assert.deepEqual(left, [], "nothing of it goes on");
}));
