/** What leaves the page and comes back: the address, what is saved on this device, and files. All of it is read with distrust. */
import * as v from "valibot";
import type { Use } from "./docs";
import { FIELDS, type SamplingOptions } from "./sampling";
import { emptyDoc, reduceDoc, saidOf, type Tree, type TreeNode, textOf, treeOf } from "./tree";

/** A longer prompt is left out of the address. */
const LONGEST_PROMPT = 4000;

/** Names the kind of file, and how it is laid out. */
const FORMAT = "pocketlm-text-2";

/** A part of the settings: each within the bounds of its field, and those that are not are left out. */
function settingsOf(given: (name: string) => unknown): Partial<SamplingOptions> {
  const settings: Partial<SamplingOptions> = {};
  for (const { name, min, max, step } of FIELDS) {
    const number = v.pipe(v.number(), v.finite(), v.minValue(min), v.maxValue(max));
    const found = v.safeParse(Number.isInteger(step) ? v.pipe(number, v.integer()) : number, given(name));
    if (found.success) settings[name] = found.output;
  }
  return settings;
}

/** What an address asks for; `prompt` is null where it names none. `as_document`: no chat, though the model has a template. */
export type Address = { prompt: string | null; settings: Partial<SamplingOptions>; as_document: boolean };

/** Behind the "#", so that no server hears of it. */
export function readAddress(hash: string): Address {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const settings = settingsOf(name => (words.get(name) ? Number(words.get(name)) : undefined));
  return { prompt: words.get("prompt"), settings, as_document: words.get("as") === "document" };
}

/** `prompt` is null in a conversation, which has none. */
export function addressOf({ prompt, settings, as_document }: Address & { settings: SamplingOptions }): string {
  const words = new URLSearchParams();
  if (prompt !== null && prompt.length <= LONGEST_PROMPT) words.set("prompt", prompt);
  for (const { name } of FIELDS) words.set(name, `${settings[name]}`);
  if (as_document) words.set("as", "document");
  return `#${words}`;
}

/** `model_sha256`: of the model whose tokens the ids are. */
export type Saved = { model_sha256: string; use: Use; tree: Tree; settings: Partial<SamplingOptions> };

const Id = v.pipe(v.number(), v.integer(), v.minValue(0));
const Logprob = v.pipe(v.number(), v.maxValue(0));

const Node = v.object({
  parent: v.nullable(Id),
  source: v.picklist(["typed", "sampled"]),
  text: v.string(),
  token: v.nullable(Id),
  logprob: v.optional(v.nullable(Logprob), null),
  likeliest: v.optional(v.array(v.object({ id: Id, text: v.string(), logprob: Logprob })), []),
  left_out: v.optional(Id, 0),
});

const File = v.object({
  format: v.literal(FORMAT),
  model_sha256: v.string(),
  use: v.picklist(["document", "chat"]),
  settings: v.record(v.string(), v.unknown()),
  tip: v.nullable(Id),
  nodes: v.array(Node),
});

export function toJson({ model_sha256, use, tree, settings }: Saved): string {
  const nodes = tree.nodes.map(({ parent, source, text, token, logprob, likeliest, left_out }) => ({
    parent,
    source,
    text,
    token,
    // A token that cannot be has a log-probability that JSON cannot say.
    ...(logprob !== null && Number.isFinite(logprob) && { logprob }),
    ...(left_out > 0 && { left_out }),
    ...(likeliest.length > 0 && { likeliest: likeliest.filter(each => Number.isFinite(each.logprob)) }),
  }));
  return JSON.stringify({ format: FORMAT, model_sha256, use, settings, tip: tree.tip, nodes });
}

/** null for what is no such text. */
export function fromJson(text: string): Saved | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const file = v.safeParse(File, value);
  if (!file.success) return null;
  const { model_sha256, use, settings, nodes, tip } = file.output;
  const tree = treeOf(nodes, tip);
  return tree === null ? null : { model_sha256, use, tree, settings: settingsOf(name => settings[name]) };
}

/** The text that is shown as if it had been typed: for a tree whose ids are another model's. */
export function asTyped(path: readonly TreeNode[]): Tree {
  if (path.length === 0) return emptyDoc;
  return reduceDoc(emptyDoc, { type: "begin", prompt: textOf(path) });
}

/** In Markdown what a model says is text: fenced, by a fence that is longer than any in it. */
function fenced(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}

/** What is shown, with the settings that it was written with. */
export function toMarkdown(
  path: readonly TreeNode[],
  options: SamplingOptions,
  model: string,
  is_chat: boolean,
): string {
  const parts = is_chat
    ? saidOf(path).map(({ role, nodes }) => `## ${role === "user" ? "You" : "Model"}\n\n${fenced(textOf(nodes))}`)
    : [`## Prompt\n\n${fenced(path[0]?.text ?? "")}`, `## Text\n\n${fenced(textOf(path.slice(1)))}`];
  const settings = FIELDS.map(({ name, label }) => `- ${label}: ${options[name]}`);
  return `${["# A text by PocketLM", ...parts, `## Settings\n\n- Model: SHA-256 ${model}\n${settings.join("\n")}`].join("\n\n")}\n`;
}
