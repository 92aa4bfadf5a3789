/**
 * The model behind the calls of OpenAI's client, for code that is written for them: `chat.completions.create` and
 * `completions.create`, whole or as a stream of chunks. What the engine cannot do is refused by name, and never left out in silence.
 */
import type { Token } from "../engine/protocol";
import type { Message } from "./chat";
import type { Generation, Piece, Result } from "./generation";
import type { Model } from "./model";
import { badInput } from "./modelError";
import type { TextOptions } from "./options";

export type ChatMessage = {
  role: "system" | "developer" | "user" | "assistant";
  content: string | readonly { type: "text"; text: string }[];
};

/** `top_k`, `min_p` and `repetition_penalty` are not OpenAI's, but those of servers that take its calls. */
type SharedParams = {
  /** Said again in the answer; there is one model. */
  model?: string | undefined;
  max_tokens?: number | null | undefined;
  temperature?: number | null | undefined;
  top_p?: number | null | undefined;
  top_k?: number | null | undefined;
  min_p?: number | null | undefined;
  repetition_penalty?: number | null | undefined;
  presence_penalty?: number | null | undefined;
  frequency_penalty?: number | null | undefined;
  logit_bias?: Readonly<Record<string, number>> | null | undefined;
  seed?: number | null | undefined;
  stop?: string | readonly string[] | null | undefined;
  stream?: boolean | null | undefined;
  stream_options?: { include_usage?: boolean } | null | undefined;
  n?: 1 | null | undefined;
  user?: string | undefined;
};

export type ChatCompletionParams = SharedParams & {
  messages: readonly ChatMessage[];
  max_completion_tokens?: number | null | undefined;
  logprobs?: boolean | null | undefined;
  /** 0 to 10, with `logprobs`. */
  top_logprobs?: number | null | undefined;
};

export type CompletionParams = SharedParams & {
  /** A text to continue, in which special tokens are ordinary text. */
  prompt: string;
  /** 0 to 10: so many likeliest tokens with each one. */
  logprobs?: number | null | undefined;
};

export type FinishReason = "stop" | "length";
export type CompletionUsage = { prompt_tokens: number; completion_tokens: number; total_tokens: number };

type Head<O extends string> = { id: string; object: O; created: number; model: string };

/** `bytes`: UTF-8; U+FFFD stands where a token is no text by itself. */
export type TokenLogprob = { token: string; logprob: number; bytes: number[] };
export type ChatLogprobs = { content: (TokenLogprob & { top_logprobs: TokenLogprob[] })[]; refusal: null };

/** `text_offset`: where in the text each token begins. */
export type CompletionLogprobs = {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
  text_offset: number[];
};

export type ChatCompletion = Head<"chat.completion"> & {
  choices: {
    index: number;
    message: { role: "assistant"; content: string; refusal: null };
    logprobs: ChatLogprobs | null;
    finish_reason: FinishReason;
  }[];
  usage: CompletionUsage;
};

/** The last chunk has no choice, but the usage, where `stream_options.include_usage` asks for it. */
export type ChatCompletionChunk = Head<"chat.completion.chunk"> & {
  choices: {
    index: number;
    delta: { role?: "assistant"; content?: string };
    logprobs: ChatLogprobs | null;
    finish_reason: FinishReason | null;
  }[];
  usage?: CompletionUsage | null;
};

/** A whole text, and a chunk of one; the last chunk of all has no choice, but the usage, where that is asked for. */
export type Completion = Head<"text_completion"> & {
  choices: { index: number; text: string; logprobs: CompletionLogprobs | null; finish_reason: FinishReason | null }[];
  usage?: CompletionUsage | null;
};

/** `controller` ends the text; so does leaving the loop. */
export type ChunkStream<C> = AsyncIterable<C> & { controller: AbortController };
export type ChatCompletionStream = ChunkStream<ChatCompletionChunk>;
export type CompletionStream = ChunkStream<Completion>;

export type RequestOptions = { signal?: AbortSignal | null | undefined };

/** A call that answers at once or with a stream, as its parameters say. */
type Create<Params, Whole, Chunk> = {
  (params: Params & { stream?: false | null | undefined }, options?: RequestOptions): Promise<Whole>;
  (params: Params & { stream: true }, options?: RequestOptions): Promise<ChunkStream<Chunk>>;
  (params: Params, options?: RequestOptions): Promise<Whole | ChunkStream<Chunk>>;
};

