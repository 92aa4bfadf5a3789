/** live.json, which stands beside the page while a model is trained or the sources are watched: read, and in words. */

/** What there is now. Texts are shown as they are; `error` is "" for none. */
export type LiveNews = {
  /** The model to show and the worker to run it in, from where live.json lies; another address is another one. */
  model: string | null;
  worker: string | null;
  says: string;
  figures: [name: string, value: string][];
  error: string;
};

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** null for what is no live.json. */
export function readLive(value: unknown): LiveNews | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const given = new Map<string, unknown>(Object.entries(value));
  const says = text(given.get("says"));
  if (says === "") return null;
  const rows = given.get("figures");
  return {
    model: text(given.get("model")) || null,
    worker: text(given.get("worker")) || null,
    says,
    figures: (Array.isArray(rows) ? rows : []).flatMap((row): [string, string][] =>
      Array.isArray(row) ? [[text(row[0]), text(row[1])]] : [],
    ),
    error: text(given.get("error")),
  };
}
