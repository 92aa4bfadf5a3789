import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeEngine } from "../testing/fakeEngine";
import { FakePackage, FakeShelf } from "../testing/fakeShelf";
import type { Device, EngineError, EngineEvent, EngineRequest, GenerateOptions } from "./protocol";
import { EngineSession, nextSize } from "./session";

const OPTIONS: GenerateOptions = { temperature: 0, top_k: 0, top_p: 1, seed: 1, max_tokens: 10 };
const MODEL = new Uint8Array(80).fill(3);
const lost = (kind: EngineError["kind"]) => Object.assign(new Error("gone"), { kind, hint: "load again" });

/** What each build gives, in turn; the last one for good. */
let builds: (FakeEngine | Error)[];
let engine: FakeEngine;
let events: EngineEvent[];
let session: EngineSession;
let shelf: FakeShelf;
let parts: FakePackage;
/** How often the whole file was asked for. */
let downloads: number;

/** Wait until an event of this type was emitted, and return the last of them. */
async function until<T extends EngineEvent["type"]>(type: T, count = 1): Promise<Extract<EngineEvent, { type: T }>> {
  const found = () => events.filter((event): event is Extract<EngineEvent, { type: T }> => event.type === type);
  // Building anew is put off: see REBUILD_AFTER_MS.
  await vi.waitFor(() => expect(found().length).toBeGreaterThanOrEqual(count), { timeout: 5000, interval: 5 });
  const last = found().at(-1);
  if (last === undefined) throw new Error(`no ${type}`);
  return last;
}

beforeEach(() => {
  engine = new FakeEngine();
  // What a session of a test before still says is not heard.
  const own: EngineEvent[] = [];
  events = own;
  downloads = 0;
  vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
    if (init.headers === undefined) downloads += 1;
    return Promise.resolve(new Response(MODEL, { headers: { "content-length": `${MODEL.length}` } }));
  });
  builds = [engine];
  shelf = new FakeShelf();
  parts = new FakePackage(MODEL.length, (_, onProgress) => {
    onProgress("compile", 1);
    const built = (builds.length > 1 ? builds.shift() : builds[0]) ?? engine;
    return built instanceof FakeEngine ? Promise.resolve(built) : Promise.reject(built);
  });
  const reader = () => () => MODEL;
  const surroundings = { parts: () => Promise.resolve(parts), shelf: () => Promise.resolve(shelf), reader };
  session = new EngineSession(surroundings, event => own.push(event));
});

afterEach(() => vi.unstubAllGlobals());

const load = (device: Device = "cpu") => session.handle({ type: "load", from: "model.bin", device });
const generate = (run: number, changes: Partial<Extract<EngineRequest, { type: "generate" }>> = {}) =>
  session.handle({
    type: "generate",
    run,
    prompt: ["", "Go"],
    shorter: [],
    options: OPTIONS,
    written: null,
    ...changes,
  });
const ENDLESS: GenerateOptions = { ...OPTIONS, max_tokens: 1_000_000 };

test("loads: download, the engine's phases, ready", async () => {
  load();
  const ready = await until("ready");
  expect(ready.model).toMatchObject({
    card: engine.card(),
    size_bytes: 80,
    sha256: "240",
    fallback: null,
    timing: null,
  });
  const progress = events.flatMap(event => (event.type === "progress" ? [event.progress] : []));
  expect(progress.at(0)).toEqual({ phase: "download", received_bytes: 0, total_bytes: 80 });
  expect(progress).toContainEqual({ phase: "download", received_bytes: 80, total_bytes: 80 });
  expect(progress.at(-1)).toEqual({ phase: "compile", fraction: 1 });
});

describe("the file on this device", () => {
  const unsound = Object.assign(new Error("SectionChecksum"), { kind: "bad-model", hint: "" });

  test("is what the next load takes", async () => {
    load();
    expect((await until("ready")).model.storage).toEqual({ is_kept: true });
    load();
    expect((await until("ready", 2)).model).toMatchObject({ size_bytes: 80, storage: { is_kept: true } });
    expect(downloads).toBe(1);
  });

  test("is fetched again where it is damaged", async () => {
    load();
    await until("ready");
    builds = [unsound, engine];
    load();
    await until("ready", 2);
    expect(downloads).toBe(2);
    expect(shelf.files.size).toBe(1);
  });

  test("does not stay where the server's is unsound, and is not asked for for ever", async () => {
    builds = [unsound];
    load();
    expect(await until("failed")).toMatchObject({ error: { kind: "bad-model" } });
    expect([downloads, shelf.files.size, parts.freed]).toEqual([1, 0, 1]);
  });

  test("is deleted when the reader wants that; the model runs on, and a lost device is built anew", async () => {
    engine = new FakeEngine("webgpu");
    builds = [engine, new FakeEngine("webgpu")];
    load("gpu");
    await until("ready");
    session.handle({ type: "forget" });
    expect((await until("stored")).storage).toEqual({ is_kept: false, reason: "deleted" });
    expect(shelf.files.size).toBe(0);
    engine.failure = lost("device-lost");
    generate(1);
    expect((await until("recovered")).model.storage).toEqual({ is_kept: false, reason: "deleted" });
    expect(await until("done")).toMatchObject({ ending: "max-tokens" });
    expect(downloads).toBe(2);
  });
});

