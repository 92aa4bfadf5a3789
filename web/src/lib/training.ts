/**
 * training.json and samples.json, as the stage `report` writes them: how the training went, and what the model wrote on
 * the way. Read with distrust.
 */
import { fields, number, text } from "./json";

/** At this step, so many bits per byte. */
export type Measured = { step: number; bpb: number };

/** In the order of their steps. */
export type Training = {
  train: Measured[];
  val: Measured[];
  /** Of the weights that came out, where these are not those of the last step. */
  kept: Measured[];
  /** Tokens of all steps; 0 where that is not known. */
  tokens: number;
};

export type Sample = { step: number; text: string };

/** More than `report` writes; what is beyond is not read. */
const MOST_POINTS = 2000;
const MOST_SAMPLES = 200;
const MOST_CHARACTERS = 20_000;

function listed(value: unknown, most: number): unknown[] {
  return Array.isArray(value) ? value.slice(0, most) : [];
}

function isStep(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Points whose steps grow; what is none is left out. */
function points(value: unknown): Measured[] {
  const found: Measured[] = [];
  for (const row of listed(value, MOST_POINTS)) {
    const [step, bpb] = Array.isArray(row) ? row : [];
    if (!isStep(step) || !Number.isFinite(bpb) || step <= (found.at(-1)?.step ?? -1)) continue;
    found.push({ step, bpb });
  }
  return found;
}

/** null for what is no training.json, or has no curve in it. */
export function readTraining(value: unknown): Training | null {
  const given = fields(value);
  const [train, val, kept] = [points(given.get("train")), points(given.get("val")), points(given.get("kept"))];
  const tokens = number(given.get("tokens")) ?? 0;
  return val.length === 0 ? null : { train, val, kept, tokens: Number.isFinite(tokens) ? Math.max(0, tokens) : 0 };
}

/** In the order of their steps; what is no sample is left out, and what is too long is cut. */
export function readSamples(value: unknown): Sample[] {
  const found: Sample[] = [];
  for (const entry of listed(fields(value).get("samples"), MOST_SAMPLES)) {
    const given = fields(entry);
    const [step, written] = [given.get("step"), text(given.get("text"))];
    if (!isStep(step) || written === null || step <= (found.at(-1)?.step ?? -1)) continue;
    found.push({ step, text: written.slice(0, MOST_CHARACTERS) });
  }
  return found;
}

/** Which of the samples is nearest to a step; 0 where there is none. */
export function nearest(samples: readonly Sample[], step: number): number {
  const distances = samples.map(sample => Math.abs(sample.step - step));
  return Math.max(0, distances.indexOf(Math.min(...distances)));
}

/** Whether the values differ so much that a logarithmic axis shows them better: the largest is ten times the smallest. */
export function isWide(values: readonly number[]): boolean {
  const least = Math.min(...values);
  return least > 0 && Math.max(...values) >= 10 * least;
}

/** Several curves over the same steps: `x`, and for each curve its value there or null. */
export function aligned(curves: readonly (readonly Measured[])[]): { x: number[]; y: (number | null)[][] } {
  const x = [...new Set(curves.flatMap(curve => curve.map(({ step }) => step)))].sort((a, b) => a - b);
  const y = curves.map(curve => {
    const values = new Map(curve.map(({ step, bpb }) => [step, bpb]));
    return x.map(step => values.get(step) ?? null);
  });
  return { x, y };
}
