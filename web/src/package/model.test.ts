import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CARD, FakeEngine } from "../testing/fakeEngine";
import { FakeWorker, MODEL_FILE } from "../testing/fakeWorker";
import { Model } from "./model";
import type { LoadOptions, ModelEvent } from "./requests";

const URL = "https://example.test/model.bin";
const QUESTION = [{ role: "user", content: "Who are you?" }] as const;

let engine: FakeEngine;
let workers: FakeWorker[];
let events: ModelEvent[];

beforeEach(() => {
  engine = new FakeEngine();
  workers = [];
  events = [];
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(MODEL_FILE)));
});
afterEach(() => vi.unstubAllGlobals());

const start = () => {
  const worker = new FakeWorker(engine);
  workers.push(worker);
  return worker;
};
const load = (options: LoadOptions = {}) =>
  Model.load(URL, { device: "cpu", onEvent: event => events.push(event), ...options }, start);
const told = (type: ModelEvent["type"]) => events.filter(event => event.type === type);

async function textOf(pieces: AsyncIterable<{ text: string }>): Promise<string> {
  let text = "";
  for await (const piece of pieces) text += piece.text;
  return text;
}

test("loads with progress, and says what was loaded", async () => {
  const phases: string[] = [];
  const model = await load({ onProgress: ({ phase }) => phases.push(phase) });
  expect(model.info).toMatchObject({ size_bytes: 80, sha256: "240" });
  expect(model.card).toEqual(CARD);
  expect(phases).toContain("download");
  expect(events.at(-1)?.type).toBe("ready");
});

test("a text comes piece by piece, and as a whole", async () => {
  const model = await load();
  const generation = model.generate("Go", { maxTokens: 5, temperature: 0 });
  const text = await textOf(generation);
  expect(text).toBe("word ".repeat(5));
  // It can be read again.
  expect(await textOf(generation)).toBe(text);
  expect(await generation.result).toMatchObject({
    text,
    ids: Uint32Array.of(0, 1, 2, 3, 4),
    ending: "max-tokens",
    prompt_tokens: 2,
    read_tokens: 3,
    left_out: 0,
  });
  expect(generation.state).toBe("over");
  expect(engine.started[0]).toMatchObject({ prompt: ["", "Go"], options: { max_tokens: 5, temperature: 0 } });
});

test("the tokens come with the text, and with what the model said of them where that is asked", async () => {
  const model = await load();
  const plain = await model.generate("Go", { maxTokens: 2 }).result;
  expect(plain.tokens).toEqual([
    { id: 0, text: "word ", logprob: null, likeliest: [] },
    { id: 1, text: "word ", logprob: null, likeliest: [] },
  ]);
  expect(engine.started.at(-1)?.options).not.toHaveProperty("top_logprobs");
  const told = model.generate("Go", { maxTokens: 3, topLogprobs: 2 });
  const tokens = [];
  for await (const piece of told) tokens.push(...piece.tokens);
  expect(tokens).toEqual((await told.result).tokens);
  expect(tokens[2]).toEqual({
    id: 2,
    text: "word ",
    logprob: -2,
    likeliest: [
      { id: 2, text: "x", logprob: -2 },
      { id: 3, text: "x", logprob: -3 },
    ],
  });
  for (const topLogprobs of [-1, 11, 2.5]) {
    expect(() => model.generate("Go", { topLogprobs })).toThrow(/topLogprobs should be a whole number from 0 to 10/);
  }
});

test("a text goes on behind the tokens of an earlier one", async () => {
  const model = await load();
  const { ids, ending } = await model.generate("Go", { maxTokens: 3, after: Uint32Array.of(0, 1, 2) }).result;
  expect([ids, ending]).toEqual([Uint32Array.of(3, 4, 5), "max-tokens"]);
});

test("a second generation waits, says so, and follows in its turn; so do questions", async () => {
  const model = await load();
  const first = model.generate("1", { maxTokens: 3 });
  const second = model.generate("2", { maxTokens: 2 });
  const ids = model.tokenize("abc");
  const third = model.generate(["<s>", "3"], { maxTokens: 1 });
  expect([first, second, third].map(({ state }) => state)).toEqual(["queued", "queued", "queued"]);
  expect(told("queued")).toEqual([
    { type: "queued", run: 2, ahead: 1 },
    { type: "queued", run: 3, ahead: 3 },
  ]);
  await first.result;
  expect(second.state).not.toBe("over");
  expect((await third.result).ids.length).toBe(1);
  expect(second.state).toBe("over");
  expect(await ids).toEqual(Uint32Array.of(0, 1, 2));
  expect(engine.started.map(({ prompt }) => prompt.at(-1))).toEqual(["1", "2", "3"]);
});

