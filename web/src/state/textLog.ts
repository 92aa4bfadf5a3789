/**
 * The generated text, outside React's state: appending is O(new text), and only the output listens.
 */
export class TextLog {
  #chunks: string[] = [];
  readonly #listeners = new Set<() => void>();

  append(text: string): void {
    if (text === "") return;
    this.#chunks.push(text);
    this.#notify();
  }

  clear(): void {
    this.#chunks = [];
    this.#notify();
  }

  /** How many pieces there are; it falls to zero when the log is cleared. */
  get length(): number {
    return this.#chunks.length;
  }

  /** The text from piece `start` on. */
  since(start: number): string {
    return this.#chunks.slice(start).join("");
  }

  /** Call `listener` after each change, until the function that is returned is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
