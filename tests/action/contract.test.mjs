// What action.yml and the workflow files promise, read out of the files: nothing in shell text, nothing unpinned, least rights, and
// that they speak of the same inputs as the program and the documentation.
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { ROOT } from "./world.mjs";

const text = (path) => readFileSync(join(ROOT, path), "utf8");
const action = parse(text("action.yml"));
const OWN = /^(branchline\/branchline@|\$\/$|\.\/$)/;
const workflows = ["workflows", ".github/workflows"]
  // Templates for a cloud lie in a folder beside the workflows.
  .flatMap((folder) => readdirSync(join(ROOT, folder)).filter((file) => file.endsWith(".yml")).map((file) => `${folder}/${file}`))
  .map((path) => ({ path, text: text(path), yaml: parse(text(path)) }));
const jobs = workflows.flatMap(({ path, yaml }) => Object.entries(yaml.jobs).map(([name, job]) => ({ at: `${path}: ${name}`, job })));
const steps = jobs.flatMap(({ at, job }) => (job.steps ?? []).map((step) => ({ at, step })));

test("action.yml: composite, nothing nested, nothing in shell text, every input through env and read", () => {
  assert.equal(action.runs.using, "composite");
  const start = text("action/start.sh");
  const env = {};
  for (const step of action.runs.steps) {
    assert.equal(step.uses, undefined);
    assert.equal(step.shell, "bash");
    assert.ok(!step.run.includes("${{"), step.run);
    assert.match(step.run.trim().split("\n").at(-1), /^exec /);
    Object.assign(env, step.env);
  }
  for (const [name, input] of Object.entries(action.inputs)) {
    const variable = `BRANCHLINE_INPUT_${name.toUpperCase().replaceAll("-", "_")}`;
    assert.equal(env[variable], `\${{ inputs.${name} }}`);
    assert.ok(start.includes(`\${${variable}:-`), `start.sh does not read ${variable}`);
    assert.ok(input.description.length > 10 && typeof input.default === "string" && input.required === false, name);
    delete env[variable];
  }
  assert.deepEqual(env, { BASH_ENV: "", ENV: "", CDPATH: "", SHELLOPTS: "" }, "no other variable has a value");
  const known = new Set(Object.keys(action.inputs).map((name) => `BRANCHLINE_INPUT_${name.toUpperCase().replaceAll("-", "_")}`));
  for (const [variable] of start.matchAll(/BRANCHLINE_INPUT_[A-Z_]+/g)) assert.ok(known.has(variable), `${variable} is no input`);
  assert.equal(start.trim().split("\n").at(-1), 'exec "$binary" "$@"');
});

