import type { Token } from "pocketlm";
import { describe, expect, test } from "vitest";
import { type Doc, type DocAction, emptyDoc, pathTo, reduceDoc, textOf } from "./tree";
import { leftOut, turnsOf } from "./turns";

const token = (id: number): Token => ({ id, text: `<${id}>`, logprob: null, likeliest: [] });
const tokens = (...ids: number[]) => ids.map(token);
const docOf = (...actions: DocAction[]): Doc => actions.reduce(reduceDoc, emptyDoc);
const shown = (doc: Doc) => turnsOf(doc, pathTo(doc, doc.tip));
const said = (doc: Doc) => shown(doc).map(({ nodes }) => textOf(nodes));
const forks = (doc: Doc) => shown(doc).map(({ fork }) => fork && [fork.taken + 1, fork.ways.length]);

const asked: DocAction[] = [
  { type: "begin", prompt: "Who?" },
  { type: "append", tokens: tokens(1, 2) },
  { type: "write", node: 2, text: "And I?" },
  { type: "append", tokens: tokens(3) },
];

describe("a conversation's turns", () => {
  test("have one version each until something is said again", () => {
    const doc = docOf(...asked);
    expect(said(doc)).toEqual(["Who?", "<1><2>", "And I?", "<3>"]);
    expect(shown(doc).map(({ role, before }) => [role, before])).toEqual([
      ["user", null],
      ["assistant", 0],
      ["user", 2],
      ["assistant", 3],
    ]);
    expect(forks(doc)).toEqual([null, null, null, null]);
    expect(turnsOf(emptyDoc, [])).toEqual([]);
  });

  test("a question that was edited is a version beside it, and one walks back to what followed the first", () => {
    const doc = docOf(...asked, { type: "write", node: null, text: "What?" }, { type: "append", tokens: tokens(4) });
    expect(said(doc)).toEqual(["What?", "<4>"]);
    expect(forks(doc)).toEqual([[2, 2], null]);
    const back = reduceDoc(doc, { type: "walk", node: shown(doc)[0]?.fork?.ways[0] ?? -1 });
    expect(said(back)).toEqual(["Who?", "<1><2>", "And I?", "<3>"]);
    expect(forks(back)).toEqual([[1, 2], null, null, null]);
    expect(said(reduceDoc(back, { type: "undo" }))).toEqual(["What?", "<4>"]);
  });

  test("an answer in the middle is written again, and the old one keeps what followed it", () => {
    const doc = docOf(...asked, { type: "rewind", node: 0 }, { type: "append", tokens: tokens(1, 5) });
    expect(said(doc)).toEqual(["Who?", "<1><5>"]);
    expect(forks(doc)).toEqual([null, [2, 2]]);
    const back = reduceDoc(doc, { type: "walk", node: shown(doc)[1]?.fork?.ways[0] ?? -1 });
    expect(said(back)).toEqual(["Who?", "<1><2>", "And I?", "<3>"]);
    expect(reduceDoc(doc, { type: "rewind", node: 99 })).toBe(doc);
  });

  test("an answer that the reader wrote is the model's words, and goes on", () => {
    const wrote: DocAction = { type: "answer", node: 0, tokens: tokens(1, 6) };
    const doc = docOf(...asked, wrote, { type: "append", tokens: tokens(7) });
    expect(said(doc)).toEqual(["Who?", "<1><6><7>"]);
    expect(forks(doc)).toEqual([null, [2, 2]]);
    expect(pathTo(doc, doc.tip).map(({ source }) => source)).toEqual(["typed", "sampled", "typed", "sampled"]);
    expect(said(reduceDoc(doc, { type: "undo" }))).toEqual(["Who?", "<1><2>", "And I?", "<3>"]);
    expect(reduceDoc(doc, { ...wrote, node: 99 })).toBe(doc);
  });

  test("an answer that is the beginning of another one is one of its own", () => {
    const doc = docOf(...asked, { type: "answer", node: 0, tokens: tokens(1) });
    expect(said(doc)).toEqual(["Who?", "<1>"]);
    expect(forks(doc)).toEqual([null, [1, 2]]);
    const next = reduceDoc(doc, { type: "write", node: 1, text: "Go on." });
    expect(said(next)).toEqual(["Who?", "<1>", "Go on."]);
    expect(forks(next)).toEqual([null, [1, 2], null]);
    const other = reduceDoc(next, { type: "walk", node: shown(next)[1]?.fork?.ways[1] ?? -1 });
    expect(said(other)).toEqual(["Who?", "<1><2>", "And I?", "<3>"]);
    // Back: to the short answer with its question, not to the long one that goes through it.
    expect(said(reduceDoc(other, { type: "walk", node: shown(other)[1]?.fork?.ways[0] ?? -1 }))).toEqual(said(next));
  });
});

