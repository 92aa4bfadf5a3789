/** provenance.json, as the stage `provenance` writes it: how each part of the bundle was made. Read with distrust. */
import { fields } from "./json";

export type Output = { name: string; digest: string; size_bytes: number };

/** One stage, with what it was made from. */
export type Step = {
  stage: string;
  key: string;
  /** The stages whose results it used. */
  from: string[];
  outputs: Output[];
  /** How many source files the command used, and how many files from outside the project. */
  sources: number;
  external: number;
  params: [name: string, value: string][];
  tools: [name: string, version: string][];
  command: string;
  /** A person vouched for the result after a change that it was not made from. */
  accepted: boolean;
};

function text(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

/** [name, text] of each entry, by name. */
function listed(value: unknown): [string, string][] {
  return [...fields(value)].map(([name, held]): [string, string] => [name, text(held)]).sort(byName);
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function step(stage: string, value: unknown): Step | null {
  const entry = fields(value);
  const key = entry.get("key");
  const command = entry.get("command");
  if (typeof key !== "string" || !Array.isArray(command)) return null;
  const inputs = [...fields(entry.get("inputs")).values()].map(input => text(fields(input).get("stage")));
  const outputs = [...fields(entry.get("outputs"))].sort(byName).map(([name, made]) => {
    const { digest, size_bytes } = Object.fromEntries(fields(made));
    return { name, digest: text(digest), size_bytes: typeof size_bytes === "number" ? size_bytes : 0 };
  });
  const outside = [...fields(entry.get("external")).values()].map(group => (Array.isArray(group) ? group.length : 0));
  return {
    stage,
    key,
    from: [...new Set(inputs)].sort(),
    outputs,
    sources: fields(entry.get("sources")).size,
    external: outside.reduce((sum, count) => sum + count, 0),
    params: listed(entry.get("params")),
    tools: listed(entry.get("tools")).map(([name, version]) => [name, version.split("\n")[0] ?? ""]),
    command: command.map(text).join(" "),
    accepted: entry.has("accepted"),
  };
}

/** The steps so that each stands after those that it uses; null for what is no provenance.json. */
export function readChain(value: unknown): Step[] | null {
  const steps = new Map<string, Step>();
  for (const [stage, entry] of [...fields(fields(value).get("stages"))].sort(byName)) {
    const read = step(stage, entry);
    if (read === null) return null;
    steps.set(stage, read);
  }
  const order = new Set<Step>();
  const visited = new Set<string>();
  const visit = (stage: string): void => {
    const found = steps.get(stage);
    if (found === undefined || visited.has(stage)) return;
    visited.add(stage);
    found.from.forEach(visit);
    order.add(found);
  };
  for (const stage of steps.keys()) visit(stage);
  return order.size === 0 ? null : [...order];
}

/** Whether the chain ends in the file of this digest; null where that cannot be told. */
export function makes(chain: Step[], name: string, sha256: string): boolean | null {
  const digests = chain.flatMap(({ outputs }) => outputs.filter(output => output.name === name));
  return digests.length === 0 ? null : digests.some(({ digest }) => digest === sha256);
}

export type ChainAnswer = { kind: "chain"; steps: Step[] } | { kind: "none"; reason: string };

/** Fetch and read the provenance.json at `url`. Never throws: a bundle does not need one. */
export async function fetchChain(url: string): Promise<ChainAnswer> {
  try {
    const response = await fetch(url, { cache: "no-cache" });
    if (!response.ok) return { kind: "none", reason: "No provenance.json lies beside the model." };
    const steps = readChain(await response.json());
    return steps === null
      ? { kind: "none", reason: "The provenance.json beside the model is not one that this page can read." }
      : { kind: "chain", steps };
  } catch (cause) {
    return { kind: "none", reason: `provenance.json could not be read: ${String(cause)}` };
  }
}