test("a second load frees the first engine and its file", async () => {
  load();
  await until("ready");
  builds = [new FakeEngine()];
  load();
  await until("ready", 2);
  expect([engine.is_free, parts.opened.length, parts.freed]).toEqual([true, 2, 1]);
});

test("generates to the end, and sends every token once", async () => {
  load();
  generate(1);
  const done = await until("done");
  expect(done).toMatchObject({ run: 1, ending: "max-tokens" });
  expect(engine.started).toEqual([{ prompt: ["", "Go"], options: OPTIONS }]);
  const tokens = events.filter(event => event.type === "tokens");
  expect(tokens.map(event => event.text).join("")).toBe("word ".repeat(10));
  expect(tokens.reduce((sum, event) => sum + event.prefilled, 0)).toBe(3);
  expect(engine.batches[0]).toBe(1);
});

test("a stop ends the run before its next step", async () => {
  load();
  generate(1, { options: ENDLESS });
  await until("tokens");
  session.handle({ type: "stop", run: 1 });
  const sent = events.filter(event => event.type === "tokens").length;
  expect(await until("done")).toMatchObject({ run: 1, ending: "stopped" });
  expect(events.filter(event => event.type === "tokens").length).toBe(sent);
});

describe("a prompt that takes long", () => {
  beforeEach(() => {
    engine = new FakeEngine("cpu", 30);
    engine.chunks = 31;
    engine.chunk_layers = 30;
    builds = [engine];
  });

  const prefilled = () => events.reduce((sum, event) => sum + (event.type === "tokens" ? event.prefilled : 0), 0);

  test("is read a layer at a time, and a stop ends it before the next", async () => {
    load();
    generate(1);
    await vi.waitFor(() => expect(engine.layers.length).toBeGreaterThanOrEqual(3), { interval: 1 });
    session.handle({ type: "stop", run: 1 });
    const asked = engine.layers.length;
    expect(await until("done")).toMatchObject({ run: 1, ending: "stopped" });
    expect(engine.layers.length).toBe(asked);
    expect(Math.max(...engine.layers)).toBe(1);
    expect(prefilled()).toBe(0);
  });

  test("is read in whole chunks where that is quick", async () => {
    engine = new FakeEngine("cpu", 0);
    engine.chunks = 31;
    engine.chunk_layers = 30;
    builds = [engine];
    load();
    generate(1);
    await until("done");
    expect(prefilled()).toBe(93);
    expect(engine.layers.at(-1)).toBeGreaterThanOrEqual(30);
    // Of parts of a chunk nothing is said.
    expect(events.filter(event => event.type === "tokens" && event.prefilled === 0 && event.ids.length === 0)).toEqual(
      [],
    );
  });
});

test("a stop for another run changes nothing", async () => {
  load();
  generate(2);
  session.handle({ type: "stop", run: 1 });
  expect(await until("done")).toMatchObject({ run: 2, ending: "max-tokens" });
});

test("a newer run replaces the one under way", async () => {
  load();
  generate(1, { prompt: ["", "old"], options: ENDLESS });
  await until("tokens");
  generate(2, { prompt: ["", "new"] });
  await until("done", 2);
  const endings = events.flatMap(event => (event.type === "done" ? [[event.run, event.ending]] : []));
  expect(endings).toEqual([
    [1, "stopped"],
    [2, "max-tokens"],
  ]);
});

test("a run that was stopped before it began never starts", async () => {
  load();
  generate(1);
  session.handle({ type: "stop", run: 1 });
  expect(await until("done")).toMatchObject({ run: 1, ending: "stopped" });
  expect(engine.started).toEqual([]);
});

test("an engine's failure names its run, kind and hint, and the next run works", async () => {
  load();
  await until("ready");
  engine.failure = lost("bad-model");
  generate(1);
  expect(await until("failed")).toEqual({
    type: "failed",
    run: 1,
    error: { kind: "bad-model", message: "gone", hint: "load again" },
  });
  engine.failure = null;
  generate(2);
  expect(await until("done")).toMatchObject({ run: 2, ending: "max-tokens" });
});