test("tokenize, detokenize, logits, score", async () => {
  const model = await load();
  expect(await model.tokenize("ab")).toEqual(Uint32Array.of(0, 1));
  expect(await model.detokenize([5, 6, 7])).toBe("xxx");
  expect(await model.logits([4])).toEqual(Float32Array.of(4));
  await expect(model.score("ab")).resolves.toMatchObject({ tokens: [{ id: 0 }, { id: 1 }] });
});

test("a look at the last token of a text, of parts by turns, or of a conversation", async () => {
  const model = await load();
  const { tokens, heads } = await model.attention("ab", { layer: 1, after: [9] });
  expect(tokens.map(({ id }) => id)).toEqual([0, 1, 9]);
  expect(heads.map(weights => Array.from(weights))).toEqual([
    [1, 0, 0],
    [0, 0, 1],
  ]);
  const layers = await model.lens(["<s>", "ab", "</s>"], { count: 2, of: 7 });
  expect(layers.map(({ likeliest }) => likeliest.length)).toEqual([2, 2]);
  expect(layers[0]?.logprob).toBeLessThan(layers[0]?.likeliest[0]?.logprob ?? Number.NEGATIVE_INFINITY);
  const { ids, logits } = await model.next("ab");
  expect([ids.length, logits.length]).toEqual([2, 307]);
  await expect(model.next([{ role: "user", content: "Hello" }])).rejects.toMatchObject({ kind: "bad-input" });
});

describe("the end of a text", () => {
  test("by leaving the loop: the engine stops, and the next one begins", async () => {
    const model = await load();
    const endless = model.generate("on", { maxTokens: 1_000_000 });
    for await (const { text } of endless) if (text !== "") break;
    expect((await endless.result).ending).toBe("stopped");
    expect(workers[0]?.requests.at(-1)).toEqual({ type: "stop", run: 1 });
    expect((await model.generate("next", { maxTokens: 1 }).result).ending).toBe("max-tokens");
  });

  test("by a signal: whoever reads it gets the reason, at once, waiting or not", async () => {
    const model = await load();
    const controller = new AbortController();
    const running = model.generate("on", { maxTokens: 1_000_000, signal: controller.signal });
    const waiting = model.generate("on", { maxTokens: 1, signal: controller.signal });
    const asked = model.tokenize("abc", { signal: controller.signal });
    await vi.waitFor(() => expect(running.state).toBe("running"));
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(textOf(running)).rejects.toBe(reason);
    await expect(waiting.result).rejects.toBe(reason);
    await expect(asked).rejects.toBe(reason);
    await expect(model.generate("on", { signal: controller.signal }).result).rejects.toBe(reason);
    expect((await model.generate("next", { maxTokens: 1 }).result).text).toBe("word ");
    // What was ended while it waited was never asked for.
    expect(workers[0]?.requests.filter(({ type }) => type === "generate")).toHaveLength(2);
  });

  test("before a text to stop at", async () => {
    const model = await load();
    const { text, ending } = await model.generate("on", { maxTokens: 1_000_000, stop: ["never", "d word wo"] }).result;
    expect([text, ending]).toEqual(["wor", "stop-text"]);
    expect(() => model.generate("on", { stop: "" })).toThrow(/empty/);
  });
});

