/** Collects what comes, and hands it on together: the first at once, and then no more often than every `interval_ms`. */
export class Batches<T> {
  readonly #interval_ms: number;
  readonly #hand: (items: T[]) => void;
  #items: T[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #handed_ms = Number.NEGATIVE_INFINITY;

  constructor(interval_ms: number, hand: (items: T[]) => void) {
    this.#interval_ms = interval_ms;
    this.#hand = hand;
  }

  push(item: T): void {
    this.#items.push(item);
    const wait_ms = this.#handed_ms + this.#interval_ms - performance.now();
    if (wait_ms <= 0) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), wait_ms);
  }

  /** Hand on what waits. */
  flush(): void {
    const items = this.#items;
    this.clear();
    if (items.length === 0) return;
    this.#handed_ms = performance.now();
    this.#hand(items);
  }

  /** Forget what waits. */
  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#items = [];
  }
}
