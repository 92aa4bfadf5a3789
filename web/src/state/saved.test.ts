import { describe, expect, test } from "vitest";
import { defaultSampling } from "./sampling";
import { addressOf, asTyped, fromJson, readAddress, toJson, toMarkdown } from "./saved";
import { emptyDoc, pathTo, reduceDoc } from "./tree";

const OPTIONS = { ...defaultSampling(7), temperature: 0.35, minP: 0.05 };
const DOC = reduceDoc(reduceDoc(emptyDoc, { type: "begin", prompt: "To be\n&#=é🙂" }), {
  type: "append",
  tokens: [
    { id: 3, text: " or", logprob: -1.5, likeliest: [{ id: 4, text: " and", logprob: -0.5 }] },
    { id: 5, text: "", logprob: null, likeliest: [] },
    { id: 6, text: "``` <b>", logprob: Number.NEGATIVE_INFINITY, likeliest: [] },
  ],
});
const TREE = { nodes: DOC.nodes, children: DOC.children, tip: DOC.tip };
const PATH = pathTo(DOC, DOC.tip);

describe("the address", () => {
  test("brings back what it was made from", () => {
    const whole = { prompt: "To be\n&#=é🙂 +%", settings: OPTIONS, as_document: true };
    expect(addressOf(whole).startsWith("#")).toBe(true);
    expect(readAddress(addressOf(whole))).toEqual(whole);
    for (const prompt of ["", null]) {
      const other = { prompt, settings: OPTIONS, as_document: false };
      expect(readAddress(addressOf(other))).toEqual(other);
    }
    expect(readAddress(addressOf({ ...whole, prompt: "x".repeat(5000) }))).toEqual({ ...whole, prompt: null });
  });

  test.each(["", "#", "#temperature=warm&topK=2.5&topP=7&seed=-1&maxTokens=&minP=NaN&constructor=1&as=king"])(
    "of nonsense asks for nothing: %j",
    hash => expect(readAddress(hash)).toEqual({ prompt: null, settings: {}, as_document: false }),
  );
});

describe("a file", () => {
  const saved = { model_sha256: "ab", use: "chat" as const, tree: TREE, settings: OPTIONS };

  test("brings back the tree and the settings; what JSON cannot say is not known", () => {
    const nodes = TREE.nodes.map(node =>
      node.logprob === Number.NEGATIVE_INFINITY ? { ...node, logprob: null } : node,
    );
    expect(fromJson(toJson(saved))).toEqual({ ...saved, tree: { ...TREE, nodes } });
  });

  test("brings back what the model no longer reads; of one that does not say so, nothing", () => {
    const tree = reduceDoc(DOC, { type: "leave-out", node: 0, messages: 2 });
    const json = toJson({ ...saved, tree });
    expect(fromJson(json)?.tree.nodes.map(({ left_out }) => left_out)).toEqual([2, 0, 0, 0]);
    expect(fromJson(json.replace(/,"left_out":2/, ""))?.tree.nodes[0]?.left_out).toBe(0);
    expect(fromJson(json.replace('"left_out":2', '"left_out":-2'))).toBeNull();
  });

  test.each([
    ["no JSON", "{"],
    ["something else", "{}"],
    ["another format", toJson(saved).replace("pocketlm-text-2", "pocketlm-text-9")],
    ["of no use that is known", toJson(saved).replace('"use":"chat"', '"use":"song"')],
    ["a tip that is none", toJson(saved).replace('"tip":3', '"tip":4')],
    ["a loop", toJson(saved).replace('"parent":0', '"parent":1')],
    ["text that is none", toJson(saved).replace('" or"', "7")],
  ])("that is %s is refused", (_, text) => expect(fromJson(text)).toBeNull());

  test("of another model gives its text", () => {
    const typed = asTyped(PATH);
    expect(typed.nodes).toMatchObject([{ text: "To be\n&#=é🙂 or``` <b>", token: null, parent: null }]);
    expect(asTyped([])).toBe(emptyDoc);
  });
});

test("in Markdown a text cannot leave its fence", () => {
  const text = toMarkdown(PATH, OPTIONS, "ab", false);
  expect(text).toContain("````text\n or``` <b>\n````");
  expect(text).toContain("- Temperature: 0.35");
  expect(toMarkdown(PATH, OPTIONS, "ab", true)).toContain("## Model\n\n````text");
});
