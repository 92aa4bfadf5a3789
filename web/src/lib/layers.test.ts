import { expect, test } from "vitest";
import { layered, type Node } from "./layers";

const nodes = (made: Record<string, string>): Node[] =>
  Object.entries(made).map(([name, from]) => ({ name, from: from.split(" ").filter(each => each !== "") }));

const TINY = nodes({
  corpus: "",
  wheel: "",
  tokenizer: "corpus wheel",
  shards: "corpus tokenizer wheel",
  train: "shards tokenizer wheel",
  export: "shards tokenizer train wheel",
  report: "train",
  wasm: "",
  npm: "wasm",
  page: "npm",
});

/** A graph that nobody drew: node n is made from some of those before it. */
function drawn(seed: number): Node[] {
  let state = seed;
  const next = (below: number) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
  return Array.from({ length: 3 + next(20) }, (_, n) => ({
    name: `n${n}`,
    from: n === 0 ? [] : Array.from({ length: next(4) }, () => `n${next(n)}`),
  }));
}

test("the build's own graph: an arrow that a longer way says is not drawn", () => {
  const { places, arrows, layers, widest } = layered(TINY);
  expect(arrows.map(({ from, to }) => `${from} ${to}`).sort()).toEqual([
    "corpus tokenizer",
    "npm page",
    "shards train",
    "tokenizer shards",
    "train export",
    "train report",
    "wasm npm",
    "wheel tokenizer",
  ]);
  const layer = (name: string) => places.get(name)?.layer;
  expect(["corpus", "tokenizer", "shards", "train", "export", "report"].map(layer)).toEqual([0, 1, 2, 3, 4, 4]);
  expect(["wasm", "npm", "page"].map(layer)).toEqual([0, 1, 2]);
  expect([layers, widest]).toEqual([5, 3]);
});

test("what is first used late stands late, and an arrow over a layer has a place in it", () => {
  const { places, arrows } = layered(nodes({ a: "", b: "a", late: "", c: "b late", d: "c", e: "d a2", a2: "" }));
  expect(places.get("late")?.layer).toBe(1);
  expect(arrows.find(({ from }) => from === "a2")).toBeUndefined(); // it stands after its use: no order, no arrow
  const long = layered(nodes({ a: "", x: "a", b: "a", c: "b", d: "c x" })).arrows.find(({ from }) => from === "x");
  expect(long?.way.map(({ layer }) => layer)).toEqual([1, 2, 3]);
});

test.each(Array.from({ length: 40 }, (_, seed) => seed))("any graph, %d", seed => {
  const given = drawn(seed);
  const { places, arrows, layers, widest } = layered(given);
  expect([...places.keys()]).toEqual(given.map(({ name }) => name));
  const taken = new Set([...places.values()].map(({ layer, at }) => `${layer} ${at}`));
  expect(taken.size, "no two in one place").toBe(given.length);
  for (const { layer, at } of places.values()) {
    expect(layer).toBeLessThan(layers);
    expect(at).toBeGreaterThanOrEqual(0);
    expect(at).toBeLessThanOrEqual(widest - 1);
  }
  for (const { from, to, way } of arrows) {
    expect(way[0]).toEqual(places.get(from));
    expect(way.at(-1)).toEqual(places.get(to));
    way.forEach(({ layer }, nth) => {
      expect(layer).toBe((way[0]?.layer ?? 0) + nth);
    });
  }
  // The arrows that are left lead wherever those that were given do.
  const reached = (all: { from: string; to: string }[]) => {
    const found = new Map<string, Set<string>>();
    for (const { name } of given) {
      const direct = all.flatMap(({ from, to }) => (to === name ? [from] : []));
      found.set(name, new Set(direct.flatMap(each => [each, ...(found.get(each) ?? [])])));
    }
    return found;
  };
  expect(reached([...arrows])).toEqual(
    reached(given.flatMap(({ name, from }) => from.map(each => ({ from: each, to: name })))),
  );
});

test("nothing, a loop, and what is made from what is not there", () => {
  expect(layered([])).toEqual({ places: new Map(), arrows: [], layers: 0, widest: 0 });
  const loop = layered(nodes({ b: "a", a: "b gone a" }));
  expect(loop.arrows.map(({ from, to }) => `${from} ${to}`)).toEqual(["b a"]);
});
