/**
 * A model's file: from the shelf where it lies there and is still what the server has, else from the server, and onto the
 * shelf on the way. It never lies in JavaScript's memory as a whole, and in wasm memory only where no shelf takes it.
 *
 * A file is known by its first 64 bytes (training/FORMAT.md §1): they hold the digest of the header, and that the digests of
 * everything else. What comes from the shelf is checked again by whoever reads it, byte for byte.
 */
import type { ReadFile } from "pocketlm-wasm";
import { type Beginning, type DownloadProgress, download, fetchBeginning, type Sink } from "./download";
import { engineError } from "./errors";
import type { NotKept, Storage } from "./protocol";
import type { Digester, FileInMemory, OpenFile, Package, Shelf, ShelfReader, ShelfWriter } from "./shelf";

/** Bytes that `Package.identify` needs. */
const IDENTITY_NBYTES = 64;

/** A file is read in parts of this size. */
const PART_NBYTES = 4 << 20;

/** What files of llama.cpp begin with. */
const GGUF = "GGUF";

export type Obtained = OpenFile & {
  size_bytes: number;
  sha256: string;
  /** What the shelf knows it by; null where it is not there. */
  digest: string | null;
  /** Whether it was on the shelf before. */
  was_kept: boolean;
  storage: Storage;
};

/**
 * The model at `model_url`, to build engines of.
 *
 * Throws the `EngineError`s of `download` and of `parts`.
 */
export async function obtain(
  model_url: string,
  parts: Package,
  shelf: Shelf | null,
  onProgress: DownloadProgress,
): Promise<Obtained> {
  const release = (await shelf?.claim()) ?? null;
  const receiver = new Receiver(parts, release === null ? null : shelf, shelf === null ? "no-storage" : "other-tab");
  try {
    const found = shelf === null ? null : await lookUp(model_url, parts, shelf);
    if (found !== null && "build" in found) return found;
    const begun = found === null ? undefined : { ...found.version, received: await receiver.takeUp(found.digest) };
    await download(model_url, receiver, onProgress, begun);
    return await receiver.finish();
  } finally {
    receiver.close();
    release?.();
  }
}

/**
 * A file that the reader has, a model.bin or a GGUF, to build engines of. It is read where it lies, in parts, and copied nowhere.
 * `onProgress`: how much of a GGUF's weights was looked at.
 *
 * Throws an `EngineError` of kind "bad-model" where it is no model or cannot be read, of kind "unsupported-model" where it is a GGUF that
 * does not run here, and those of `parts`.
 */
export async function openOwnFile(
  file: Blob,
  parts: Package,
  reader: ReadFile,
  onProgress: (fraction: number) => void,
): Promise<Obtained> {
  const read: ReadFile = (offset, nbytes) => {
    try {
      return reader(offset, nbytes);
    } catch (cause) {
      const hint = "It may have been moved or changed: choose it again.";
      throw engineError("bad-model", `The file can no longer be read: ${String(cause)}`, hint);
    }
  };
  const first = read(0, Math.min(file.size, IDENTITY_NBYTES));
  const digestOfAll = () => {
    const digester = parts.digester();
    for (let offset = 0; offset < file.size; offset += PART_NBYTES) {
      digester.update(read(offset, Math.min(PART_NBYTES, file.size - offset)));
    }
    return digester.hex();
  };
  const common = { size_bytes: file.size, digest: null, was_kept: false };
  const storage: Storage = { is_kept: false, reason: "own-file" };
  if (new TextDecoder().decode(first.subarray(0, GGUF.length)) === GGUF) {
    const { modelBinOf } = await ggufReader();
    const digester = () => parts.digester();
    const model = modelBinOf({ nbytes: file.size, read, digester, digestOfAll, onProgress });
    return { ...parts.open(model.nbytes, model.read), ...common, sha256: model.sha256, storage };
  }
  parts.identify(first);
  const sha256 = digestOfAll();
  return { ...parts.open(file.size, read), ...common, sha256, storage };
}