export type OpenAIClient = {
  chat: { completions: { create: Create<ChatCompletionParams, ChatCompletion, ChatCompletionChunk> } };
  completions: { create: Create<CompletionParams, Completion, Completion> };
};

/** Parameters that decide something here, or nothing anywhere: of both calls, and of each. */
const SHARED = [
  "model",
  "max_tokens",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "repetition_penalty",
  "presence_penalty",
  "frequency_penalty",
  "logit_bias",
  "seed",
  "stop",
  "stream",
  "stream_options",
  "user",
  "metadata",
  "store",
];
const OF_CHATS = ["messages", "max_completion_tokens", "logprobs", "top_logprobs"];
const OF_TEXTS = ["prompt", "logprobs"];

/** Throws a `ModelError` for a parameter that is asked for and cannot be had. */
function refuseUnknown(params: SharedParams, own: readonly string[]): void {
  for (const [name, value] of Object.entries(params)) {
    const is_nothing = value === null || value === undefined || (name === "n" && value === 1);
    if (!is_nothing && !SHARED.includes(name) && !own.includes(name)) {
      throw badInput(`\`${name}\` is not supported: ${JSON.stringify(value)}.`, "Leave it out.");
    }
  }
}

function messageOf({ role, content }: ChatMessage): Message {
  const parts = typeof content === "string" ? [{ type: "text", text: content }] : content;
  const other = parts.find(({ type }) => type !== "text");
  if (other !== undefined) throw badInput(`A message has a part of type ${other.type}.`, "The model reads text alone.");
  if (!["system", "developer", "user", "assistant"].includes(role)) {
    throw badInput(`A message is of the role ${role}.`, "The roles are system, developer, user and assistant.");
  }
  return { role: role === "developer" ? "system" : role, content: parts.map(({ text }) => text).join("") };
}

function textOptions(params: SharedParams, signal: AbortSignal): TextOptions {
  return {
    maxTokens: params.max_tokens ?? undefined,
    temperature: params.temperature ?? undefined,
    topP: params.top_p ?? undefined,
    topK: params.top_k ?? undefined,
    minP: params.min_p ?? undefined,
    repetitionPenalty: params.repetition_penalty ?? undefined,
    presencePenalty: params.presence_penalty ?? undefined,
    frequencyPenalty: params.frequency_penalty ?? undefined,
    logitBias: params.logit_bias ?? undefined,
    seed: params.seed ?? undefined,
    stop: params.stop ?? undefined,
    signal,
  };
}

const reasonOf = ({ ending }: Result): FinishReason => (ending === "max-tokens" ? "length" : "stop");

function usageOf({ prompt_tokens, ids }: Result): CompletionUsage {
  return { prompt_tokens, completion_tokens: ids.length, total_tokens: prompt_tokens + ids.length };
}

function tokenLogprob({ text, logprob }: { text: string; logprob: number | null }): TokenLogprob {
  return { token: text, logprob: logprob ?? 0, bytes: Array.from(new TextEncoder().encode(text)) };
}

function chatLogprobs(tokens: readonly Token[]): ChatLogprobs {
  const content = tokens.map(token => ({ ...tokenLogprob(token), top_logprobs: token.likeliest.map(tokenLogprob) }));
  return { content, refusal: null };
}

/** `from`: how much text stands before the first of them. */
function completionLogprobs(tokens: readonly Token[], from: number): CompletionLogprobs {
  let offset = from;
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob ?? 0),
    top_logprobs: tokens.map(({ likeliest }) => Object.fromEntries(likeliest.map(each => [each.text, each.logprob]))),
    text_offset: tokens.map(({ text }) => {
      offset += text.length;
      return offset - text.length;
    }),
  };
}

/** The chunks of a text: `begin`, one for each piece by `write`, then `end`; and the usage where it is asked for. */
async function* chunksOf<C extends { choices: unknown[]; usage?: CompletionUsage | null }>(
  generation: Generation,
  with_usage: boolean,
  begin: C[],
  write: (piece: Piece) => C,
  end: (reason: FinishReason) => C,
): AsyncGenerator<C> {
  const usual = (chunk: C): C => (with_usage ? { ...chunk, usage: null } : chunk);
  for (const chunk of begin) yield usual(chunk);
  for await (const piece of generation) {
    if (piece.text !== "" || piece.tokens.length > 0) yield usual(write(piece));
  }
  const result = await generation.result;
  const last = end(reasonOf(result));
  yield usual(last);
  if (with_usage) yield { ...last, choices: [], usage: usageOf(result) };
}

