/** All that a bundle tells of how its model was made, from the files beside the model. */
import { type ChainAnswer, fetchChain } from "./chain";
import { readTimings } from "./timings";
import { readSamples, readTraining, type Sample, type Training } from "./training";

export type Made = {
  chain: ChainAnswer;
  /** Seconds by stage; empty where the bundle does not tell. */
  durations: ReadonlyMap<string, number>;
  /** null for a model that was trained elsewhere. */
  training: Training | null;
  /** What the model wrote while it was trained. */
  samples: Sample[];
};

/** null where the file is not there or no JSON. */
async function fetchJson(url: string): Promise<unknown> {
  try {
    const response = await fetch(url, { cache: "no-cache" });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** Fetch and read what lies beside the model. Never throws: a bundle needs none of it. */
export async function fetchMade(model_url: string): Promise<Made> {
  const beside = (name: string) => new URL(name, model_url).href;
  const chain = await fetchChain(beside("provenance.json"));
  if (chain.kind === "none") return { chain, durations: new Map(), training: null, samples: [] };
  // Not asked for where it cannot be there: the browser would note each as an error.
  const is_trained = chain.steps.some(({ outputs }) => outputs.some(({ name }) => name === "training.json"));
  const [timings, training, samples] = await Promise.all([
    fetchJson(beside("timings.json")),
    is_trained ? fetchJson(beside("training.json")) : null,
    is_trained ? fetchJson(beside("samples.json")) : null,
  ]);
  return { chain, durations: readTimings(timings), training: readTraining(training), samples: readSamples(samples) };
}
