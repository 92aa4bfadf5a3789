/**
 * Parity: the browser's logits and greedy tokens against torch's, on the page's own worker through its own protocol.
 *
 * The bundle's worker script is started a second time, from within the page, so that the product needs no door for tests.
 */
import type { Page } from "@playwright/test";
import type { EngineEvent, EngineRequest } from "../../web/src/engine/protocol";
import { expected } from "./environment";
import { expect, test } from "./fixtures";

type Answer = { backend: string; logits: string; greedy: number[] };
type Question = { worker_url: string; device: "cpu" | "gpu"; ids: number[]; prompt: string; n_greedy: number };

/** Load the page's model in a worker of its own, and ask it for logits and greedy tokens. Logits come back in base64. */
async function ask(page: Page, question: Question): Promise<Answer> {
  return await page.evaluate(async ({ worker_url, device, ids, prompt, n_greedy }) => {
    const worker = new Worker(worker_url, { type: "module" });
    const send = (request: EngineRequest) => worker.postMessage(request);
    const until = <T>(wanted: (event: EngineEvent) => T | null) =>
      new Promise<T>((resolve, reject) => {
        worker.onerror = event => reject(new Error(event.message));
        worker.onmessage = ({ data }: MessageEvent<EngineEvent>) => {
          const found = wanted(data);
          if (found !== null) resolve(found);
          if (data.type === "failed") reject(new Error(`${data.error.kind}: ${data.error.message}`));
        };
      });

    send({ type: "load", from: new URL("model.bin", document.baseURI).href, device });
    const card = await until(event => (event.type === "ready" ? event.model.card : null));
    send({ type: "logits", call: 1, ids: new Uint32Array(ids) });
    const logits = await until(event => (event.type === "logits" ? event.logits : null));
    const greedy: number[] = [];
    const options = { temperature: 0, top_k: 0, top_p: 1, seed: 0, max_tokens: n_greedy };
    send({ type: "generate", run: 1, prompt: ["", prompt], shorter: [], options, written: null });
    await until(event => {
      if (event.type === "tokens") greedy.push(...event.ids);
      return event.type === "done" ? event.ending : null;
    });
    worker.terminate();

    const bytes = new Uint8Array(logits.buffer);
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return { backend: card.backend, logits: btoa(text), greedy };
  }, question);
}

/** Shown in the run's output, also where the test passes. */
function report(line: string): void {
  process.stdout.write(`    ${line}\n`);
}

function floats(base64: string): Float32Array {
  const bytes = Buffer.from(base64, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** Index of the largest value of row `row` of (T, V). */
function top1(logits: Float32Array, row: number, vocab_size: number): number {
  const values = logits.subarray(row * vocab_size, (row + 1) * vocab_size);
  return values.reduce((best, value, index) => (value > (values[best] ?? value) ? index : best), 0);
}

const MODULES = [
  { device: "cpu", about: "cpu with relaxed SIMD", module: /pocketlm_relaxed_bg[^/]*\.wasm$/, script: "" },
  {
    device: "cpu",
    about: "cpu without relaxed SIMD",
    module: /pocketlm_bg[^/]*\.wasm$/,
    script: "WebAssembly.validate = () => false;",
  },
  { device: "gpu", about: "gpu", module: /\.wasm$/, script: "" },
] as const;

for (const { device, about, module, script } of MODULES) {
  test(`${about}: logits and greedy tokens are torch's`, async ({ site, page }) => {
    site.inject(script);
    const { ids, logits, tolerance, greedy } = expected();
    const started = page.waitForEvent("worker");
    await page.goto(site.address("?device=cpu"));
    const worker_url = (await started).url();
    const n_greedy = greedy.ids.length;
    const answer = await ask(page, { worker_url, device, ids, prompt: greedy.prompt, n_greedy });
    expect(answer.backend).toBe(device === "gpu" ? "webgpu" : "cpu");
    const modules = site.requests.filter(path => path.endsWith(".wasm"));
    expect(modules.length).toBeGreaterThan(0);
    for (const path of modules) expect(path).toMatch(module);

    const want = floats(logits);
    const got = floats(answer.logits);
    expect(got.length).toBe(want.length);
    const vocab_size = want.length / ids.length;
    const worst = want.reduce((at, value, index) => {
      const difference = Math.abs(value - (got[index] ?? Number.NaN));
      return difference > Math.abs((want[at] ?? 0) - (got[at] ?? 0)) || Number.isNaN(difference) ? index : at;
    }, 0);
    const max_difference = Math.abs((want[worst] ?? 0) - (got[worst] ?? Number.NaN));
    const where = `position ${Math.floor(worst / vocab_size)}, token ${worst % vocab_size}`;
    report(
      `${about}: max |Δlogit| ${max_difference.toExponential(2)} at ${where}, tolerance ${tolerance.toExponential(2)}`,
    );
    expect(max_difference, `${where}: torch ${want[worst]}, browser ${got[worst]}`).toBeLessThanOrEqual(tolerance);
    const top1_differs = ids.flatMap((_, row) =>
      top1(want, row, vocab_size) === top1(got, row, vocab_size) ? [] : row,
    );
    expect(top1_differs, "positions whose likeliest token differs").toEqual([]);

    // A token may differ only where the f64 margin is within rounding; what follows is another text then.
    const first = greedy.ids.findIndex((id, index) => id !== answer.greedy[index]);
    if (first !== -1) {
      const margin = greedy.margins[first] ?? Number.POSITIVE_INFINITY;
      report(`${about}: greedy token ${first} differs, f64 margin ${margin}`);
      expect(margin, `greedy token ${first} differs`).toBeLessThan(2 * max_difference);
    }
  });
}
