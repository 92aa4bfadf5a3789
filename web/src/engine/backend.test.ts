import type { Backend } from "pocketlm-wasm";
import { expect, test } from "vitest";
import { FakeEngine } from "../testing/fakeEngine";
import { type Build, backendAfter, chooseEngine, tokenMs } from "./backend";
import type { EngineError, LoadProgress } from "./protocol";

const fail = (kind: EngineError["kind"]) => Object.assign(new Error(kind), { kind, hint: "" });
const error = (kind: EngineError["kind"]): EngineError => ({ kind, message: kind, hint: "" });
const ignore = () => undefined;

/** Builds these, and notes which. An error stands for a backend that cannot be built. */
function builder(engines: Record<Backend, FakeEngine | Error>): { build: Build; built: Backend[] } {
  const built: Backend[] = [];
  const build: Build = backend => {
    built.push(backend);
    const engine = engines[backend];
    return engine instanceof FakeEngine ? Promise.resolve(engine) : Promise.reject(engine);
  };
  return { build, built };
}

test("a backend that is asked for is taken unmeasured, and kept to where it fails", async () => {
  const cpu = new FakeEngine("cpu");
  const { build, built } = builder({ cpu, webgpu: fail("wrong-numbers") });
  expect(await chooseEngine(build, "cpu", ignore)).toEqual({ engine: cpu, fallback: null, timing: null });
  expect(cpu.batches).toEqual([]);
  await expect(chooseEngine(build, "gpu", ignore)).rejects.toMatchObject({ kind: "wrong-numbers" });
  expect(built).toEqual(["cpu", "webgpu"]);
});

test.each(["no-engine", "wrong-numbers", "out-of-memory", "device-lost"] as const)(
  "auto takes the CPU where WebGPU fails with %s, and says why",
  async kind => {
    const { build } = builder({ cpu: new FakeEngine("cpu"), webgpu: fail(kind) });
    const { engine, fallback, timing } = await chooseEngine(build, "auto", ignore);
    expect([engine.card().backend, fallback?.kind, timing]).toEqual(["cpu", kind, null]);
  },
);

test("a crash takes the memory of both backends, so auto does not go on", async () => {
  const { build, built } = builder({ cpu: new FakeEngine(), webgpu: new WebAssembly.RuntimeError("unreachable") });
  await expect(chooseEngine(build, "auto", ignore)).rejects.toMatchObject({ kind: "crashed" });
  expect(built).toEqual(["webgpu"]);
});

test("a device that is lost while it is measured is given up and freed", async () => {
  const webgpu = new FakeEngine("webgpu");
  webgpu.failure = fail("device-lost");
  const { build } = builder({ cpu: new FakeEngine("cpu"), webgpu });
  expect((await chooseEngine(build, "auto", ignore)).fallback?.kind).toBe("device-lost");
  expect(webgpu.is_free).toBe(true);
});

test.each([
  [8, 0.5, "cpu"],
  [0.5, 8, "webgpu"],
] as const)("auto keeps the faster one: %f ms on WebGPU, %f ms on the CPU", async (webgpu_ms, cpu_ms, faster) => {
  const engines = { cpu: new FakeEngine("cpu", cpu_ms), webgpu: new FakeEngine("webgpu", webgpu_ms) };
  const told: LoadProgress[] = [];
  const chosen = await chooseEngine(builder(engines).build, "auto", progress => told.push(progress));
  expect(chosen.engine.card().backend).toBe(faster);
  expect(chosen.fallback).toBeNull();
  expect(engines[faster].is_free).toBe(false);
  expect(engines[faster === "cpu" ? "webgpu" : "cpu"].is_free).toBe(true);
  expect(told.at(-1)).toEqual({ phase: "measure", fraction: 1 });
});

test("a GPU that no CPU can beat is not compared", async () => {
  const webgpu = new FakeEngine("webgpu");
  webgpu.card = () => ({ ...new FakeEngine("webgpu").card(), parameters: 1e12 });
  const { build, built } = builder({ cpu: new FakeEngine("cpu"), webgpu });
  expect(await chooseEngine(build, "auto", ignore)).toEqual({ engine: webgpu, fallback: null, timing: null });
  expect(built).toEqual(["webgpu"]);
});

test("WebGPU that works stays where the CPU cannot be had", async () => {
  const webgpu = new FakeEngine("webgpu", 1);
  const { build } = builder({ cpu: fail("out-of-memory"), webgpu });
  expect(await chooseEngine(build, "auto", ignore)).toEqual({ engine: webgpu, fallback: null, timing: null });
});

test("a token's time is the best batch's, the prompt's apart", async () => {
  const ms = await tokenMs(new FakeEngine("cpu", 2));
  expect(ms).toBeGreaterThanOrEqual(2);
  expect(ms).toBeLessThan(4);
});

test("after a loss: WebGPU twice, then the CPU where that is allowed", () => {
  const lost = error("device-lost");
  expect([0, 1, 2].map(losses => backendAfter(lost, "webgpu", "auto", losses))).toEqual(["webgpu", "webgpu", "cpu"]);
  expect([0, 1, 2].map(losses => backendAfter(lost, "webgpu", "gpu", losses))).toEqual(["webgpu", "webgpu", null]);
});

test("what WebGPU cannot do again goes to the CPU at once; what is nobody's fault goes nowhere", () => {
  expect(backendAfter(error("out-of-memory"), "webgpu", "auto", 0)).toBe("cpu");
  expect(backendAfter(error("out-of-memory"), "webgpu", "gpu", 0)).toBeNull();
  expect(backendAfter(error("bad-input"), "webgpu", "auto", 0)).toBeNull();
  expect(backendAfter(error("crashed"), "webgpu", "auto", 0)).toBeNull();
  expect(backendAfter(error("bad-model"), "cpu", "auto", 0)).toBeNull();
});
