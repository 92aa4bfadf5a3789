/** Reading of JSON that is free in form: each key may be missing or of another type. */

/** What an object holds, by name; nothing where the value is none. */
export function fields(value: unknown): Map<string, unknown> {
  return new Map(typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : []);
}

export function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

export function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

/** `value[name]` where value is an object that has it. */
export function member(value: unknown, name: string): unknown {
  return fields(value).get(name);
}

/** Rows of a name and a value; what is no text is shown as none. */
export function pairs(value: unknown): [name: string, value: string][] {
  const rows = Array.isArray(value) ? value : [];
  return rows.flatMap((row): [string, string][] =>
    Array.isArray(row) ? [[text(row[0]) ?? "", text(row[1]) ?? ""]] : [],
  );
}
