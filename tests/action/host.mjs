// A small host-mode runner: does with action.yml what GitHub's runner does, for composite actions of `run` steps.
//
// Conditions and interpolations are evaluated by GitHub's own library. Left out: nested `uses`, containers, masking, matching of
// problems. The variables of a step are those of GitHub's documentation, and nothing else of this machine's environment.
import { Evaluator, Lexer, Parser, data } from "@actions/expressions";
import { parse } from "yaml";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

// A plain value as one of the expression language.
function value(plain) {
  if (plain === null || plain === undefined) return new data.Null();
  if (typeof plain === "string") return new data.StringData(plain);
  if (typeof plain === "number") return new data.NumberData(plain);
  if (typeof plain === "boolean") return new data.BooleanData(plain);
  if (Array.isArray(plain)) return new data.Array(...plain.map(value));
  return new data.Dictionary(...Object.entries(plain).map(([key, one]) => ({ key, value: value(one) })));
}

function evaluate(text, contexts, functions = []) {
  const known = functions.map(({ name }) => ({ name, minArgs: 0, maxArgs: 0 }));
  const expression = new Parser(new Lexer(text).lex().tokens, Object.keys(contexts), known).parse();
  return new Evaluator(expression, value(contexts), new Map(functions.map((one) => [one.name, one]))).evaluate();
}

// Replaces each ${{ }} in a text.
export function interpolate(text, contexts) {
  return String(text).replaceAll(/\$\{\{(.*?)\}\}/gs, (_, inner) => evaluate(inner.trim(), contexts).coerceString());
}

// Evaluates an `if`, with the status functions.
export function condition(text, contexts, failed) {
  const constant = (name, plain) => ({ name, minArgs: 0, maxArgs: 0, call: () => value(plain) });
  const functions = [constant("success", !failed), constant("failure", failed), constant("always", true), constant("cancelled", false)];
  const inner = String(text).replace(/^\s*\$\{\{(.*)\}\}\s*$/s, "$1").trim();
  const status = /\b(success|failure|always|cancelled)\s*\(/.test(inner);
  const answer = evaluate(status ? inner : `success() && (${inner})`, contexts, functions);
  return evaluate("x && true || false", { x: JSON.parse(JSON.stringify(plainOf(answer))) }).coerceString() === "true";
}

function plainOf(answer) {
  if (answer instanceof data.BooleanData || answer instanceof data.NumberData || answer instanceof data.StringData) return answer.value;
  return answer instanceof data.Null ? null : true;
}

// Reads an output file as the runner does: `key=value`, or `key<<DELIMITER` and lines up to it.
export function readOutputs(text) {
  const outputs = {};
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at].replace(/\r$/, "");
    if (line === "") continue;
    const equals = line.indexOf("=");
    const heredoc = line.indexOf("<<");
    if (heredoc > 0 && (equals < 0 || heredoc < equals)) {
      const end = lines.indexOf(line.slice(heredoc + 2), at + 1);
      if (end < 0) throw new Error(`output ${line}: its delimiter does not return`);
      outputs[line.slice(0, heredoc)] = lines.slice(at + 1, end).join("\n");
      at = end;
    } else if (equals > 0) {
      outputs[line.slice(0, equals)] = line.slice(equals + 1);
    } else {
      throw new Error(`output file has a line that is none: ${line}`);
    }
  }
  return outputs;
}

// Runs the action in `actionPath` and answers { exit, signal, log, outputs, summary, written }.
//
// `job`: { temp, toolCache, workspace, event, payload, token, env, inputs, started } - `started` gets the step's process.
export async function runAction(actionPath, job) {
  const action = parse(readFileSync(join(actionPath, "action.yml"), "utf8"));
  const github = { token: job.token ?? "", event_name: job.event ?? "push", event: job.payload ?? {}, repository: "acme/churn" };
  const unknown = Object.keys(job.inputs ?? {}).filter((name) => !(name in action.inputs));
  if (unknown.length > 0) throw new Error(`unexpected inputs: ${unknown}`);
  const inputs = {};
  for (const [name, { default: standard }] of Object.entries(action.inputs)) {
    inputs[name] = job.inputs?.[name] ?? interpolate(standard ?? "", { github });
  }
  const steps = {};
  const answer = { exit: 0, signal: null, log: "", summary: "", written: "" };
  mkdirSync(job.temp, { recursive: true });
  const payloadFile = join(job.temp, "event.json");
  writeFileSync(payloadFile, JSON.stringify(github.event));
  for (const step of action.runs.steps) {
    const contexts = { inputs, github, steps, env: job.env ?? {}, runner: { os: "Linux", arch: "X64", temp: job.temp } };
    if (!condition(step.if ?? "success()", contexts, answer.exit !== 0)) continue;
    if (step.shell !== "bash") throw new Error(`only bash is known here, not ${step.shell}`);
    const folder = mkdtempSync(join(job.temp, "step-"));
    const file = (name, text = "") => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const own = Object.fromEntries(Object.entries(step.env ?? {}).map(([name, text]) => [name, interpolate(text, contexts)]));
    const env = {
      PATH: process.env.PATH, HOME: job.temp, CI: "true", GITHUB_ACTIONS: "true",
      GITHUB_ACTION_PATH: actionPath, GITHUB_WORKSPACE: job.workspace, GITHUB_EVENT_NAME: github.event_name, GITHUB_EVENT_PATH: payloadFile,
      GITHUB_REPOSITORY: github.repository, GITHUB_REPOSITORY_ID: "1", GITHUB_RUN_ID: "7", GITHUB_RUN_ATTEMPT: "1", GITHUB_JOB: "branchline",
      GITHUB_SERVER_URL: "https://github.com", GITHUB_ACTOR: "ann", GITHUB_TRIGGERING_ACTOR: "ann",
      GITHUB_OUTPUT: file("output"), GITHUB_STEP_SUMMARY: file("summary"), GITHUB_ENV: file("env"), GITHUB_PATH: file("path"), GITHUB_STATE: file("state"),
      RUNNER_OS: "Linux", RUNNER_ARCH: "X64", RUNNER_TEMP: job.temp, RUNNER_TOOL_CACHE: job.toolCache, RUNNER_ENVIRONMENT: "self-hosted",
      ...job.env, ...own,
    };
    const script = file("script.sh", interpolate(step.run, contexts));
    const child = spawn("bash", ["--noprofile", "--norc", "-e", "-o", "pipefail", script], { env, cwd: job.workspace, stdio: ["ignore", "pipe", "pipe"], detached: true });
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => { answer.log += bytes; });
    job.started?.(child);
    [answer.exit, answer.signal] = await new Promise((resolve) => child.on("close", (exit, signal) => resolve([exit, signal])));
    const read = (name) => readFileSync(join(folder, name), "utf8");
    const outcome = answer.exit === 0 ? "success" : "failure";
    if (step.id) steps[step.id] = { outputs: readOutputs(read("output")), outcome, conclusion: outcome };
    answer.summary += read("summary");
    answer.written += read("env") + read("path") + read("state");
    if (answer.exit !== 0) break;
  }
  const result = Object.entries(action.outputs ?? {}).map(([name, { value: text }]) => [name, interpolate(text, { steps, inputs, github })]);
  return { ...answer, outputs: Object.fromEntries(result) };
}
