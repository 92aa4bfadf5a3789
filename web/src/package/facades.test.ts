/** The model behind other people's interfaces: OpenAI's calls, and the AI SDK itself. */
import { generateText, streamText } from "ai";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CARD, FakeEngine } from "../testing/fakeEngine";
import { FakeWorker, MODEL_FILE } from "../testing/fakeWorker";
import { aiSdkModel } from "./aiSdk";
import { Model } from "./model";
import { type ChatCompletionChunk, type ChatCompletionParams, type CompletionParams, openaiClient } from "./openai";

const MESSAGES = [{ role: "user", content: "Hi" }] as const;

let engine: FakeEngine;
let model: Model;

beforeEach(async () => {
  engine = new FakeEngine();
  const template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>";
  vi.spyOn(engine, "card").mockReturnValue({ ...CARD, chat_template: template });
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(MODEL_FILE)));
  model = await Model.load("https://example.test/model.bin", { device: "cpu" }, () => new FakeWorker(engine));
});
afterEach(() => {
  model.dispose();
  vi.unstubAllGlobals();
});

describe("OpenAI's calls", () => {
  test("a whole answer", async () => {
    const completion = await openaiClient(model).chat.completions.create({
      model: "mine",
      messages: [
        { role: "developer", content: "Be brief." },
        { role: "user", content: [{ type: "text", text: "Hi" }] },
      ],
      max_tokens: 2,
      temperature: 0,
      top_p: 0.5,
      seed: 3,
      presence_penalty: 0.5,
      logit_bias: { 7: -100 },
    });
    expect(completion).toMatchObject({
      object: "chat.completion",
      model: "mine",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "word word ", refusal: null },
          logprobs: null,
          finish_reason: "length",
        },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
    });
    expect(completion.id).toMatch(/^chatcmpl-\d+$/);
    expect(Math.abs(completion.created - Date.now() / 1000)).toBeLessThan(60);
    expect(engine.started[0]).toMatchObject({
      prompt: ["<system>Be brief.<user>Hi<assistant>"],
      options: { max_tokens: 2, temperature: 0, top_p: 0.5, seed: 3, presence_penalty: 0.5, frequency_penalty: 0 },
    });
    expect(engine.started[0]?.options.logit_bias).toEqual({ ids: Uint32Array.of(7), biases: Float32Array.of(-100) });
  });

  test("a stream of chunks, with the usage at its end where it is asked for", async () => {
    const stream = await openaiClient(model).chat.completions.create({
      messages: MESSAGES,
      max_completion_tokens: 3,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe("word word word ");
    expect(chunks[0]?.choices[0]?.delta).toEqual({ role: "assistant", content: "" });
    expect(chunks.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: "length" });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 3 } });
    expect(new Set(chunks.map(({ id, object }) => `${id} ${object}`)).size).toBe(1);
  });

  test("a stream is ended by its controller, or by a signal", async () => {
    const { create } = openaiClient(model).chat.completions;
    const stream = await create({ messages: MESSAGES, max_tokens: 1_000_000, stream: true });
    const read = async () => {
      for await (const { choices } of stream) if (choices[0]?.delta.content) stream.controller.abort();
    };
    await expect(read()).rejects.toMatchObject({ name: "AbortError" });
    const signal = AbortSignal.abort();
    await expect(create({ messages: MESSAGES }, { signal })).rejects.toMatchObject({ name: "AbortError" });
  });

  test.each([
    [{ tools: [] }, /`tools` is not supported/],
    [{ n: 2 }, /`n` is not supported/],
    [{ logprobs: true, top_logprobs: 11 }, /topLogprobs should be/],
    [{ messages: [{ role: "tool", content: "x" }] }, /role tool/],
    [{ messages: [{ role: "user", content: [{ type: "image_url" }] }] }, /type image_url/],
  ])("%j is refused by name", async (params, message) => {
    const asked: ChatCompletionParams = JSON.parse(JSON.stringify({ messages: MESSAGES, ...params }));
    await expect(openaiClient(model).chat.completions.create(asked)).rejects.toThrow(message);
  });

  test("log-probabilities, where they are asked for, whole and in a stream", async () => {
    const { create } = openaiClient(model).chat.completions;
    const asked = { messages: MESSAGES, max_tokens: 2, logprobs: true, top_logprobs: 1 } as const;
    const { choices } = await create(asked);
    const bytes = [..."x"].map(letter => letter.charCodeAt(0));
    expect(choices[0]?.logprobs?.content[1]).toMatchObject({
      token: "word ",
      logprob: -1,
      top_logprobs: [{ token: "x", logprob: -1, bytes }],
    });
    const content = [];
    for await (const chunk of await create({ ...asked, stream: true })) {
      content.push(...(chunk.choices[0]?.logprobs?.content ?? []));
    }
    expect(content).toEqual(choices[0]?.logprobs?.content);
  });

  test("a text that goes on, without a template, whole and in a stream", async () => {
    const { create } = openaiClient(model).completions;
    const asked = { prompt: "Go <s>", max_tokens: 3, logprobs: 2 } as const;
    const { object, choices, usage } = await create(asked);
    expect([object, choices[0]?.text, choices[0]?.finish_reason]).toEqual([
      "text_completion",
      "word word word ",
      "length",
    ]);
    expect(usage).toEqual({ prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 });
    expect(choices[0]?.logprobs).toMatchObject({ token_logprobs: [-0, -1, -2], text_offset: [0, 5, 10] });
    expect(engine.started[0]?.prompt).toEqual(["", "Go <s>"]);
    let text = "";
    const offsets = [];
    for await (const chunk of await create({ ...asked, stream: true })) {
      text += chunk.choices[0]?.text;
      offsets.push(...(chunk.choices[0]?.logprobs?.text_offset ?? []));
    }
    expect([text, offsets]).toEqual(["word word word ", [0, 5, 10]]);
    const ids: CompletionParams = JSON.parse('{ "prompt": [1, 2] }');
    await expect(create(ids)).rejects.toThrow(/`prompt` is not a text/);
    await expect(create(JSON.parse('{ "prompt": "a", "echo": true }'))).rejects.toThrow(/`echo` is not supported/);
  });

  test("null is as good as nothing", async () => {
    const asked = { messages: MESSAGES, max_tokens: 1, temperature: null, n: 1, stop: null, seed: null } as const;
    await expect(openaiClient(model).chat.completions.create(asked)).resolves.toBeDefined();
  });
});