describe("what the model no longer reads", () => {
  const messages = (doc: Doc) => leftOut(pathTo(doc, doc.tip));
  const long = docOf(
    ...asked,
    { type: "write", node: 4, text: "And she?" },
    { type: "leave-out", node: 5, messages: 2 },
    { type: "append", tokens: tokens(6) },
  );

  test("is told of the question that it was left out for, and stays out of what follows", () => {
    expect(messages(docOf(...asked))).toBe(0);
    expect(messages(long)).toBe(2);
    const next = reduceDoc(long, { type: "write", node: 6, text: "And they?" });
    expect(messages(next)).toBe(2);
    expect(messages(reduceDoc(next, { type: "leave-out", node: 7, messages: 4 }))).toBe(4);
    expect(messages(reduceDoc(next, { type: "undo" }))).toBe(2);
  });

  test("belongs to a text: another version of an earlier question has all of its own", () => {
    const other = reduceDoc(long, { type: "write", node: null, text: "What?" });
    expect(said(other)).toEqual(["What?"]);
    expect(messages(other)).toBe(0);
    const back = reduceDoc(other, { type: "walk", node: 0 });
    expect([said(back).length, messages(back)]).toEqual([6, 2]);
    expect(messages(reduceDoc(back, { type: "rewind", node: 3 }))).toBe(0);
  });

  test("is nothing that a token can tell, nor as much as there is", () => {
    expect(reduceDoc(long, { type: "leave-out", node: 6, messages: 3 })).toBe(long);
    expect(reduceDoc(long, { type: "leave-out", node: 99, messages: 3 })).toBe(long);
    expect(messages(reduceDoc(long, { type: "leave-out", node: 5, messages: 6 }))).toBe(0);
  });
});

/** Small whole numbers, the same in each run. */
function drawer(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
}

/** The slow, obvious twin: all that was ever said behind a question, node by node upwards. */
function answersBehind({ nodes }: Doc, question: number, end: number): number[] {
  return nodes.flatMap(({ id }) => {
    let at: number | null = id;
    while (at !== null && at !== question && nodes[at]?.token !== null) at = nodes[at]?.parent ?? null;
    const below = nodes.filter(({ parent }) => parent === id);
    const isEnd = id === end || below.length === 0 || below.some(({ token }) => token === null);
    return at === question && isEnd ? [id] : [];
  });
}

test("in random conversations every version can be walked to, and from there back", () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const draw = drawer(seed);
    let doc = docOf({ type: "begin", prompt: "q" });
    for (let step = 0; step < 30; step += 1) {
      const turns = shown(doc);
      const turn = turns[draw(turns.length)];
      const some = Array.from({ length: draw(4) }, () => token(draw(3)));
      const question = turn?.role === "assistant" ? (turn.before ?? 0) : (turn?.nodes[0]?.id ?? 0);
      const text = `q${draw(3)}`;
      const ways = turn?.fork?.ways ?? [];
      const actions: DocAction[] = [
        { type: "append", tokens: some },
        { type: "write", node: doc.tip, text },
        { type: "write", node: turn?.role === "user" ? turn.before : doc.tip, text },
        { type: "rewind", node: question },
        { type: "answer", node: question, tokens: some },
        ...(ways.length === 0 ? [] : [{ type: "walk", node: ways[draw(ways.length)] ?? 0 } as const]),
      ];
      doc = reduceDoc(doc, actions[draw(actions.length)] ?? { type: "undo" });

      for (const [place, { role, nodes, before, fork }] of shown(doc).entries()) {
        if (role === "assistant" && before !== null) {
          const end = nodes.at(-1)?.id ?? before;
          const expected = answersBehind(doc, before, end);
          expect(fork?.ways.length ?? 1).toBe(expected.length);
          expect(fork?.taken ?? 0).toBe(expected.indexOf(end));
        }
        for (const [at, way] of fork?.ways.entries() ?? []) {
          if (at === fork?.taken) continue;
          const there = reduceDoc(doc, { type: "walk", node: way });
          const found = shown(there)[place];
          expect(
            shown(there)
              .slice(0, place)
              .map(({ nodes }) => textOf(nodes)),
          ).toEqual(said(doc).slice(0, place));
          expect(textOf(found?.nodes ?? [])).not.toBe(textOf(nodes));
          // What was shown, and nothing had followed, is none of the ways from elsewhere.
          expect([fork?.ways.length, (fork?.ways.length ?? 0) - 1]).toContain(found?.fork?.ways.length ?? 1);
        }
      }
    }
  }
});
