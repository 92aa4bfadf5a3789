/** Lets a text through as it comes, up to the first place where one of the given texts begins. */
export class StopFilter {
  readonly #stops: readonly string[];
  /** What may be the beginning of a stop, and waits for what follows. */
  #held = "";
  #is_over = false;

  /** None of them is empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  get is_over(): boolean {
    return this.#is_over;
  }

  /** What of the text so far, and of `text` behind it, can be let through now. */
  push(text: string): string {
    if (this.#is_over) return "";
    const all = this.#held + text;
    const places = this.#stops.map(stop => all.indexOf(stop)).filter(place => place !== -1);
    if (places.length > 0) {
      this.#is_over = true;
      this.#held = "";
      return all.slice(0, Math.min(...places));
    }
    const longest = Math.max(0, ...this.#stops.map(stop => beginningAtEnd(all, stop)));
    this.#held = all.slice(all.length - longest);
    return all.slice(0, all.length - longest);
  }

  /** The text has ended: what was held back is no beginning of a stop. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}

/** The length of the longest beginning of `stop`, short of all of it, that `text` ends with. */
function beginningAtEnd(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
