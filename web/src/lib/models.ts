/** The models that a page offers: `models/index.json` beside it, written by the build and free to be added to by hand. */
import { member, number, text } from "./json";

/** One of them. `url`: absolute. What its entry does not say is null. */
export type Offered = {
  name: string;
  url: string;
  size_bytes: number | null;
  parameters: number | null;
  is_chat: boolean;
};

/** What is asked for where nothing is chosen: the model beside the page. */
export const DEFAULT_PATH = "model.bin";

/**
 * The entries of an index at `index_url`: `{"models": [{"name", "path", "size_bytes", "parameters", "chat"}]}`, each path relative to
 * the index. An entry without a name or a path, or with a path on another host, which the page's policy would refuse, is left out.
 */
export function offeredBy(index: unknown, index_url: string): Offered[] {
  const entries = member(index, "models");
  if (!Array.isArray(entries)) return [];
  return entries.flatMap((entry: unknown) => {
    const name = text(member(entry, "name"));
    const path = text(member(entry, "path"));
    const url = path === null ? null : URL.parse(path, index_url);
    if (name === null || url === null || url.origin !== new URL(index_url).origin) return [];
    const [size_bytes, parameters] = [number(member(entry, "size_bytes")), number(member(entry, "parameters"))];
    return [{ name, url: url.href, size_bytes, parameters, is_chat: member(entry, "chat") === true }];
  });
}

/** The models of the index beside a page at `base`; none where there is no index that can be read. */
export async function fetchOffered(base: string): Promise<Offered[]> {
  const index_url = new URL("models/index.json", base).href;
  try {
    const response = await fetch(index_url, { cache: "no-cache" });
    return response.ok ? offeredBy(await response.json(), index_url) : [];
  } catch {
    return [];
  }
}
