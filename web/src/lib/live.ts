/** live.json, which stands beside the page while a model is trained or the sources are watched: read, and in words. */
import { fields, pairs, text } from "./json";

/** What there is now. Texts are shown as they are; `error` is "" for none. */
export type LiveNews = {
  /** The model to show and the worker to run it in, from where live.json lies; another address is another one. */
  model: string | null;
  worker: string | null;
  says: string;
  figures: [name: string, value: string][];
  error: string;
};

/** null for what is no live.json. */
export function readLive(value: unknown): LiveNews | null {
  const given = fields(value);
  const says = text(given.get("says"));
  if (says === null) return null;
  return {
    model: text(given.get("model")),
    worker: text(given.get("worker")),
    says,
    figures: pairs(given.get("figures")),
    error: text(given.get("error")) ?? "",
  };
}
