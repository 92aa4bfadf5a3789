/**
 * What stands on the page, as a tree of tokens, and what the reader did to it: a pure reducer.
 *
 * A text is a path from a root, the prompt, to the tip. Nodes are never taken away but by `undo`, so every text that was
 * written can be walked back to. The same tokens below the same node are the same nodes: a run that writes what an earlier one
 * wrote branches off where it first differs. Each action costs O(nodes) at most, and `append` is not in the past of its own: it
 * belongs to what began the run.
 */
import type { Candidate, Token } from "pocketlm";
import { assertNever } from "../lib/assertNever";

export type TreeNode = {
  /** Its place among the nodes. */
  id: number;
  /** null of a prompt. */
  parent: number | null;
  /** Who put it there. A token that the reader chose from the likeliest is typed. */
  source: "typed" | "sampled";
  text: string;
  /** The token's id; null of text that was typed. */
  token: number | null;
  /** As of `Token`; null where it was not asked for. */
  logprob: number | null;
  likeliest: readonly Candidate[];
  /** Of a question: so many messages, the oldest, were left out of what the model read to answer it. */
  left_out: number;
};

export type Tree = {
  nodes: readonly TreeNode[];
  /** Of each node in the order in which they came; of null the prompts. */
  children: ReadonlyMap<number | null, readonly number[]>;
  /** Where the text that is shown ends; null where there is none. */
  tip: number | null;
};

/** `past`: the trees that `undo` goes back to, the latest last. */
export type Doc = Tree & { past: readonly Tree[] };

export type DocAction =
  /** Begin with a prompt. */
  | { type: "begin"; prompt: string }
  /** Go back to where the model began to write, at the last or behind `node`. */
  | { type: "rewind"; node?: number }
  /** Go on at the tip. */
  | { type: "continue" }
  /** What the model wrote behind the tip. */
  | { type: "append"; tokens: readonly Token[] }
  /** Take another token in the place of the one at `node`. */
  | { type: "branch"; node: number; candidate: Candidate }
  /** The reader's own text behind `node`. */
  | { type: "write"; node: number | null; text: string }
  /** Tokens that the reader wrote, as the model's words behind `node`. */
  | { type: "answer"; node: number; tokens: readonly Token[] }
  /** Show the newest text that goes through `node`. */
  | { type: "walk"; node: number }
  /** What the model says of the token at `node`, asked for afterwards. */
  | { type: "tell"; node: number; logprob: number | null; likeliest: readonly Candidate[] }
  /** So many messages, the oldest, were left out of what the model reads for an answer to `node`. */
  | { type: "leave-out"; node: number; messages: number }
  | { type: "undo" }
  | { type: "clear" }
  | { type: "restore"; tree: Tree };

/** More steps back than these are not kept. */
const MOST_PAST = 100;

export const emptyDoc: Doc = { nodes: [], children: new Map(), tip: null, past: [] };

/** The nodes from the prompt to `tip`. */
export function pathTo({ nodes }: Pick<Tree, "nodes">, tip: number | null): TreeNode[] {
  const path: TreeNode[] = [];
  for (let node = nodeAt(nodes, tip); node !== null; node = nodeAt(nodes, node.parent)) path.push(node);
  return path.reverse();
}

function nodeAt(nodes: readonly TreeNode[], id: number | null): TreeNode | null {
  return id === null ? null : (nodes[id] ?? null);
}

/** The nodes beside one, itself among them, in the order in which they came. */
export function siblings(tree: Tree, node: TreeNode): readonly number[] {
  return tree.children.get(node.parent) ?? [];
}

/** What the model is to read: a text, and the ids that follow it. Text after the last typed one stays the tokens that it was. */
export function requestOf(path: readonly TreeNode[]): { prompt: string; after: number[] } {
  const typed = path.findLastIndex(({ token }) => token === null);
  const prompt = path.slice(0, typed + 1).map(({ text }) => text);
  return { prompt: prompt.join(""), after: path.slice(typed + 1).flatMap(({ token }) => token ?? []) };
}

/** A place where the path could have gone on otherwise: the node that it takes, and all that stand there. */
export type Fork = { node: TreeNode; ways: readonly number[]; taken: number };

export function forksOf(tree: Tree, path: readonly TreeNode[]): Fork[] {
  return path.flatMap(node => {
    const ways = siblings(tree, node);
    return ways.length > 1 ? [{ node, ways, taken: ways.indexOf(node.id) }] : [];
  });
}

export type Said = { role: "user" | "assistant"; nodes: TreeNode[] };

/** A path as a conversation: what was typed is the reader's, what follows it the model's, nothing where it was stopped at once. */
export function saidOf(path: readonly TreeNode[]): Said[] {
  const said: Said[] = [];
  for (const node of path) {
    if (node.token === null) {
      if (said.at(-1)?.role === "user") said.push({ role: "assistant", nodes: [] });
      said.push({ role: "user", nodes: [node] });
    } else if (said.at(-1)?.role === "assistant") {
      said.at(-1)?.nodes.push(node);
    } else {
      said.push({ role: "assistant", nodes: [node] });
    }
  }
  return said;
}

export function textOf(path: readonly TreeNode[]): string {
  return path.map(({ text }) => text).join("");
}

type New = Omit<TreeNode, "id" | "parent">;

