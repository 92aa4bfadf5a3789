/**
 * How the two kinds of files are told from each other, known on the shelf and opened. A model.bin names itself in its first 64 bytes
 * (training/FORMAT.md §1): they hold the digest of the header, and that the digests of everything else. A GGUF has no digests, so it
 * is known by what its server says of it, and what comes from the shelf is compared with the digest that it had when it came.
 */
import type { ReadFile } from "pocketlm-wasm";
import type { Beginning } from "./download";
import { engineError } from "./errors";
import type { Digester, OpenFile, Package } from "./shelf";

/** So many bytes tell what a file is. */
export const IDENTITY_NBYTES = 64;

/** A file is read in parts of this size. */
export const PART_NBYTES = 4 << 20;

/** What files of llama.cpp begin with. */
const GGUF = "GGUF";

export type Format = {
  /** What the shelf knows a file by that begins so, and its length. Throws an `EngineError` where it is no model. */
  identify(first: Uint8Array): { digest: string; nbytes: number };
  digester(): Digester;
  /** A file that no shelf takes. `sha256`: of all that was pushed. */
  inMemory(nbytes: number): { push(part: Uint8Array): void; open(sha256: string): OpenFile | Promise<OpenFile> };
  /** `digestOfAll`: SHA-256 of the file; it may throw, and then the file is not opened. */
  open(nbytes: number, read: ReadFile, digestOfAll: () => string): OpenFile | Promise<OpenFile>;
};

export function modelBins(parts: Package): Format {
  return {
    identify: first => {
      const { header_sha256, nbytes } = parts.identify(first);
      return { digest: header_sha256, nbytes };
    },
    digester: () => parts.digester(),
    inMemory: nbytes => {
      const memory = parts.inMemory(nbytes);
      return { push: part => memory.push(part), open: () => memory.parse() };
    },
    // Whoever builds an engine of it compares its own digests.
    open: (nbytes, read) => parts.open(nbytes, read),
  };
}

/** `version`: what the server says of the one file; null where that does not tell it from another one at the same address. */
export function ggufs(
  parts: Package,
  readerOf: (file: Blob) => ReadFile,
  version: Beginning["version"] | null,
  onParsed: (fraction: number) => void,
): Format {
  return {
    identify: first => {
      const digester = parts.digester();
      digester.update(new TextEncoder().encode(`${version?.validator} ${version?.total} `));
      digester.update(first.subarray(0, IDENTITY_NBYTES)); // what came first may be more
      return { digest: digester.hex(), nbytes: version?.total ?? 0 };
    },
    digester: () => parts.digester(),
    inMemory: () => {
      // The browser's own, which need not be in memory.
      const received: Blob[] = [];
      return {
        push: part => void received.push(new Blob([new Uint8Array(part)])),
        open: sha256 => {
          const file = new Blob(received);
          return openEither(file.size, readerOf(file), () => sha256, parts, onParsed);
        },
      };
    },
    open: (nbytes, read, digestOfAll) => openEither(nbytes, read, digestOfAll, parts, onParsed),
  };
}

/**
 * A file of either kind, read where it lies. `onParsed`: how much of a GGUF's weights was looked at.
 *
 * Throws an `EngineError` of kind "bad-model" where it is no model, of kind "unsupported-model" where it is a GGUF that does not run
 * here, and what `read` and `digestOfAll` throw.
 */
export async function openEither(
  nbytes: number,
  read: ReadFile,
  digestOfAll: () => string,
  parts: Package,
  onParsed: (fraction: number) => void,
): Promise<OpenFile & { sha256: string }> {
  const first = read(0, Math.min(nbytes, IDENTITY_NBYTES));
  if (new TextDecoder().decode(first.subarray(0, GGUF.length)) === GGUF) {
    const { modelBinOf } = await ggufReader();
    const digester = () => parts.digester();
    const model = modelBinOf({ nbytes, read, digester, digestOfAll, onProgress: onParsed });
    return { ...parts.open(model.nbytes, model.read), sha256: model.sha256 };
  }
  parts.identify(first);
  const sha256 = digestOfAll();
  return { ...parts.open(nbytes, read), sha256 };
}

/** SHA-256 of a file, read in parts. */
export function digestOf(nbytes: number, read: ReadFile, digester: Digester): string {
  for (let offset = 0; offset < nbytes; offset += PART_NBYTES) {
    digester.update(read(offset, Math.min(PART_NBYTES, nbytes - offset)));
  }
  return digester.hex();
}

/** Whether a URL names a GGUF file. */
export function isGguf(model_url: string): boolean {
  return /^[^?#]*\.gguf(?:[?#]|$)/i.test(model_url);
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
