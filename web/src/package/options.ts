/** How a text is generated: what the package's users say, in the terms of the engine. */
import type { GenerateOptions } from "../engine/protocol";
import { badInput } from "./modelError";

/**
 * In the order in which they take effect: on the raw logits `repetitionPenalty` (1 does nothing), `frequencyPenalty` and
 * `presencePenalty` (0), then `logitBias`, by token id, where -Infinity forbids; then `temperature` (0 takes the likeliest
 * token), `topK` (0 keeps all), `topP` (1) and `minP` (0).
 */
export type TextOptions = {
  /** No more tokens than these. */
  maxTokens?: number | undefined;
  temperature?: number | undefined;
  topK?: number | undefined;
  topP?: number | undefined;
  minP?: number | undefined;
  repetitionPenalty?: number | undefined;
  presencePenalty?: number | undefined;
  frequencyPenalty?: number | undefined;
  logitBias?: Readonly<Record<number, number>> | undefined;
  /** The same seed and settings give the same text. Drawn where none is given. */
  seed?: number | undefined;
  /**
   * Tell with each token its log-probability, and with theirs so many of the likeliest tokens in its place, 0 to 10. Where nothing is said
   * neither is told, and it costs nothing; on a graphics device asking costs a transfer a token.
   */
  topLogprobs?: number | undefined;
  /** Ids that stand after the prompt already, as an earlier text brought them: this one goes on behind them. `maxTokens` counts the new ones. */
  after?: Iterable<number> | undefined;
  /** The text ends before the first of these. */
  stop?: string | readonly string[] | undefined;
  /** Ends the generation: whoever reads it gets the signal's reason thrown. */
  signal?: AbortSignal | undefined;
};

/** More likeliest tokens than these are not told. */
export const MOST_LOGPROBS = 10;

/** What is taken where nothing is said. */
export const DEFAULTS = {
  maxTokens: 300,
  temperature: 0.8,
  topK: 40,
  topP: 0.95,
  minP: 0,
  repetitionPenalty: 1,
} as const satisfies TextOptions;

/** Six digits are enough variety, and can be read out to somebody. */
export function randomSeed(): number {
  const [word = 0] = crypto.getRandomValues(new Uint32Array(1));
  return word % 1_000_000;
}

/** Throws a `ModelError` where `topLogprobs` is out of bounds; the other bounds are the engine's to check. */
export function engineOptions(options: TextOptions): GenerateOptions {
  const bias = Object.entries(options.logitBias ?? {});
  const { topLogprobs } = options;
  if (
    topLogprobs !== undefined &&
    !(Number.isInteger(topLogprobs) && topLogprobs >= 0 && topLogprobs <= MOST_LOGPROBS)
  ) {
    throw badInput(
      `topLogprobs should be a whole number from 0 to ${MOST_LOGPROBS}, got ${topLogprobs}.`,
      "Correct it.",
    );
  }
  return {
    max_tokens: options.maxTokens ?? DEFAULTS.maxTokens,
    temperature: options.temperature ?? DEFAULTS.temperature,
    top_k: options.topK ?? DEFAULTS.topK,
    top_p: options.topP ?? DEFAULTS.topP,
    min_p: options.minP ?? DEFAULTS.minP,
    repetition_penalty: options.repetitionPenalty ?? DEFAULTS.repetitionPenalty,
    presence_penalty: options.presencePenalty ?? 0,
    frequency_penalty: options.frequencyPenalty ?? 0,
    seed: options.seed ?? randomSeed(),
    ...(topLogprobs !== undefined && { top_logprobs: topLogprobs }),
    ...(bias.length > 0 && {
      logit_bias: {
        ids: Uint32Array.from(bias, ([id]) => Number(id)),
        biases: Float32Array.from(bias, ([, value]) => value),
      },
    }),
  };
}

/** Throws a `ModelError` where one of them is empty: every text ends before it begins. */
export function stopTexts({ stop = [] }: TextOptions): readonly string[] {
  const stops = typeof stop === "string" ? [stop] : stop;
  if (stops.includes("")) throw badInput("`stop` holds an empty text.", "Leave it out.");
  return stops;
}
