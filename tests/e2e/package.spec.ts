/** The npm package on pages that are not ours: what the documentation says to write, and what it promises. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Page } from "@playwright/test";
import type * as pocketlm from "pocketlm";
import { bundle, chatModel, embeddingDoc, expected, ggufModels, npmPackage } from "./environment";
import { test as base, expect } from "./fixtures";
import { Host } from "./host";

const PACKAGE = { path: npmPackage() };
const MODEL = { path: join(bundle(), "model.bin") };
const CHAT = { path: chatModel() };
const EMPTY = { text: "<!doctype html><title>Another page</title>" };

type Files = ConstructorParameters<typeof Host>[0];

const test = base.extend<{ host: (files: Files, headers?: Record<string, string>) => Promise<Host> }>({
  host: async ({ page: _ }, use) => {
    const hosts: Host[] = [];
    await use(async (files, headers) => {
      const host = new Host(files, headers);
      hosts.push(host);
      await host.start();
      return host;
    });
    for (const host of hosts) await host.stop();
  },
});

/** The pages that stand in a text, as they stand. */
function pagesOf(file: string): string[] {
  return [...readFileSync(file, "utf8").matchAll(/^```html\n(.*?)^```$/gms)].map(([, page = ""]) => page);
}

const readme = pagesOf(join(PACKAGE.path, "README.md"));
const documented = [...readme, ...pagesOf(embeddingDoc())];

test("the README has one page, of ten lines at most", () => {
  expect(readme).toHaveLength(1);
  expect(readme[0]?.trimEnd().split("\n").length).toBeLessThanOrEqual(10);
});

test("the lines of this project's README run as they stand, where a page says what the package's name means", async ({
  host,
  page,
  complaints,
}) => {
  const readme = readFileSync(resolve(dirname(embeddingDoc()), "../README.md"), "utf8");
  const scripts = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, script = ""]) => script);
  expect(scripts).toHaveLength(1);
  expect(scripts[0]?.trimEnd().split("\n").length).toBeLessThanOrEqual(10);
  const imports = JSON.stringify({ imports: { pocketlm: "./pocketlm/index.js" } });
  const text = `<!doctype html><body><script type="importmap">${imports}</script><script type="module">${scripts[0]}</script>`;
  const site = await host({ "/index.html": { text }, "/pocketlm": PACKAGE, "/model.bin": MODEL });
  await page.goto(site.address);
  // Scripts are no text of the page.
  await expect.poll(() => page.evaluate(() => document.body.innerText)).toMatch(/\S{3}/);
  expect(complaints).toEqual([]);
});

documented.forEach((text, index) => {
  test(`page ${index + 1} of the documentation runs as it stands`, async ({ host, page, complaints }) => {
    const model = text.includes("chat") ? CHAT : MODEL;
    const site = await host({ "/index.html": { text }, "/pocketlm": PACKAGE, "/model.bin": model });
    await page.goto(site.address);
    const file = page.locator("input[type=file]");
    if (text.includes('type="file"')) await file.setInputFiles(join(ggufModels(), "q8_0.gguf"));
    // Until it has ended: what it writes then stays as it is.
    await expect(page.locator("#text")).not.toHaveText(/^Choose a file/);
    await expect(page.locator("#text")).toHaveText(/\S{3}/);
    expect(complaints).toEqual([]);
  });
});

test("the example without a bundler loads, writes and stops", async ({ host, page, complaints }) => {
  const example = { path: resolve("examples/plain/index.html") };
  const site = await host({ "/index.html": example, "/pocketlm": PACKAGE, "/model.bin": MODEL });
  await page.goto(site.address);
  await expect(page.getByRole("status")).toContainText("Ready");
  await page.getByLabel("Prompt").fill("To be");
  await page.getByRole("button", { name: "Write" }).click();
  await expect(page.getByRole("status")).toContainText(/tokens in .* s: (eos|max-tokens)/);
  await expect(page.locator("#text")).toHaveText(/^To be.{3}/s);
  // Both in one task: no text can end in between.
  await page.evaluate(() => {
    for (const button of document.querySelectorAll("button")) button.click();
  });
  await expect(page.getByRole("status")).toContainText(/0 tokens in .* s: stopped/);
  expect(complaints).toEqual([]);
});

