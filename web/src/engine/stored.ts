/**
 * The models in the origin private file system: `pocketlm/<the path of its URL>/<its digest>`, and beside each whole file
 * `<digest>.sha256`. Pages of other paths on the same origin have folders of their own.
 *
 * What is here lists and deletes them, in a page as in a worker, and no model needs to be loaded; opfs.ts reads and writes them.
 */
import { engineError } from "./errors";

export const ROOT = "pocketlm";
export const WHOLE = ".sha256";

/** The folder of a model. */
export const folderOf = (model_url: string) => encodeURIComponent(new URL(model_url).pathname).slice(-200);

export type StoredModel = {
  /** The path of the URL that it came from; the end of it, where that is long. */
  path: string;
  size_bytes: number;
  /** Whether all of it has come. */
  is_whole: boolean;
  /** Delete it. Throws an `EngineError` of kind "bad-input" while it is downloaded or read. */
  remove: () => Promise<void>;
};

/** Those of this origin, by path; none where the browser keeps nothing. */
export async function storedModels(): Promise<StoredModel[]> {
  const found: StoredModel[] = [];
  try {
    const root = await navigator.storage.getDirectory();
    for await (const [name, folder] of await root.getDirectoryHandle(ROOT)) {
      if (folder.kind === "directory") found.push(...(await modelIn(name, folder)));
    }
  } catch {
    return []; // there is no such storage, or nothing was ever kept
  }
  return found.sort((one, other) => (one.path < other.path ? -1 : 1));
}

async function modelIn(name: string, folder: FileSystemDirectoryHandle): Promise<StoredModel[]> {
  const names: string[] = [];
  let size_bytes = 0;
  for await (const [file, handle] of folder) {
    names.push(file);
    if (handle.kind === "file" && !file.endsWith(WHOLE)) size_bytes += (await handle.getFile()).size;
  }
  const remove = async () => {
    try {
      for (const each of names) await folder.removeEntry(each);
    } catch (cause) {
      const hint = "Wait until it is loaded, or close the tabs that use it.";
      throw engineError("bad-input", `${pathOf(name)} is in use and cannot be deleted: ${String(cause)}`, hint);
    }
  };
  const is_whole = names.some(file => file.endsWith(WHOLE));
  return size_bytes === 0 ? [] : [{ path: pathOf(name), size_bytes, is_whole, remove }];
}

function pathOf(folder: string): string {
  try {
    return decodeURIComponent(folder);
  } catch {
    return folder; // cut within a letter
  }
}
