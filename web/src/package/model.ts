/** A model in a worker of its own, and what one can ask of it. One thing at a time: what comes meanwhile waits its turn. */
import { EngineClient, type WorkerPort } from "../engine/client";
import type {
  Attention,
  Benchmark,
  Card,
  Check,
  EngineEvent,
  Layer,
  LoadedModel,
  Look,
  Looked,
  Merge,
  TextScore,
} from "../engine/protocol";
import type { Message } from "./chat";
import { type Generation, Run } from "./generation";
import { badInput, ModelError, partIsMissing, unexpected } from "./modelError";
import { engineOptions, stopTexts, type TextOptions } from "./options";
import { chatPrompts, type Prompts, partsOf, textPrompts } from "./prompts";
import { type Answer, Questions } from "./questions";
import {
  type AskOptions,
  absolute,
  type BenchmarkOptions,
  backendOf,
  type LoadOptions,
  type LookOptions,
  type MeasureOptions,
  type ModelEvent,
  type Prompt,
  type Read,
} from "./requests";
import { startWorker } from "./startWorker";

/**
 * Download a model, or take it from this device or from a file that the reader chose, and get an engine ready for it.
 *
 * Rejects with a `ModelError`, or with the signal's reason.
 */
export async function loadModel(from: string | URL | Blob, options: LoadOptions = {}): Promise<Model> {
  return await Model.load(from, options, options.worker ?? startWorker);
}

export class Model {
  /** The model that was loaded: itself, or what this one was forked from at the last. Worker, queue and runs are that one's. */
  readonly #root: Model;
  /** Its engine's number in the worker. */
  readonly #engine: number;
  /** Numbers that forks have had. */
  #engines = 0;
  readonly #client: EngineClient;
  readonly #options: LoadOptions;
  #info: LoadedModel | null = null;
  /** What the model was lost to. */
  #lost: ModelError | null = null;
  #runs = 0;
  #run: Run | null = null;
  /** What the run's prompts leave out. */
  #left_out: readonly number[] = [];
  /** Runs and questions that are not over, in their order, and whose they are. */
  readonly #unfinished = new Map<object, Model>();
  #queue: Promise<void> = Promise.resolve();
  readonly #questions = new Questions();
  #loading: { resolve: (model: Model) => void; reject: (error: unknown) => void } | null = null;

  private constructor(options: LoadOptions, from: (() => WorkerPort) | { root: Model; engine: number }) {
    this.#options = options;
    this.#root = "root" in from ? from.root : this;
    this.#engine = "root" in from ? from.engine : 0;
    this.#client = "root" in from ? from.root.#client : new EngineClient(from, event => this.#hear(event));
  }

