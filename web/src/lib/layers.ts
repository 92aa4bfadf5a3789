/**
 * A graph in layers, every arrow from a lower one to a higher one, for drawing. Source of the method: Sugiyama, Tagawa &
 * Toda 1981, "Methods for Visual Understanding of Hierarchical System Structures".
 */

export type Node = { name: string; from: readonly string[] };

/** `at`: the place in the layer, from 0; shorter layers stand in the middle, so it may be a half. */
export type Place = { layer: number; at: number };

export type Layered = {
  places: ReadonlyMap<string, Place>;
  /** Where each arrow begins, passes and ends: a place in every layer on its way. */
  arrows: readonly { from: string; to: string; way: readonly Place[] }[];
  layers: number;
  /** The most places in one layer. */
  widest: number;
};

/** How often the order in the layers is improved; it rarely changes after the second time. */
const SWEEPS = 4;

/** A node, or a bend of an arrow. `before` and `behind`: what it is connected to in the layers next to its own. */
type Spot = { name: string | null; layer: number; order: number; before: Spot[]; behind: Spot[] };

/** Arrows without those that a longer way says as well, and without those that lead back: `nodes` are in order. */
function reduced(nodes: readonly Node[]): Map<string, string[]> {
  const behind = new Map<string, Set<string>>(); // all that a node is made from, at any distance
  const kept = new Map<string, string[]>();
  for (const { name, from } of nodes) {
    const direct = [...new Set(from)].filter(each => behind.has(each));
    const all = new Set(direct.flatMap(each => [...(behind.get(each) ?? [])]));
    kept.set(
      name,
      direct.filter(each => !all.has(each)),
    );
    behind.set(name, new Set([...direct, ...all]));
  }
  return kept;
}

/** The layer of each node: one more than the highest before it; a node with nothing before it stands next to its first use. */
function layersOf(nodes: readonly Node[], arrows: ReadonlyMap<string, readonly string[]>): Map<string, number> {
  const layers = new Map<string, number>();
  for (const { name } of nodes) {
    layers.set(name, 1 + Math.max(-1, ...(arrows.get(name) ?? []).map(each => layers.get(each) ?? 0)));
  }
  for (const { name } of nodes) {
    if ((arrows.get(name) ?? []).length > 0) continue;
    const uses = nodes.flatMap(node => (arrows.get(node.name)?.includes(name) ? [layers.get(node.name) ?? 0] : []));
    if (uses.length > 0) layers.set(name, Math.min(...uses) - 1);
  }
  return layers;
}

function mean(spots: readonly Spot[], otherwise: number): number {
  return spots.length === 0 ? otherwise : spots.reduce((sum, { order }) => sum + order, 0) / spots.length;
}

/** Put each row in the order of what its spots are connected to, down and up by turns. */
function untangle(rows: Spot[][]): void {
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const side = sweep % 2 === 0 ? "before" : "behind";
    for (const row of sweep % 2 === 0 ? rows : rows.toReversed()) {
      const wanted = new Map(row.map(spot => [spot, mean(spot[side], spot.order)]));
      row.sort((a, b) => (wanted.get(a) ?? 0) - (wanted.get(b) ?? 0) || a.order - b.order);
      row.forEach((spot, order) => {
        spot.order = order;
      });
    }
  }
}

/** `nodes` in an order in which each stands after those that it is made from; other arrows are left out. */
export function layered(nodes: readonly Node[]): Layered {
  const kept = reduced(nodes);
  const layers = layersOf(nodes, kept);
  const rows: Spot[][] = [];
  const spot = (name: string | null, layer: number): Spot => {
    const row = rows[layer] ?? [];
    rows[layer] = row;
    const made: Spot = { name, layer, order: row.length, before: [], behind: [] };
    row.push(made);
    return made;
  };
  const spots = new Map(nodes.map(({ name }) => [name, spot(name, layers.get(name) ?? 0)]));
  const ways: { from: string; to: string; way: Spot[] }[] = [];
  for (const [to, befores] of kept) {
    for (const from of befores) {
      const [first, last] = [spots.get(from), spots.get(to)];
      if (first === undefined || last === undefined) continue;
      const way = [first];
      for (let layer = first.layer + 1; layer < last.layer; layer += 1) way.push(spot(null, layer));
      way.push(last);
      way.forEach((each, at) => {
        const next = way[at + 1];
        if (next === undefined) return;
        each.behind.push(next);
        next.before.push(each);
      });
      ways.push({ from, to, way });
    }
  }
  untangle(rows);
  const widest = Math.max(0, ...rows.map(row => row.length));
  const place = ({ layer, order }: Spot): Place => ({ layer, at: order + (widest - (rows[layer]?.length ?? 0)) / 2 });
  return {
    places: new Map([...spots].map(([name, each]) => [name, place(each)])),
    arrows: ways.map(({ from, to, way }) => ({ from, to, way: way.map(place) })),
    layers: rows.length,
    widest,
  };
}
