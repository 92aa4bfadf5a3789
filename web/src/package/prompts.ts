/** What the engine reads in place of a text or a conversation. */
import type { Card } from "../engine/protocol";
import { shortened } from "../engine/turns";
import type { Message } from "./chat";
import { badInput } from "./modelError";
import type { Prompt, Read } from "./requests";

/** What is said to be the prompt of a run, the same with ever fewer messages, and how many each leaves out. */
export type Prompts = { prompts: string[][]; left_out: number[] };

const USE_GENERATE = "Use generate(): this model continues texts.";

/** A text is one prompt, and leaves nothing out. */
export function textPrompts(prompt: Prompt): Prompts {
  return { prompts: [typeof prompt === "string" ? ["", prompt] : [...prompt]], left_out: [0] };
}

/** A conversation by the model's own template. Rejects with a `ModelError` where it has none, or its template refuses the messages. */
export async function chatPrompts(card: Card, messages: readonly Message[]): Promise<Prompts> {
  if (card.chat_template === null) throw badInput("This model has no chat template.", USE_GENERATE);
  // Whoever does not chat does not load the template language.
  const { chatPrompt } = await import("./chat");
  const read = shortened(messages);
  try {
    const prompts = read.map(each => chatPrompt(card, each));
    return { prompts, left_out: read.map(each => messages.length - each.length) };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw badInput(`The model's chat template cannot be used: ${reason}`, "Look at the messages' roles and order.");
  }
}

/** The whole of either, in parts by turns. */
export async function partsOf(card: Card, text: Read): Promise<string[]> {
  if (typeof text === "string") return ["", text];
  const messages = text.filter(each => typeof each !== "string");
  if (messages.length === 0) return text.filter(each => typeof each === "string");
  return (await chatPrompts(card, messages)).prompts[0] ?? [];
}
