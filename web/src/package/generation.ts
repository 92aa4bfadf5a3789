/** A text that is being written: to be read as it comes, or as a whole at its end. */
import type { Ending, EngineEvent, Token } from "../engine/protocol";
import { StopFilter } from "./stopFilter";

/** New text, and the tokens that it came with; with `stop`, those of the stop too, whose text is not in `text`. */
export type Piece = { text: string; ids: Uint32Array; tokens: readonly Token[] };

export type Result = {
  text: string;
  /** All tokens that were generated; with `stop`, those of the stop too. */
  ids: Uint32Array;
  tokens: readonly Token[];
  /** "eos": the model ended its text; "max-tokens": the limit was reached; "stopped": by whoever reads it; "stop-text": at one of `stop`. */
  ending: Ending | "stop-text";
  /** Tokens of the prompt, and of these the ones that had to be read: the others stood in the cache. */
  prompt_tokens: number;
  read_tokens: number;
  /** So many messages of a chat, the oldest, were left out, since the context has no room for them. */
  left_out: number;
  elapsed_ms: number;
};

export type Generation = AsyncIterable<Piece> & {
  /** By which events name it. */
  readonly run: number;
  /** "queued" while an earlier one has the model. */
  readonly state: "queued" | "running" | "over";
  /** Settled at the end. Rejects with a `ModelError`, or with the reason of the signal that aborted it. */
  readonly result: Promise<Result>;
  /** End the text here; what has been written stands. */
  stop(): void;
};

type Outcome = { ending: Result["ending"] } | { error: unknown };

/** The model's side of a generation. */
export class Run implements Generation {
  readonly run: number;
  readonly result: Promise<Result>;
  readonly #pieces: Piece[] = [];
  readonly #filter: StopFilter;
  /** Called once, when it is over; `is_cut`: before the model was done. */
  readonly #onOver: (is_cut: boolean) => void;
  #state: Generation["state"] = "queued";
  #outcome: Outcome | null = null;
  #prompt_tokens = 0;
  #read_tokens = 0;
  #left_out = 0;
  #elapsed_ms = 0;
  #settle: { resolve: (result: Result) => void; reject: (error: unknown) => void };
  /** Resolves when there is something new; then another one takes its place. */
  #news: Promise<void>;
  #tell: () => void = () => undefined;

  constructor(run: number, stops: readonly string[], onOver: (is_cut: boolean) => void) {
    this.run = run;
    this.#filter = new StopFilter(stops);
    this.#onOver = onOver;
    this.#settle = { resolve: () => undefined, reject: () => undefined };
    this.result = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever only iterates is told there.
    this.result.catch(() => undefined);
    this.#news = this.#nextNews();
  }

  get state(): Generation["state"] {
    return this.#state;
  }

  stop(): void {
    this.#end({ ending: "stopped" }, true);
  }

  abort(reason: unknown): void {
    this.#end({ error: reason }, true);
  }

  fail(error: unknown): void {
    this.#end({ error }, false);
  }

  begin(): void {
    if (this.#state === "queued") this.#state = "running";
  }

  /** The prompt was chosen. */
  begun(prompt_tokens: number, left_out: number): void {
    this.#prompt_tokens = prompt_tokens;
    this.#left_out = left_out;
  }

  add({ text, ids, tokens, prefilled, elapsed_ms }: Extract<EngineEvent, { type: "tokens" }>): void {
    if (this.#outcome !== null) return;
    this.#read_tokens += prefilled;
    this.#elapsed_ms = elapsed_ms;
    this.#push({ text: this.#filter.push(text), ids, tokens });
    if (this.#filter.is_over) this.#end({ ending: "stop-text" }, true);
  }

  done(ending: Ending, elapsed_ms: number): void {
    if (this.#outcome !== null) return;
    this.#elapsed_ms = elapsed_ms;
    this.#end({ ending }, false);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Piece, void, undefined> {
    let next = 0;
    try {
      for (;;) {
        const news = this.#news;
        for (let piece = this.#pieces[next]; piece !== undefined; piece = this.#pieces[next]) {
          next += 1;
          yield piece;
        }
        if (this.#outcome !== null && next === this.#pieces.length) break;
        await news;
      }
      await this.result;
    } finally {
      // A loop that is left early wants no more of it.
      this.stop();
    }
  }

  #push(piece: Piece): void {
    if (piece.text === "" && piece.ids.length === 0) return;
    this.#pieces.push(piece);
    this.#announce();
  }

  #end(outcome: Outcome, is_cut: boolean): void {
    if (this.#outcome !== null) return;
    this.#push({ text: this.#filter.flush(), ids: new Uint32Array(0), tokens: [] });
    this.#outcome = outcome;
    this.#state = "over";
    if ("error" in outcome) this.#settle.reject(outcome.error);
    else this.#settle.resolve(this.#whole(outcome.ending));
    this.#announce();
    this.#onOver(is_cut);
  }

  #whole(ending: Result["ending"]): Result {
    return {
      text: this.#pieces.map(({ text }) => text).join(""),
      ids: Uint32Array.from(this.#pieces.flatMap(({ ids }) => Array.from(ids))),
      tokens: this.#pieces.flatMap(({ tokens }) => tokens),
      ending,
      prompt_tokens: this.#prompt_tokens,
      read_tokens: this.#read_tokens,
      left_out: this.#left_out,
      elapsed_ms: this.#elapsed_ms,
    };
  }

  #nextNews(): Promise<void> {
    return new Promise(resolve => {
      this.#tell = resolve;
    });
  }

  #announce(): void {
    const tell = this.#tell;
    this.#news = this.#nextNews();
    tell();
  }
}
