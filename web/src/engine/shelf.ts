/** What loading needs of the browser's storage and of the wasm package. The worker brings both; the unit tests pass doubles. */
import type { FileIdentity, ReadFile } from "pocketlm-wasm";
import type { Build } from "./backend";

/** A file on the shelf. `sha256`: of the whole file; null where it has not come whole. */
export type ShelvedFile = { digest: string; size_bytes: number; sha256: string | null };

/** A file that is there. */
export type ShelfReader = {
  /** What it gives is good until the next reading. */
  read: ReadFile;
  /** `read` works while `work` runs. Throws an `EngineError` where the file is gone. */
  during<T>(work: () => T | Promise<T>): Promise<T>;
};

/** A file that is being written. One at a time has it. */
export type ShelfWriter = {
  /** Put bytes behind those that are there. Throws where there is no room for them. */
  append(part: Uint8Array<ArrayBuffer>): void;
  /** What it gives is good until the next reading. */
  read: ReadFile;
  readonly size_bytes: number;
  close(): void;
};

/** The files of one model URL that stay on this device, by the digest of their header. */
export type Shelf = {
  list(): Promise<ShelvedFile[]>;
  free_bytes(): Promise<number>;
  /** The right to download to the shelf, until what comes back is called; null where another tab has it. */
  claim(): Promise<(() => void) | null>;
  /** A file to write to: go on behind what is there. */
  write(digest: string): Promise<ShelfWriter>;
  /** Note that a file is whole, and remove all others. */
  finish(digest: string, sha256: string): Promise<void>;
  read(digest: string): ShelfReader;
  remove(digest: string): Promise<void>;
};

/** SHA-256 of bytes that come in parts. */
export type Digester = { update(part: Uint8Array): void; hex(): string };

/** A checked file in wasm memory, as a whole or its head: what engines are built of, until `free`. They outlive it. */
export type OpenFile = { build: Build; free(): void };

/** A file's bytes in wasm memory. */
export type FileInMemory = { push(part: Uint8Array): void; parse(): OpenFile };

/** The wasm package, as far as loading uses it. What it throws are `EngineError`s. */
export type Package = {
  identify(first: Uint8Array): FileIdentity;
  digester(): Digester;
  inMemory(nbytes: number): FileInMemory;
  open(nbytes: number, read: ReadFile): OpenFile;
};
