// One team's first week, told to a GitHub that we did not write. Everything is read back from its own API.
//
// What it lacks is not relied on: commit statuses, dispatches, `commits/{sha}/pulls`, limits of length, refused tokens.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { World } from "./world.mjs";

const RULES = `version: 1
project: churn
permissions: { promote: maintain, approve: admin }
models:
  churn:
    paths: [train.sh]
    train:
      command: sh train.sh
      data: none
    gates:
      accuracy: { min: 0.5 }
`;
const trains = (accuracy) =>
  `echo model ${accuracy} > "$SM_MODEL_DIR/model.txt"\necho '{"accuracy": ${accuracy}}' > "$SM_OUTPUT_DATA_DIR/metrics.json"\n`;

let world;
before(async () => {
  world = await World.open();
  world.commit("Rules", { "branchline.yaml": RULES, "train.sh": trains("0.81") });
  world.git("branch", "prod");
  await world.push("prod");
  await world.push("dev");
  await world.ask("PATCH", "/repos/ada/churn", { default_branch: "dev" });
});
after(() => world?.close());

let pull;

// It has no `commits/{sha}/pulls`: that may cost the review, in a sentence, and nothing else.
const warnings = (said) => said.warnings.filter((line) => !line.includes("could not find the pull requests of commit"));
const comments = async (login) => (await world.get(`/issues/${pull}/comments`)).filter((comment) => comment.user.login === login);

async function open(title) {
  const made = await world.ask("POST", "/repos/ada/churn/pulls", { title, head: "dev", base: "prod" });
  assert.equal(made.head.sha, world.git("rev-parse", "dev"), "both sides mean the same commit");
  pull = made.number;
}

async function pullRequest(action) {
  const found = await world.get(`/pulls/${pull}`);
  // It keeps the head that a pull request was opened with. The payload of a push names the new one.
  const head = { ...found.head, sha: world.git("rev-parse", "dev") };
  const payload = { action, number: pull, pull_request: { ...found, head } };
  return world.run("pull_request", payload, { ref: `refs/pull/${pull}/merge`, sha: head.sha });
}

test("a push to dev: trained, and one check that says so", async () => {
  world.commit("Deeper", { "train.sh": trains("0.87") });
  const said = await world.pushed("dev");
  assert.equal(said.exit, 0, said.log);
  assert.deepEqual(warnings(said), []);
  const [check, ...more] = await world.checks(said.sha);
  assert.deepEqual(more, []);
  assert.equal(check.status, "completed");
  assert.equal(check.conclusion, "success");
  assert.match(check.output.title, /churn 0\.1\.0 was trained and registered/);
  assert.match(said.summary, /accuracy/);
});

test("the same event again: still one check, and no second training", async () => {
  const said = await world.pushed("dev");
  assert.equal(said.exit, 0, said.log);
  const checks = await world.checks(said.sha);
  assert.equal(checks.length, 1);
  assert.equal(checks[0].conclusion, "success");
  assert.equal(world.held("churn-dev").length, 1);
});

test("a pull request into prod: one comment, one check on its head, nothing written to the registry", async () => {
  await open("Release");
  // Somebody else's comment with our mark is not ours.
  await world.ask("POST", `/repos/ada/churn/issues/${pull}/comments`, { body: "<!-- branchline:comment:branchline -->\nAll is well" }, "token_bob");
  const said = await pullRequest("opened");
  assert.equal(said.exit, 0, said.log);
  assert.deepEqual(warnings(said), []);
  const [comment, ...more] = await comments("ada");
  assert.deepEqual(more, []);
  assert.ok(comment.body.startsWith("<!-- branchline:comment:branchline -->"), "the forged comment has our very mark");
  assert.match(comment.body, /Merging promotes churn 0\.1\.0/);
  const checks = await world.checks(world.git("rev-parse", "dev"));
  assert.equal(checks.length, 1, "the check of the push is kept current, not doubled");
  assert.match(checks[0].output.title, /Merging promotes churn 0\.1\.0/);
  assert.deepEqual(world.held("churn-prod"), []);
});

