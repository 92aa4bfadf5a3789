/** A conversation's turns, with the ways in which each could have gone otherwise. */
import type { Fork, Said, Tree, TreeNode } from "./tree";
import { saidOf } from "./tree";

export type Turn = Said & {
  /** What it stands behind: null of the first question. */
  before: number | null;
  /** The versions of it, by the nodes to walk to. null where there is one. */
  fork: Fork | null;
};

/**
 * The turns of a path. Versions of a question are the texts that stand behind the same answer; versions of an answer are the different
 * texts that the model, or the reader in its place, wrote behind the same question. What was stopped at once is one too, where a question followed it.
 */
export function turnsOf(tree: Tree, path: readonly TreeNode[]): Turn[] {
  let before: number | null = null;
  return saidOf(path).map(said => {
    const turn = {
      ...said,
      before,
      fork: said.role === "user" ? questionFork(tree, said) : answerFork(tree, said, before),
    };
    before = said.nodes.at(-1)?.id ?? before;
    return turn;
  });
}

/**
 * So many messages, the oldest, are left out of what the model reads at the end of a path. What was left out for one answer stays out for
 * those that follow it, so that the cache holds what they read.
 */
export function leftOut(path: readonly TreeNode[]): number {
  const messages = path.findLast(({ left_out }) => left_out > 0)?.left_out ?? 0;
  // A file may say what it likes.
  return messages < saidOf(path).length ? messages : 0;
}

function questionFork(tree: Tree, { nodes: [node] }: Said): Fork | null {
  if (node === undefined) return null;
  const ways = textsBelow(tree, node.parent);
  return forkOf(node, ways, ways.indexOf(node.id));
}

function answerFork(tree: Tree, { nodes }: Said, question: number | null): Fork | null {
  if (question === null) return null;
  const end = nodes.at(-1)?.id ?? question;
  const ends = endsBelow(tree, question, end);
  // From the end of an answer the newest question behind it leads on; nothing else would keep this answer.
  const ways = ends.map(each => textsBelow(tree, each).at(-1) ?? each);
  return forkOf(tree.nodes[end], ways, ends.indexOf(end));
}

function forkOf(node: TreeNode | undefined, ways: readonly number[], taken: number): Fork | null {
  return node === undefined || ways.length < 2 ? null : { node, ways, taken };
}

function textsBelow({ nodes, children }: Tree, node: number | null): number[] {
  return (children.get(node) ?? []).filter(id => nodes[id]?.token === null);
}

/** Where answers to a question end, in the order in which these ends came; `shown` is one of them, whatever follows it. */
function endsBelow(tree: Tree, question: number, shown: number): number[] {
  const ends: number[] = [];
  const open = [question];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const below = tree.children.get(node) ?? [];
    const tokens = below.filter(id => tree.nodes[id]?.token !== null);
    if (below.length === 0 || tokens.length < below.length || node === shown) ends.push(node);
    open.push(...tokens);
  }
  return ends.sort((a, b) => a - b);
}
