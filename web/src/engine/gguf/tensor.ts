/** A tensor of a GGUF file as a section of a model.bin: the same weights, in the order of rows and of bytes that are expected there. */
import type { ReadFile } from "pocketlm-wasm";
import { shown, type TensorEntry } from "./container";
import type { Spec } from "./family";
import { KINDS, type Kind, nameOfKind, VALUES } from "./kinds";
import { damaged, unsupported } from "./refusal";

/** So many weights are read at a time, or one row, or the rows of one head: some of them take 4 bytes each on the way. */
const PART_WEIGHTS = 1 << 20;

export class SourceTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** GGUF's type, and what its weights are kept as. */
  readonly kind: Kind;
  /** Of the section. */
  readonly nbytes: number;
  readonly #read: ReadFile;
  readonly #offset: number;
  readonly #rows: number;
  readonly #columns: number;
  /** Rows that keep together: those of a head, where they are put in order. */
  readonly #together: number;

  /**
   * `entry`: where it lies in the file, of `file_nbytes` bytes, that `read` reads. `d_head`: the width of a head.
   *
   * Throws an `EngineError` where it is missing, not of the shape that the configuration asks for, of a type that is not read, or
   * not in the file as a whole.
   */
  constructor(spec: Spec, entry: TensorEntry | undefined, file_nbytes: number, d_head: number, read: ReadFile) {
    if (entry === undefined) throw damaged(`there is no tensor ${spec.theirs}`);
    const shape = entry.sizes.toReversed();
    if (shape.join() !== spec.shape.join()) {
      throw damaged(
        `the tensor ${spec.theirs} has the shape [${shape.join(", ")}], expected [${spec.shape.join(", ")}]`,
      );
    }
    const kept = KINDS[entry.kind];
    if (kept === undefined) {
      const known = Object.values(KINDS).map(({ matrix }) => matrix.name);
      throw unsupported(`the tensor ${spec.theirs} is in ${nameOfKind(entry.kind)}, expected ${known.join(", ")}`);
    }
    const kind = shape.length === 1 ? kept.vector : kept.matrix;
    this.name = spec.name;
    this.shape = spec.shape;
    this.#columns = shape.at(-1) as number;
    this.#rows = shape.length === 1 ? 1 : (shape[0] as number);
    if (this.#columns % kind.block !== 0) {
      throw damaged(
        `the tensor ${spec.theirs} has rows of ${this.#columns} weights, expected whole blocks of ${kind.block}`,
      );
    }
    this.kind = kind;
    this.#together = spec.swaps ? d_head : 1;
    this.#offset = entry.offset;
    this.#read = read;
    const blocks = (this.#rows * this.#columns) / kind.block;
    if (entry.offset + blocks * kind.nbytes > file_nbytes) {
      const end = `${entry.offset + blocks * kind.nbytes}`;
      throw damaged(`the tensor ${shown(spec.theirs)} ends at ${end}, and the file at ${file_nbytes}`);
    }
    this.nbytes = this.kind.planes.reduce((sum, plane) => sum + plane * blocks, 0);
  }

  /** Bytes of the section from `from` on. */
  read(from: number, nbytes: number): Uint8Array {
    const bytes = new Uint8Array(nbytes);
    const per_row = this.#columns / this.kind.block;
    let start = 0;
    this.kind.planes.forEach((block_nbytes, plane) => {
      const group_nbytes = this.#together * per_row * block_nbytes;
      const end = start + this.#rows * per_row * block_nbytes;
      const first = Math.floor(Math.max(from - start, 0) / group_nbytes) * this.#together;
      const last = Math.ceil((Math.min(from + nbytes, end) - start) / group_nbytes) * this.#together;
      for (const [row, rows] of this.#parts(first, last)) {
        const part = this.kind.split(this.#rowsAt(row, rows))[plane] as Uint8Array;
        const at = start + row * per_row * block_nbytes - from;
        const fitting = part.subarray(Math.max(0, -at), Math.max(0, nbytes - at));
        bytes.set(fitting, Math.max(0, at));
      }
      start = end;
    });
    return bytes;
  }

  /** All rows, one after the other; each is good until the next. `digest`: is given the whole section on the way. */
  eachRow(use: (row: Float32Array, index: number) => void, digest?: { update(part: Uint8Array): void }): void {
    const columns = this.#columns;
    const later: Uint8Array[] = [];
    let values = new Float32Array(0);
    for (const [first, rows] of this.#parts(0, this.#rows)) {
      const planes = this.kind.split(this.#rowsAt(first, rows));
      if (digest !== undefined) {
        const [quants, ...scales] = planes;
        digest.update(quants as Uint8Array);
        later.push(...scales);
      }
      if (values.length !== rows * columns) values = new Float32Array(rows * columns);
      VALUES[this.kind.dtype](planes, values);
      for (let row = 0; row < rows; row += 1) use(values.subarray(row * columns, (row + 1) * columns), first + row);
    }
    for (const part of later) digest?.update(part);
  }

  /** Rows `first` to `last` in pieces that are read at once: (first row, number of rows) of each. */
  *#parts(first: number, last: number): Generator<[number, number]> {
    const step = Math.max(1, Math.floor(PART_WEIGHTS / (this.#together * this.#columns))) * this.#together;
    for (let row = first; row < last; row += step) yield [row, Math.min(step, last - row)];
  }

  #rowNbytes(): number {
    return (this.#columns / this.kind.block) * this.kind.nbytes;
  }

  /** Rows as GGUF has them, in the order in which the two of a RoPE pair are half a head apart; bytes of our own, from 0 on. */
  #rowsAt(first: number, rows: number): Uint8Array {
    const nbytes = this.#rowNbytes();
    const theirs = this.#read(this.#offset + first * nbytes, rows * nbytes);
    if (theirs.length !== rows * nbytes) throw damaged(`${theirs.length} bytes came of ${rows * nbytes}`);
    const half = this.#together / 2;
    if (this.#together === 1) return theirs.byteOffset % 4 === 0 ? theirs : theirs.slice();
    const ours = new Uint8Array(theirs.length);
    for (let row = 0; row < rows; row += 1) {
      const within = row % this.#together;
      const from = row - within + 2 * (within % half) + (within < half ? 0 : 1);
      ours.set(theirs.subarray(from * nbytes, (from + 1) * nbytes), row * nbytes);
    }
    return ours;
  }
}
