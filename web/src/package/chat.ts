/**
 * Messages in, a prompt out, in parts by turns: the chat template's text, in which special tokens count, and a person's, in
 * which they are ordinary text.
 *
 * Before it is rendered, each special token that a message contains is replaced by a mark that nobody can guess, and comes
 * back as a person's text. The command line (rust/cli/src/template.rs) and Python (training/chat.py) do the same;
 * tests/vectors/chat_templates.json holds all three to it.
 */
import { Template } from "@huggingface/jinja";
import type { Card } from "../engine/protocol";

export type Message = { role: "system" | "user" | "assistant"; content: string };

/** What a template needs to know of its model. */
export type ChatCard = Pick<Card, "chat_template" | "bos_token" | "eos_token" | "special_tokens">;

function newNonce(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), word => word.toString(16).padStart(8, "0")).join("");
}

/** Throws an Error where the template is wrong, or refuses the messages. */
export function chatPrompt(card: ChatCard, messages: readonly Message[], nonce: string = newNonce()): string[] {
  const longest_first = [...card.special_tokens].sort((a, b) => b.length - a.length);
  const safe = (text: string) => {
    let result = "";
    for (let at = 0; at < text.length; ) {
      const number = longest_first.findIndex(token => text.startsWith(token, at));
      result += number === -1 ? text.charAt(at) : `\uE000${nonce}:${number}\uE001`;
      at += longest_first[number]?.length ?? 1;
    }
    return result;
  };
  const text = new Template(card.chat_template ?? "").render({
    messages: messages.map(({ role, content }) => ({ role, content: safe(content) })),
    add_generation_prompt: true,
    bos_token: card.bos_token ?? "",
    eos_token: card.eos_token ?? "",
  });
  const pieces = text.split(new RegExp(`\uE000${nonce}:(\\d+)\uE001`));
  return pieces.map((piece, index) => (index % 2 === 0 ? piece : (longest_first[Number(piece)] ?? "")));
}
