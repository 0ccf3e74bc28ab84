// Holds action.yml and every workflow against GitHub's own language service, as the editor extension does.
//
// Bundled by esbuild first: the service imports JSON in a way that Node does not take unbundled. What it cannot look up
// without a network, the inputs of other actions, stands in `inputsOf`.
import { validate } from "@actions/languageservice";
import { TextDocument } from "vscode-languageserver-textdocument";
import { parse } from "yaml";
import { readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";

const [root, ...files] = process.argv.slice(2);
const names = (text) => Object.fromEntries(text.split(" ").map((name) => [name, { description: name }]));
const inputsOf = {
  "actions/checkout": names("repository ref token persist-credentials path clean filter fetch-depth fetch-tags lfs submodules"),
  "actions/upload-artifact": names("name path if-no-files-found retention-days compression-level overwrite include-hidden-files"),
  "actions/download-artifact": names("name artifact-ids path pattern merge-multiple github-token repository run-id"),
  "actions/attest-build-provenance": names("subject-path subject-digest subject-name subject-checksums push-to-registry show-summary"),
};
const actionsMetadataProvider = {
  async fetchActionMetadata({ owner, name }) {
    if (name === "branchline") return parse(readFileSync(join(root, "action.yml"), "utf8"));
    const inputs = inputsOf[`${owner}/${name}`];
    return inputs && { name, description: name, inputs, outputs: {} };
  },
};
const fileProvider = {
  async getFileContent({ path }) {
    return { name: basename(path), content: readFileSync(join(root, path), "utf8") };
  },
};

async function main() {
  let problems = 0;
  for (const file of files) {
    const document = TextDocument.create(`file://${file}`, "yaml", 1, readFileSync(file, "utf8"));
    for (const { range, message } of await validate(document, { actionsMetadataProvider, fileProvider })) {
      problems += 1;
      console.log(`${relative(root, file)}:${range.start.line + 1}: ${message}`);
    }
  }
  console.log(`${files.length} files, ${problems} problems`);
  process.exitCode = problems === 0 ? 0 : 1;
}
main();
