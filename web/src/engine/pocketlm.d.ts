/* Copied from the wasm package by `npm run types`; `npm run build` fails where the two differ. Do not edit. */
/* tslint:disable */
/* eslint-disable */

/**
 * How this engine's answer to the golden prompt of the file compares with torch's, whose logits the file has.
 *
 * `largest_difference` (infinite where a logit is no number) is that of the token `index`, whose logit is `expected` to be what torch has;
 * `golden_likeliest` and `likeliest` are the ids of torch's and the engine's largest logit. `sampled`: the id that the engine takes at
 * temperature 0; null where the logits are wrong already, or the context is full.
 */
export interface GoldenCheck {
    largest_difference: number;
    tolerance: number;
    index: number;
    expected: number;
    got: number;
    golden_likeliest: number;
    likeliest: number;
    sampled: number | null;
}

/** In what keys and values are kept, and the bytes that each token takes of it. */
export interface CacheKind {
    name: "f32" | "f16";
    token_bytes: number;
}

/** What each kernel took, over all that were asked for, and what it read of weights, cache and logits. */
export interface KernelTimes {
    names: string[];
    milliseconds: Float64Array;
    bytes: Float64Array;
    /** Of each, 1 where it reads weights, else 0. */
    read_weights: Uint8Array;
}



export type Backend = "webgpu" | "cpu";
/** What building an engine is at: its kernels, then the weights and the golden answer. */
export type BuildPhase = "compile" | "warm-up";
export type OnProgress = (phase: BuildPhase, fraction: number) => void;
/** "eos": the model ended its text. "max-tokens": the limit was reached. */
export type FinishReason = "eos" | "max-tokens";

/** `header_sha256`: two sound files that have it in common are one file. `nbytes`: the file's length. */
export interface FileIdentity {
    header_sha256: string;
    nbytes: number;
}

/** The `nbytes` bytes from `offset` on of a file that lies outside of wasm memory. What it throws ends the building of the engine. */
export type ReadFile = (offset: number, nbytes: number) => Uint8Array;

/** Biases of tokens by id, of one length; -Infinity forbids a token. */
export interface LogitBias {
    ids: Uint32Array;
    biases: Float32Array;
}

/**
 * In the order in which they take effect: on the raw logits `repetition_penalty` (1 does nothing), `frequency_penalty` and `presence_penalty` (0),
 * then `logit_bias`; then `temperature` (0 takes the likeliest token), `top_k` (0 keeps all), `top_p` (1) and `min_p` (0).
 */
export interface GenerateOptions {
    temperature: number;
    top_k: number;
    top_p: number;
    min_p?: number;
    repetition_penalty?: number;
    presence_penalty?: number;
    frequency_penalty?: number;
    logit_bias?: LogitBias;
    seed: number;
    max_tokens: number;
    /** So many likeliest tokens are told with each one, and its own log-probability; without it nothing is, at no cost. */
    top_logprobs?: number;
}

/**
 * What one step brought: a chunk of the prompt read (`prefilled` tokens of it), or new tokens and their text; neither, where a part of a chunk was computed.
 *
 * `lengths`: how many UTF-16 units of `text` each token brought; one that ends within a character brings it with the next. Where `top_logprobs` asks
 * for it, `logprobs` has each token's log-probability, and `top_ids` and `top_logprobs` have the likeliest tokens in its place, as many a token;
 * else they are empty.
 */
export interface Step {
    text: string;
    ids: Uint32Array;
    lengths: Uint32Array;
    logprobs: Float32Array;
    top_ids: Uint32Array;
    top_logprobs: Float32Array;
    prefilled: number;
    done: FinishReason | null;
}

/** The hyperparameters, from the header of model.bin (training/FORMAT.md §2). */
export interface ModelConfig {
    n_layer: number;
    n_head: number;
    n_kv_head: number;
    d_model: number;
    d_head: number;
    d_ff: number;
    vocab_size: number;
    ctx_len: number;
    rope_theta: number;
    norm_eps: number;
    tie_embeddings: boolean;
    bos_token_id?: number;
    eos_token_id?: number;
    stop_token_ids?: number[];
}

/** The header of model.bin, as far as a page shows it. `provenance` is free in form. */
export interface ModelHeader {
    config: ModelConfig;
    provenance: Record<string, unknown>;
    tensors: { name: string; dtype: string; shape: number[]; nbytes: number }[];
}

/** What runs, and where. `golden_prompt`: the prompt of the self-check, an opening that suits the model. `adapter`: the graphics adapter's name; null on the CPU. */
export interface Card {
    header: ModelHeader;
    /** The Jinja template that makes a prompt of messages; null where the model only continues texts. */
    chat_template: string | null;
    bos_token: string | null;
    eos_token: string | null;
    special_tokens: string[];
    golden_prompt: string;
    parameters: number;
    backend: Backend;
    adapter: string | null;
}



/**
 * A model on a backend. One call at a time: await each before the next. `free` gives the memory back, the GPU's too.
 */