test("the same pull request again: the comment is still the same one, and no second", async () => {
  const [before] = await comments("ada");
  const said = await pullRequest("edited");
  assert.equal(said.exit, 0, said.log);
  const [now, ...more] = await comments("ada");
  assert.deepEqual(more, []);
  const sameRun = (text) => text.replace(/actions\/runs\/\d+/g, "actions/runs/N");
  assert.equal(now.id, before.id);
  assert.equal(sameRun(now.body), sameRun(before.body));
});

test("a new commit on the pull request: the same comment, brought up to date; the forged one is left alone", async () => {
  const [before] = await comments("ada");
  world.commit("Wider", { "train.sh": trains("0.91") });
  const pushed = await world.pushed("dev");
  assert.equal(pushed.exit, 0, pushed.log);
  const said = await pullRequest("synchronize");
  assert.equal(said.exit, 0, said.log);
  const [now, ...more] = await comments("ada");
  assert.deepEqual(more, []);
  assert.equal(now.id, before.id);
  assert.match(now.body, /0\.91/);
  const [forged, ...others] = await comments("bob");
  assert.deepEqual(others, []);
  assert.match(forged.body, /All is well/);
});

test("merged: the version that dev tested is promoted, and the merge has a check", async () => {
  await world.ask("PATCH", `/repos/ada/churn/pulls/${pull}`, { state: "closed" });
  await open("Release 2");
  const opened = await pullRequest("opened");
  assert.equal(opened.exit, 0, opened.log);
  const merged = await world.ask("PUT", `/repos/ada/churn/pulls/${pull}/merge`, {});
  await world.pull("prod", merged.sha);
  const payload = { ref: "refs/heads/prod", before: "0".repeat(40), after: merged.sha, created: false, deleted: false, forced: false };
  const said = await world.run("push", payload, { ref: "refs/heads/prod", sha: merged.sha });
  assert.equal(said.exit, 0, said.log);
  const [check, ...more] = await world.checks(merged.sha);
  assert.deepEqual(more, []);
  assert.equal(check.conclusion, "success");
  assert.match(check.output.title, /went from .* awaiting approval/);
  const [version] = world.held("churn-prod");
  assert.equal(version.approval, "PendingManualApproval");
  assert.deepEqual(version.metrics, { accuracy: 0.91 });
  assert.deepEqual(version.artifacts[0].digest, world.held("churn-dev")[0].artifacts[0].digest);
  assert.deepEqual(warnings(said), []);
});

const approve = (actor) => world.run(
  "workflow_dispatch",
  { ref: "refs/heads/dev", inputs: { action: "approve", group: "prod", model: "churn", version: "1", reason: "looks right" } },
  { actor },
);

// A stranger: GitHub says what everybody may, this one says 404. Neither is a yes.
test("who may approve is asked: a reader and a stranger may not, the owner may", async () => {
  await world.ask("PUT", "/repos/ada/churn/collaborators/bob", { permission: "pull" });
  const reader = await approve("bob");
  assert.equal(reader.exit, 30, reader.log);
  const stranger = await approve("eve");
  assert.notEqual(stranger.exit, 0, stranger.log);
  assert.equal(world.held("churn-prod")[0].approval, "PendingManualApproval");
  const owner = await approve("ada");
  assert.equal(owner.exit, 0, owner.log);
  assert.equal(world.held("churn-prod")[0].approval, "Approved");
});

test("a token of an App that may only read checks: one warning names the permission, the work goes on", async () => {
  const token = await world.installationToken({ checks: "read", contents: "read", metadata: "read" });
  world.commit("Longer", { "train.sh": trains("0.93") });
  const before = world.held("churn-dev").length;
  const said = await world.pushed("dev", { token });
  assert.equal(said.exit, 0, said.log);
  const named = said.warnings.filter((line) => line.includes("checks: write"));
  assert.equal(named.length, 1, said.log);
  assert.equal(world.held("churn-dev").length, before + 1);
  assert.deepEqual(await world.checks(said.sha), []);
  assert.match(said.summary, /checks: write/);
  assert.match(said.summary, /0\.93/);
});

test("the same App with checks: write: the check is there", async () => {
  const token = await world.installationToken({ checks: "write", contents: "read", metadata: "read", pull_requests: "read" });
  const said = await world.pushed("dev", { token });
  assert.equal(said.exit, 0, said.log);
  const [check, ...more] = await world.checks(said.sha);
  assert.deepEqual(more, []);
  assert.equal(check.conclusion, "success");
});
