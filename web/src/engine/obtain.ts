/**
 * A model's file: from the shelf where it lies there and is still what the server has, else from the server, and onto the
 * shelf on the way. It never lies in JavaScript's memory as a whole, and in wasm memory only where no shelf takes it.
 *
 * What comes from the shelf is checked again, byte for byte: by whoever builds an engine of it, or when it is opened (formats.ts).
 */
import type { ReadFile } from "pocketlm-wasm";
import { type Beginning, type DownloadProgress, download, fetchBeginning } from "./download";
import { engineError } from "./errors";
import { digestOf, type Format, ggufs, IDENTITY_NBYTES, modelBins, openEither } from "./formats";
import type { NotKept } from "./protocol";
import { type Obtained, openShelved, Receiver } from "./receiver";
import type { Package, Shelf } from "./shelf";

/**
 * The model.bin at `model_url`, to build engines of.
 *
 * Throws the `EngineError`s of `download` and of `parts`.
 */
export async function obtain(
  model_url: string,
  parts: Package,
  shelf: Shelf | null,
  onProgress: DownloadProgress,
): Promise<Obtained> {
  // With an empty shelf nothing needs to be asked before the file itself.
  const is_empty = shelf === null || (await shelf.list()).length === 0;
  const served = is_empty ? null : await fetchBeginning(model_url, IDENTITY_NBYTES);
  return await fetched(model_url, modelBins(parts), shelf, "no-storage", served, onProgress);
}

/**
 * The GGUF at `model_url`. It stays on the shelf where the server says which version it is (`ETag` or `Last-Modified`).
 *
 * Throws the `EngineError`s of `download` and of `openOwnFile`.
 */
export async function obtainGguf(
  model_url: string,
  parts: Package,
  shelf: Shelf | null,
  readerOf: (file: Blob) => ReadFile,
  onDownload: DownloadProgress,
  onParsed: (fraction: number) => void,
): Promise<Obtained> {
  const served = shelf === null ? null : await fetchBeginning(model_url, IDENTITY_NBYTES);
  const version = served?.version ?? null;
  const is_told = version === null || version.validator !== null;
  const without = shelf === null ? "no-storage" : "no-version";
  const format = ggufs(parts, readerOf, version, onParsed);
  return await fetched(model_url, format, is_told ? shelf : null, without, served, onDownload);
}

/**
 * A file that the reader has, a model.bin or a GGUF, to build engines of. It is read where it lies, in parts, and copied nowhere.
 * `onParsed`: how much of a GGUF's weights was looked at.
 *
 * Throws an `EngineError` of kind "bad-model" where it is no model or cannot be read, of kind "unsupported-model" where it is a GGUF that
 * does not run here, and those of `parts`.
 */
export async function openOwnFile(
  file: Blob,
  parts: Package,
  reader: ReadFile,
  onParsed: (fraction: number) => void,
): Promise<Obtained> {
  const read: ReadFile = (offset, nbytes) => {
    try {
      return reader(offset, nbytes);
    } catch (cause) {
      const hint = "It may have been moved or changed: choose it again.";
      throw engineError("bad-model", `The file can no longer be read: ${String(cause)}`, hint);
    }
  };
  const digestOfAll = () => digestOf(file.size, read, parts.digester());
  const opened = await openEither(file.size, read, digestOfAll, parts, onParsed);
  const storage = { is_kept: false, reason: "own-file" } as const;
  return { ...opened, size_bytes: file.size, digest: null, was_kept: false, storage };
}

/** `served`: how the file begins that the server has, null where that is not known. `without`: why there is no shelf, where there is none. */
async function fetched(
  model_url: string,
  format: Format,
  shelf: Shelf | null,
  without: NotKept,
  served: Beginning | null,
  onProgress: DownloadProgress,
): Promise<Obtained> {
  const release = (await shelf?.claim()) ?? null;
  const receiver = new Receiver(format, release === null ? null : shelf, shelf === null ? without : "other-tab");
  try {
    const found = shelf === null ? null : await lookUp(format, shelf, served);
    if (found !== null && "build" in found) return found;
    const begun = found === null ? undefined : { ...found.version, received: await receiver.takeUp(found.digest) };
    await download(model_url, receiver, onProgress, begun);
    return await receiver.finish();
  } finally {
    receiver.close();
    release?.();
  }
}

/** What the server has, where it is on the shelf; or the beginning of it, and how to ask for the rest. */
async function lookUp(
  format: Format,
  shelf: Shelf,
  served: Beginning | null,
): Promise<Obtained | { digest: string; version: Beginning["version"] } | null> {
  const files = await shelf.list();
  const digest = served === null ? null : format.identify(served.first).digest;
  // Without an answer, what is here is as good as it gets.
  const file = files.find(each => (digest === null ? each.sha256 !== null : each.digest === digest));
  if (file === undefined) return null;
  if (file.sha256 === null) return served && { digest: file.digest, version: served.version };
  const { digest: known, size_bytes, sha256 } = file;
  const reader = shelf.read(known);
  const digestOfAll = () => {
    const got = digestOf(size_bytes, (offset, nbytes) => reader.read(offset, nbytes), format.digester());
    if (got !== sha256) throw engineError("bad-model", `SHA-256 ${got}, expected ${sha256}`, "");
    return got;
  };
  try {
    const opened = await openShelved(format, reader, size_bytes, digestOfAll);
    return { ...opened, size_bytes, sha256, digest: known, was_kept: true, storage: { is_kept: true } };
  } catch {
    // Cut short, or damaged.
    await shelf.remove(known);
    return null;
  }
}