function headOf<O extends string>(object: O, id: string, { model }: SharedParams): Head<O> {
  const number = crypto.getRandomValues(new Uint32Array(2)).join("");
  return { id: `${id}-${number}`, object, created: Math.floor(Date.now() / 1000), model: model ?? "pocketlm" };
}

/** A signal of the caller's, or the stream's own. */
function eitherSignal(signal: AbortSignal | null | undefined, controller: AbortController): AbortSignal {
  return signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
}

/** OpenAI's calls on a loaded model. Rejects with the `ModelError`s of `Model.chat` and `Model.generate`. */
export function openaiClient(model: Model): OpenAIClient {
  async function chat(
    params: ChatCompletionParams,
    { signal }: RequestOptions = {},
  ): Promise<ChatCompletion | ChatCompletionStream> {
    refuseUnknown(params, OF_CHATS);
    const controller = new AbortController();
    const is_told = params.logprobs === true;
    const generation = model.chat(params.messages.map(messageOf), {
      ...textOptions(params, eitherSignal(signal, controller)),
      maxTokens: params.max_completion_tokens ?? params.max_tokens ?? undefined,
      topLogprobs: is_told ? (params.top_logprobs ?? 0) : undefined,
    });
    const told = (tokens: readonly Token[]) => (is_told ? chatLogprobs(tokens) : null);
    if (params.stream === true) {
      const head = headOf("chat.completion.chunk", "chatcmpl", params);
      const chunk = (
        delta: ChatCompletionChunk["choices"][0]["delta"],
        tokens: readonly Token[] | null,
        finish_reason: FinishReason | null = null,
      ): ChatCompletionChunk => {
        return { ...head, choices: [{ index: 0, delta, logprobs: tokens && told(tokens), finish_reason }] };
      };
      const chunks = chunksOf(
        generation,
        params.stream_options?.include_usage === true,
        [chunk({ role: "assistant", content: "" }, null)],
        ({ text, tokens }) => chunk({ content: text }, tokens),
        reason => chunk({}, null, reason),
      );
      return { controller, [Symbol.asyncIterator]: () => chunks };
    }
    const result = await generation.result;
    const message = { role: "assistant", content: result.text, refusal: null } as const;
    const choice = { index: 0, message, logprobs: told(result.tokens), finish_reason: reasonOf(result) };
    return { ...headOf("chat.completion", "chatcmpl", params), choices: [choice], usage: usageOf(result) };
  }

  async function complete(
    params: CompletionParams,
    { signal }: RequestOptions = {},
  ): Promise<Completion | CompletionStream> {
    refuseUnknown(params, OF_TEXTS);
    if (typeof params.prompt !== "string") {
      throw badInput("`prompt` is not a text.", "Ask for one text at a time, and not by ids.");
    }
    const controller = new AbortController();
    const generation = model.generate(params.prompt, {
      ...textOptions(params, eitherSignal(signal, controller)),
      topLogprobs: params.logprobs ?? undefined,
    });
    const is_told = typeof params.logprobs === "number";
    const head = headOf("text_completion", "cmpl", params);
    let offset = 0;
    const choice = (text: string, tokens: readonly Token[], finish_reason: FinishReason | null) => {
      const logprobs = is_told ? completionLogprobs(tokens, offset) : null;
      offset += text.length;
      return { index: 0, text, logprobs, finish_reason };
    };
    if (params.stream === true) {
      const chunks = chunksOf<Completion>(
        generation,
        params.stream_options?.include_usage === true,
        [],
        ({ text, tokens }) => ({ ...head, choices: [choice(text, tokens, null)] }),
        reason => ({ ...head, choices: [choice("", [], reason)] }),
      );
      return { controller, [Symbol.asyncIterator]: () => chunks };
    }
    const result = await generation.result;
    return { ...head, choices: [choice(result.text, result.tokens, reasonOf(result))], usage: usageOf(result) };
  }

  return { chat: { completions: { create: overloaded(chat) } }, completions: { create: overloaded(complete) } };
}

/** By their parameters alone the compiler cannot tell which answer a call gives. */
function overloaded<P extends SharedParams, W, C>(
  create: (params: P, options?: RequestOptions) => Promise<W | ChunkStream<C>>,
): Create<P, W, C> {
  return create as Create<P, W, C>;
}
