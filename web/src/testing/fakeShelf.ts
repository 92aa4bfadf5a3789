/** Doubles of what the worker brings for loading: a shelf in memory with so much room, and a wasm package whose files hold anything. */
import type { ReadFile } from "pocketlm-wasm";
import type { Build } from "../engine/backend";
import { engineError } from "../engine/errors";
import type { OpenFile, Package, Shelf, ShelfReader, ShelfWriter, ShelvedFile } from "../engine/shelf";

export class FakeShelf implements Shelf {
  readonly files = new Map<string, { bytes: number[]; sha256: string | null }>();
  /** Bytes that can be written; what is announced may be more. */
  room = 1_000_000;
  announced: number | null = null;
  /** Another tab writes. */
  is_locked = false;

  list(): Promise<ShelvedFile[]> {
    const files = [...this.files];
    return Promise.resolve(files.map(([digest, { bytes, sha256 }]) => ({ digest, size_bytes: bytes.length, sha256 })));
  }

  free_bytes(): Promise<number> {
    return Promise.resolve(this.announced ?? this.room);
  }

  claim(): Promise<(() => void) | null> {
    if (this.is_locked) return Promise.resolve(null);
    this.is_locked = true;
    return Promise.resolve(() => {
      this.is_locked = false;
    });
  }

  write(digest: string): Promise<ShelfWriter> {
    const file = this.files.get(digest) ?? { bytes: [], sha256: null };
    this.files.set(digest, file);
    return Promise.resolve({
      append: part => {
        if (file.bytes.length + part.length > this.room) throw new DOMException("full", "QuotaExceededError");
        file.bytes.push(...part);
      },
      read: (offset, nbytes) => Uint8Array.from(file.bytes.slice(offset, offset + nbytes)),
      get size_bytes() {
        return file.bytes.length;
      },
      close: () => undefined,
    });
  }

  finish(digest: string, sha256: string): Promise<void> {
    for (const [name, file] of this.files) {
      if (name === digest) file.sha256 = sha256;
      else this.files.delete(name);
    }
    return Promise.resolve();
  }

  read(digest: string): ShelfReader {
    const bytes = this.files.get(digest)?.bytes ?? [];
    let is_open = false;
    return {
      read: (offset, nbytes) => {
        if (!is_open) throw new Error("the file is not open");
        return Uint8Array.from(bytes.slice(offset, offset + nbytes));
      },
      during: async work => {
        is_open = true;
        try {
          return await work();
        } finally {
          is_open = false;
        }
      },
    };
  }

  remove(digest: string): Promise<void> {
    this.files.delete(digest);
    return Promise.resolve();
  }
}

/** A file: its first byte stands for the digest of its header; 0 begins none. The digest of bytes is their sum. */
export class FakePackage implements Package {
  /** The files that were opened or read into memory, each with all its bytes. */
  freed = 0;
  readonly opened: { from: "shelf" | "memory"; bytes: number[] }[] = [];

  /** `build`: what engines of any file are built by. */
  constructor(
    readonly nbytes: number,
    public build: Build,
  ) {}

  identify(first: Uint8Array): { header_sha256: string; nbytes: number } {
    if (first.length < 64) throw engineError("bad-model", "Truncated", "");
    if (first[0] === 0) throw engineError("bad-model", "BadMagic", "");
    return { header_sha256: `digest ${first[0]}`, nbytes: this.nbytes };
  }

  digester(): { update(part: Uint8Array): void; hex(): string } {
    let sum = 0;
    return {
      update: part => {
        for (const byte of part) sum += byte;
      },
      hex: () => `${sum}`,
    };
  }

  inMemory(): { push(part: Uint8Array): void; parse(): OpenFile } {
    const bytes: number[] = [];
    return {
      push: part => void bytes.push(...part),
      parse: () => {
        this.opened.push({ from: "memory", bytes });
        return this.#file();
      },
    };
  }

  open(nbytes: number, read: ReadFile): OpenFile {
    if (nbytes !== this.nbytes) throw engineError("bad-model", "Truncated", "");
    this.opened.push({ from: "shelf", bytes: [...read(0, nbytes)] });
    return this.#file();
  }

  #file(): OpenFile {
    return {
      build: (...given) => this.build(...given),
      free: () => {
        this.freed += 1;
      },
    };
  }
}
