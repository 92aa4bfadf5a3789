/** What loading takes and leaves: memory while a large model loads, and memory after one was loaded again and again. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import type { Browser, Page, Worker } from "@playwright/test";
import { largeModel } from "./environment";
import { SHOWS_WASM_MEMORY } from "./faults";
import { expect, test } from "./fixtures";

const MB = 1e6;

/** The engine's worker. */
function worker(page: Page): Worker {
  const found = page.workers().at(-1);
  if (found === undefined) throw new Error("the page has no worker");
  return found;
}

/** Bytes of wasm memory, which never shrinks: the most that there has been. */
async function wasmBytes(page: Page): Promise<number> {
  return await worker(page).evaluate(() => Reflect.get(self, "wasm_memory").buffer.byteLength);
}

/** The page's processes. */
async function renderers(browser: Browser): Promise<number[]> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
}

/** From now on `peakBytes` is the most that there has been since (Linux: Documentation/filesystems/proc.rst, clear_refs). */
async function forgetPeak(browser: Browser): Promise<void> {
  for (const id of await renderers(browser)) writeFileSync(`/proc/${id}/clear_refs`, "5");
}

/** The most memory that the page's process has had: JavaScript's, wasm's and the browser's own, but not the GPU process's. */
async function peakBytes(browser: Browser): Promise<number> {
  const peaks = (await renderers(browser)).map(
    id => 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1]),
  );
  return Math.max(...peaks);
}

/** Load in the worker that is there, `times` times; devices asked for, and destroyed, meanwhile. */
async function loadAgain(
  page: Page,
  device: "cpu" | "gpu",
  times: number,
): Promise<{ made: number; destroyed: number }> {
  return await worker(page).evaluate(
    async ([from, on, count]) => {
      const post = self.postMessage;
      const devices = { made: 0, destroyed: 0 };
      if ("GPUAdapter" in self) {
        const { requestDevice } = GPUAdapter.prototype;
        GPUAdapter.prototype.requestDevice = function (...given) {
          devices.made += 1;
          return requestDevice.apply(this, given);
        };
        const { destroy } = GPUDevice.prototype;
        GPUDevice.prototype.destroy = function () {
          devices.destroyed += 1;
          return destroy.call(this);
        };
      }
      for (let n = 0; n < count; n++) {
        await new Promise<void>((resolve, reject) => {
          self.postMessage = (event: { type: string }) => {
            if (event.type === "ready") resolve();
            if (event.type === "failed") reject(new Error(JSON.stringify(event)));
          };
          self.dispatchEvent(new MessageEvent("message", { data: { type: "load", from, device: on } }));
        });
      }
      self.postMessage = post;
      return devices;
    },
    [new URL("model.bin", page.url()).href, device, times] as const,
  );
}

for (const [device, times] of [
  ["cpu", 10],
  ["gpu", 4], // a software adapter compiles its kernels anew, 6 s each time
] as const) {
  test(`a model that is loaded ${times} times takes no more than once, ${device}`, async ({ site, reader, page }) => {
    site.inject(SHOWS_WASM_MEMORY);
    await reader.open(site.address(`?device=${device}`));
    await loadAgain(page, device, 1); // beside what the download left
    const once = await wasmBytes(page);
    const devices = await loadAgain(page, device, times - 1);
    expect(await wasmBytes(page), "bytes of wasm memory").toBe(once);
    const again = device === "gpu" ? times - 1 : 0;
    expect(devices).toEqual({ made: again, destroyed: again });
  });
}

for (const [device, bound] of [
  ["cpu", (size: number) => 1.25 * size],
  ["gpu", () => 64 * MB],
] as const) {
  test(`a model of more than 200 MB loads in little memory, ${device}`, async ({ site, reader, page, browser }) => {
    const large = largeModel();
    test.skip(large === null, "the slow tests make it");
    if (large === null) return;
    const { size } = statSync(large);
    // What the page takes without a model to speak of.
    await reader.open(site.address(`?device=${device}`));
    const empty = await peakBytes(browser);
    site.inject(SHOWS_WASM_MEMORY);
    site.model = { kind: "file", path: large };
    for (const visit of ["download", "from this device"]) {
      await page.goto("about:blank");
      await forgetPeak(browser);
      const start_ms = performance.now();
      await reader.open(site.address(`?device=${device}`));
      const ms = performance.now() - start_ms;
      const [wasm, peak] = [await wasmBytes(page), (await peakBytes(browser)) - empty];
      const told = [wasm, peak, size].map(bytes => `${(bytes / MB).toFixed(1)} MB`);
      process.stdout.write(
        `${device}, ${visit}: wasm ${told[0]}, the page's process ${told[1]} more than without a model, of ${told[2]}; ${ms.toFixed(0)} ms\n`,
      );
      expect(wasm).toBeLessThan(bound(size));
      expect.soft(peak).toBeLessThan(bound(size));
    }
  });
}
