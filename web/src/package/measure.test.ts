/** The self-check and the benchmark through package, protocol, and session, on doubles of the engine. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeEngine } from "../testing/fakeEngine";
import { FakeWorker, MODEL_FILE } from "../testing/fakeWorker";
import { Model } from "./model";

// Memory is not what is tested here, and to measure it takes a machine that has nothing else to do.
vi.mock("../engine/stream", () => ({ streamBytesPerSecond: () => Promise.resolve(1e9) }));

let engine: FakeEngine;
let worker: FakeWorker;
let model: Model;

beforeEach(async () => {
  engine = new FakeEngine("cpu", 0.02);
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(MODEL_FILE)));
  worker = new FakeWorker(engine);
  model = await Model.load("https://example.test/model.bin", { device: "cpu" }, () => worker);
});
afterEach(() => {
  model.dispose();
  vi.unstubAllGlobals();
});

/** What the worker builds from here on. */
function builds(build: () => Promise<FakeEngine>): void {
  worker.parts.build = build;
}

test("a check tells how far off the answer is, and whether that is rounding", async () => {
  expect(await model.check()).toEqual({ ...engine.found, backend: "cpu", is_sound: true });
  engine.found = { ...engine.found, largest_difference: 0.011 };
  expect(await model.check()).toMatchObject({ is_sound: false });
  engine.found = { ...engine.found, largest_difference: 0, sampled: 8 };
  expect(await model.check()).toMatchObject({ is_sound: false, sampled: 8, likeliest: 7 });
  engine.found = { ...engine.found, sampled: null };
  expect(await model.check()).toMatchObject({ is_sound: true });
  engine.found = { ...engine.found, largest_difference: Number.POSITIVE_INFINITY };
  expect(await model.check()).toMatchObject({ is_sound: false });
});

test("another backend is built for this alone, and freed", async () => {
  const other = new FakeEngine("webgpu", 0.02);
  builds(() => Promise.resolve(other));
  expect(await model.check({ device: "gpu" })).toMatchObject({ backend: "webgpu", is_sound: true });
  expect([other.is_free, engine.is_free]).toEqual([true, false]);
  expect(model.card.backend).toBe("cpu");
  expect(await model.check({ device: "cpu" })).toMatchObject({ backend: "cpu" });
});

test("another backend that does not run is refused, and the model goes on", async () => {
  const wrong = Object.assign(new Error("index 4 expected 1, got 2"), { kind: "wrong-numbers", hint: "Update." });
  builds(() => Promise.reject(wrong));
  await expect(model.check({ device: "gpu" })).rejects.toMatchObject({ kind: "wrong-numbers", hint: "Update." });
  await expect(model.benchmark({ device: "gpu" })).rejects.toMatchObject({ kind: "wrong-numbers" });
  expect((await model.generate("Go", { maxTokens: 2 }).result).ids).toHaveLength(2);
});

test("what befalls the model's own engine ends the model", async () => {
  engine.failure = Object.assign(new Error("gone"), { kind: "device-lost", hint: "" });
  await expect(model.benchmark()).rejects.toMatchObject({ kind: "device-lost" });
  await expect(model.check()).rejects.toMatchObject({ kind: "device-lost" });
});

test("a benchmark tells where it is, and what it found", async () => {
  const phases = new Set<string>();
  const found = await model.benchmark({ onProgress: ({ phase }) => phases.add(phase) });
  expect(found).toMatchObject({ device: "cpu", model_sha256: model.info.sha256, start_ms: null });
  expect([...phases]).toEqual(["start", "runs", "positions", "memory", "kernels"]);
});

test("a signal ends it between two steps, and what waits goes on", async () => {
  const controller = new AbortController();
  const steps = vi.spyOn(engine, "sample");
  const measured = model.benchmark({ signal: controller.signal, onProgress: () => controller.abort() });
  const text = model.generate("Go", { maxTokens: 3 });
  await expect(measured).rejects.toMatchObject({ name: "AbortError" });
  expect((await text.result).ids).toHaveLength(3);
  const seen = steps.mock.calls.length;
  expect(seen).toBeLessThan(20);
  expect(worker.requests.map(({ type }) => type)).toContain("cancel");
  await expect(model.benchmark({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
  expect(steps.mock.calls.length).toBe(seen);
});
