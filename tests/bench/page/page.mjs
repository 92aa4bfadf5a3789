/**
 * The page in Chromium, as a reader meets it: what a first load takes, and a trace of the main thread while a text grows.
 *
 *     node page.mjs PLAYWRIGHT CHROMIUM ADDRESS TRACE REQUEST
 *
 * REQUEST: JSON, {"tokens_per_s", "after_tokens", "seconds", "shaded"}: the engine is held back to so many tokens a second, and
 * the trace begins when so many stand on the page. TRACE: the file to write it to. One line of JSON on stdout.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [playwright, executablePath, address, trace, request_json] = process.argv.slice(2);
const { tokens_per_s, after_tokens, seconds, shaded } = JSON.parse(request_json);
const { chromium } = await import(pathToFileURL(join(playwright, "index.mjs")).href);

/** In front of the worker's script: a step of the engine waits until what was written is due. */
const PACED = `
  const { instantiateStreaming } = WebAssembly;
  const post = self.postMessage;
  let written = 0;
  let begun = 0;
  self.postMessage = (message, ...more) => {
    if (message?.type === "begun") [written, begun] = [0, performance.now()];
    if (message?.type === "tokens") written += message.ids.length;
    return post.call(self, message, ...more);
  };
  WebAssembly.instantiateStreaming = async (...given) => {
    const { instance, module } = await instantiateStreaming.apply(WebAssembly, given);
    const engine_step = async (...words) => {
      const early_ms = begun + (1000 * written) / ${tokens_per_s} - performance.now();
      if (written > 0 && early_ms > 0) await new Promise(resolve => setTimeout(resolve, early_ms));
      return await instance.exports.engine_step(...words);
    };
    return { instance: { exports: { ...instance.exports, engine_step } }, module };
  };
`;
const CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"];
/** A text may end by itself before there is enough of it; another seed gives another. */
const MOST_SEEDS = 20;

const args = ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });
try {
  // A service worker would ask for the worker's script itself, past what is put in front of it.
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, serviceWorkers: "block" });
  await page.route(/\/worker-[^/]*\.js$/, async route => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: PACED + (await answer.text()) });
  });
  await page.addInitScript(() => {
    globalThis.shift = 0;
    new PerformanceObserver(list => {
      for (const { value } of list.getEntries()) globalThis.shift += value;
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.goto(`${address}?device=cpu#as=document`);
  const generate = page.getByRole("button", { name: "Generate", exact: true });
  // Looked at frame by frame.
  const ready = await page.waitForFunction(() => {
    const [button] = document.querySelectorAll("button.primary");
    return button?.getAttribute("aria-disabled") === "false" && performance.now();
  });
  const load = {
    first_paint_ms: await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime),
    ready_ms: await ready.jsonValue(),
  };

  if (shaded) await page.getByLabel("Show surprise").check();
  await page.getByLabel("Temperature").fill("0.8");
  await page.getByLabel("Max tokens").fill("4000");
  const shown = () => page.evaluate(() => document.querySelectorAll(".output-text .token").length);
  const stop = page.getByRole("button", { name: "Stop" });
  const isWriting = async () => (await stop.getAttribute("aria-disabled")) !== "true";
  const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
  const write = async seed => {
    await page.getByLabel("Seed").fill(`${seed}`);
    await page.evaluate(() => { globalThis.shift = 0; });
    await generate.click();
    while ((await shown()) < after_tokens) {
      if (!(await isWriting())) return null;
      await pause(100);
    }
    await browser.startTracing(page, { path: trace, categories: CATEGORIES });
    const [before, start_ms] = [await shown(), performance.now()];
    await pause(1000 * seconds);
    const [tokens, ms] = [(await shown()) - before, performance.now() - start_ms];
    await browser.stopTracing();
    const shift = await page.evaluate(() => globalThis.shift);
    return (await isWriting()) ? { tokens_per_s: (1000 * tokens) / ms, shift } : null;
  };
  let found = null;
  for (let seed = 1; found === null && seed <= MOST_SEEDS; seed += 1) found = await write(seed);
  if (found === null) throw new Error(`each of ${MOST_SEEDS} texts ended before ${after_tokens} tokens and ${seconds} s`);
  console.log(JSON.stringify({ ...load, ...found }));
} catch (error) {
  console.error(error.message.split("\nCall log")[0]);
  process.exitCode = 1;
} finally {
  await browser.close();
}
