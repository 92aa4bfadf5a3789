import type { Candidate, Token } from "pocketlm";
import { describe, expect, test } from "vitest";
import {
  type Doc,
  type DocAction,
  emptyDoc,
  forksOf,
  pathTo,
  reduceDoc,
  requestOf,
  saidOf,
  siblings,
  type Tree,
  textOf,
  treeOf,
} from "./tree";

const token = (id: number, told = false): Token => ({
  id,
  text: `<${id}>`,
  logprob: told ? -id : null,
  likeliest: told ? [{ id, text: `<${id}>`, logprob: -id }] : [],
});
const candidate = (id: number): Candidate => ({ id, text: `<${id}>`, logprob: -id });
const after = (...actions: DocAction[]): Doc => actions.reduce(reduceDoc, emptyDoc);
const shown = (doc: Doc) => textOf(pathTo(doc, doc.tip));

/** The slow, obvious twin: every text from a prompt to a node, as a list of its parts; nothing is shared. */
type Twin = { texts: string[][]; tip: string[]; past: Omit<Twin, "past">[] };

const same = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((part, at) => part === b[at]);
const below = ({ texts }: Pick<Twin, "texts">, text: string[]) =>
  texts.filter(other => other.length === text.length + 1 && same(other.slice(0, -1), text));
const isText = (part: string | undefined) => part !== undefined && !part.startsWith("<");

function add(twin: Twin, from: string[], ...parts: string[]): Twin {
  let [texts, tip] = [twin.texts, from];
  for (const part of parts) {
    tip = [...tip, part];
    if (!texts.some(text => same(text, tip))) texts = [...texts, tip];
  }
  return { ...twin, texts, tip };
}

function play(twin: Twin, action: DocAction, textAt: (node: number | null) => string[]): Twin {
  const { texts, tip } = twin;
  const remember = (next: Twin): Twin => ({ ...next, past: [...twin.past, { texts, tip }].slice(-100) });
  switch (action.type) {
    case "begin":
      return remember(add(twin, [], action.prompt));
    case "rewind":
      return remember({ ...twin, tip: tip.slice(0, tip.findLastIndex(isText) + 1) });
    case "continue":
      return remember(twin);
    case "append":
      return add(twin, tip, ...action.tokens.map(({ text }) => text));
    case "branch": {
      const at = textAt(action.node);
      return isText(at.at(-1)) ? twin : remember(add(twin, at.slice(0, -1), action.candidate.text));
    }
    case "write":
      return remember(add(twin, textAt(action.node), action.text));
    case "walk": {
      let leaf = textAt(action.node);
      for (let next = below(twin, leaf).at(-1); next !== undefined; next = below(twin, leaf).at(-1)) leaf = next;
      return remember({ ...twin, tip: leaf });
    }
    case "undo": {
      const before = twin.past.at(-1);
      return before === undefined ? twin : { ...before, past: twin.past.slice(0, -1) };
    }
    case "clear":
      return texts.length === 0 ? twin : remember({ ...twin, texts: [], tip: [] });
    default:
      throw new Error(action.type);
  }
}

