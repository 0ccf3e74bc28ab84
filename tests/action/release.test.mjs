// The release scripts, on programs that are stand-ins: what they write is what the Action takes.
import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inWorld, ROOT } from "./world.mjs";

const TARGETS = ["aarch64-apple-darwin", "aarch64-unknown-linux-musl", "x86_64-apple-darwin", "x86_64-pc-windows-msvc", "x86_64-unknown-linux-musl"];
const SCRIPTS = ".github/release";

// A repository with what a release reads, and one stand-in for each target.
function repository(world) {
  const folder = join(world.folder, "release");
  mkdirSync(folder);
  for (const part of ["action.yml", "action", "Cargo.toml", "LICENSE-MIT", "LICENSE-APACHE", SCRIPTS]) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  for (const target of TARGETS) {
    const out = join(folder, "target", target, "release");
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, target.includes("windows") ? "branchline.exe" : "branchline"), `#!/bin/sh\necho "${target}" > "$STUB_SAID.args"\n`, { mode: 0o755 });
  }
  const git = (...args) => execFileSync("git", ["-C", folder, "-c", "user.name=ann", "-c", "user.email=ann@example.com", ...args]).toString().trim();
  git("init", "--quiet", "--initial-branch=main");
  writeFileSync(join(folder, ".gitignore"), "/target\n/dist\n");
  git("add", ".");
  git("commit", "--quiet", "-m", "source");
  const run = (script, ...args) => spawnSync("bash", [`${SCRIPTS}/${script}`, ...args], { cwd: folder, encoding: "utf8", env: { ...process.env, CARGO_TARGET_DIR: "target" } });
  return { folder, git, run };
}

test("pack, table, tag: and the tagged Action starts what was packed", inWorld(async (world) => {
  const { folder, git, run } = repository(world);
  const version = /^version = "(.*)"$/m.exec(readFileSync(join(folder, "Cargo.toml"), "utf8"))[1];
  assert.equal(run("version", version).status, 0);
  for (const target of TARGETS) assert.equal(run("pack", version, target, "dist").status, 0);
  const made = run("checksums", version, "dist");
  assert.equal(made.status, 0, made.stderr + made.stdout);
  assert.equal(git("log", "-1", "--format=%s", `v${version}`), `release: checksums of ${version}`);
  assert.equal(git("diff", "--name-only", "HEAD^", "HEAD"), "action/checksums.txt", "the tagged commit differs in nothing else");
  assert.equal(run("version", version).status, 1, "a second time it is refused");

  cpSync(join(folder, "action"), join(world.action, "action"), { recursive: true });
  for (const target of TARGETS) world.answers[`/v${version}/branchline-${target}.tar.gz`] = { bytes: readFileSync(join(folder, `dist/branchline-${target}.tar.gz`)) };
  for (const [RUNNER_OS, RUNNER_ARCH, target] of [["Linux", "X64", TARGETS[4]], ["Linux", "ARM64", TARGETS[1]], ["macOS", "ARM64", TARGETS[0]], ["macOS", "X64", TARGETS[2]], ["Windows", "X64", TARGETS[3]]]) {
    const answer = await world.run({ env: { RUNNER_OS, RUNNER_ARCH } });
    assert.equal(answer.exit, 0, answer.log);
    assert.deepEqual(world.args(), [target]);
  }
}));

test("a version that is not the crate's, a missing line and a changed archive are refused", inWorld(async (world) => {
  const { folder, git, run } = repository(world);
  const version = /^version = "(.*)"$/m.exec(readFileSync(join(folder, "Cargo.toml"), "utf8"))[1];
  for (const wrong of ["9.9.9", "v1", "1", "", "0.1.0; id"]) assert.equal(run("version", wrong).status, 1, wrong);
  for (const target of TARGETS.slice(1)) run("pack", version, target, "dist");
  assert.match(run("checksums", version, "dist").stdout, /no usable checksum line for aarch64-apple-darwin/);
  run("pack", version, TARGETS[0], "dist");
  git("checkout", "--quiet", "--", "action/checksums.txt");
  writeFileSync(join(folder, "dist/branchline-x86_64-apple-darwin.tar.gz"), "changed");
  assert.notEqual(run("checksums", version, "dist").status, 0);
  assert.equal(git("tag"), "");
}));

test("a real program for Linux is packed without what nothing reads, still starts, and has the digest of the table", inWorld(async (world) => {
  const { folder, run } = repository(world);
  const target = "x86_64-unknown-linux-musl";
  const sections = (file) => execFileSync("readelf", ["--sections", "--wide", file]).toString();
  cpSync("/bin/true", join(folder, "target", target, "release/branchline"), { dereference: true });
  assert.match(sections("/bin/true"), /\.eh_frame/);
  const packed = run("pack", "0.1.0", target, "dist");
  assert.equal(packed.status, 0, packed.stderr + packed.stdout);
  execFileSync("tar", ["-xzf", join(folder, `dist/branchline-${target}.tar.gz`), "-C", world.folder, "branchline"]);
  const program = join(world.folder, "branchline");
  assert.doesNotMatch(sections(program), /\.eh_frame/);
  assert.equal(spawnSync(program).status, 0);
  const digest = execFileSync("sha256sum", [program]).toString().split(" ")[0];
  assert.equal(readFileSync(join(folder, `dist/${target}.line`), "utf8").trim().split(" ")[3], digest);
}));

test("an archive that grew beyond 8 MiB is refused", inWorld(async (world) => {
  const { folder, run } = repository(world);
  const { randomBytes } = await import("node:crypto");
  writeFileSync(join(folder, "target/x86_64-apple-darwin/release/branchline"), randomBytes(9 * 1024 * 1024));
  assert.match(run("pack", "0.1.0", "x86_64-apple-darwin", "dist").stdout, /more than 8 MiB/);
}));

test("the tag of the major version moves forward only, and not for a pre-release", inWorld(async (world) => {
  const { folder, git } = repository(world);
  const bare = join(world.folder, "origin.git");
  git("init", "--quiet", "--bare", bare);
  git("remote", "add", "origin", bare);
  const bin = join(world.folder, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "gh"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  const move = (version) => spawnSync("bash", [`${SCRIPTS}/move`, version], { cwd: folder, encoding: "utf8", env: { ...process.env, PATH: `${bin}:${process.env.PATH}` } });
  const at = () => git("ls-remote", bare, "refs/tags/v0").split("\t")[0];
  git("tag", "v0.1.0");
  assert.equal(move("0.1.0").status, 0);
  assert.equal(at(), git("rev-parse", "v0.1.0"));
  git("commit", "--quiet", "--allow-empty", "-m", "next");
  git("tag", "v0.2.0");
  assert.equal(move("0.2.0").status, 0);
  assert.equal(at(), git("rev-parse", "v0.2.0"));
  for (const version of ["0.1.0", "0.3.0-rc.1"]) assert.equal(move(version).status, 0);
  assert.equal(at(), git("rev-parse", "v0.2.0"));
}));
