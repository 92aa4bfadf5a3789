import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CARD, FakeEngine } from "../testing/fakeEngine";
import type { EngineEvent, GenerateOptions } from "./protocol";
import { EngineSession, nextBatch } from "./session";

const OPTIONS: GenerateOptions = { temperature: 0, top_k: 0, top_p: 1, seed: 1, max_tokens: 10 };
const MODEL = new Uint8Array([1, 2, 3]);

let engine: FakeEngine;
let events: EngineEvent[];
let session: EngineSession;

/** Wait until an event of this type was emitted, and return the last of them. */
async function until<T extends EngineEvent["type"]>(type: T, count = 1): Promise<Extract<EngineEvent, { type: T }>> {
  const found = () => events.filter((event): event is Extract<EngineEvent, { type: T }> => event.type === type);
  await vi.waitFor(() => expect(found().length).toBeGreaterThanOrEqual(count));
  const last = found().at(-1);
  if (last === undefined) throw new Error(`no ${type}`);
  return last;
}

beforeEach(() => {
  engine = new FakeEngine();
  events = [];
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(MODEL, { headers: { "content-length": "3" } })));
  session = new EngineSession(
    (bytes, _, onProgress) => {
      expect(bytes).toEqual(MODEL);
      onProgress("parse", 1);
      return Promise.resolve(engine);
    },
    event => events.push(event),
  );
});

afterEach(() => vi.unstubAllGlobals());

test("loads: download, the engine's phases, ready", async () => {
  session.handle({ type: "load", model_url: "model.bin", device: "cpu" });
  const ready = await until("ready");
  expect(ready.model.card).toBe(CARD);
  expect(ready.model.size_bytes).toBe(3);
  const progress = events.flatMap(event => (event.type === "progress" ? [event.progress] : []));
  expect(progress.at(0)).toEqual({ phase: "download", received_bytes: 0, total_bytes: 3 });
  expect(progress).toContainEqual({ phase: "download", received_bytes: 3, total_bytes: 3 });
  expect(progress.at(-1)).toEqual({ phase: "parse", fraction: 1 });
});

test("generates to the end, and sends every token once", async () => {
  session.handle({ type: "load", model_url: "model.bin", device: "cpu" });
  session.handle({ type: "generate", run: 1, prompt: "Go", options: OPTIONS });
  const done = await until("done");
  expect(done).toMatchObject({ run: 1, ending: "max-tokens" });
  expect(engine.started).toEqual([{ prompt: "Go", options: OPTIONS }]);
  const tokens = events.filter(event => event.type === "tokens");
  expect(tokens.map(event => event.text).join("")).toBe("word ".repeat(10));
  expect(tokens.reduce((sum, event) => sum + event.prefilled, 0)).toBe(3);
  expect(engine.batches[0]).toBe(1);
});

test("a stop ends the run before its next step", async () => {
  session.handle({ type: "load", model_url: "model.bin", device: "cpu" });
  session.handle({ type: "generate", run: 1, prompt: "Go", options: { ...OPTIONS, max_tokens: 1_000_000 } });
  await until("tokens");
  session.handle({ type: "stop", run: 1 });
  const sent = events.filter(event => event.type === "tokens").length;
  expect(await until("done")).toMatchObject({ run: 1, ending: "stopped" });
  expect(events.filter(event => event.type === "tokens").length).toBe(sent);
});

test("a stop for another run changes nothing", async () => {
  session.handle({ type: "load", model_url: "model.bin", device: "cpu" });
  session.handle({ type: "generate", run: 2, prompt: "Go", options: OPTIONS });
  session.handle({ type: "stop", run: 1 });
  expect(await until("done")).toMatchObject({ run: 2, ending: "max-tokens" });
});

test("a newer run replaces the one under way", async () => {
  session.handle({ type: "load", model_url: "model.bin", device: "cpu" });
  session.handle({ type: "generate", run: 1, prompt: "old", options: { ...OPTIONS, max_tokens: 1_000_000 } });
  await until("tokens");
  session.handle({ type: "generate", run: 2, prompt: "new", options: OPTIONS });
  await until("done", 2);
  const endings = events.flatMap(event => (event.type === "done" ? [[event.run, event.ending]] : []));
  expect(endings).toEqual([
    [1, "stopped"],
    [2, "max-tokens"],
  ]);
});

test("a run that was stopped before it began never starts", async () => {
  session.handle({ type: "load", model_url: "model.bin", device: "cpu" });
  session.handle({ type: "generate", run: 1, prompt: "Go", options: OPTIONS });
  session.handle({ type: "stop", run: 1 });
  expect(await until("done")).toMatchObject({ run: 1, ending: "stopped" });
  expect(engine.started).toEqual([]);
});

test("an engine's failure names its run, kind and hint, and the next run works", async () => {
  session.handle({ type: "load", model_url: "model.bin", device: "cpu" });
  await until("ready");
  engine.failure = Object.assign(new Error("gone"), { kind: "device-lost", hint: "load again" });
  session.handle({ type: "generate", run: 1, prompt: "Go", options: OPTIONS });
  expect(await until("failed")).toEqual({
    type: "failed",
    run: 1,
    error: { kind: "device-lost", message: "gone", hint: "load again" },
  });
  engine.failure = null;
  session.handle({ type: "generate", run: 2, prompt: "Go", options: OPTIONS });
  expect(await until("done")).toMatchObject({ run: 2, ending: "max-tokens" });
});

test("without a model a run is refused", async () => {
  session.handle({ type: "generate", run: 1, prompt: "Go", options: OPTIONS });
  expect(await until("failed")).toMatchObject({ run: 1, error: { kind: "bad-input" } });
});

test("answers with the logits of forced ids", async () => {
  session.handle({ type: "load", model_url: "model.bin", device: "cpu" });
  session.handle({ type: "logits", call: 9, ids: new Uint32Array([4, 5]) });
  expect(await until("logits")).toEqual({ type: "logits", call: 9, logits: new Float32Array([4, 5]) });
});

test("batches grow while steps are short, and shrink when they are long", () => {
  expect(nextBatch(1, 1)).toBe(2);
  expect(nextBatch(8, 25)).toBe(8);
  expect(nextBatch(8, 100)).toBe(2);
  expect(nextBatch(1, 5000)).toBe(1);
  expect(nextBatch(64, 0)).toBe(64);
});