/** A sequence of numbers that looks random. Source: mulberry32, public domain. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return limit => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

function anyAction(next: (below: number) => number, { nodes, tip }: Doc): DocAction {
  const node = nodes.length === 0 ? null : next(nodes.length);
  const kind = next(12);
  if (kind === 0) return { type: "begin", prompt: ["", "a", "b"][next(3)] ?? "" };
  if (kind === 1) return { type: "rewind" };
  if (kind === 2) return { type: "continue" };
  if (kind === 3 && node !== null) return { type: "branch", node, candidate: candidate(next(4)) };
  if (kind === 4) return { type: "write", node, text: ["c", "d"][next(2)] ?? "c" };
  if (kind === 5 && node !== null) return { type: "walk", node };
  if (kind === 6) return { type: "undo" };
  if (kind === 7 && next(4) === 0) return { type: "clear" };
  if (tip === null) return { type: "begin", prompt: "a" };
  return { type: "append", tokens: Array.from({ length: next(4) }, () => token(next(4), next(2) === 0)) };
}

test("random sequences of actions leave what the obvious twin leaves", () => {
  for (let seed = 0; seed < 60; seed += 1) {
    const next = random(seed);
    let doc = emptyDoc;
    let twin: Twin = { texts: [], tip: [], past: [] };
    const textAt = (node: number | null) => pathTo(doc, node).map(({ text }) => text);
    for (let step = 0; step < 40; step += 1) {
      const action = anyAction(next, doc);
      twin = play(twin, action, textAt);
      doc = reduceDoc(doc, action);
      const got = {
        tip: textAt(doc.tip),
        texts: doc.nodes.map(({ id }) => textAt(id)),
        beside: doc.nodes.map(node => siblings(doc, node).map(textAt)),
        past: doc.past.length,
      };
      const beside = twin.texts.map(text => below(twin, text.slice(0, -1)));
      const want = { tip: twin.tip, texts: twin.texts, beside, past: twin.past.length };
      // Compared as texts first: a comparison that can explain itself is slow.
      if (JSON.stringify(got) === JSON.stringify(want)) continue;
      expect(got, `seed ${seed}, step ${step}: ${JSON.stringify(action)}`).toEqual(want);
    }
    expect(treeOf(doc.nodes, doc.tip)).toEqual({
      nodes: doc.nodes,
      children: doc.children,
      tip: doc.tip,
    } satisfies Tree);
  }
});

describe("what the model is to read", () => {
  const written: DocAction[] = [
    { type: "begin", prompt: "Once" },
    { type: "append", tokens: [token(1), token(2)] },
  ];
  const request = (...actions: DocAction[]) => {
    const doc = after(...actions);
    return requestOf(pathTo(doc, doc.tip));
  };

  test("is the prompt, and the tokens behind it as they are", () => {
    expect(request(...written)).toEqual({ prompt: "Once", after: [1, 2] });
  });

  test("is the text up to what the reader wrote last", () => {
    const edited: DocAction[] = [...written, { type: "write", node: 1, text: " more" }];
    expect(request(...edited)).toEqual({ prompt: "Once<1> more", after: [] });
    expect(request(...edited, { type: "append", tokens: [token(5)] })).toEqual({ prompt: "Once<1> more", after: [5] });
  });

  test("has a token that the reader chose among the tokens", () => {
    expect(request(...written, { type: "branch", node: 2, candidate: candidate(9) })).toEqual({
      prompt: "Once",
      after: [1, 9],
    });
  });
});

test("the same tokens again are the same nodes, and what is told of them later stays", () => {
  const doc = after(
    { type: "begin", prompt: "a" },
    { type: "append", tokens: [token(1), token(2)] },
    { type: "rewind" },
    { type: "append", tokens: [token(1, true), token(3)] },
    { type: "rewind" },
    { type: "append", tokens: [token(1)] },
  );
  expect(doc.nodes.map(({ text }) => text)).toEqual(["a", "<1>", "<2>", "<3>"]);
  expect(doc.nodes[1]).toMatchObject({ logprob: -1, source: "sampled", likeliest: [{ id: 1 }] });
  expect(shown(doc)).toBe("a<1>");
  expect(shown(reduceDoc(doc, { type: "walk", node: 1 }))).toBe("a<1><3>");
  const told = reduceDoc(doc, { type: "tell", node: 3, logprob: -3, likeliest: [candidate(2)] });
  expect(told.nodes[3]).toMatchObject({ logprob: -3, likeliest: [{ id: 2 }] });
});

test("a token that was chosen is typed, and knows what else was likely there", () => {
  const doc = after(
    { type: "begin", prompt: "a" },
    { type: "append", tokens: [token(1, true)] },
    { type: "branch", node: 1, candidate: candidate(2) },
  );
  expect(doc.nodes[2]).toEqual({
    id: 2,
    parent: 0,
    source: "typed",
    text: "<2>",
    token: 2,
    logprob: -2,
    likeliest: [candidate(1)],
    left_out: 0,
  });
  expect(shown(reduceDoc(doc, { type: "undo" }))).toBe("a<1>");
});

test("a conversation is what was typed and what followed, by turns", () => {
  const doc = after(
    { type: "begin", prompt: "Who?" },
    { type: "append", tokens: [token(1), token(2)] },
    { type: "write", node: 2, text: "And I?" },
    { type: "write", node: 3, text: "Well?" },
    { type: "append", tokens: [token(3)] },
    { type: "branch", node: 5, candidate: candidate(4) },
  );
  const said = saidOf(pathTo(doc, doc.tip)).map(({ role, nodes }) => [role, textOf(nodes)]);
  expect(said).toEqual([
    ["user", "Who?"],
    ["assistant", "<1><2>"],
    ["user", "And I?"],
    ["assistant", ""],
    ["user", "Well?"],
    ["assistant", "<4>"],
  ]);
  expect(forksOf(doc, pathTo(doc, doc.tip))).toMatchObject([{ node: { id: 6 }, ways: [5, 6], taken: 1 }]);
});

const NODE = { source: "sampled", text: "x", token: 1, logprob: null, likeliest: [], left_out: 0 } as const;
const PROMPT = { ...NODE, source: "typed", token: null, parent: null } as const;

test.each([
  ["a node before its parent", [PROMPT, { ...NODE, parent: 1 }], 0],
  ["a token without a prompt", [{ ...NODE, parent: null }], 0],
  ["a tip that is none", [PROMPT], 1],
  ["a parent between two", [PROMPT, { ...NODE, parent: 0.5 }], 0],
])("no tree: %s", (_, nodes, tip) => expect(treeOf(nodes, tip)).toBeNull());