// The program's own table of outputs: name and example.
function outputsInCode() {
  const table = /pub const OUTPUTS: &\[OutputDoc\] = &\[(.*?)\n\];/s.exec(text("src/report/outputs.rs"))[1];
  const rows = [...table.matchAll(/name: "(.*?)",.*?example: ("(?:[^"\\]|\\.)*")/gs)];
  return Object.fromEntries(rows.map(([, name, example]) => [name, JSON.parse(example)]));
}

test("action.yml: its outputs are those that the program writes", () => {
  assert.deepEqual(Object.keys(action.outputs), Object.keys(outputsInCode()));
});

test("action.yml: every output is the step's of the same name", () => {
  for (const [name, { value, description }] of Object.entries(action.outputs)) {
    assert.equal(value, `\${{ steps.branchline.outputs.${name} }}`);
    assert.ok(description.length > 5);
  }
});

test("action.yml: the default version is the crate's", () => {
  assert.equal(action.inputs.version.default, /^version = "(.*)"$/m.exec(text("Cargo.toml"))[1]);
});

test("checksums.txt: comments, and for each version five whole lines", () => {
  const versions = {};
  for (const line of text("action/checksums.txt").trim().split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    assert.match(line, /^\d+\.\d+\.\d+\S* [a-z0-9_-]+ [0-9a-f]{64} [0-9a-f]{64}$/);
    const [version, target] = line.split(" ");
    (versions[version] ??= []).push(target);
  }
  for (const [version, targets] of Object.entries(versions)) assert.equal(new Set(targets).size, 5, version);
});

test("docs/action.md: its tables are made of action.yml (UPDATE_EXPECT=1 writes them)", () => {
  const examples = outputsInCode();
  const cell = (one) => (one === "" ? "" : `\`${one}\``);
  const rows = {
    inputs: ["| Input | Default | What |", "|---|---|---|", ...Object.entries(action.inputs).map(([name, input]) => `| \`${name}\` | ${cell(input.default)} | ${input.description} |`)],
    outputs: ["| Output | What | Example |", "|---|---|---|", ...Object.entries(action.outputs).map(([name, output]) => `| \`${name}\` | ${output.description} | \`${examples[name]}\` |`)],
  };
  const page = text("docs/action.md");
  let wanted = page;
  for (const [name, lines] of Object.entries(rows)) {
    const marked = new RegExp(`(<!-- ${name}: from action.yml -->\n).*?(<!-- end -->)`, "s");
    assert.match(page, marked);
    wanted = wanted.replace(marked, (_, from, to) => `${from}${lines.join("\n")}\n${to}`);
  }
  if (process.env.UPDATE_EXPECT) writeFileSync(join(ROOT, "docs/action.md"), wanted);
  else assert.equal(page, wanted);
});

test("by hand: the form is the program's own list of inputs and actions", () => {
  const form = parse(text("workflows/branchline-by-hand.yml")).on.workflow_dispatch.inputs;
  const inputs = /FORM_INPUTS: \[&str; 10\] =\s*\[(.*?)\]/s.exec(text("src/event/dispatch.rs"))[1];
  assert.deepEqual(Object.keys(form), [...inputs.matchAll(/"(.*?)"/g)].map(([, name]) => name));
  const words = /pub fn as_str\(self\) -> &'static str \{(.*?)\n    \}/s.exec(text("src/event/command.rs").split("impl Action {")[1])[1];
  assert.deepEqual(form.action.options, [...words.matchAll(/=> "(.*?)"/g)].map(([, word]) => word));
  for (const [name, { type, description }] of Object.entries(form)) {
    assert.ok(description, name);
    assert.equal(type, { action: "choice", again: "boolean", yes: "boolean" }[name] ?? "string");
  }
});

test("workflows: no rights above, and below only what a comment gives a reason for", () => {
  for (const { path, text: source, yaml } of workflows) {
    assert.deepEqual(yaml.permissions, {}, path);
    assert.ok(yaml.concurrency?.group, `${path}: concurrency`);
    assert.notEqual(yaml.concurrency["cancel-in-progress"], undefined, path);
    for (const line of source.split("\n").filter((line) => /^ {6}[a-z-]+: (read|write)\b/.test(line))) assert.match(line, / # \S/, `${path}: ${line}`);
    assert.ok(!("pull_request_target" in yaml.on) && !("workflow_run" in yaml.on), path);
    assert.ok(!/secrets: inherit|ACTIONS_ALLOW_UNSECURE/.test(source), path);
  }
  for (const { at, job } of jobs) {
    assert.ok(job.permissions && Object.keys(job.permissions).length > 0, `${at}: permissions`);
    assert.ok(job["timeout-minutes"], `${at}: timeout-minutes`);
  }
});

test("workflows: pushes of one branch are never dropped for one another", () => {
  const { concurrency } = parse(text("workflows/branchline-push.yml"));
  assert.match(concurrency.group, /github\.event\.ref/);
  assert.match(concurrency.group, /github\.event\.after/);
  assert.equal(concurrency["cancel-in-progress"], false);
});

test("workflows: everything that is used is pinned, and nothing stands in shell text", () => {
  for (const { at, step } of steps) {
    if (step.run) {
      assert.ok(!step.run.includes("${{"), `${at}: ${step.run}`);
      continue;
    }
    const local = at.endsWith("prove") ? "./" : "$/";
    assert.ok(step.uses === local || /^[\w.-]+\/[\w.-]+@[0-9a-f]{40}$/.test(step.uses), `${at}: ${step.uses}`);
    if (step.uses.startsWith("actions/checkout@")) assert.equal(step.with["persist-credentials"], false, at);
    if (OWN.test(step.uses)) for (const name of Object.keys(step.with)) assert.ok(name in action.inputs, `${at}: no input ${name}`);
  }
  const pins = {};
  for (const { path, text: source } of workflows) {
    for (const [line, used, sha, version] of source.matchAll(/uses: (\S+?)@(\S+)(?: # (v\d+\.\d+\.\d+))?/g)) {
      if (path.endsWith("/branchline.yml") && line.includes("OWNER")) continue;
      assert.ok(version, `${path}: ${line} has no version beside it`);
      assert.equal((pins[used] ??= sha), sha, `${path}: ${used} is pinned twice`);
    }
  }
});

test("workflows: what predicts merges has all of history", () => {
  for (const { at, job } of jobs) {
    if (!job.steps?.some((step) => /^(branchline\/branchline@|\$\/$)/.test(step.uses ?? ""))) continue;
    const checkout = job.steps.find((step) => step.uses?.startsWith("actions/checkout@"));
    assert.equal(checkout.with["fetch-depth"], 0, at);
    assert.equal(job.steps.at(-1).id, "branchline", at);
  }
});

test("workflows: the reusable one passes on what it takes", () => {
  const { on, jobs: { branchline } } = parse(text(".github/workflows/branchline.yml"));
  const taken = Object.keys(on.workflow_call.inputs).filter((name) => name in action.inputs);
  assert.deepEqual(branchline.steps.at(-1).with, Object.fromEntries(taken.map((name) => [name, `\${{ inputs.${name} }}`])));
});
