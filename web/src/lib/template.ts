/** A prompt in parts, as a template and a person wrote it, cut into what is shown. */

/** `is_special`: one token that counts, such as the one that ends a message. */
export type Segment = { text: string; is_special: boolean };

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/**
 * `parts` by turns: the template's text, in which special tokens count, and a person's, in which they are ordinary text. Where several
 * special tokens begin at one place, the longest counts, as in the tokenizer.
 */
export function segmentsOf(parts: readonly string[], special_tokens: readonly string[]): Segment[] {
  const longest_first = special_tokens.filter(token => token !== "").sort((a, b) => b.length - a.length);
  const special = longest_first.length === 0 ? null : new RegExp(`(${longest_first.map(escaped).join("|")})`);
  const segments: Segment[] = [];
  const add = (text: string, is_special: boolean) => {
    const last = segments.at(-1);
    if (text === "") return;
    if (last !== undefined && !is_special && !last.is_special) last.text += text;
    else segments.push({ text, is_special });
  };
  for (const [number, part] of parts.entries()) {
    const is_templates = number % 2 === 0 && special !== null;
    // Splitting by a group leaves what it found in every second place.
    const pieces = is_templates ? part.split(special) : [part];
    for (const [at, piece] of pieces.entries()) add(piece, at % 2 === 1);
  }
  return segments;
}
