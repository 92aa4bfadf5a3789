/** The bytes of a model.bin whose sections lie elsewhere: its prefix and header, and where everything stands (training/FORMAT.md §1). */
import type { ReadFile } from "pocketlm-wasm";
import { unsupported } from "./refusal";

/** A number that is spelled as a float, whatever its value. */
export class Float {
  constructor(readonly value: number) {}
}

export type Json = string | number | boolean | null | Float | readonly Json[] | { readonly [key: string]: Json };

/** A section: its bytes by parts, and what the header says of it beside its place. */
export type Section = { nbytes: number; sha256: string; read: (from: number, nbytes: number) => Uint8Array };

/** Where a section stands, as the header says it. */
export type Place = { nbytes: number; offset: number; sha256: string };

const MAGIC = "POCKETLM";
const VERSION = 2;
const PREFIX_NBYTES = 64;
const MOST_HEADER_NBYTES = 4 << 20;

const align = (nbytes: number) => Math.ceil(nbytes / 256) * 256;

/** A float as Python spells it: the fewest digits that tell it from others, never without a point or an exponent. */
function spelled(value: number): string {
  const [digits = "", power = ""] = value.toExponential().split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 16) return Number.isInteger(value) ? `${value}.0` : `${value}`;
  return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** Canonical JSON (FORMAT.md §1). */
export function canonical(value: Json): string {
  if (value instanceof Float) return spelled(value.value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${fields.map(([key, each]) => `${canonical(key)}:${canonical(each)}`).join(",")}}`;
  }
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replaceAll(/[\u007f-\uffff]/g, escaped);
}

/**
 * The file of these sections, which stand in this order. `headerOf`: the header by the place of each.
 *
 * What is read is good until the next reading.
 */
export function modelFile(
  sections: readonly Section[],
  headerOf: (places: readonly Place[]) => Json,
  digestOf: (bytes: Uint8Array) => string,
): { nbytes: number; read: ReadFile } {
  const places: Place[] = sections.map(({ nbytes, sha256 }) => ({ nbytes, offset: 0, sha256 }));
  let text = "";
  let end = 0;
  // Offsets are decimal numbers in the header, whose length they count from: they grow until nothing moves.
  for (let moved = true; moved; ) {
    text = canonical(headerOf(places));
    end = PREFIX_NBYTES + text.length;
    moved = false;
    for (const place of places) {
      moved ||= place.offset !== align(end);
      place.offset = align(end);
      end = place.offset + place.nbytes;
    }
  }
  if (text.length > MOST_HEADER_NBYTES) throw unsupported(`its header would take ${text.length} bytes`);
  const head = new Uint8Array(PREFIX_NBYTES + text.length);
  const header = new TextEncoder().encode(text);
  const view = new DataView(head.buffer);
  head.set(new TextEncoder().encode(MAGIC));
  view.setUint32(8, VERSION, true);
  view.setUint32(12, header.length, true);
  view.setBigUint64(16, BigInt(align(head.length)), true);
  view.setBigUint64(24, BigInt(align(end)), true);
  head.set(
    Uint8Array.from(digestOf(header).match(/../g) ?? [], byte => Number.parseInt(byte, 16)),
    32,
  );
  head.set(header, PREFIX_NBYTES);
  const all = [
    { offset: 0, nbytes: head.length, read: (from: number, nbytes: number) => head.subarray(from, from + nbytes) },
    ...sections.map((section, index) => ({ ...section, offset: places[index]?.offset ?? 0 })),
  ];
  const read: ReadFile = (offset, nbytes) => {
    const bytes = new Uint8Array(nbytes); // padding is zeros
    for (const section of all) {
      const from = Math.max(offset, section.offset);
      const to = Math.min(offset + nbytes, section.offset + section.nbytes);
      if (from < to) bytes.set(section.read(from - section.offset, to - from), from - offset);
    }
    return bytes;
  };
  return { nbytes: align(end), read };
}
