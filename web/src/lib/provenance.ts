/** What the page shows of a model's provenance, which is free in form: each key may be missing or of another type. */
import type { ModelHeader } from "../engine/protocol";

type Provenance = ModelHeader["provenance"];

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

export type Origin = { preset: string | null; val_bpb: number | null; tokens_seen: number | null };

export function origin(provenance: Provenance): Origin {
  return {
    preset: text(provenance["preset"]),
    val_bpb: number(provenance["val_bpb"]),
    tokens_seen: number(provenance["tokens_seen"]),
  };
}

/** Openings that suit the model: the prompts that it was sampled with while it was trained. */
export function openings(provenance: Provenance): string[] {
  const prompts = provenance["sample_prompts"];
  return Array.isArray(prompts) ? prompts.flatMap(prompt => text(prompt) ?? []) : [];
}
