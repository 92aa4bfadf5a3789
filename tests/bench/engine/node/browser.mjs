/**
 * An engine in Chromium: opens an empty page, lets one of pages/*.js measure there, and looks at the browser's memory.
 *
 *     node browser.mjs PAGE CHROMIUM FOLDERS REQUEST
 *
 * FOLDERS: JSON, what the page may load, by the first part of its address: {"playwright": …, "model": …, …}; REQUEST: JSON for
 * the page's `measure`; `gpu` asks for WebGPU on SwiftShader. One line of JSON on stdout, as peers.py wants it.
 */
import { createReadStream, readFileSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";

const [page_name, chromium_path, folders_json, request_json] = process.argv.slice(2);
const folders = { ...JSON.parse(folders_json), pages: join(import.meta.dirname, "pages") };
const request = JSON.parse(request_json);
const { chromium } = await import(pathToFileURL(join(folders.playwright, "playwright-core", "index.mjs")).href);

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };
const server = createServer((asked, answer) => {
  const [, top, ...rest] = normalize(decodeURIComponent(new URL(asked.url, "http://localhost").pathname)).split("/");
  const file = folders[top] === undefined ? null : join(folders[top], ...rest);
  const found = file === null ? undefined : statSync(file, { throwIfNoEntry: false });
  if (top === "") answer.writeHead(200, { "content-type": TYPES[".html"] }).end("<!doctype html><title>bench</title>");
  else if (top === "processor-time") answer.writeHead(200).end(JSON.stringify(threadTimes()));
  else if (!found?.isFile()) answer.writeHead(404).end();
  else {
    answer.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-length": found.size });
    createReadStream(file).pipe(answer);
  }
});
await new Promise(resolve => server.listen(0, "localhost", resolve));

const gpu = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];
const quiet = ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: chromium_path, args: [...quiet, ...(request.gpu ? gpu : [])] });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  await page.goto(`http://localhost:${server.address().port}/`);
  const said = await page.evaluate(
    async ([name, given]) => (await import(`/pages/${name}.js`)).measure(given),
    [page_name, request],
  );
  console.log(JSON.stringify({ ...said, peak_bytes: working().reduce((sum, { pid }) => sum + peakBytes(pid), 0) }));
} finally {
  await browser.close();
  server.close();
}

/** The page's process, and the graphics process where it is used (Linux alone). */
function working() {
  const processes = readdirSync("/proc").filter(name => /^\d+$/.test(name)).flatMap(pid => {
    const [command, status] = [read(pid, "cmdline"), read(pid, "status")];
    return [{ pid: Number(pid), command, parent: Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]) }];
  });
  const parents = new Map(processes.map(each => [each.pid, each.parent]));
  const ours = pid => pid === process.pid || (parents.has(pid) && ours(parents.get(pid)));
  return processes.filter(each => ours(each.pid)).flatMap(({ pid, command }) => {
    const graphics = command.includes("--type=gpu-process");
    return (graphics && request.gpu) || command.includes("--type=renderer") ? [{ pid, graphics }] : [];
  });
}

/** A file of a process; empty where it has ended meanwhile. */
function read(pid, name) {
  try {
    return readFileSync(join("/proc", String(pid), name), "utf8");
  } catch {
    return "";
  }
}

/** Milliseconds on a processor of each thread, by its number, and whose it is. */
function threadTimes() {
  return working().flatMap(({ pid, graphics }) =>
    readdirSync(join("/proc", String(pid), "task")).map(id => {
      const nanoseconds = Number(read(pid, join("task", id, "schedstat")).split(" ")[0]);
      return { id, graphics, cpu_ms: nanoseconds / 1e6 };
    }),
  );
}

/** The largest resident memory that a process had. */
function peakBytes(pid) {
  return Number(/^VmHWM:\s*(\d+)/m.exec(read(pid, "status"))?.[1] ?? 0) * 1024;
}