describe("the AI SDK", () => {
  test("streamText", async () => {
    const onError = vi.fn();
    const result = streamText({ model: aiSdkModel(model), prompt: "Hi", maxOutputTokens: 4, temperature: 0, onError });
    let text = "";
    for await (const part of result.textStream) text += part;
    expect(text).toBe("word ".repeat(4));
    expect(await result.finishReason).toBe("length");
    expect(await result.usage).toMatchObject({ inputTokens: 1, outputTokens: 4, totalTokens: 5 });
    expect(onError).not.toHaveBeenCalled();
    expect(engine.started[0]).toMatchObject({ prompt: ["<user>Hi<assistant>"], options: { max_tokens: 4 } });
  });

  test("generateText, with a system message and a text to stop at", async () => {
    const { text, finishReason, warnings } = await generateText({
      model: aiSdkModel(model),
      system: "Be brief.",
      messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }],
      stopSequences: ["d w"],
    });
    expect([text, finishReason, warnings]).toEqual(["wor", "stop", []]);
    expect(engine.started[0]?.prompt).toEqual(["<system>Be brief.<user>Hi<assistant>"]);
  });

  test("a signal ends it, and a failure is told", async () => {
    const controller = new AbortController();
    const onAbort = vi.fn();
    const { textStream } = streamText({
      model: aiSdkModel(model),
      prompt: "Hi",
      maxOutputTokens: 1_000_000,
      abortSignal: controller.signal,
      onAbort,
    });
    for await (const part of textStream) if (part !== "") controller.abort();
    expect(onAbort).toHaveBeenCalledOnce();
    engine.failure = Object.assign(new Error("too long"), { kind: "bad-input", hint: "" });
    await expect(generateText({ model: aiSdkModel(model), prompt: "Hi", maxRetries: 0 })).rejects.toThrow("too long");
  });
});
