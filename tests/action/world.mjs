// What the tests of the Action stand on: a copy of the action as the runner lays it out, a stand-in for the program, a release
// server on this machine, and one job's folders.
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { appendFileSync, chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { runAction } from "./host.mjs";

export const ROOT = process.env.BRANCHLINE_ROOT ?? resolve(fileURLToPath(import.meta.url), "../../..");
export const TARGET = "x86_64-unknown-linux-musl";
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

// A stand-in: says in the outputs what it got. Padded to the size of a real one, so that hashing costs what it costs.
const STUB = `#!/bin/sh
printf '%s\\n' "$@" > "$STUB_SAID.args"
env > "$STUB_SAID.env"
{ echo "verdict=passed"; echo "code-id=c0de"; echo 'results<<END_7'; echo '[{"model":'; echo '"churn"}]'; echo END_7; } >> "$GITHUB_OUTPUT"
echo "# churn passed" >> "$GITHUB_STEP_SUMMARY"
exit "\${STUB_EXIT:-0}"
`;

export class World {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "branchline-action-"));
    this.action = join(this.folder, "_work/_actions/acme/branchline/v1");
    this.toolCache = join(this.folder, "tools");
    this.workspace = join(this.folder, "_work/churn/churn");
    this.said = join(this.folder, "said");
    this.requests = [];
    this.children = [];
    // What the server answers to a path: { status, headers, bytes, cut, reset }.
    this.answers = {};
    mkdirSync(this.workspace, { recursive: true });
    mkdirSync(this.action, { recursive: true });
    for (const part of ["action.yml", "action"]) cpSync(join(ROOT, part), join(this.action, part), { recursive: true });
  }

  async serve() {
    this.server = createServer((request, response) => {
      this.requests.push(request);
      const given = this.answers[request.url] ?? { status: 404, bytes: "<!DOCTYPE html><title>Not found</title>" };
      const answer = Array.isArray(given) ? (given.length > 1 ? given.shift() : given[0]) : given;
      const bytes = Buffer.from(answer.bytes ?? "");
      response.writeHead(answer.status ?? 200, { "content-length": bytes.length, ...answer.headers });
      if (answer.hang) return;
      if (answer.cut) {
        response.write(bytes.subarray(0, bytes.length / 2));
        setTimeout(() => response.destroy(), 50);
      } else {
        response.end(bytes);
      }
    });
    await new Promise((ready) => this.server.listen(0, "127.0.0.1", ready));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  // Releases a program: puts its archive on the server and its line into the action's table.
  release({ version = "0.1.0", program = STUB, pad = 0, row = true, target = TARGET } = {}) {
    const folder = mkdtempSync(join(this.folder, "build-"));
    const bytes = Buffer.concat([Buffer.from(program), Buffer.alloc(pad, "# padding of this stand-in\n")]);
    writeFileSync(join(folder, "branchline"), bytes);
    chmodSync(join(folder, "branchline"), 0o755);
    execFileSync("tar", ["-czf", "archive.tar.gz", "branchline"], { cwd: folder });
    const archive = readFileSync(join(folder, "archive.tar.gz"));
    if (row) this.row(`${version} ${target} ${sha256(archive)} ${sha256(bytes)}`);
    this.path = `/v${version}/branchline-${target}.tar.gz`;
    this.answers[this.path] = { bytes: archive };
    this.archive = archive;
    return this;
  }

  row(text) {
    appendFileSync(join(this.action, "action/checksums.txt"), `${text}\n`);
  }

  // The program in the tool cache.
  cached(version = "0.1.0") {
    return join(this.toolCache, "branchline", version, TARGET, "branchline");
  }

  run({ inputs = {}, env = {}, ...job } = {}) {
    const base = this.url ? { "download-base-url": this.url } : {};
    return runAction(this.action, {
      temp: join(this.folder, "temp"), toolCache: this.toolCache, workspace: this.workspace, token: "ghs_secretsecret",
      env: { STUB_SAID: this.said, BRANCHLINE_TEST_LOOPBACK_HTTP: "1", ...env }, inputs: { ...base, ...inputs }, ...job,
      started: (child) => {
        this.children.push(child);
        job.started?.(child);
      },
    });
  }

  args() {
    return readFileSync(`${this.said}.args`, "utf8").split("\n").slice(0, -1);
  }

  environment() {
    const lines = readFileSync(`${this.said}.env`, "utf8").split("\n");
    return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
  }

  // Whether anything of the released program ran.
  ran() {
    try {
      return this.args().length >= 0;
    } catch {
      return false;
    }
  }

  async end() {
    // A test that failed half-way leaves programs behind: each step is a process group of its own.
    for (const { pid } of this.children) {
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    }
    this.server?.closeAllConnections();
    await new Promise((done) => (this.server ? this.server.close(done) : done()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// One test in a world of its own.
export const inWorld = (body, { served = true } = {}) => async () => {
  const world = new World();
  try {
    if (served) await world.serve();
    await body(world);
  } finally {
    await world.end();
  }
};
