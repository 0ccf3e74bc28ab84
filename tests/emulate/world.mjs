// One checkout and one GitHub around it. `emulate` computes Git's own ids, so the two hold the very same commits.
import { execFile, execFileSync } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEmulator } from "emulate";

const PROGRAM = process.env.BRANCHLINE_PROGRAM;
const APP = 4711;
const INSTALLATION = 99;

async function freePort() {
  const server = createServer();
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

export class World {
  static async open() {
    const world = new World();
    world.folder = mkdtempSync(join(tmpdir(), "branchline-emulate-"));
    world.checkout = join(world.folder, "churn");
    world.home = join(world.folder, "home");
    world.runs = 0;
    world.mirrored = new Set();
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    world.key = privateKey.export({ type: "pkcs1", format: "pem" });
    const port = await freePort();
    world.url = `http://127.0.0.1:${port}`;
    const people = ["ada", "bob", "eve"];
    world.emulator = await createEmulator({
      service: "github",
      port,
      baseUrl: world.url,
      seed: {
        tokens: Object.fromEntries(people.map((login) => [`token_${login}`, { login, scopes: ["repo"] }])),
        github: {
          users: people.map((login) => ({ login })),
          repos: [{ owner: "ada", name: "churn", auto_init: true, default_branch: "main" }],
          apps: [{
            app_id: APP,
            slug: "reader",
            name: "Reader",
            private_key: world.key,
            permissions: { checks: "write", contents: "read", issues: "write", pull_requests: "write", metadata: "read" },
            events: [],
            installations: [{ installation_id: INSTALLATION, account: "ada", repository_selection: "all" }],
          }],
        },
      },
    });
    mkdirSync(world.checkout);
    world.git("init", "--quiet", "--initial-branch", "dev");
    world.git("remote", "add", "origin", ".");
    return world;
  }

  async close() {
    await this.emulator.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  git(...args) {
    const env = {
      PATH: process.env.PATH,
      HOME: this.folder,
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_AUTHOR_NAME: "Ada",
      GIT_AUTHOR_EMAIL: "ada@example.com",
      GIT_COMMITTER_NAME: "Ada",
      GIT_COMMITTER_EMAIL: "ada@example.com",
    };
    return execFileSync("git", args, { cwd: this.checkout, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trimEnd();
  }

  commit(message, files) {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.checkout, name), text);
    this.git("add", "--all");
    this.git("commit", "--quiet", "--message", message);
    return this.git("rev-parse", "HEAD");
  }

  // Asks the other side as a person.
  async ask(method, path, body, token = "token_ada") {
    const response = await fetch(path.startsWith("http") ? path : `${this.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, accept: "application/vnd.github+json", "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  get(path) {
    return this.ask("GET", `/repos/ada/churn${path}`);
  }

  async same(path, body, sha) {
    const made = await this.ask("POST", `/repos/ada/churn/git/${path}`, body);
    if (made.sha !== sha) throw new Error(`${path}: ${made.sha} instead of ${sha}`);
  }

  async tree(sha) {
    if (this.mirrored.has(sha)) return;
    const entries = this.git("ls-tree", sha).split("\n").filter(Boolean).map((line) => {
      const [about, path] = line.split("\t");
      const [mode, type, id] = about.split(" ");
      return { path, mode, type, sha: id };
    });
    for (const entry of entries) {
      if (this.mirrored.has(entry.sha)) continue;
      if (entry.type === "tree") await this.tree(entry.sha);
      else {
        const content = execFileSync("git", ["cat-file", "blob", entry.sha], { cwd: this.checkout }).toString("base64");
        await this.same("blobs", { content, encoding: "base64" }, entry.sha);
      }
      this.mirrored.add(entry.sha);
    }
    await this.same("trees", { tree: entries }, sha);
    this.mirrored.add(sha);
  }

  // Pushes a branch: the objects by the API's own way for them, then the reference.
  async push(branch) {
    for (const sha of this.git("rev-list", "--reverse", "--topo-order", branch).split("\n")) {
      if (this.mirrored.has(sha)) continue;
      const [tree, parents, name, email, date] = this.git("show", "--no-patch", "--format=%T%n%P%n%an%n%ae%n%aI", sha).split("\n");
      const message = this.git("show", "--no-patch", "--format=%B", sha);
      await this.tree(tree);
      const person = { name, email, date };
      const body = { message: `${message.trimEnd()}\n`, tree, parents: parents.split(" ").filter(Boolean), author: person, committer: person };
      await this.same("commits", body, sha);
      this.mirrored.add(sha);
    }
    const sha = this.git("rev-parse", branch);
    const known = (await this.get("/branches?per_page=100")).find((found) => found.name === branch);
    if (known) await this.ask("PATCH", `/repos/ada/churn/git/refs/heads/${branch}`, { sha, force: true });
    else await this.ask("POST", "/repos/ada/churn/git/refs", { ref: `refs/heads/${branch}`, sha });
    this.git("fetch", "--quiet", "origin");
    return { before: known?.commit.sha ?? "0".repeat(40), sha };
  }

  // Brings a merge that was made over there, byte for byte.
  async pull(branch, sha) {
    const made = await this.get(`/git/commits/${sha}`);
    const at = (person) => `${person.name} <${person.email}> ${Math.floor(Date.parse(person.date) / 1000)} +0000`;
    const parents = made.parents.map((parent) => `parent ${parent.sha}\n`).join("");
    const text = `tree ${made.tree.sha}\n${parents}author ${at(made.author)}\ncommitter ${at(made.committer)}\n\n${made.message}`;
    const written = ["", "\n"].map((end) => execFileSync("git", ["hash-object", "-t", "commit", "-w", "--stdin"], {
      cwd: this.checkout, input: text + end, encoding: "utf8",
    }).trim());
    if (!written.includes(sha)) throw new Error(`the merge ${sha} cannot be made here: ${written}\n${text}`);
    this.mirrored.add(sha);
    this.git("update-ref", `refs/heads/${branch}`, sha);
    this.git("fetch", "--quiet", "origin");
  }

  // A token of the App's installation, with no more than these permissions.
  async installationToken(permissions) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const now = Math.floor(Date.now() / 1000);
    const head = `${part({ alg: "RS256", typ: "JWT" })}.${part({ iat: now - 30, exp: now + 300, iss: String(APP) })}`;
    const jwt = `${head}.${sign("sha256", Buffer.from(head), this.key).toString("base64url")}`;
    const made = await this.ask("POST", `/app/installations/${INSTALLATION}/access_tokens`, { permissions }, jwt);
    return made.token;
  }

  // Runs the program as a step of a job.
  async run(event, payload, { ref = "refs/heads/dev", sha, actor = "ada", token = "token_ada", args = ["run"] } = {}) {
    this.runs += 1;
    const folder = join(this.folder, `run-${this.runs}`);
    mkdirSync(folder);
    const files = { payload: join(folder, "event.json"), output: join(folder, "output"), summary: join(folder, "summary.md") };
    const repository = await this.get("");
    writeFileSync(files.payload, JSON.stringify({ repository, sender: { login: actor }, ...payload }));
    for (const file of [files.output, files.summary]) appendFileSync(file, "");
    const env = {
      PATH: process.env.PATH, HOME: this.folder, CI: "true", BRANCHLINE_HOME: this.home,
      GITHUB_ACTIONS: "true", GITHUB_ACTOR: actor, GITHUB_API_URL: this.url, GITHUB_SERVER_URL: this.url,
      GITHUB_EVENT_NAME: event, GITHUB_EVENT_PATH: files.payload, GITHUB_JOB: "branchline", GITHUB_OUTPUT: files.output,
      GITHUB_REF: ref, GITHUB_REPOSITORY: "ada/churn", GITHUB_REPOSITORY_ID: String(repository.id), GITHUB_RUN_ATTEMPT: "1",
      GITHUB_RUN_ID: String(1000 + this.runs), GITHUB_SHA: sha ?? this.git("rev-parse", "HEAD"), GITHUB_STEP_SUMMARY: files.summary,
      GITHUB_TOKEN: token, RUNNER_ENVIRONMENT: "self-hosted",
    };
    // Not the blocking way: the other side lives in this very process.
    const done = await new Promise((ready) => {
      execFile(PROGRAM, args, { cwd: this.checkout, env, timeout: 60000 }, (error, out, err) =>
        ready({ exit: error ? error.code ?? error.signal : 0, log: `${out}${err}` }));
    });
    return {
      ...done,
      summary: readFileSync(files.summary, "utf8"),
      warnings: done.log.split("\n").filter((line) => line.startsWith("::warning")),
    };
  }

  async pushed(branch, options = {}) {
    const { before, sha } = await this.push(branch);
    const zeros = "0".repeat(40);
    const ref = `refs/heads/${branch}`;
    const payload = { ref, before, after: sha, created: before === zeros, deleted: false, forced: false };
    return { sha, ...(await this.run("push", payload, { ref, sha, ...options })) };
  }

  // What the registry holds: asked of the program as a person on the machine would.
  held(group) {
    const env = { PATH: process.env.PATH, HOME: this.folder, BRANCHLINE_HOME: this.home };
    const out = execFileSync(PROGRAM, ["show", group, "--format", "json"], { cwd: this.checkout, env, encoding: "utf8" });
    return JSON.parse(out);
  }

  async checks(sha) {
    return (await this.get(`/commits/${sha}/check-runs?per_page=100`)).check_runs.filter((check) => check.name === "branchline");
  }
}
