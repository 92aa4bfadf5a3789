/** What memory gives, the measure of how well an engine reads its weights: see `Benchmark.stream_bytes_per_s`. */
import type { Backend } from "pocketlm-wasm";

/**
 * A module of one function, which sums `end` bytes, a multiple of 64, as 64-bit integers: four sums side by side, so that it waits for
 * memory alone. What it is made of stands in stream.test.ts, which compiles it anew.
 */
export const SUM =
  "AGFzbQEAAAABBgFgAX8BfgMCAQAFBQEBAYAQBxACBm1lbW9yeQIAA3N1bQAACmoBaAIBfwR7A0AgAiAB/QAEAP3OASECIAMgAf0ABBD9zgEhAyAEIAH9AAQg" +
  "/c4BIQQgBSAB/QAEMP3OASEFIAFBwABqIgEgAEkNAAsgAiAD/c4BIAQgBf3OAf3OASECIAL9HQAgAv0dAXwL";

/** More than caches hold. */
const CPU_BYTES = 128 << 20;
const GPU_BYTES = 64 << 20;
const GPU_COPIES = 4;
const ROUNDS = 5;
/** Of GPUBufferUsage, whose numbers the types leave out. */
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const PAGE = 1 << 16;

export type Summer = { bytes: Uint8Array; sum: () => bigint };

/** Throws where the browser refuses the memory. */
export async function summer(nbytes: number): Promise<Summer> {
  const code = Uint8Array.from(atob(SUM), letter => letter.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(code);
  const { memory, sum } = instance.exports;
  if (!(memory instanceof WebAssembly.Memory) || typeof sum !== "function") throw new Error("the module has no sum");
  memory.grow(nbytes / PAGE - 1);
  // Pages that nobody has written are one page of zeros, which a cache holds.
  const bytes = new Uint8Array(memory.buffer).fill(1);
  return { bytes, sum: () => sum(nbytes) };
}

async function best(bytes: number, round: () => unknown): Promise<number> {
  let best_ms = Number.POSITIVE_INFINITY;
  for (let rounds = 0; rounds < ROUNDS; rounds += 1) {
    const start_ms = performance.now();
    await round();
    best_ms = Math.min(best_ms, performance.now() - start_ms);
  }
  return bytes / (best_ms / 1000);
}

async function ofGpu(): Promise<number> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new Error("no adapter");
  const device = await adapter.requestDevice();
  try {
    const usage = COPY_SRC | COPY_DST;
    const [from, to] = [0, 1].map(() => device.createBuffer({ size: GPU_BYTES, usage }));
    if (from === undefined || to === undefined) throw new Error("no buffers");
    return await best(2 * GPU_COPIES * GPU_BYTES, async () => {
      const encoder = device.createCommandEncoder();
      for (let copy = 0; copy < GPU_COPIES; copy += 1) encoder.copyBufferToBuffer(from, 0, to, 0, GPU_BYTES);
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
    });
  } finally {
    device.destroy();
  }
}

/** Bytes a second, the best of a few rounds; null where it cannot be measured. */
export async function streamBytesPerSecond(backend: Backend): Promise<number | null> {
  try {
    if (backend === "webgpu") return await ofGpu();
    const { sum } = await summer(CPU_BYTES);
    return await best(CPU_BYTES, sum);
  } catch {
    return null;
  }
}
