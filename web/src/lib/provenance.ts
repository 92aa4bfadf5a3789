/** What the page shows of a model's provenance, which is free in form: each key may be missing or of another type. */
import type { ModelHeader } from "pocketlm";
import { member, number, text } from "./json";

type Provenance = ModelHeader["provenance"];

export type Origin = {
  preset: string | null;
  /** Bits per byte of the held-out text, of the weights as the file stores them. */
  val_bpb: number | null;
  /** The same of the weights as they were trained, where the file stores them in fewer bits. */
  f32_bpb: number | null;
  tokens_seen: number | null;
};

/** The keys are those that training/export.py writes. */
export function origin(provenance: Provenance): Origin {
  const trained = number(member(provenance["run"], "val_bpb"));
  const stored = number(member(provenance["stored"], "val_bpb"));
  return {
    preset: text(provenance["preset"]),
    val_bpb: stored ?? trained,
    f32_bpb: stored !== null && member(provenance["stored"], "dtype") !== "f32" ? trained : null,
    tokens_seen: number(member(provenance["run"], "tokens_seen")),
  };
}

/** Openings that suit the model: the prompts that it was sampled with while it was trained, where they are noted. */
export function openings(provenance: Provenance): string[] {
  const prompts = provenance["sample_prompts"];
  return Array.isArray(prompts) ? prompts.flatMap(prompt => text(prompt) ?? []) : [];
}
