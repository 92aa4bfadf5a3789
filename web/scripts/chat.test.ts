/** The page renders chat templates, and leaves turns out, as the command line does (and Python, of templates). */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { firstThatFits, shortened } from "../src/engine/turns";
import { chatPrompt, type Message } from "../src/package/chat";

type Case = {
  name: string;
  template: string;
  special_tokens: string[];
  bos_token: string;
  eos_token: string;
  messages: Message[];
  parts?: string[];
  error?: string;
};
const file = new URL("../../tests/vectors/chat_templates.json", import.meta.url);
const vectors: { templates: Record<string, string>; cases: Case[] } = JSON.parse(readFileSync(file, "utf8"));

describe("the shared vectors of chat templates", () => {
  test.each(vectors.cases)("$name", ({ template, messages, parts, error, ...tokens }) => {
    const card = { chat_template: vectors.templates[template] ?? null, ...tokens };
    if (parts === undefined) expect(() => chatPrompt(card, messages)).toThrow(error || /./);
    else expect(chatPrompt(card, messages)).toEqual(parts);
  });
});

type Turns = { name: string; ctx_len: number; messages: { role: Message["role"]; tokens: number }[]; left_out: number };
const turns_file = new URL("../../tests/vectors/chat_turns.json", import.meta.url);
const turns: { cases: Turns[] } = JSON.parse(readFileSync(turns_file, "utf8"));

describe("the shared vectors of long conversations", () => {
  test.each(turns.cases)("$name", ({ ctx_len, messages, left_out }) => {
    const tokens = (each: Turns["messages"]) => each.reduce((sum, message) => sum + message.tokens, 0);
    const read = shortened(messages);
    const kept = read[firstThatFits(read, ctx_len, tokens)] ?? [];
    expect(messages.length - kept.length).toBe(left_out);
    expect(kept.at(-1)).toBe(messages.at(-1));
  });
});