/** Whether a URL names a GGUF file. */
export function isGguf(model_url: string): boolean {
  return /^[^?#]*\.gguf(?:[?#]|$)/i.test(model_url);
}

/**
 * The GGUF at `model_url`: fetched into a file of the browser's own, which need not be in memory, and opened as the reader's is. It does
 * not stay on this device.
 *
 * Throws the `EngineError`s of `download` and of `openOwnFile`.
 */
export async function obtainGguf(
  model_url: string,
  parts: Package,
  readerOf: (file: Blob) => ReadFile,
  onDownload: DownloadProgress,
  onProgress: (fraction: number) => void,
): Promise<Obtained> {
  let received: Blob[] = [];
  const write = (part: Uint8Array<ArrayBuffer>) => void received.push(new Blob([part]));
  const restart = () => {
    received = [];
  };
  await download(model_url, { write, restart }, onDownload);
  const file = new Blob(received);
  const obtained = await openOwnFile(file, parts, readerOf(file), onProgress);
  return { ...obtained, storage: { is_kept: false, reason: "gguf" } };
}

/** What makes a model.bin of a GGUF is a chunk of its own: most readers never have such a file. */
async function ggufReader() {
  try {
    return await import("./gguf/gguf");
  } catch (cause) {
    const message = `What reads GGUF files could not be loaded: ${String(cause)}`;
    throw engineError("download", message, "Check the connection and try again.");
  }
}

/** What the server has, where it is on the shelf; or the beginning of it, and how to ask for the rest. */
async function lookUp(
  model_url: string,
  parts: Package,
  shelf: Shelf,
): Promise<Obtained | { digest: string; version: Beginning["version"] } | null> {
  const files = await shelf.list();
  if (files.length === 0) return null;
  const served = await fetchBeginning(model_url, IDENTITY_NBYTES);
  const digest = served === null ? null : parts.identify(served.first).header_sha256;
  // Without an answer, what is here is as good as it gets.
  const file = files.find(each => (digest === null ? each.sha256 !== null : each.digest === digest));
  if (file === undefined) return null;
  if (file.sha256 === null) return served && { digest: file.digest, version: served.version };
  const { digest: known, size_bytes, sha256 } = file;
  try {
    const opened = await openShelved(parts, shelf.read(known), size_bytes);
    return { ...opened, size_bytes, sha256, digest: known, was_kept: true, storage: { is_kept: true } };
  } catch {
    // Cut short, or damaged where it begins; damage behind that is found by whoever builds an engine.
    await shelf.remove(known);
    return null;
  }
}

/** A file on the shelf, which is held open only while it is read. */
async function openShelved(parts: Package, reader: ShelfReader, size_bytes: number): Promise<OpenFile> {
  const read: ReadFile = (offset, nbytes) => reader.read(offset, nbytes);
  const { build, free } = await reader.during(() => parts.open(size_bytes, read));
  return { build: (backend, onProgress) => reader.during(() => build(backend, onProgress)), free };
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

/** Where a file goes. */
type Place =
  | { kind: "shelf"; digest: string; nbytes: number; writer: ShelfWriter; shelf: Shelf }
  | { kind: "memory"; memory: FileInMemory; storage: Storage };

/** Takes a file as it comes: to the shelf, or to wasm memory where the shelf does not take it. */
class Receiver implements Sink {
  readonly #parts: Package;
  readonly #shelf: Shelf | null;
  /** Why there is no shelf, where there is none. */
  readonly #without: NotKept;
  /** The first bytes, until they tell which file it is. */
  #first: Uint8Array<ArrayBuffer>[] = [];
  #place: Place | null = null;
  #digester: Digester;
  #size_bytes = 0;

  constructor(parts: Package, shelf: Shelf | null, without: NotKept) {
    this.#parts = parts;
    this.#shelf = shelf;
    this.#without = without;
    this.#digester = parts.digester();
  }

  /** Go on after what is on the shelf of this file: so many bytes. */
  async takeUp(digest: string): Promise<number> {
    const writer = (await this.#shelf?.write(digest).catch(() => null)) ?? null;
    if (this.#shelf === null || writer === null) return 0;
    if (writer.size_bytes < IDENTITY_NBYTES) {
      writer.close();
      return 0;
    }
    const { nbytes } = this.#parts.identify(writer.read(0, IDENTITY_NBYTES));
    this.#place = { kind: "shelf", digest, nbytes, writer, shelf: this.#shelf };
    for (const part of partsOf(writer)) this.#digester.update(part);
    this.#size_bytes = writer.size_bytes;
    return writer.size_bytes;
  }

  restart(): void {
    this.close();
    this.#first = [];
    this.#place = null;
    this.#digester = this.#parts.digester();
    this.#size_bytes = 0;
  }

  async write(part: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#digester.update(part);
    this.#size_bytes += part.length;
    if (this.#place !== null) {
      await this.#append(this.#place, part);
      return;
    }
    this.#first.push(part.slice());
    if (this.#size_bytes >= IDENTITY_NBYTES) await this.#begin();
  }

  /** The file is whole, as far as its length tells. */
  async finish(): Promise<Obtained> {
    const place = this.#place ?? (await this.#begin());
    const [size_bytes, sha256] = [this.#size_bytes, this.#digester.hex()];
    if (place.kind === "memory") {
      return { ...place.memory.parse(), size_bytes, sha256, digest: null, was_kept: false, storage: place.storage };
    }
    const { digest, shelf } = place;
    this.close();
    await shelf.finish(digest, sha256);
    const file = await openShelved(this.#parts, shelf.read(digest), size_bytes).catch(async (thrown: unknown) => {
      await shelf.remove(digest);
      throw thrown;
    });
    return { ...file, size_bytes, sha256, digest, was_kept: false, storage: { is_kept: true } };
  }

  /** Let go of what is being written; what has come of it stays. */
  close(): void {
    if (this.#place?.kind === "shelf") this.#place.writer.close();
    this.#place = null;
  }

  /** Find a place for the file that begins with the first bytes, and put them there. Throws where they begin no model. */
  async #begin(): Promise<Place> {
    const first = joined(this.#first);
    this.#first = [];
    const { header_sha256, nbytes } = this.#parts.identify(first);
    this.#place = await this.#newPlace(header_sha256, nbytes);
    return await this.#append(this.#place, first);
  }

  async #newPlace(digest: string, nbytes: number): Promise<Place> {
    const inMemory = (reason: NotKept): Place => ({
      kind: "memory",
      memory: this.#parts.inMemory(nbytes),
      storage: { is_kept: false, reason },
    });
    const shelf = this.#shelf;
    if (shelf === null) return inMemory(this.#without);
    try {
      await shelf.remove(digest);
      if ((await shelf.free_bytes()) < nbytes) return inMemory("no-room");
      return { kind: "shelf", digest, nbytes, writer: await shelf.write(digest), shelf };
    } catch {
      return inMemory("other-tab");
    }
  }

  /** Put bytes behind the others; where the shelf has no room left, all of them go to memory. */
  async #append(place: Place, part: Uint8Array<ArrayBuffer>): Promise<Place> {
    if (place.kind === "memory") {
      place.memory.push(part);
      return place;
    }
    const { writer, shelf, digest, nbytes } = place;
    try {
      writer.append(part);
      return place;
    } catch {
      const memory = this.#parts.inMemory(nbytes);
      for (const each of partsOf(writer)) memory.push(each);
      memory.push(part);
      this.close();
      await shelf.remove(digest);
      this.#place = { kind: "memory", memory, storage: { is_kept: false, reason: "no-room" } };
      return this.#place;
    }
  }
}

function* partsOf(writer: ShelfWriter): Generator<Uint8Array> {
  const { size_bytes } = writer;
  for (let offset = 0; offset < size_bytes; offset += PART_NBYTES) {
    yield writer.read(offset, Math.min(PART_NBYTES, size_bytes - offset));
  }
}