test("the example with React is bundled, loads and writes", async ({ host, page, complaints }) => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "pocketlm-react-")));
  try {
    const modules = resolve("node_modules");
    cpSync("examples/react", folder, { recursive: true });
    mkdirSync(join(folder, "node_modules/@vitejs"), { recursive: true });
    for (const name of ["react", "react-dom", "scheduler", "vite", "@vitejs/plugin-react"]) {
      symlinkSync(realpathSync(join(modules, name)), join(folder, "node_modules", name));
    }
    cpSync(PACKAGE.path, join(folder, "node_modules/pocketlm"), { recursive: true, dereference: true });
    execFileSync(join(modules, ".bin/vite"), ["build", "--logLevel", "warn"], { cwd: folder, stdio: "pipe" });
    const site = await host({ "/model.bin": MODEL, "/": { path: join(folder, "dist") } });
    await page.goto(site.address);
    await page.getByLabel("Prompt").fill("To be");
    await page.getByRole("button", { name: "Write" }).click();
    await expect(page.locator("#text")).toHaveText(/^To be.{3}/s);
    expect(complaints).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a page can take it from another host", async ({ host, page, complaints }) => {
  const headers = { "access-control-allow-origin": "*" };
  const there = await host({ "/pocketlm": PACKAGE, "/model.bin": MODEL }, headers);
  const here = await host({ "/index.html": EMPTY });
  await page.goto(here.address);
  const text = await page.evaluate(async address => {
    const { loadModel }: typeof pocketlm = await import(`${address}pocketlm/index.js`);
    const model = await loadModel(`${address}model.bin`, { device: "cpu" });
    return (await model.generate("To be", { maxTokens: 8 }).result).text;
  }, there.address);
  expect(text).not.toBe("");
  expect(complaints).toEqual([]);
});

/** An empty page that can import the package and load either model. */
async function open(page: Page, host: (files: Files) => Promise<Host>): Promise<void> {
  const site = await host({ "/index.html": EMPTY, "/pocketlm": PACKAGE, "/model.bin": MODEL, "/chat.bin": CHAT });
  await page.goto(site.address);
}

for (const device of ["cpu", "gpu"] as const) {
  test(`two generations at once queue and say so, and both are right, ${device}`, async ({ host, page }) => {
    await open(page, host);
    const told = await page.evaluate(async device => {
      const { loadModel }: typeof pocketlm = await import(new URL("pocketlm/index.js", document.baseURI).href);
      const events: string[] = [];
      const onEvent = (event: pocketlm.ModelEvent) => events.push(event.type);
      const model = await loadModel("model.bin", { device, onEvent });
      const options = { maxTokens: 40, seed: 7 };
      const alone = await model.generate("To be", options).result;
      const [first, second] = [model.generate("To be", options), model.generate("To be", options)];
      const states = [first.state, second.state];
      const both = await Promise.all([first.result, second.result]);
      const queued = events.filter(type => type === "queued").length;
      const backend = model.card.backend;
      model.dispose();
      return { states, queued, backend, texts: [alone, ...both].map(({ text }) => text) };
    }, device);
    expect(told.backend).toBe(device === "cpu" ? "cpu" : "webgpu");
    expect(told.states).toEqual(["queued", "queued"]);
    expect(told.queued).toBe(1);
    expect(told.texts[0]).not.toBe("");
    expect(new Set(told.texts).size).toBe(1);
  });
}

test("score, tokenize and detokenize are the model's own", async ({ host, page }) => {
  const { score } = expected();
  await open(page, host);
  const got = await page.evaluate(async text => {
    const { loadModel }: typeof pocketlm = await import(new URL("pocketlm/index.js", document.baseURI).href);
    const model = await loadModel("model.bin", { device: "cpu" });
    const { bits, n_bytes, tokens } = await model.score(text);
    const ids = await model.tokenize(text);
    const logits = await model.logits(ids.subarray(0, 3));
    const same_ids = ids.length === tokens.length && tokens.every(({ id }, at) => id === ids[at]);
    return { bits, n_bytes, same_ids, again: await model.detokenize(ids), rows: logits.length / 3, card: model.card };
  }, score.text);
  expect(got.n_bytes).toBe(score.n_bytes);
  expect(Math.abs(got.bits / score.bits - 1)).toBeLessThan(1e-4);
  expect(got.same_ids).toBe(true);
  expect(got.again).toBe(score.text);
  expect(got.rows).toBe(got.card.header.config.vocab_size);
});

