/**
 * The model behind the calls of OpenAI's client, for code that is written for them: `chat.completions.create`, whole or as
 * a stream of chunks. What the engine cannot do is refused by name, and never left out in silence.
 */
import type { Message } from "./chat";
import type { Generation, Result } from "./generation";
import type { Model } from "./model";
import { badInput } from "./modelError";
import type { TextOptions } from "./options";

export type ChatMessage = {
  role: "system" | "developer" | "user" | "assistant";
  content: string | readonly { type: "text"; text: string }[];
};

/** `top_k`, `min_p` and `repetition_penalty` are not OpenAI's, but those of servers that take its calls. */
export type ChatCompletionParams = {
  messages: readonly ChatMessage[];
  /** Said again in the answer; there is one model. */
  model?: string | undefined;
  max_completion_tokens?: number | null | undefined;
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

export type FinishReason = "stop" | "length";
export type CompletionUsage = { prompt_tokens: number; completion_tokens: number; total_tokens: number };

type Head<O extends string> = { id: string; object: O; created: number; model: string };

export type ChatCompletion = Head<"chat.completion"> & {
  choices: {
    index: number;
    message: { role: "assistant"; content: string; refusal: null };
    logprobs: null;
    finish_reason: FinishReason;
  }[];
  usage: CompletionUsage;
};

/** The last chunk has no choice, but the usage, where `stream_options.include_usage` asks for it. */
export type ChatCompletionChunk = Head<"chat.completion.chunk"> & {
  choices: {
    index: number;
    delta: { role?: "assistant"; content?: string };
    logprobs: null;
    finish_reason: FinishReason | null;
  }[];
  usage?: CompletionUsage | null;
};

/** `controller` ends the text; so does leaving the loop. */
export type ChatCompletionStream = AsyncIterable<ChatCompletionChunk> & { controller: AbortController };

export type RequestOptions = { signal?: AbortSignal | null | undefined };

export type OpenAIClient = {
  chat: {
    completions: {
      create(
        params: ChatCompletionParams & { stream?: false | null | undefined },
        options?: RequestOptions,
      ): Promise<ChatCompletion>;
      create(params: ChatCompletionParams & { stream: true }, options?: RequestOptions): Promise<ChatCompletionStream>;
      create(params: ChatCompletionParams, options?: RequestOptions): Promise<ChatCompletion | ChatCompletionStream>;
    };
  };
};

/** Parameters that decide something here, or nothing anywhere. */
const KNOWN = new Set([
  "messages",
  "model",
  "max_completion_tokens",
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
  "n",
  "user",
  "metadata",
  "store",
]);

/** Throws a `ModelError` for a parameter that is asked for and cannot be had. */
function refuseUnknown(params: ChatCompletionParams): void {
  for (const [name, value] of Object.entries(params)) {
    const is_nothing = value === null || value === undefined || (name === "n" && value === 1);
    if (!is_nothing && (!KNOWN.has(name) || name === "n")) {
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

function textOptions(params: ChatCompletionParams, signal: AbortSignal): TextOptions {
  return {
    maxTokens: params.max_completion_tokens ?? params.max_tokens ?? undefined,
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

async function* chunksOf(
  head: Head<"chat.completion.chunk">,
  generation: Generation,
  with_usage: boolean,
): AsyncGenerator<ChatCompletionChunk> {
  const usage = with_usage ? { usage: null } : {};
  const chunk = (delta: ChatCompletionChunk["choices"][0]["delta"], finish_reason: FinishReason | null) => {
    return { ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason }], ...usage };
  };
  yield chunk({ role: "assistant", content: "" }, null);
  for await (const { text } of generation) if (text !== "") yield chunk({ content: text }, null);
  const result = await generation.result;
  yield chunk({}, reasonOf(result));
  if (with_usage) yield { ...head, choices: [], usage: usageOf(result) };
}

/** OpenAI's calls on a loaded model. Rejects with the `ModelError`s of `Model.chat`. */
export function openaiClient(model: Model): OpenAIClient {
  async function create(
    params: ChatCompletionParams & { stream: true },
    options?: RequestOptions,
  ): Promise<ChatCompletionStream>;
  async function create(
    params: ChatCompletionParams & { stream?: false | null | undefined },
    options?: RequestOptions,
  ): Promise<ChatCompletion>;
  async function create(
    params: ChatCompletionParams,
    options?: RequestOptions,
  ): Promise<ChatCompletion | ChatCompletionStream>;
  async function create(
    params: ChatCompletionParams,
    { signal }: RequestOptions = {},
  ): Promise<ChatCompletion | ChatCompletionStream> {
    refuseUnknown(params);
    const controller = new AbortController();
    const either = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
    const generation = model.chat(params.messages.map(messageOf), textOptions(params, either));
    const head = {
      id: `chatcmpl-${crypto.getRandomValues(new Uint32Array(2)).join("")}`,
      created: Math.floor(Date.now() / 1000),
      model: params.model ?? "pocketlm",
    };
    if (params.stream === true) {
      const with_usage = params.stream_options?.include_usage === true;
      const chunks = chunksOf({ ...head, object: "chat.completion.chunk" }, generation, with_usage);
      return { controller, [Symbol.asyncIterator]: () => chunks };
    }
    const result = await generation.result;
    const message = { role: "assistant", content: result.text, refusal: null } as const;
    const choice = { index: 0, message, logprobs: null, finish_reason: reasonOf(result) };
    return { ...head, object: "chat.completion", choices: [choice], usage: usageOf(result) };
  }
  return { chat: { completions: { create } } };
}
