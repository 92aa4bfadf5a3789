/** The sampling controls: one table that the fields, their sliders and the worker's options are made from. */
import { DEFAULTS } from "pocketlm";

/** What the page always sends: every option with a field. */
export type SamplingOptions = Record<keyof typeof DEFAULTS | "seed", number>;

export type SamplingField = keyof SamplingOptions;

export type FieldSpec = {
  name: SamplingField;
  label: string;
  /** One line for the reader. */
  about: string;
  min: number;
  max: number;
  step: number;
  /** Where the slider ends; null where a slider makes no sense. */
  slider_max: number | null;
  /** Shown only to those who ask for more. */
  is_advanced?: true;
};

const MAX_SEED = 0xffff_ffff;

export const FIELDS: readonly FieldSpec[] = [
  {
    name: "temperature",
    label: "Temperature",
    about: "higher is more varied; 0 always takes the likeliest token",
    min: 0,
    max: 4,
    step: 0.05,
    slider_max: 2,
  },
  {
    name: "topK",
    label: "Top-k",
    about: "keep the k likeliest tokens; 0 keeps all",
    min: 0,
    max: 1_048_576,
    step: 1,
    slider_max: 200,
  },
  {
    name: "topP",
    label: "Top-p",
    about: "keep the likeliest tokens that add up to this probability; 1 keeps all",
    min: 0.01,
    max: 1,
    step: 0.01,
    slider_max: 1,
  },
  {
    name: "maxTokens",
    label: "Max tokens",
    about: "stop after this many tokens",
    min: 1,
    max: 100_000,
    step: 1,
    slider_max: 1000,
  },
  {
    name: "seed",
    label: "Seed",
    about: "the same seed and settings give the same text",
    min: 0,
    max: MAX_SEED,
    step: 1,
    slider_max: null,
  },
  {
    name: "minP",
    label: "Min-p",
    about: "drop tokens less likely than this share of the likeliest; 0 keeps all",
    min: 0,
    max: 1,
    step: 0.01,
    slider_max: 1,
    is_advanced: true,
  },
  {
    name: "repetitionPenalty",
    label: "Repetition penalty",
    about: "above 1 makes tokens that occurred before less likely; 1 changes nothing",
    min: 0.01,
    max: 100,
    step: 0.01,
    slider_max: 2,
    is_advanced: true,
  },
];

export function defaultSampling(seed: number): SamplingOptions {
  return { ...DEFAULTS, seed };
}

/** The nearest value that the field allows, or null where the text is not a number. */
export function parseField(spec: FieldSpec, text: string): number | null {
  if (text.trim() === "") return null;
  const value = Number(text);
  if (!Number.isFinite(value)) return null;
  const whole = Number.isInteger(spec.step) ? Math.round(value) : value;
  return Math.min(spec.max, Math.max(spec.min, whole));
}
