import { afterEach, expect, test, vi } from "vitest";
import { fetchChain, makes, readChain } from "./chain";

const DIGEST = "ab".repeat(32);

function entry(from: string[], more: Record<string, unknown> = {}): Record<string, unknown> {
  const inputs = Object.fromEntries(from.map(stage => [stage, { stage, output: "", digest: DIGEST }]));
  return { key: "k", command: ["make", "it"], inputs, outputs: {}, ...more };
}

const PROVENANCE = {
  format: 1,
  stages: {
    export: entry(["train", "corpus"], { outputs: { "model.bin": { digest: DIGEST, size_bytes: 9 } } }),
    train: entry(["corpus"], {
      params: { "train.lr": 0.1, "train.prompts": ["A"], a: "text" },
      tools: { rustc: "rustc 1.95\nhost: x", torch: "2" },
      sources: { "a.py": DIGEST, "b.py": DIGEST },
      external: { documents: [{ name: "a.txt", digest: DIGEST }] },
      accepted: { from: "other" },
    }),
    corpus: entry([]),
  },
};

afterEach(() => {
  vi.unstubAllGlobals();
});

test("each step stands after those that it uses", () => {
  expect(readChain(PROVENANCE)?.map(({ stage, from }) => [stage, from])).toEqual([
    ["corpus", []],
    ["train", ["corpus"]],
    ["export", ["corpus", "train"]],
  ]);
});

test("what a step tells", () => {
  expect(readChain(PROVENANCE)?.[1]).toEqual({
    stage: "train",
    key: "k",
    from: ["corpus"],
    outputs: [],
    sources: 2,
    external: 1,
    params: [
      ["a", "text"],
      ["train.lr", "0.1"],
      ["train.prompts", '["A"]'],
    ],
    tools: [
      ["rustc", "rustc 1.95"],
      ["torch", "2"],
    ],
    command: "make it",
    accepted: true,
  });
});

test("a loop is shown, not followed", () => {
  const stages = { a: entry(["b"]), b: entry(["a"]) };
  expect(readChain({ stages })?.map(({ stage }) => stage)).toEqual(["b", "a"]);
});

test.each([null, 3, [], {}, { stages: {} }, { stages: { a: {} } }, { stages: { a: { key: 1, command: [] } } }])(
  "no provenance: %j",
  value => expect(readChain(value)).toBeNull(),
);

test("whether the chain made this model", () => {
  const chain = readChain(PROVENANCE) ?? [];
  expect(makes(chain, "model.bin", DIGEST)).toBe(true);
  expect(makes(chain, "model.bin", "other")).toBe(false);
  expect(makes([], "model.bin", DIGEST)).toBeNull();
});

test("a bundle without provenance, or with something else there, says so", async () => {
  const answers = [
    [new Response("", { status: 404 }), /^No provenance.json lies/],
    [new Response("<!doctype html>"), /could not be read: SyntaxError/],
    [new Response("{}"), /not one that this page can read/],
  ] as const;
  for (const [response, reason] of answers) {
    vi.stubGlobal("fetch", () => Promise.resolve(response));
    expect(await fetchChain("provenance.json")).toEqual({ kind: "none", reason: expect.stringMatching(reason) });
  }
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("offline")));
  expect(await fetchChain("provenance.json")).toMatchObject({ kind: "none" });
  vi.stubGlobal("fetch", () => Promise.resolve(Response.json(PROVENANCE)));
  expect(await fetchChain("provenance.json")).toEqual({ kind: "chain", steps: readChain(PROVENANCE) });
});
