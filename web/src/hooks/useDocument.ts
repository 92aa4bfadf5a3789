/** What stands on the page, joined to the engine: each of the reader's wishes changes the tree and, where it asks for text, begins a run. */
import { type Dispatch, useCallback, useEffect, useMemo, useState } from "react";
import type { SamplingOptions } from "../state/sampling";
import {
  type Doc,
  type DocAction,
  pathTo,
  reduceDoc,
  requestOf,
  type Said,
  saidOf,
  type TreeNode,
  textOf,
} from "../state/tree";
import type { Asked, EngineHandle } from "./useEngine";

/** So many likeliest tokens are asked for with each one, where they are. */
const LIKELIEST = 5;

/** A bias that leaves no other choice: the model then tells what it thought of a token that is given. */
const FORCED = 1e9;

export type DocumentHandle = {
  /** From the prompt to where the text ends. */
  path: readonly TreeNode[];
  /** The same as a conversation. */
  said: readonly Said[];
  /** So many messages, the oldest, no longer fit into the context: the model does not read them. */
  left_out: number;
  /** Change the tree, and let the model write on from there. */
  writeFrom: (action: DocAction, options: SamplingOptions) => void;
  /** Ask what the model thinks of the place of a node. */
  look: (node: TreeNode, options: SamplingOptions) => void;
};

type Parts = { doc: Doc; change: Dispatch<DocAction>; engine: EngineHandle; is_chat: boolean; is_told: boolean };

/** `is_told`: the likeliest tokens are asked for with each one that is written. */
export function useDocument({ doc, change, engine, is_chat, is_told }: Parts): DocumentHandle {
  const { state, generate, peek } = engine;
  const path = useMemo(() => pathTo(doc, doc.tip), [doc]);
  const said = useMemo(() => saidOf(path), [path]);
  /** What earlier runs left out stays out, so that the next one finds in the cache what this one read. */
  const [left_out_before, setLeftOutBefore] = useState(0);
  const run = "run" in state ? state.run : null;
  const left_out = said.length === 0 ? 0 : left_out_before + (run?.left_out ?? 0);

  // What the model refuses was not asked.
  const notice = state.phase === "ready" ? state.notice : null;
  useEffect(() => {
    if (notice !== null) change({ type: "undo" });
  }, [notice, change]);

  const askedOf = useCallback(
    (nodes: readonly TreeNode[], left_out: number): { asked: Asked; after: number[] } => {
      const { prompt, after } = requestOf(nodes);
      if (!is_chat) return { asked: { prompt }, after };
      const typed = nodes.findLastIndex(({ token }) => token === null);
      const messages = saidOf(nodes.slice(0, typed + 1)).map(({ role, nodes }) => ({ role, content: textOf(nodes) }));
      return { asked: { messages: messages.slice(left_out < messages.length ? left_out : 0) }, after };
    },
    [is_chat],
  );

  const writeFrom = useCallback(
    (action: DocAction, options: SamplingOptions) => {
      const next = reduceDoc(doc, action);
      if (next === doc) return;
      change(action);
      const before = action.type === "write" || action.type === "begin" ? left_out : left_out_before;
      setLeftOutBefore(action.type === "begin" ? 0 : before);
      const { asked, after } = askedOf(pathTo(next, next.tip), action.type === "begin" ? 0 : before);
      generate(asked, { ...options, after, ...(is_told && { topLogprobs: LIKELIEST }) });
    },
    [doc, change, generate, askedOf, left_out, left_out_before, is_told],
  );

  const look = useCallback(
    (node: TreeNode, options: SamplingOptions) => {
      if (node.token === null || node.likeliest.length > 0) return;
      const { asked, after } = askedOf(pathTo(doc, node.parent), left_out_before);
      const forced = { ...options, temperature: 0, logitBias: { [node.token]: FORCED }, topLogprobs: LIKELIEST };
      peek(asked, { ...forced, after }, ({ logprob, likeliest }) =>
        change({ type: "tell", node: node.id, logprob, likeliest }),
      );
    },
    [doc, change, peek, askedOf, left_out_before],
  );

  return { path, said, left_out, writeFrom, look };
}
