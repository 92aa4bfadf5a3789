/** compare.json, which stands beside the page where two models are compared: read, and what the two do in a word. */
import type { State } from "../state/machine";
import { fields, pairs, text } from "./json";

/** One of two models. Texts are shown as they are. */
export type Compared = {
  name: string;
  /** Of its result in the store. */
  key: string;
  /** Of its model.bin, from where compare.json lies. */
  url: string;
  /** The parameters in which the two differ. */
  parameters: [name: string, value: string][];
  metrics: [name: string, value: string][];
};

/** `also`: what else differs, in a sentence; "" for nothing. */
export type Comparison = { models: [Compared, Compared]; also: string };

export type ComparisonAnswer = { kind: "comparison"; comparison: Comparison } | { kind: "none"; reason: string };

function compared(value: unknown): Compared | null {
  const given = fields(value);
  const [name, key, url] = [text(given.get("name")), text(given.get("key")), text(given.get("url"))];
  if (name === null || url === null) return null;
  return {
    name,
    key: key ?? "",
    url,
    parameters: pairs(given.get("parameters")),
    metrics: pairs(given.get("metrics")),
  };
}

/** null for what is no compare.json. */
export function readComparison(value: unknown): Comparison | null {
  const given = fields(value);
  const models = given.get("models");
  if (!Array.isArray(models) || models.length !== 2) return null;
  const [first, second] = models.map(compared);
  if (!first || !second) return null;
  return { models: [first, second], also: text(given.get("also")) ?? "" };
}

/** Fetch and read the compare.json at `url`. Never throws. */
export async function fetchComparison(url: string): Promise<ComparisonAnswer> {
  try {
    const response = await fetch(url, { cache: "no-store" });
    if (!response.ok) return { kind: "none", reason: `There is no ${url} (${response.status}).` };
    const comparison = readComparison(await response.json());
    return comparison === null
      ? { kind: "none", reason: `${url} is not one that this page can read.` }
      : { kind: "comparison", comparison };
  } catch (cause) {
    return { kind: "none", reason: `${url} could not be read: ${String(cause)}` };
  }
}

/** What decides which commands make sense: the one that is busiest; of two that rest, the one that can run. */
export function joint(first: State, second: State): State {
  const order: State["phase"][] = ["recovering", "generating", "loading", "idle", "ready", "failed"];
  return order.indexOf(first.phase) <= order.indexOf(second.phase) ? first : second;
}
