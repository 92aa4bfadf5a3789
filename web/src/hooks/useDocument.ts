/** What stands on the page, joined to the engine: each of the reader's wishes changes the tree and, where it asks for text, begins a run. */
import type { Token } from "pocketlm";
import { type Dispatch, useCallback, useEffect, useMemo, useState } from "react";
import type { SamplingOptions } from "../state/sampling";
import { type Doc, type DocAction, pathTo, reduceDoc, requestOf, saidOf, type TreeNode, textOf } from "../state/tree";
import { type Turn, turnsOf } from "../state/turns";
import type { Asked, EngineHandle } from "./useEngine";
import type { Before } from "./useLook";

/** So many likeliest tokens are asked for with each one, where they are. */
const LIKELIEST = 5;

/** A bias that leaves no other choice: the model then tells what it thought of a token that is given. */
const FORCED = 1e9;

export type DocumentHandle = {
  /** From the prompt to where the text ends. */
  path: readonly TreeNode[];
  /** The same as a conversation. */
  turns: readonly Turn[];
  /** So many messages, the oldest, no longer fit into the context: the model does not read them. */
  left_out: number;
  /** Change the tree, and let the model write on from there. */
  writeFrom: (action: DocAction, options: SamplingOptions) => void;
  /** Put a text into the model's mouth behind a node, and let it go on from there, or leave it at that. */
  answerWith: (node: number, text: string, goes_on: boolean, options: SamplingOptions) => void;
  /** What the model has read of the conversation, in parts by turns. */
  readPrompt: () => Promise<readonly string[]>;
  /** Ask what the model thinks of the place of a node. */
  look: (node: TreeNode, options: SamplingOptions) => void;
  /** What the model reads before a node. */
  before: (node: TreeNode) => Before;
};

type Parts = { doc: Doc; change: Dispatch<DocAction>; engine: EngineHandle; is_chat: boolean; is_told: boolean };

/** `is_told`: the likeliest tokens are asked for with each one that is written. */
export function useDocument({ doc, change, engine, is_chat, is_told }: Parts): DocumentHandle {
  const { state, generate, peek, tokensOf, promptOf } = engine;
  const path = useMemo(() => pathTo(doc, doc.tip), [doc]);
  const turns = useMemo(() => turnsOf(doc, path), [doc, path]);
  /** What earlier runs left out stays out, so that the next one finds in the cache what this one read. */
  const [left_out_before, setLeftOutBefore] = useState(0);
  const run = "run" in state ? state.run : null;
  const left_out = turns.length === 0 ? 0 : left_out_before + (run?.left_out ?? 0);

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
      const before = leftOutBefore(action, doc, left_out, left_out_before);
      setLeftOutBefore(before);
      const { asked, after } = askedOf(pathTo(next, next.tip), before);
      generate(asked, { ...options, after, ...(is_told && { topLogprobs: LIKELIEST }) });
    },
    [doc, change, generate, askedOf, left_out, left_out_before, is_told],
  );

  const answerWith = useCallback(
    (node: number, text: string, goes_on: boolean, options: SamplingOptions) => {
      const answer = (tokens: readonly Token[]) => {
        const action: DocAction = { type: "answer", node, tokens };
        if (goes_on) writeFrom(action, options);
        else change(action);
      };
      // What fails ends the engine, and an event tells.
      tokensOf(text).then(answer, () => undefined);
    },
    [tokensOf, writeFrom, change],
  );

  const readPrompt = useCallback(async () => {
    const { asked } = askedOf(path, left_out);
    return "messages" in asked && asked.messages.length > 0 ? await promptOf(asked.messages) : [];
  }, [askedOf, path, left_out, promptOf]);

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

  const before = useCallback(
    (node: TreeNode): Before => {
      const { asked, after } = askedOf(pathTo(doc, node.parent), left_out_before);
      return { text: "prompt" in asked ? asked.prompt : asked.messages, after };
    },
    [doc, askedOf, left_out_before],
  );

  return { path, turns, left_out, writeFrom, answerWith, readPrompt, look, before };
}

/** How many messages stay out of a run. Where an earlier turn is changed, none does: what is left out is found anew. */
function leftOutBefore(action: DocAction, { tip }: Doc, left_out: number, left_out_before: number): number {
  switch (action.type) {
    case "write":
      return action.node === tip ? left_out : 0;
    case "begin":
    case "answer":
      return 0;
    case "rewind":
      return action.node === undefined ? left_out_before : 0;
    default:
      return left_out_before;
  }
}
