import { describe, expect, test, vi } from "vitest";
import { CARD, FakeEngine } from "../testing/fakeEngine";
import {
  benchmark,
  median,
  phaseOf,
  positionsOf,
  promptIds,
  type Surroundings,
  shareOf,
  weightBytes,
} from "./benchmark";
import type { BenchmarkProgress } from "./figures";

const { ctx_len, vocab_size } = CARD.header.config;

function around(changes: Partial<Surroundings> = {}): Surroundings {
  return {
    isStopped: () => false,
    onProgress: () => undefined,
    stream: () => Promise.resolve(1e9),
    model: { sha256: "abc", size_bytes: 80 },
    start_ms: null,
    ...changes,
  };
}

describe("sums", () => {
  test("ids are of the vocabulary, and those of the command line", () => {
    const ids = promptIds(1000, vocab_size);
    expect(ids.every(id => id < vocab_size)).toBe(true);
    expect(new Set(ids).size).toBe(vocab_size);
    const wrapped = (index: number) => Number(BigInt.asUintN(32, BigInt(index) * 2_654_435_761n) % BigInt(vocab_size));
    expect([...ids]).toEqual(Array.from({ length: 1000 }, (_, index) => wrapped(index)));
  });

  test.each([
    [[3, 1, 2], 2],
    [[4], 4],
    [[2, 1], 2],
  ])("the median of %j is %d", (values, middle) => expect(median(values)).toBe(middle));

  test.each([
    [384, 16, 8, [46, 92, 138, 184, 230, 276, 322, 368]],
    [4, 1, 8, [1, 2, 3]],
    [2, 1, 8, [1]],
    [1, 1, 8, []],
  ])("positions in a context of %d", (length, tokens, count, places) => {
    const found = positionsOf(length, tokens, count);
    expect(found).toEqual(places);
    expect(found.every(position => position + tokens <= length)).toBe(true);
  });

  test("a token reads all weights, but of the embedding one row, unless that is the output's too", () => {
    const tensors = [
      { name: "model.embed_tokens.weight", dtype: "f32", shape: [10, 4], nbytes: 160 },
      { name: "model.norm.weight", dtype: "f32", shape: [4], nbytes: 16 },
    ];
    const card = (tie_embeddings: boolean) => ({
      ...CARD,
      header: { ...CARD.header, tensors, config: { ...CARD.header.config, vocab_size: 10, tie_embeddings } },
    });
    expect([weightBytes(card(false)), weightBytes(card(true))]).toEqual([16 + 16, 16 + 160 + 16]);
  });

  test("a phase is the medians of its rounds, kernel by kernel", () => {
    const round = (...milliseconds: number[]) => ({
      names: ["norm_logits", "attention"],
      milliseconds: Float64Array.from(milliseconds),
      bytes: Float64Array.of(80, 20),
      read_weights: Uint8Array.of(1, 0),
    });
    expect(phaseOf(1, 2, [round(8, 2), round(100, 3), round(6, 90)], 1000)).toEqual({
      tokens: 1,
      ms: 5.5,
      weight_bytes: 40,
      share_of_stream: 40 / 0.0055 / 1000,
      operations: [
        { name: "norm_logits", ms: 4, bytes: 40 },
        { name: "attention", ms: 1.5, bytes: 10 },
      ],
    });
    expect([shareOf(10, 1, null), shareOf(10, 0, 1)]).toEqual([null, null]);
  });
});

test("measures everything within the context, and leaves the cache empty", async () => {
  const engine = new FakeEngine("cpu", 0.02);
  const told: BenchmarkProgress[] = [];
  const found = await benchmark(engine, around({ onProgress: progress => told.push(progress), start_ms: 12 }));
  expect(found).toMatchObject({
    device: "cpu",
    adapter: null,
    model_sha256: "abc",
    file_bytes: 80,
    cache: "f32",
    cache_bytes: 480 * ctx_len,
    runs: 3,
    start_ms: 12,
    stream_bytes_per_s: 1e9,
    profile_missing: null,
  });
  expect(engine.position).toBe(0);
  expect(engine.furthest).toBeLessThanOrEqual(ctx_len);
  expect((found?.prompt_tokens ?? 0) + (found?.decode_tokens ?? 0)).toBeLessThanOrEqual(ctx_len);
  // The clock is held for each token: neither reading nor writing can be faster than that.
  for (const rate of [found?.prefill_tokens_per_s, found?.decode_tokens_per_s]) {
    expect(rate).toBeGreaterThan(0);
    expect(rate).toBeLessThanOrEqual(50_000);
  }
  expect(found?.at.map(({ position }) => position)).toEqual(
    positionsOf(ctx_len, ctx_len - (found?.at.at(-1)?.position ?? 0)),
  );
  expect(found?.at[0]?.bytes).toBe((found?.weight_bytes ?? 0) + 480 * (found?.at[0]?.position ?? 0));
  expect(found?.profile?.decode).toMatchObject({ tokens: 1, ms: 5, weight_bytes: 40 });
  const fractions = told.map(({ fraction }) => fraction);
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  expect([...new Set(told.map(({ phase }) => phase))]).toEqual(["start", "runs", "positions", "memory", "kernels"]);
});

test("a device without timestamps says so, and the rest is there", async () => {
  const engine = new FakeEngine("webgpu", 0.02);
  const refusal = Object.assign(new Error("no profile: the adapter has no timestamp queries"), {
    kind: "bad-input",
    hint: "",
  });
  vi.spyOn(engine, "profile").mockRejectedValue(refusal);
  const found = await benchmark(engine, around({ stream: () => Promise.resolve(null) }));
  expect(found).toMatchObject({
    device: "gpu",
    profile: null,
    profile_missing: refusal.message,
    share_of_stream: null,
  });
  expect(engine.position).toBe(0);
});

test("ends at the first step after a stop", async () => {
  const engine = new FakeEngine("cpu", 0.02);
  let left = 7;
  const isStopped = () => {
    left -= 1;
    return left < 0;
  };
  const steps = vi.spyOn(engine, "sample");
  const found = await benchmark(engine, around({ isStopped }));
  expect(found).toBeNull();
  expect(steps.mock.calls.length).toBeLessThanOrEqual(8);
});

test("what befalls the engine is thrown", async () => {
  const engine = new FakeEngine("cpu", 0.02);
  engine.failure = Object.assign(new Error("gone"), { kind: "device-lost", hint: "" });
  await expect(benchmark(engine, around())).rejects.toThrow("gone");
});
