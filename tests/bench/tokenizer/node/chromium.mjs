// Encoding in Chromium beside kitoken: `node chromium.mjs CLASS.mjs MODULE.wasm KITOKEN FOLDER ROUNDS CHROMIUM NODE_MODULES`.
//
// In: as wasm.mjs; the browser's program; where playwright-core is. Out: JSON, what compare.mjs found in a page, in seconds on the clock, and
// the browser's version.

import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

const [classPath, modulePath, kitokenFolder, folder, rounds, executablePath, nodeModules] = process.argv.slice(2);
const { chromium } = createRequire(`${nodeModules}/`)("playwright-core");

const own = name => fileURLToPath(new URL(name, import.meta.url));
const FILES = {
  "/page.mjs": own("page.mjs"),
  "/compare.mjs": own("compare.mjs"),
  "/class.mjs": classPath,
  "/module.wasm": modulePath,
  "/kitoken/web.js": `${kitokenFolder}/web.js`,
  "/kitoken/web_bg.wasm": `${kitokenFolder}/web_bg.wasm`,
  ...Object.fromEntries(["t.tok", "t.json", "documents.json"].map(name => [`/${name}`, `${folder}/${name}`])),
};
const TYPES = { ".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm" };
const PAGE = "<!doctype html><title>bench</title>";

const server = createServer(({ url }, response) => {
  if (url === "/") {
    response.writeHead(200, { "Content-Type": "text/html" }).end(PAGE);
  } else if (url in FILES) {
    response.writeHead(200, { "Content-Type": TYPES[extname(url)] ?? "application/octet-stream" });
    createReadStream(FILES[url]).pipe(response);
  } else {
    response.writeHead(404).end();
  }
});
await new Promise(resolve => server.listen(0, "localhost", resolve));
const args = ["--no-first-run", "--disable-background-networking"];
if (process.getuid?.() === 0) args.push("--no-sandbox"); // Chromium refuses its sandbox to root
const browser = await chromium.launch({ executablePath, args });
try {
  const page = await browser.newPage();
  await page.goto(`http://localhost:${server.address().port}/`);
  const found = await page.evaluate(async rounds => (await import("/page.mjs")).measure(rounds), Number(rounds));
  console.log(JSON.stringify({ ...found, version: browser.version() }));
} finally {
  await browser.close();
  server.close();
}
