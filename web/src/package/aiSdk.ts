/** The model as a language model of the AI SDK (`ai`), whose interface is LanguageModelV3: `streamText({ model: aiSdkModel(model), … })`. */
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3FinishReason,
  LanguageModelV3Message,
  LanguageModelV3StreamPart,
  LanguageModelV3Usage,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { Message } from "./chat";
import type { Generation, Result } from "./generation";
import type { Model } from "./model";
import { badInput } from "./modelError";
import type { TextOptions } from "./options";

/** The id of the one part that an answer has. */
const PART = "text";

function messageOf(message: LanguageModelV3Message): Message {
  if (message.role === "system") return { role: "system", content: message.content };
  if (message.role === "tool") throw badInput("A message is a tool's.", "The model calls no tools.");
  const texts = message.content.map(part => {
    if (part.type === "text") return part.text;
    throw badInput(`A message has a part of type ${part.type}.`, "The model reads text alone.");
  });
  return { role: message.role, content: texts.join("") };
}

/** What was asked for and is not done. */
function warningsOf(options: LanguageModelV3CallOptions): SharedV3Warning[] {
  const features = [
    ...((options.tools?.length ?? 0) > 0 ? ["tools"] : []),
    ...(options.responseFormat?.type === "json" ? ["responseFormat"] : []),
  ];
  return features.map(feature => ({ type: "unsupported", feature }));
}

function textOptions(options: LanguageModelV3CallOptions): TextOptions {
  return {
    maxTokens: options.maxOutputTokens,
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK,
    presencePenalty: options.presencePenalty,
    frequencyPenalty: options.frequencyPenalty,
    seed: options.seed,
    stop: options.stopSequences,
    signal: options.abortSignal,
  };
}

function reasonOf({ ending }: Result): LanguageModelV3FinishReason {
  return { unified: ending === "max-tokens" ? "length" : "stop", raw: ending };
}

function usageOf({ prompt_tokens, read_tokens, ids }: Result): LanguageModelV3Usage {
  return {
    inputTokens: {
      total: prompt_tokens,
      noCache: read_tokens,
      cacheRead: Math.max(0, prompt_tokens - read_tokens),
      cacheWrite: undefined,
    },
    outputTokens: { total: ids.length, text: ids.length, reasoning: undefined },
  };
}

async function* partsOf(
  generation: Generation,
  warnings: SharedV3Warning[],
): AsyncGenerator<LanguageModelV3StreamPart, void, undefined> {
  yield { type: "stream-start", warnings };
  yield { type: "text-start", id: PART };
  try {
    for await (const { text } of generation) if (text !== "") yield { type: "text-delta", id: PART, delta: text };
    const result = await generation.result;
    yield { type: "text-end", id: PART };
    yield { type: "finish", usage: usageOf(result), finishReason: reasonOf(result) };
  } catch (error) {
    yield { type: "error", error };
  }
}

/** The stream of what a generator yields; who cancels it ends the generator. */
function streamOf<T>(parts: AsyncGenerator<T, void, undefined>): ReadableStream<T> {
  return new ReadableStream<T>({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await parts.return();
    },
  });
}

/** `id`: by what the SDK's records name the model. */
export function aiSdkModel(model: Model, id = "model.bin"): LanguageModelV3 {
  const begin = (options: LanguageModelV3CallOptions) =>
    model.chat(options.prompt.map(messageOf), textOptions(options));
  return {
    specificationVersion: "v3",
    provider: "pocketlm",
    modelId: id,
    supportedUrls: {},
    async doGenerate(options) {
      const warnings = warningsOf(options);
      const result = await begin(options).result;
      const content = [{ type: "text" as const, text: result.text }];
      return { content, finishReason: reasonOf(result), usage: usageOf(result), warnings };
    },
    async doStream(options) {
      const warnings = warningsOf(options);
      return { stream: streamOf(partsOf(begin(options), warnings)) };
    },
  };
}
