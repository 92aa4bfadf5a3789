import { expect, test } from "vitest";
import { segmentsOf } from "./template";
import { tokensOfText } from "./tokensOfText";

test("special tokens are marked where the template wrote them, and nowhere else", () => {
  const parts = ["<|im_start|>user\nSay ", "<|im_end|>", ".<|im_end|>\n<|im_start|>assistant\n"];
  expect(segmentsOf(parts, ["<|im_end|>", "<|im_start|>"])).toEqual([
    { text: "<|im_start|>", is_special: true },
    { text: "user\nSay <|im_end|>.", is_special: false },
    { text: "<|im_end|>", is_special: true },
    { text: "\n", is_special: false },
    { text: "<|im_start|>", is_special: true },
    { text: "assistant\n", is_special: false },
  ]);
});

test("the longest token counts, none is a pattern, and nothing is lost", () => {
  expect(segmentsOf(["a<s><s>.b[x]*"], ["<s>", "<s>.", "[x]*", ""])).toEqual([
    { text: "a", is_special: false },
    { text: "<s>", is_special: true },
    { text: "<s>.", is_special: true },
    { text: "b", is_special: false },
    { text: "[x]*", is_special: true },
  ]);
  expect(segmentsOf(["a.b", "c"], [])).toEqual([{ text: "a.bc", is_special: false }]);
  expect(segmentsOf([], ["<s>"])).toEqual([]);
});

/** A tokenizer of bytes. */
const bytes = {
  tokenize: (text: string) => Promise.resolve(Uint32Array.from(new TextEncoder().encode(text))),
  detokenize: (ids: Iterable<number>) => Promise.resolve(new TextDecoder().decode(Uint8Array.from(ids))),
};

test("tokens have their part of the text, and one within a letter brings it with the next", async () => {
  for (const text of ["", "abc", "aé日本😀b", "a\uFFFDb\uFFFD", "é"]) {
    const tokens = await tokensOfText(bytes, text);
    expect(tokens.map(({ text }) => text).join("")).toBe(text);
    expect(tokens.map(({ id }) => id)).toEqual(Array.from(new TextEncoder().encode(text)));
  }
  const [first, second] = await tokensOfText(bytes, "é");
  expect([first?.text, second?.text]).toEqual(["", "é"]);
});
