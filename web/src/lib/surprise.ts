/** Surprisal and whitespace, as they are shown. */

import type { Token } from "pocketlm";

/** A token's surprisal, −log₂ of its probability; null where that is not known. */
export function bitsOf({ logprob }: Pick<Token, "logprob">): number | null {
  return logprob === null ? null : -logprob / Math.LN2;
}

/** A token's bytes in UTF-8, in hexadecimal; one that is no text by itself holds a part of a letter. */
export function bytesOf(text: string): string {
  if (text === "" || text.includes("\uFFFD")) return "a part of a letter";
  const bytes = Array.from(new TextEncoder().encode(text), byte => byte.toString(16).padStart(2, "0"));
  return `bytes ${bytes.join(" ")}`;
}

/** 0.1234 as "12.3 %", from its natural logarithm. */
export function percentOf(logprob: number): string {
  return `${(100 * Math.exp(logprob)).toPrecision(3)} %`;
}

/** From so many bits on a token is of the next level. */
const LEVELS_BITS = [1, 3, 6, 10];

/** 0, expected, to 4, wholly unexpected. */
export function surpriseLevel(bits: number | null): number {
  return LEVELS_BITS.filter(limit => bits !== null && bits >= limit).length;
}

/** A token's text with its whitespace to be seen, and other control and direction characters by their code. */
export function shownText(text: string): string {
  return text
    .replaceAll(" ", "·")
    .replaceAll("\t", "→")
    .replaceAll("\n", "↵\n")
    .replace(
      /[^\P{C}\n]/gu,
      letter => `[U+${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}
