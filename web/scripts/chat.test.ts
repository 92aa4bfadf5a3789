/** The page renders chat templates as the command line and Python do. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { chatPrompt, type Message } from "../src/lib/chat";

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
