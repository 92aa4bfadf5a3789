import { expect, test } from "vitest";
import { type DocsAction, emptyDocs, reduceDocs } from "./docs";
import { textOf } from "./tree";

const after = (...actions: DocsAction[]) => actions.reduce(reduceDocs, emptyDocs);
const token = (text: string) => ({ id: 7, text, logprob: null, likeliest: [] });

test("what is done is done to the text that is shown, and the other stays as it is", () => {
  const docs = after(
    { type: "begin", prompt: "Once" },
    { type: "show", use: "chat" },
    { type: "begin", prompt: "Who?" },
    { type: "append", tokens: [token(" I")] },
  );
  expect(docs.shown).toBe("chat");
  expect(textOf(docs.document.nodes)).toBe("Once");
  expect(textOf(docs.chat.nodes)).toBe("Who? I");
  const undone = reduceDocs(docs, { type: "undo" });
  expect(undone.chat.tip).toBeNull();
  expect(undone.document).toBe(docs.document);
});

test("each use is shown again as it was left, with its own past", () => {
  const docs = after(
    { type: "begin", prompt: "Once" },
    { type: "show", use: "chat" },
    { type: "show", use: "document" },
  );
  expect(docs.document.past).toHaveLength(1);
  expect(docs.chat.past).toHaveLength(0);
});

test("what comes late goes to the text that it was asked for", () => {
  const docs = after(
    { type: "begin", prompt: "Once" },
    { type: "append", tokens: [token(" upon")] },
    { type: "show", use: "chat" },
    { type: "begin", prompt: "Who?" },
    { type: "append", tokens: [token(" I")] },
  );
  const told = reduceDocs(docs, { type: "tell", node: 1, logprob: -1, likeliest: [], of: "document" });
  expect(told.document.nodes[1]?.logprob).toBe(-1);
  expect(told.chat).toBe(docs.chat);
});

test("where nothing changes the state is the same, so that nothing is drawn", () => {
  const docs = after({ type: "show", use: "chat" });
  expect(reduceDocs(docs, { type: "show", use: "chat" })).toBe(docs);
  expect(reduceDocs(docs, { type: "undo" })).toBe(docs);
});