  /** `start`: the unit tests pass a double of the worker. @internal */
  static async load(from: string | URL | Blob, options: LoadOptions, start: () => WorkerPort): Promise<Model> {
    const { signal, device = "auto" } = options;
    signal?.throwIfAborted();
    const model = new Model(options, start);
    const onAbort = () => {
      model.#loading?.reject(signal?.reason);
      model.dispose();
    };
    signal?.addEventListener("abort", onAbort);
    try {
      return await new Promise((resolve, reject) => {
        model.#loading = { resolve, reject };
        model.#client.load(from instanceof Blob ? from : absolute(from), device);
      });
    } finally {
      model.#loading = null;
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** The file, where it runs and why there, and whether it stays on this device. */
  get info(): LoadedModel {
    const info = this.#root.#info;
    if (info === null) throw new Error("the model is not loaded");
    return info;
  }

  /** What the file says of its model: hyperparameters, provenance, chat template. */
  get card(): Card {
    return this.info.card;
  }

  /** Continue a text. */
  generate(prompt: Prompt, options: TextOptions = {}): Generation {
    const prompts = textPrompts(prompt);
    return this.#begin(() => Promise.resolve(prompts), options);
  }

  /**
   * Write the next message of a conversation, by the model's own template. Where the context has no room for all, the oldest
   * turns are left out, and the result says how many messages that are.
   */
  chat(messages: readonly Message[], options: TextOptions = {}): Generation {
    return this.#begin(() => chatPrompts(this.card, messages), options);
  }

  /**
   * What `chat` reads in place of these messages, all of them: the text of the model's template, in parts by turns as `generate` takes them.
   * Special tokens count in the first, the third and so on; what a message says of them is in the others.
   */
  async chatPrompt(messages: readonly Message[]): Promise<string[]> {
    const { prompts } = await chatPrompts(this.card, messages);
    return prompts[0] ?? [];
  }

  /** How surprised the model is by each token of a text, as a document of its own. */
  async score(text: string, options: AskOptions = {}): Promise<TextScore> {
    const answer = await this.#ask(() => this.#client.score(text, this.#engine), options);
    return answer.type === "scored" ? answer.score : unexpected(answer);
  }

  /** The ids of a text; special tokens in it are ordinary text. */
  async tokenize(text: string, options: AskOptions = {}): Promise<Uint32Array> {
    const answer = await this.#ask(() => this.#client.encode(text), options);
    return answer.type === "encoded" ? answer.ids : unexpected(answer);
  }

  /** The text of ids, with U+FFFD for bytes that are no text. */
  async detokenize(ids: Iterable<number>, options: AskOptions = {}): Promise<string> {
    const answer = await this.#ask(() => this.#client.decode(Uint32Array.from(ids)), options);
    return answer.type === "decoded" ? answer.text : unexpected(answer);
  }

  /** How a token comes about: the merges of its bytes, in the order in which they apply; none where merges do not make it. */
  async merges(id: number, options: AskOptions = {}): Promise<Merge[]> {
    const answer = await this.#ask(() => this.#client.merges(id), options);
    return answer.type === "merged" ? answer.merges : unexpected(answer);
  }

  /** The logits after each of these ids, one row of vocab_size an id. */
  async logits(ids: Iterable<number>, options: AskOptions = {}): Promise<Float32Array> {
    const answer = await this.#ask(() => this.#client.logits(Uint32Array.from(ids), this.#engine), options);
    return answer.type === "logits" ? answer.logits : unexpected(answer);
  }

  /**
   * Another model on the same worker and weights, with a cache of its own that begins as a copy of this one's: each goes its own way
   * from what this one has read and written, without reading it again. It costs a cache; `dispose` gives that back. One thing at a time
   * holds for all of them together, and `dispose` of the model that was loaded ends them all.
   *
   * Rejects with a `ModelError` of kind "out-of-memory" where there is no room; what is there stays as it was.
   */
  async fork(options: AskOptions = {}): Promise<Model> {
    const root = this.#root;
    root.#engines += 1;
    const engine = root.#engines;
    try {
      const answer = await this.#ask(() => root.#client.fork(engine, this.#engine), options);
      if (answer.type !== "forked") return unexpected(answer);
      if (answer.error !== null) throw new ModelError(answer.error);
      return new Model(root.#options, { root, engine });
    } catch (thrown) {
      // What nobody waits for any more may still have been made.
      root.#client.release(engine);
      throw thrown;
    }
  }

  /**
   * How much the last token of a text, from which the model writes on, attends to each of its tokens in `layer` (from 0), head by head.
   * What of the text the engine has read already is not read again.
   */
  async attention(text: Read, options: LookOptions & { layer: number }): Promise<Attention> {
    const looked = await this.#look(text, { at: "attention", layer: options.layer }, options);
    return looked.at === "attention" ? looked : unexpectedLook(looked);
  }

  /**
   * The logit lens: what the output layer makes of the last token of a text after each layer, the model's own answer last. `count`: so many
   * likeliest tokens a layer; `of`: the token whose log-probability is told, too.
   */
  async lens(text: Read, options: LookOptions & { count?: number; of?: number } = {}): Promise<Layer[]> {
    const looked = await this.#look(text, { at: "layers", count: options.count ?? 1, of: options.of }, options);
    return looked.at === "layers" ? looked.layers : unexpectedLook(looked);
  }

  /** The raw logits of what comes after a text, (vocab_size), and the text's ids. */
  async next(text: Read, options: LookOptions = {}): Promise<{ ids: Uint32Array; logits: Float32Array }> {
    const looked = await this.#look(text, { at: "logits" }, options);
    return looked.at === "logits" ? looked : unexpectedLook(looked);
  }

  /**
   * Let this device answer the golden prompt of the file, and compare it with torch's answer. Numbers that are wrong are told, not thrown;
   * a backend that is built for this is refused with a `ModelError` of kind "wrong-numbers".
   */
  async check(options: MeasureOptions = {}): Promise<Check> {
    const answer = await this.#ask(() => this.#root.#client.measure("check", backendOf(options)), options);
    return answer.type === "checked" ? answer.check : unexpected(answer);
  }

  /** Measure how fast the model runs here: some seconds in which it does nothing else. The signal ends it between two steps. */
  async benchmark(options: BenchmarkOptions = {}): Promise<Benchmark> {
    const answer = await this.#ask(
      () => this.#root.#client.measure("benchmark", backendOf(options)),
      options,
      call => this.#root.#client.cancel(call),
      options.onProgress,
    );
    return answer.type === "measured" && answer.benchmark !== null ? answer.benchmark : unexpected(answer);
  }

  /** Delete the model's file from this device; what runs goes on. */
  forget(): void {
    this.#client.forget();
  }

  /** Give everything back: the worker, its memory, the graphics device's. Of a fork: its cache. */
  dispose(): void {
    if (this.#root === this) {
      this.#lose(badInput("The model was disposed of.", "Load it again."));
      return;
    }
    if (this.#lost !== null) return;
    this.#lost = badInput("The fork was disposed of.", "Fork the model again.");
    for (const [each, of] of [...this.#root.#unfinished]) {
      if (of === this && each instanceof Run) each.abort(this.#lost);
    }
    this.#client.release(this.#engine);
  }

  async #look(text: Read, look: Look, options: LookOptions): Promise<Looked> {
    const after = Uint32Array.from(options.after ?? []);
    const parts = await partsOf(this.card, text);
    const answer = await this.#ask(() => this.#client.look(parts, after, look, this.#engine), options);
    return answer.type === "looked" ? answer.looked : unexpected(answer);
  }

  #begin(prepare: () => Promise<Prompts>, options: TextOptions): Generation {
    return this.#root.#beginFor(this, prepare, options);
  }

  /** `of`: the fork whose run it is, or the model itself. */
  #beginFor(of: Model, prepare: () => Promise<Prompts>, options: TextOptions): Generation {
    const { signal } = options;
    const after = Array.from(options.after ?? []);
    const engine_options = engineOptions(options);
    engine_options.max_tokens += after.length;
    const onAbort = () => run.abort(signal?.reason);
    let free: () => void = () => undefined;
    this.#runs += 1;
    const run = new Run(this.#runs, stopTexts(options), is_cut => {
      this.#unfinished.delete(run);
      signal?.removeEventListener("abort", onAbort);
      if (is_cut && this.#run === run) this.#client.stop(run.run);
      if (this.#run === run) this.#run = null;
      free();
    });
    const lost = this.#lost ?? of.#lost;
    if (lost !== null || signal?.aborted === true) {
      run.fail(lost ?? signal?.reason);
      return run;
    }
    signal?.addEventListener("abort", onAbort);
    const ahead = this.#unfinished.size;
    this.#unfinished.set(run, of);
    if (ahead > 0) this.#tell({ type: "queued", run: run.run, ahead });
    this.#enqueue(async () => {
      const over = new Promise<void>(resolve => {
        free = resolve;
      });
      if (run.state === "over") return;
      run.begin();
      try {
        const { prompts, left_out } = await prepare();
        if (this.#isOver(run)) return;
        const [prompt = [], ...shorter] = prompts;
        this.#run = run;
        this.#left_out = left_out;
        this.#client.generate(run.run, prompt, engine_options, shorter, after, of.#engine);
      } catch (thrown) {
        this.#refuse(run, thrown instanceof ModelError ? thrown : partIsMissing(thrown));
      }
      await over;
    });
    return run;
  }

  #isOver(run: Run): boolean {
    return run.state === "over";
  }

  #ask(
    post: () => number,
    options: AskOptions,
    cancel: (call: number) => void = () => undefined,
    onProgress: BenchmarkOptions["onProgress"] = undefined,
  ): Promise<Answer> {
    return this.#root.#askFor(this, post, options, cancel, onProgress);
  }