export class Engine {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    /**
     * How much the last of `ids` attends to each of them in a layer, head by head: n_head rows of as many weights as ids. Like `lens` it
     * reads only what is not at hand: the run that is under way goes on where `ids` are a part of it.
     */
    attention(ids: Uint32Array, layer: number): Promise<Float32Array>;
    /**
     * Prepare a backend and let it reproduce the golden logits. `tunings`: what that of an earlier engine said, on any adapter; WebGPU measures what it
     * does not have.
     *
     * Throws an Error with `kind` and `hint`.
     */
    static build(model: ModelFile, backend: Backend, on_progress: OnProgress, tunings?: string | null): Promise<Engine>;
    /**
     * In what keys and values are kept.
     */
    cache(): CacheKind;
    /**
     * What runs, and where.
     */
    card(): Card;
    /**
     * Run the golden prompt of the file; leaves the cache empty. Numbers that are wrong are no failure.
     */
    check(): Promise<GoldenCheck>;
    /**
     * How many tokens a prompt takes, as `start` reads it.
     */
    count(prompt: string[]): number;
    /**
     * The text of ids, with U+FFFD for bytes that are no text.
     */
    decode(ids: Uint32Array): string;
    /**
     * The ids of a text; special tokens in it are ordinary text.
     */
    encode(text: string): Uint32Array;
    /**
     * An engine that shares this one's weights, with a cache of its own that begins as a copy of this one's: what both have read is not
     * read again. Each is freed for itself.
     *
     * Throws an Error with `kind` and `hint`.
     */
    fork(): Promise<Engine>;
    /**
     * The logits after the last of `ids`, as the output layer makes them after each layer from `layer` on: a row of vocab_size a layer.
     */
    lens(ids: Uint32Array, layer: number): Promise<Float32Array>;
    /**
     * The logits of forced ids, one row of vocab_size a position, behind the first `after` tokens of what was read last. Ends the run that
     * is under way.
     */
    logits(ids: Uint32Array, after: number): Promise<Float32Array>;
    /**
     * The merges that make a token of its bytes, in their order: the ids of left, right and result of each. None where merges do not make it.
     */
    merges(id: number): Uint32Array;
    /**
     * Read `ids`, then sample `tokens` tokens, with a clock at each kernel: the device's, or on the CPU the browser's.
     */
    profile(ids: Uint32Array, tokens: number): Promise<KernelTimes>;
    /**
     * The ids of a prompt, as `start` reads it.
     */
    prompt_ids(prompt: string[]): Uint32Array;
    /**
     * Read tokens into the cache; done when they are read, on the GPU too.
     */
    read(ids: Uint32Array): Promise<void>;
    /**
     * Forget all positions from `position` on.
     */
    rewind(position: number): void;
    /**
     * Sample the likeliest token so many times, whatever it is.
     */
    sample(tokens: number): Promise<Uint32Array>;
    /**
     * Begin a run; nothing is computed yet. A run that is under way ends.
     *
     * `prompt` comes in parts, by turns: a template's text, in which special tokens count, and a person's, in which they are ordinary text.
     * `written`: the ids that the same run brought on an engine that is gone; it goes on after them. Empty for a new run.
     */
    start(prompt: string[], options: GenerateOptions, written: Uint32Array): void;
    /**
     * Read one chunk of the prompt, up to `layers` layers of it (all unless told), or generate up to `batch` tokens.
     */
    step(batch: number, layers?: number | null): Promise<Step>;
    /**
     * What is to be kept for the next engine, where building this one measured anything.
     */
    tunings(): string | undefined;
}

/**
 * The bytes of a model.bin that come in parts, in wasm memory once.
 */
export class FileBytes {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Room for `nbytes` bytes.
     *
     * Throws an Error with `kind` and `hint`.
     */
    constructor(nbytes: number);
    /**
     * Check them. Takes this object.
     *
     * Throws an Error with `kind` and `hint`.
     */
    parse(): ModelFile;
    /**
     * The next bytes.
     *
     * Throws an Error with `kind` and `hint`.
     */
    push(bytes: Uint8Array): void;
}

/**
 * What engines are built of, one after another or side by side.
 */
export class ModelFile {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Check what stands before the weights of a file of `nbytes` bytes that lies outside of wasm memory. An engine on WebGPU passes the
     * weights on to the device a part at a time, one on the CPU reads the whole file; both check every byte.
     *
     * Throws an Error with `kind` and `hint`.
     */
    static open(nbytes: number, read: ReadFile): ModelFile;
    /**
     * Check the bytes of a model.bin.
     *
     * Throws an Error with `kind` and `hint`.
     */
    static parse(bytes: Uint8Array): ModelFile;
}

/**
 * SHA-256 of bytes that come in parts: browsers compute it of what is in memory as a whole, and only in a secure context.
 */
export class Sha256 {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * The digest in hexadecimal. Takes this object.
     */
    hex(): string;
    /**
     * Of no bytes yet.
     */
    constructor();
    /**
     * The next bytes.
     */
    update(bytes: Uint8Array): void;
}

/**
 * What tells a model.bin from another, from its first bytes: 64 are enough.
 *
 * Throws an Error with `kind` and `hint` where they begin no model.bin.
 */
export function identify(first: Uint8Array): FileIdentity;

/** Fetch and start the wasm module; it stands beside the script. */
export default function init(): Promise<unknown>;
