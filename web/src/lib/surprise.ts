/** Surprisal and whitespace, as they are shown. */

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