  /** `cancel`: what ends a question that the engine has begun; without it that is worked off, unheard. */
  #askFor(
    of: Model,
    post: () => number,
    { signal }: AskOptions,
    cancel: (call: number) => void,
    onProgress: BenchmarkOptions["onProgress"],
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const lost = () => this.#lost ?? of.#lost;
      if (lost() !== null || signal?.aborted === true) {
        reject(lost() ?? signal?.reason);
        return;
      }
      const asked = {};
      let begun: number | null = null;
      const onAbort = () => {
        reject(signal?.reason);
        if (begun !== null) cancel(begun);
      };
      const over = () => {
        this.#unfinished.delete(asked);
        signal?.removeEventListener("abort", onAbort);
      };
      signal?.addEventListener("abort", onAbort);
      this.#unfinished.set(asked, of);
      this.#enqueue(async () => {
        try {
          if (lost() !== null) throw lost();
          if (signal?.aborted === true) return;
          const call = post();
          begun = call;
          resolve(await this.#questions.wait(call, onProgress));
        } catch (thrown) {
          reject(thrown);
        } finally {
          over();
        }
      });
    });
  }

  /** Do this when all that came before is over. */
  #enqueue(job: () => Promise<void>): void {
    this.#queue = this.#queue.then(job);
  }

  #tell(event: ModelEvent): void {
    this.#options.onEvent?.(event);
  }

  #hear(event: EngineEvent): void {
    switch (event.type) {
      case "progress":
        this.#options.onProgress?.(event.progress);
        this.#tell(event);
        return;
      case "ready":
        this.#info = event.model;
        this.#tell(event);
        this.#loading?.resolve(this);
        return;
      case "recovered":
        this.#info = event.model;
        this.#tell(event);
        return;
      case "stored":
        this.#info = { ...this.info, storage: event.storage };
        this.#tell(event);
        return;
      case "interrupted":
        this.#tell(event);
        return;
      case "begun": {
        const { run, prompt, prompt_tokens } = event;
        if (this.#run?.run !== run) return;
        const left_out = this.#left_out[prompt] ?? 0;
        this.#run.begun(prompt_tokens, left_out);
        this.#tell({ type: "begun", run, prompt_tokens, left_out });
        return;
      }
      case "tokens":
        // The reader of the text may end it here; who watches hears of these tokens first.
        this.#tell(event);
        if (this.#run?.run === event.run) this.#run.add(event);
        return;
      case "done":
        this.#tell(event);
        if (this.#run?.run === event.run) this.#run.done(event.ending, event.elapsed_ms);
        return;
      case "logits":
      case "scored":
      case "looked":
      case "encoded":
      case "decoded":
      case "merged":
      case "forked":
      case "checked":
      case "measured":
        this.#questions.answer(event);
        return;
      case "measuring":
        this.#questions.tell(event.call, event.progress);
        return;
      case "unanswered":
        this.#questions.refuse(event.call, new ModelError(event.error));
        return;
      case "failed":
        this.#fail(event.run, new ModelError(event.error));
        return;
      default:
        event satisfies never;
    }
  }

  /** A refused input leaves the engine as it was; every other failure ends it. */
  #fail(run: number | null, error: ModelError): void {
    if (error.kind !== "bad-input" || this.#info === null) {
      this.#lose(error);
      this.#tell({ type: "failed", error });
    } else if (run === null) {
      this.#questions.refuseAll(error);
    } else if (this.#run?.run === run) {
      this.#refuse(this.#run, error);
    }
  }

  #refuse(run: Run, error: ModelError): void {
    if (this.#isOver(run)) return;
    run.fail(error);
    this.#tell({ type: "refused", run: run.run, error });
  }

  #lose(error: ModelError): void {
    if (this.#lost !== null) return;
    this.#lost = error;
    this.#client.dispose();
    this.#loading?.reject(error);
    this.#questions.refuseAll(error);
    for (const each of [...this.#unfinished.keys()]) if (each instanceof Run) each.fail(error);
  }
}

function unexpectedLook({ at }: Looked): never {
  return unexpected({ type: at });
}
