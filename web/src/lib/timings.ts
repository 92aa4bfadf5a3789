/** timings.json, as the stage `provenance` writes it: how long the command of each stage took. Read with distrust. */
import { fields, number } from "./json";

/** Beyond it a duration is a mistake: a century. */
const MOST_S = 3.2e9;

/** Seconds by stage; nothing for a stage whose duration is no number that can be one. */
export function readTimings(value: unknown): Map<string, number> {
  const durations = new Map<string, number>();
  for (const [stage, entry] of fields(value)) {
    const duration_s = number(fields(entry).get("duration_s"));
    if (duration_s !== null && duration_s >= 0 && duration_s < MOST_S) durations.set(stage, duration_s);
  }
  return durations;
}

/** What all of these stages took, and what the stage `train` took of it; null where not every stage has a duration. */
export function summed(
  stages: readonly string[],
  durations: ReadonlyMap<string, number>,
): { all_s: number; train_s: number | null } | null {
  let all_s = 0;
  for (const stage of stages) {
    const duration_s = durations.get(stage);
    if (duration_s === undefined) return null;
    all_s += duration_s;
  }
  return { all_s, train_s: stages.includes("train") ? (durations.get("train") ?? null) : null };
}
