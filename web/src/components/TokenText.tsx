import { memo } from "react";
import { bitsOf, shownText, surpriseLevel } from "../lib/surprise";
import type { TreeNode } from "../state/tree";

/** How tokens are shown: shaded by their surprisal where that is known, and with their whitespace to be seen. */
export type Look = { shades: boolean; whitespace: boolean };

/** A new block begins at the first line's end after this many tokens, so that the browser lays out only the last one. */
const BLOCK_TOKENS = 200;
/** Tokens that are compared, and drawn, together. */
const PART_TOKENS = 50;

/** Nodes by blocks: those that stand stay as they are while the text grows. */
export function blocksOf(nodes: readonly TreeNode[]): TreeNode[][] {
  const blocks: TreeNode[][] = [];
  for (const node of nodes) {
    const last = blocks.at(-1);
    if (last === undefined || (last.length >= BLOCK_TOKENS && last.at(-1)?.text.endsWith("\n"))) blocks.push([node]);
    else last.push(node);
  }
  return blocks;
}

/** What is drawn together of a block. */
export function partsOf(block: readonly TreeNode[]): TreeNode[][] {
  const count = Math.ceil(block.length / PART_TOKENS);
  return Array.from({ length: count }, (_, at) => block.slice(at * PART_TOKENS, (at + 1) * PART_TOKENS));
}

type PartProps = { nodes: readonly TreeNode[]; look: Look; chosen: number | null };

/** Whether a part need not be drawn again. */
export function isSame(a: PartProps, b: PartProps): boolean {
  return (
    a.look === b.look &&
    a.chosen === b.chosen &&
    a.nodes.length === b.nodes.length &&
    a.nodes.every((node, at) => node === b.nodes[at])
  );
}

const Part = memo(function Part({ nodes, look, chosen }: PartProps) {
  return nodes.map(node => (
    <span
      key={node.id}
      className="token"
      data-node={node.id}
      data-source={node.source}
      data-chosen={node.id === chosen ? true : undefined}
      data-level={look.shades ? surpriseLevel(bitsOf(node)) : undefined}
    >
      {look.whitespace ? shownText(node.text) : node.text}
    </span>
  ));
}, isSame);

/** A text token by token. Text only, so nothing that a model says can become markup. */
export function TokenText({ nodes, look, chosen }: PartProps) {
  return blocksOf(nodes).map(block => (
    <div key={block[0]?.id}>
      {partsOf(block).map(part => (
        <Part
          key={part[0]?.id}
          nodes={part}
          look={look}
          chosen={part.some(({ id }) => id === chosen) ? chosen : null}
        />
      ))}
    </div>
  ));
}

/** The node whose token was clicked on. */
export function nodeOf(target: EventTarget): number | null {
  const node = target instanceof HTMLElement ? target.dataset["node"] : undefined;
  return node === undefined ? null : Number(node);
}
