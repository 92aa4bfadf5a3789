/** The shelf in the origin private file system, as a worker sees it; stored.ts says what lies where. */
import type { ReadFile } from "pocketlm-wasm";
import { engineError } from "./errors";
import type { Shelf, ShelfReader, ShelfWriter, ShelvedFile } from "./shelf";
import { folderOf, ROOT, WHOLE } from "./stored";

/** The shelf of a model; null where the browser has no such storage, or grants this page none. */
export async function openShelf(model_url: string): Promise<Shelf | null> {
  try {
    const root = await navigator.storage.getDirectory();
    const all = await root.getDirectoryHandle(ROOT, { create: true });
    const name = folderOf(model_url);
    return new OriginShelf(await all.getDirectoryHandle(name, { create: true }), `${ROOT}/${name}`);
  } catch {
    return null;
  }
}

/** Reads a file where it lies, in a worker. */
export function readerOf(file: Blob): ReadFile {
  const reader = new FileReaderSync();
  return (offset, nbytes) => new Uint8Array(reader.readAsArrayBuffer(file.slice(offset, offset + nbytes)));
}

class OriginShelf implements Shelf {
  readonly #folder: FileSystemDirectoryHandle;
  /** The name of the lock that tabs share. */
  readonly #lock: string;

  constructor(folder: FileSystemDirectoryHandle, lock: string) {
    this.#folder = folder;
    this.#lock = lock;
  }

  async claim(): Promise<(() => void) | null> {
    return await new Promise((resolve, reject) => {
      const held = (lock: Lock | null) =>
        lock === null ? resolve(null) : new Promise<void>(release => resolve(() => release()));
      navigator.locks.request(this.#lock, { ifAvailable: true }, held).catch(reject);
    });
  }

  async list(): Promise<ShelvedFile[]> {
    const files = new Map<string, File>();
    for await (const [name, handle] of this.#folder) {
      if (handle.kind === "file") files.set(name, await handle.getFile());
    }
    const digests = [...files.keys()].filter(name => !name.endsWith(WHOLE));
    return await Promise.all(
      digests.map(async digest => {
        const sha256 = (await files.get(digest + WHOLE)?.text()) ?? null;
        return { digest, size_bytes: files.get(digest)?.size ?? 0, sha256 };
      }),
    );
  }

  async free_bytes(): Promise<number> {
    const { quota = 0, usage = 0 } = await navigator.storage.estimate();
    return quota - usage;
  }

  async write(digest: string): Promise<ShelfWriter> {
    return new OriginWriter(await this.#accessTo(digest));
  }

  async finish(digest: string, sha256: string): Promise<void> {
    const access = await this.#accessTo(digest + WHOLE);
    access.truncate(0);
    access.write(new TextEncoder().encode(sha256));
    access.close();
    for await (const name of this.#folder.keys()) {
      if (!name.startsWith(digest)) await this.#removeEntry(name);
    }
  }

  read(digest: string): ShelfReader {
    return new OriginReader(this.#folder, digest);
  }

  async remove(digest: string): Promise<void> {
    await this.#removeEntry(digest + WHOLE);
    await this.#removeEntry(digest);
  }

  async #accessTo(name: string): Promise<FileSystemSyncAccessHandle> {
    const handle = await this.#folder.getFileHandle(name, { create: true });
    return await handle.createSyncAccessHandle();
  }

  /** What is not there, or in use by another tab, stays as it is. */
  async #removeEntry(name: string): Promise<void> {
    await this.#folder.removeEntry(name).catch(() => undefined);
  }
}

/** Reads into one buffer for all readings: thousands of small ones would wait for the collector, as much as the file in the end. */
class Scratch {
  #bytes = new Uint8Array(0);

  fill(access: FileSystemSyncAccessHandle, offset: number, nbytes: number): Uint8Array {
    if (this.#bytes.length < nbytes) this.#bytes = new Uint8Array(nbytes);
    const part = this.#bytes.subarray(0, nbytes);
    return part.subarray(0, access.read(part, { at: offset }));
  }
}

class OriginReader implements ShelfReader {
  readonly #folder: FileSystemDirectoryHandle;
  readonly #name: string;
  #read: ReadFile | null = null;

  constructor(folder: FileSystemDirectoryHandle, name: string) {
    this.#folder = folder;
    this.#name = name;
  }

  read(offset: number, nbytes: number): Uint8Array {
    if (this.#read === null) throw new Error("the file is not open");
    return this.#read(offset, nbytes);
  }

  async during<T>(work: () => T | Promise<T>): Promise<T> {
    const { read, close } = await this.#open();
    this.#read = read;
    try {
      return await work();
    } finally {
      this.#read = null;
      close();
    }
  }

  async #open(): Promise<{ read: ReadFile; close: () => void }> {
    let handle: FileSystemFileHandle;
    try {
      handle = await this.#folder.getFileHandle(this.#name);
    } catch {
      const message = "The model's file is no longer on this device.";
      throw engineError("bad-model", message, "Load the model again: it is then downloaded.");
    }
    try {
      // Of browsers that do not know the mode one tab at a time gets it.
      const options = { mode: "read-only" };
      const access = await handle.createSyncAccessHandle.apply(handle, [options] as unknown as []);
      const scratch = new Scratch();
      return { read: (offset, nbytes) => scratch.fill(access, offset, nbytes), close: () => access.close() };
    } catch {
      return { read: readerOf(await handle.getFile()), close: () => undefined };
    }
  }
}

class OriginWriter implements ShelfWriter {
  readonly #access: FileSystemSyncAccessHandle;
  readonly #scratch = new Scratch();
  #size_bytes: number;

  constructor(access: FileSystemSyncAccessHandle) {
    this.#access = access;
    this.#size_bytes = access.getSize();
  }

  get size_bytes(): number {
    return this.#size_bytes;
  }

  append(part: Uint8Array<ArrayBuffer>): void {
    const written = this.#access.write(part, { at: this.#size_bytes });
    if (written !== part.length) throw new Error(`${written} of ${part.length} bytes were written`);
    this.#size_bytes += written;
  }

  read(offset: number, nbytes: number): Uint8Array {
    return this.#scratch.fill(this.#access, offset, nbytes);
  }

  close(): void {
    this.#access.flush();
    this.#access.close();
  }
}
