// Renders the reports beside the pictures the way GitHub shows them, Mermaid charts included, and keeps the pictures.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { marked } from "marked";
import puppeteer from "puppeteer-core";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const css = readFileSync(require.resolve("github-markdown-css/github-markdown-light.css"), "utf8");
const mermaid = readFileSync(join(here, "node_modules/mermaid/dist/mermaid.min.js"), "utf8");

const PICTURES = [
  { name: "comment-promotes", head: "github-actions bot commented" },
  { name: "comment-blocked", head: "github-actions bot commented" },
  { name: "summary-merge", head: "branchline summary" },
];

const page = (head, body) => `<!doctype html><meta charset="utf-8"><style>${css}
body { margin: 0; padding: 16px; background: #fff; width: 868px; }
.box { border: 1px solid #d1d9e0; border-radius: 6px; overflow: hidden; }
.head { padding: 8px 16px; background: #f6f8fa; border-bottom: 1px solid #d1d9e0; color: #59636e;
  font: 14px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }
.markdown-body { padding: 16px; font-family: "Noto Sans", Arial, sans-serif; font-size: 14px; }
.mermaid { text-align: center; background: none !important; padding: 0 !important; }
</style><div class="box"><div class="head">${head}</div><article class="markdown-body">${body}</article></div>`;

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--force-color-profile=srgb"],
});
for (const { name, head } of PICTURES) {
  const text = readFileSync(join(here, "..", `${name}.md`), "utf8");
  const html = marked.parse(text, { gfm: true }).replace(
    /<pre><code class="language-mermaid">([\s\S]*?)<\/code><\/pre>/g,
    '<pre class="mermaid">$1</pre>',
  );
  const tab = await browser.newPage();
  await tab.setViewport({ width: 900, height: 400, deviceScaleFactor: 1.5 });
  await tab.setContent(page(head, html));
  await tab.addScriptTag({ content: mermaid });
  await tab.evaluate(async () => {
    mermaid.initialize({ startOnLoad: false, securityLevel: "strict" });
    await mermaid.run();
  });
  const path = join(here, "..", `${name}.png`);
  writeFileSync(path, await tab.screenshot({ fullPage: true }));
  for (const pngquant of ["/usr/bin/pngquant"].filter(existsSync)) {
    execFileSync(pngquant, ["--force", "--skip-if-larger", "--output", path, "64", path]);
  }
  console.log(path);
}
await browser.close();