describe("a lost device", () => {
  const ids = () => events.flatMap(event => (event.type === "tokens" ? [...event.ids] : []));
  const webgpu = () => new FakeEngine("webgpu", 0.1);

  /** A run on WebGPU whose device is lost after some tokens; what is built then. */
  async function losing(device: Device, ...later: (FakeEngine | Error)[]): Promise<void> {
    engine = webgpu();
    // What "auto" compares WebGPU with is slower.
    builds = [engine, ...(device === "auto" ? [new FakeEngine("cpu", 1)] : []), ...later];
    load(device);
    await until("ready");
    engine.failure = lost("device-lost");
    engine.fails_at = 12;
    generate(1, { options: { ...OPTIONS, max_tokens: 40 } });
  }
  const ALL = Array.from({ length: 40 }, (_, index) => index);

  test("is built anew, and the run goes on with the token that was next", async () => {
    const second = webgpu();
    await losing("gpu", second);
    expect(await until("interrupted")).toMatchObject({ run: 1, error: { kind: "device-lost" } });
    expect(await until("recovered")).toMatchObject({ run: 1, model: { card: { backend: "webgpu" }, fallback: null } });
    expect(await until("done")).toMatchObject({ run: 1, ending: "max-tokens" });
    expect(ids()).toEqual(ALL);
    expect([engine.is_free, second.is_free]).toEqual([true, false]);
  });

  test("is tried again while there is no adapter; then auto takes the CPU, and says why", async () => {
    await losing("auto", lost("no-engine"), lost("no-engine"), new FakeEngine("cpu"));
    expect(await until("recovered")).toMatchObject({
      model: { card: { backend: "cpu" }, fallback: { kind: "device-lost" } },
    });
    expect(await until("done")).toMatchObject({ ending: "max-tokens" });
    expect(ids()).toEqual(ALL);
  });

  test("is a failure in the end where WebGPU was asked for, and then nothing is loaded", async () => {
    await losing("gpu", lost("no-engine"));
    expect(await until("failed")).toMatchObject({ run: 1, error: { kind: "device-lost" } });
    generate(2);
    expect(await until("failed", 2)).toMatchObject({ run: 2, error: { kind: "bad-input" } });
  });

  test("that computes wrong numbers when it is back is not asked again", async () => {
    await losing("auto", lost("wrong-numbers"), new FakeEngine("cpu"));
    expect(await until("recovered")).toMatchObject({ model: { fallback: { kind: "wrong-numbers" } } });
    await until("done");
  });

  test("does not bring back a run that was stopped meanwhile", async () => {
    await losing("gpu", webgpu());
    await until("interrupted");
    session.handle({ type: "stop", run: 1 });
    expect(await until("done")).toMatchObject({ run: 1, ending: "stopped" });
    generate(2);
    expect(await until("done", 2)).toMatchObject({ run: 2, ending: "max-tokens" });
  });
});

test("a run that another worker began goes on after what it has brought", async () => {
  load();
  generate(1, { written: { ids: Uint32Array.of(0, 1, 2), elapsed_ms: 5000 } });
  const { elapsed_ms } = await until("done");
  expect(elapsed_ms).toBeGreaterThanOrEqual(5000);
  expect(events.flatMap(event => (event.type === "tokens" ? [...event.ids] : []))).toEqual([3, 4, 5, 6, 7, 8, 9]);
});

test("without a model a run is refused", async () => {
  generate(1);
  expect(await until("failed")).toMatchObject({ run: 1, error: { kind: "bad-input" } });
});

test("answers with the logits of forced ids", async () => {
  load();
  session.handle({ type: "logits", call: 9, ids: new Uint32Array([4, 5]) });
  expect(await until("logits")).toEqual({ type: "logits", call: 9, logits: new Float32Array([4, 5]) });
});

test("steps grow while they are short, and shrink when they are long", () => {
  expect(nextSize(1, 1)).toBe(2);
  expect(nextSize(8, 25)).toBe(8);
  expect(nextSize(8, 100)).toBe(2);
  expect(nextSize(1, 5000)).toBe(1);
  expect(nextSize(64, 0)).toBe(64);
});

test("of a prompt that leaves no room, the first shorter one that does is read, or the last", async () => {
  load();
  const long = Array.from({ length: 289 }, () => "x"); // three quarters of 384 are 288, and a part is a token
  for (const [prompt, shorter, chosen] of [
    [long.slice(1), [["a"]], 0],
    [long, [long, ["a"], ["b"]], 2],
    [long, [long], 1],
    [long, [], 0],
  ] as const) {
    generate(1, { prompt: [...prompt], shorter: shorter.map(each => [...each]) });
    await until("done");
    expect((await until("begun")).prompt).toBe(chosen);
    expect(engine.started.at(-1)?.prompt).toEqual([prompt, ...shorter][chosen]);
    events.length = 0;
  }
});

test("a fork that a lost device has taken is made again where its run goes on", async () => {
  engine = new FakeEngine("webgpu");
  const next = new FakeEngine("webgpu");
  builds = [engine, next];
  load("gpu");
  await until("ready");
  session.handle({ type: "fork", call: 1, engine: 1, of: 0 });
  expect(await until("forked")).toEqual({ type: "forked", call: 1, error: null });
  const [fork] = engine.forks;
  Object.assign(fork ?? {}, { failure: lost("device-lost"), fails_at: 2 });
  generate(1, { engine: 1 });
  expect(await until("done")).toMatchObject({ run: 1, ending: "max-tokens" });
  expect([fork?.is_free, fork?.started.length, next.forks.map(({ started }) => started.length)]).toEqual([
    true,
    1,
    [1],
  ]);
  session.handle({ type: "release", engine: 1 });
  await vi.waitFor(() => expect(next.forks[0]?.is_free).toBe(true));
  expect(next.is_free).toBe(false);
});
