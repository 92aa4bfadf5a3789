/** Takes a file as it comes: to the shelf, or to memory where the shelf does not take it. */
import type { Sink } from "./download";
import { type Format, IDENTITY_NBYTES, PART_NBYTES } from "./formats";
import type { NotKept, Storage } from "./protocol";
import type { Digester, OpenFile, Shelf, ShelfReader, ShelfWriter } from "./shelf";

export type Obtained = OpenFile & {
  size_bytes: number;
  sha256: string;
  /** What the shelf knows it by; null where it is not there. */
  digest: string | null;
  /** Whether it was on the shelf before. */
  was_kept: boolean;
  storage: Storage;
};

/** A file on the shelf, which is held open only while it is read. */
export async function openShelved(
  format: Format,
  reader: ShelfReader,
  size_bytes: number,
  digestOfAll: () => string,
): Promise<OpenFile> {
  const { build, free } = await reader.during(() =>
    format.open(size_bytes, (offset, nbytes) => reader.read(offset, nbytes), digestOfAll),
  );
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
  | { kind: "memory"; memory: ReturnType<Format["inMemory"]>; storage: Storage };

export class Receiver implements Sink {
  readonly #format: Format;
  readonly #shelf: Shelf | null;
  /** Why there is no shelf, where there is none. */
  readonly #without: NotKept;
  /** The first bytes, until they tell which file it is. */
  #first: Uint8Array<ArrayBuffer>[] = [];
  #place: Place | null = null;
  #digester: Digester;
  #size_bytes = 0;

  constructor(format: Format, shelf: Shelf | null, without: NotKept) {
    this.#format = format;
    this.#shelf = shelf;
    this.#without = without;
    this.#digester = format.digester();
  }

  /** Go on after what is on the shelf of this file: so many bytes. */
  async takeUp(digest: string): Promise<number> {
    const writer = (await this.#shelf?.write(digest).catch(() => null)) ?? null;
    if (this.#shelf === null || writer === null) return 0;
    if (writer.size_bytes < IDENTITY_NBYTES) {
      writer.close();
      return 0;
    }
    const { nbytes } = this.#format.identify(writer.read(0, IDENTITY_NBYTES));
    this.#place = { kind: "shelf", digest, nbytes, writer, shelf: this.#shelf };
    for (const part of partsOf(writer)) this.#digester.update(part);
    this.#size_bytes = writer.size_bytes;
    return writer.size_bytes;
  }

  restart(): void {
    this.close();
    this.#first = [];
    this.#place = null;
    this.#digester = this.#format.digester();
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
      const file = await place.memory.open(sha256);
      return { ...file, size_bytes, sha256, digest: null, was_kept: false, storage: place.storage };
    }
    const { digest, shelf } = place;
    this.close();
    await shelf.finish(digest, sha256);
    const opening = openShelved(this.#format, shelf.read(digest), size_bytes, () => sha256);
    const file = await opening.catch(async (thrown: unknown) => {
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
    const { digest, nbytes } = this.#format.identify(first);
    this.#place = await this.#newPlace(digest, nbytes);
    return await this.#append(this.#place, first);
  }

  async #newPlace(digest: string, nbytes: number): Promise<Place> {
    const inMemory = (reason: NotKept): Place => ({
      kind: "memory",
      memory: this.#format.inMemory(nbytes),
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
      const memory = this.#format.inMemory(nbytes);
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