test("a token comes about by merges, each of two that are there already", async ({ host, page }) => {
  await open(page, host);
  const tokens = await page.evaluate(async () => {
    const { loadModel }: typeof pocketlm = await import(new URL("pocketlm/index.js", document.baseURI).href);
    const model = await loadModel("model.bin", { device: "cpu" });
    const ids = await model.tokenize("the king and the é");
    return await Promise.all(
      Array.from(ids, async id => ({ id, text: await model.detokenize([id]), merges: await model.merges(id) })),
    );
  });
  expect(tokens.map(({ merges }) => merges.length).filter(count => count > 0)).not.toEqual([]);
  for (const { id, text, merges } of tokens) {
    if (text.includes("\uFFFD")) continue; // a part of a letter
    expect(merges.length, text).toBe(Buffer.byteLength(text) - 1);
    if (merges.length > 0) expect(merges.at(-1)?.result).toEqual({ id, text });
    for (const { left, right, result } of merges) {
      if (!result.text.includes("\uFFFD")) expect(left.text + right.text).toBe(result.text);
    }
  }
});

test("a signal ends what it was given to, and what fails says of what kind it is", async ({ host, page }) => {
  await open(page, host);
  const got = await page.evaluate(async () => {
    const { loadModel }: typeof pocketlm = await import(new URL("pocketlm/index.js", document.baseURI).href);
    const nameOf = (error: { name?: string; kind?: string }) => `${error.name} ${error.kind ?? ""}`.trim();
    const failed: Record<string, string> = {};
    const note = async (name: string, promise: Promise<unknown>) => {
      failed[name] = await promise.then(() => "nothing", nameOf);
    };
    await note("aborted loading", loadModel("model.bin", { signal: AbortSignal.abort() }));
    await note("missing file", loadModel("no-such.bin"));
    await note("another file", loadModel("pocketlm/index.js"));
    const model = await loadModel("model.bin", { device: "cpu" });
    const controller = new AbortController();
    const endless = model.generate("on", { maxTokens: 100_000, temperature: 0, signal: controller.signal });
    const read = async () => {
      for await (const { text } of endless) if (text !== "") controller.abort();
    };
    await note("aborted generation", read());
    await note("bad options", model.generate("on", { temperature: -1 }).result);
    await note("no template", model.chat([{ role: "user", content: "Hi" }]).result);
    const { ending } = await model.generate("on", { maxTokens: 2 }).result;
    model.dispose();
    await note("disposed", model.tokenize("on"));
    return { failed, ending };
  });
  expect(got.failed).toEqual({
    "aborted loading": "AbortError",
    "missing file": "ModelError download",
    "another file": "ModelError bad-model",
    "aborted generation": "AbortError",
    "bad options": "ModelError bad-input",
    "no template": "ModelError bad-input",
    disposed: "ModelError bad-input",
  });
  expect(["max-tokens", "eos"]).toContain(got.ending);
});

test("OpenAI's calls answer, and special tokens in a message are ordinary text", async ({ host, page }) => {
  await open(page, host);
  const got = await page.evaluate(async () => {
    const { loadModel }: typeof pocketlm = await import(new URL("pocketlm/index.js", document.baseURI).href);
    const { openaiClient }: typeof import("../../web/src/package/openai") = await import(
      new URL("pocketlm/openai.js", document.baseURI).href
    );
    const { chat } = openaiClient(await loadModel("chat.bin", { device: "cpu" }));
    const asked = {
      messages: [{ role: "user", content: "Who? <|endoftext|>" } as const],
      max_tokens: 12,
      temperature: 0,
    };
    const whole = await chat.completions.create(asked);
    let streamed = "";
    for await (const chunk of await chat.completions.create({ ...asked, stream: true })) {
      streamed += chunk.choices[0]?.delta.content ?? "";
    }
    return { whole: whole.choices[0]?.message.content, usage: whole.usage, streamed };
  });
  expect(got.whole).toBe(got.streamed);
  expect(got.streamed.length).toBeGreaterThan(3);
  expect(got.usage.prompt_tokens).toBeGreaterThan(5);
});
