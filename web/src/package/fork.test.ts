import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeEngine } from "../testing/fakeEngine";
import { FakeWorker, MODEL_FILE } from "../testing/fakeWorker";
import { Model } from "./model";

let engine: FakeEngine;
let workers: FakeWorker[];

beforeEach(() => {
  engine = new FakeEngine();
  workers = [];
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(MODEL_FILE)));
});
afterEach(() => vi.unstubAllGlobals());

const load = () =>
  Model.load("https://example.test/model.bin", { device: "cpu" }, () => {
    const worker = new FakeWorker(engine);
    workers.push(worker);
    return worker;
  });
const few = { maxTokens: 2, seed: 1 };
const prompts = ({ started }: FakeEngine) => started.map(({ prompt }) => prompt[1]);

test("a fork runs on an engine of its own in the same worker, and so does a fork of it", async () => {
  const model = await load();
  await model.generate("a", few).result;
  const other = await model.fork();
  const third = await other.fork();
  expect(other.info).toEqual(model.info);
  const results = [model.generate("b", few), other.generate("c", few), third.generate("d", few)];
  // One thing at a time, for all of them together.
  expect(results.map(({ state }) => state)).toEqual(["queued", "queued", "queued"]);
  await Promise.all(results.map(({ result }) => result));
  await other.score("text");
  expect(prompts(engine)).toEqual(["a", "b"]);
  expect(engine.forks.map(prompts)).toEqual([["c"]]);
  expect(engine.forks[0]?.forks.map(prompts)).toEqual([["d"]]);
  expect(workers).toHaveLength(1);
});

test("a fork that is disposed of gives its engine back, and ends alone", async () => {
  const model = await load();
  const other = await model.fork();
  const [endless, waiting] = [other.generate("x", { maxTokens: 1_000_000 }), other.generate("y", few)];
  const own = model.generate("z", few);
  other.dispose();
  other.dispose();
  await expect(endless.result).rejects.toThrow(/fork was disposed/);
  await expect(waiting.result).rejects.toThrow(/fork was disposed/);
  await expect(other.tokenize("x")).rejects.toThrow(/fork was disposed/);
  expect((await own.result).text).toBe("word word ");
  await vi.waitFor(() => expect(engine.forks[0]?.is_free).toBe(true));
  expect(engine.is_free).toBe(false);
});

test("the model that was loaded ends its forks with it", async () => {
  const model = await load();
  const other = await model.fork();
  model.dispose();
  await expect(other.generate("x", few).result).rejects.toThrow(/model was disposed/);
  await expect(other.fork()).rejects.toThrow(/model was disposed/);
});

test("where there is no room for a fork, the model stays as it was", async () => {
  const model = await load();
  engine.fork_failure = Object.assign(new Error("no room"), { kind: "out-of-memory", hint: "Close other tabs." });
  await expect(model.fork()).rejects.toMatchObject({ kind: "out-of-memory", hint: "Close other tabs." });
  engine.fork_failure = null;
  const other = await model.fork();
  expect((await other.generate("x", few).result).text).toBe("word word ");
  expect((await model.generate("x", few).result).text).toBe("word word ");
});

test("a fork that nobody waits for any more is given back", async () => {
  const model = await load();
  await expect(model.fork({ signal: AbortSignal.abort(new Error("no longer")) })).rejects.toThrow("no longer");
  const controller = new AbortController();
  const forking = model.fork({ signal: controller.signal });
  // The worker has been asked, and has had no turn yet.
  while (workers[0]?.requests.at(-1)?.type !== "fork") await null;
  controller.abort(new Error("no longer"));
  await expect(forking).rejects.toThrow("no longer");
  await vi.waitFor(() => expect(engine.forks[0]?.is_free).toBe(true));
});

test("what a crash takes is made again in the next worker", async () => {
  const model = await load();
  const other = await model.fork();
  const running = other.generate("x", { maxTokens: 2000, seed: 1 });
  for await (const _ of running) break;
  const again = other.generate("y", { maxTokens: 5000, seed: 1 });
  const pieces = again[Symbol.asyncIterator]();
  await pieces.next();
  const first = workers[0];
  const message = { message: "unreachable", filename: "", lineno: 0, colno: 0, error: null };
  first?.onerror?.(Object.assign(new Event("error"), message));
  expect((await again.result).ids).toHaveLength(5000);
  expect(workers).toHaveLength(2);
  expect(engine.forks.map(prompts)).toEqual([["x", "y"], ["y"]]);
});