describe("chats", () => {
  const TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>";

  test("are rendered by the model's template", async () => {
    vi.spyOn(engine, "card").mockReturnValue({ ...CARD, chat_template: TEMPLATE, special_tokens: ["<s>"] });
    const model = await load();
    await model.chat([{ role: "user", content: "a<s>b" }], { maxTokens: 1 }).result;
    expect(engine.started[0]?.prompt).toEqual(["<user>a", "<s>", "b<assistant>"]);
  });

  test("leave out the oldest turns where the context has no room", async () => {
    vi.spyOn(engine, "card").mockReturnValue({ ...CARD, chat_template: TEMPLATE });
    vi.spyOn(engine, "count").mockImplementation(parts => parts.join("").length);
    const model = await load();
    const messages = [
      { role: "user", content: "x".repeat(300) },
      { role: "assistant", content: "y" },
      { role: "user", content: "z" },
    ] as const;
    const { left_out, prompt_tokens } = await model.chat(messages, { maxTokens: 1 }).result;
    expect([left_out, prompt_tokens]).toEqual([2, "<user>z<assistant>".length]);
    expect(told("begun")).toEqual([{ type: "begun", run: 1, prompt_tokens, left_out }]);
  });

  test.each([
    [null, /no chat template/],
    ["{{ raise_exception('no') }}", /cannot be used: .*no/],
  ])("are refused where the template is %j, and the model goes on", async (chat_template, message) => {
    vi.spyOn(engine, "card").mockReturnValue({ ...CARD, chat_template });
    const model = await load();
    const refused = model.chat(QUESTION);
    await expect(refused.result).rejects.toThrow(message);
    await expect(refused.result).rejects.toMatchObject({ name: "ModelError", kind: "bad-input" });
    expect(told("refused")).toHaveLength(1);
    expect((await model.generate("on", { maxTokens: 1 }).result).text).toBe("word ");
  });
});

describe("failures", () => {
  test("of loading: a missing file", async () => {
    vi.stubGlobal("fetch", () => Promise.resolve(new Response("", { status: 404 })));
    await expect(load()).rejects.toMatchObject({ kind: "download", hint: "Check the address of the model." });
    expect(events.at(-1)).toMatchObject({ type: "failed", error: { kind: "download" } });
    expect(workers[0]?.is_terminated).toBe(true);
  });

  test("loading ends by a signal, before it began or in the middle", async () => {
    await expect(load({ signal: AbortSignal.abort("never") })).rejects.toBe("never");
    expect(workers).toHaveLength(0);
    vi.stubGlobal("fetch", () => new Promise(() => undefined));
    const controller = new AbortController();
    const loading = load({ signal: controller.signal });
    controller.abort("enough");
    await expect(loading).rejects.toBe("enough");
    expect(workers[0]?.is_terminated).toBe(true);
    expect(told("failed")).toEqual([]);
  });

  test("a refused input fails what asked for it alone", async () => {
    const model = await load();
    engine.failure = Object.assign(new Error("too long"), { kind: "bad-input", hint: "Shorten it." });
    const refused = model.generate("x");
    await expect(textOf(refused)).rejects.toMatchObject({ kind: "bad-input", message: "too long" });
    expect(told("refused")).toMatchObject([{ run: 1, error: { hint: "Shorten it." } }]);
    engine.failure = null;
    expect((await model.generate("x", { maxTokens: 1 }).result).text).toBe("word ");
  });

  test("a lost engine fails all that waits, and all that comes", async () => {
    const model = await load();
    engine.failure = Object.assign(new Error("gone"), { kind: "out-of-memory", hint: "" });
    const all = [model.generate("1").result, model.generate("2").result, model.tokenize("abc")];
    for (const each of all) await expect(each).rejects.toMatchObject({ kind: "out-of-memory" });
    await expect(model.score("x")).rejects.toMatchObject({ kind: "out-of-memory" });
    await expect(model.generate("3").result).rejects.toMatchObject({ kind: "out-of-memory" });
    expect(told("failed")).toHaveLength(1);
    expect(workers[0]?.is_terminated).toBe(true);
  });

  test("a crash takes the worker: the text goes on in another one", async () => {
    const model = await load({
      onEvent: event => {
        events.push(event);
        if (event.type === "interrupted") engine.failure = null;
      },
    });
    engine.failure = new WebAssembly.RuntimeError("unreachable");
    engine.fails_at = 3;
    const generation = model.generate("x", { maxTokens: 6 });
    expect((await generation.result).ids).toEqual(Uint32Array.of(0, 1, 2, 3, 4, 5));
    expect(workers.map(({ is_terminated }) => is_terminated)).toEqual([true, false]);
    expect(told("recovered")).toHaveLength(1);
  });

  test("disposing ends everything", async () => {
    const model = await load();
    const running = model.generate("x", { maxTokens: 1_000_000 });
    model.dispose();
    model.dispose();
    await expect(textOf(running)).rejects.toThrow(/disposed/);
    await expect(model.tokenize("x")).rejects.toThrow(/disposed/);
    expect(workers[0]?.is_terminated).toBe(true);
    expect(told("failed")).toEqual([]);
  });
});