/** Nodes are added one below the other; the arrays are copied once. */
class Growing {
  readonly nodes: TreeNode[];
  readonly children: Map<number | null, readonly number[]>;
  tip: number | null;

  constructor(tree: Tree, tip: number | null) {
    this.nodes = [...tree.nodes];
    this.children = new Map(tree.children);
    this.tip = tip;
  }

  /** Go to the node below the tip that is the same, or to a new one. What is told of it for the first time stays. */
  add(added: New): void {
    const below = this.children.get(this.tip) ?? [];
    const same = below.find(id => {
      const { token, text } = this.nodes[id] ?? added;
      return token === added.token && (token !== null || text === added.text);
    });
    const known = nodeAt(this.nodes, same ?? null);
    if (known === null) {
      const id = this.nodes.length;
      this.nodes.push({ ...added, id, parent: this.tip });
      this.children.set(this.tip, [...below, id]);
      this.tip = id;
      return;
    }
    if (known.likeliest.length < added.likeliest.length || (known.logprob === null && added.logprob !== null)) {
      this.nodes[known.id] = { ...known, logprob: added.logprob, likeliest: added.likeliest };
    }
    this.tip = known.id;
  }

  get tree(): Tree {
    return { nodes: this.nodes, children: this.children, tip: this.tip };
  }
}

function grown(tree: Tree, tip: number | null, ...added: New[]): Tree {
  const growing = new Growing(tree, tip);
  for (const each of added) growing.add(each);
  return growing.tree;
}

function typed(text: string): New {
  return { source: "typed", text, token: null, logprob: null, likeliest: [], left_out: 0 };
}

function sampled({ id, text, logprob, likeliest }: Token): New {
  return { source: "sampled", text, token: id, logprob, likeliest, left_out: 0 };
}

/** The newest leaf below a node. */
function newestBelow({ children }: Tree, node: number): number {
  let leaf = node;
  for (let next = children.get(leaf)?.at(-1); next !== undefined; next = children.get(leaf)?.at(-1)) leaf = next;
  return leaf;
}

/** The tree with the one before in its past. */
function after({ past, ...before }: Doc, tree: Tree): Doc {
  return { ...tree, past: [...past, before].slice(-MOST_PAST) };
}

export function reduceDoc(doc: Doc, action: DocAction): Doc {
  switch (action.type) {
    case "begin":
      return after(doc, grown(doc, null, typed(action.prompt)));

    case "rewind": {
      if (action.node !== undefined) {
        return nodeAt(doc.nodes, action.node) === null ? doc : after(doc, { ...doc, tip: action.node });
      }
      const path = pathTo(doc, doc.tip);
      return after(doc, { ...doc, tip: path.findLast(({ token }) => token === null)?.id ?? null });
    }

    case "continue":
      return after(doc, doc);

    case "append":
      return action.tokens.length === 0 || doc.tip === null
        ? doc
        : { ...grown(doc, doc.tip, ...action.tokens.map(sampled)), past: doc.past };

    case "branch": {
      const node = nodeAt(doc.nodes, action.node);
      if (node === null || node.token === null) return doc;
      const { id, text, logprob } = action.candidate;
      const { likeliest } = node;
      return after(doc, grown(doc, node.parent, { source: "typed", text, token: id, logprob, likeliest, left_out: 0 }));
    }

    case "write":
      return action.text === "" ? doc : after(doc, grown(doc, action.node, typed(action.text)));

    case "answer": {
      if (nodeAt(doc.nodes, action.node) === null) return doc;
      const chosen = action.tokens.map((token): New => ({ ...sampled(token), source: "typed" }));
      return after(doc, grown(doc, action.node, ...chosen));
    }

    case "walk":
      return nodeAt(doc.nodes, action.node) === null ? doc : after(doc, { ...doc, tip: newestBelow(doc, action.node) });

    case "tell": {
      const node = nodeAt(doc.nodes, action.node);
      if (node === null) return doc;
      const told = { ...node, logprob: action.logprob, likeliest: action.likeliest };
      return { ...doc, nodes: doc.nodes.with(node.id, told) };
    }

    case "leave-out": {
      const node = nodeAt(doc.nodes, action.node);
      if (node === null || node.token !== null || node.left_out === action.messages) return doc;
      return { ...doc, nodes: doc.nodes.with(node.id, { ...node, left_out: action.messages }) };
    }

    case "undo": {
      const before = doc.past.at(-1);
      return before === undefined ? doc : { ...before, past: doc.past.slice(0, -1) };
    }

    case "clear":
      return doc.nodes.length === 0 ? doc : after(doc, emptyDoc);

    case "restore":
      return { ...action.tree, past: [] };

    default:
      return assertNever(action);
  }
}

/** A tree of nodes that were read from elsewhere; null where they are none. */
export function treeOf(nodes: readonly Omit<TreeNode, "id">[], tip: number | null): Tree | null {
  const children = new Map<number | null, number[]>();
  for (const [id, { parent, token }] of nodes.entries()) {
    // A node stands behind its parent, and a prompt is text.
    if (parent === null ? token !== null : !Number.isInteger(parent) || parent < 0 || parent >= id) return null;
    children.set(parent, [...(children.get(parent) ?? []), id]);
  }
  if (tip !== null && nodes[tip] === undefined) return null;
  return { nodes: nodes.map((node, id) => ({ ...node, id })), children, tip };
}
