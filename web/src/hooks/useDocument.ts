/** What stands on the page, joined to the engine: each of the reader's wishes changes the tree and, where it asks for text, begins a run. */
import type { Token } from "pocketlm";
import { type Dispatch, useCallback, useEffect, useLayoutEffect, useMemo, useRef } from "react";
import type { SamplingOptions } from "../state/sampling";
import { type Doc, type DocAction, pathTo, reduceDoc, requestOf, saidOf, type TreeNode, textOf } from "../state/tree";
import { leftOut, type Turn, turnsOf } from "../state/turns";
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
  /** Changes the text that is shown now. */
  const shown = useRef(change);
  useLayoutEffect(() => {
    shown.current = change;
  }, [change]);
  const path = useMemo(() => pathTo(doc, doc.tip), [doc]);
  const turns = useMemo(() => turnsOf(doc, path), [doc, path]);
  /** The question that the last run answers, in which text, and what was left out of it before the model left out more. */
  const answered = useRef<{ question: number; left_out: number; change: Dispatch<DocAction> } | null>(null);
  const run = "run" in state ? state.run : null;
  const [run_id, left_out_by_run] = [run?.id, run?.left_out ?? 0];

  // biome-ignore lint/correctness/useExhaustiveDependencies: another run may leave out as much
  useEffect(() => {
    if (answered.current === null || left_out_by_run === 0) return;
    const { question, left_out, change } = answered.current;
    change({ type: "leave-out", node: question, messages: left_out + left_out_by_run });
  }, [run_id, left_out_by_run]);

  // What the model refuses was not asked.
  const notice = state.phase === "ready" ? state.notice : null;
  const noticed = useRef(notice);
  useEffect(() => {
    if (notice === noticed.current) return;
    noticed.current = notice;
    if (notice !== null) change({ type: "undo" });
  }, [notice, change]);

  const askedOf = useCallback(
    (nodes: readonly TreeNode[]): { asked: Asked; after: number[] } => {
      const { prompt, after } = requestOf(nodes);
      if (!is_chat) return { asked: { prompt }, after };
      const typed = nodes.findLastIndex(({ token }) => token === null);
      const read = nodes.slice(0, typed + 1);
      const messages = saidOf(read).map(({ role, nodes }) => ({ role, content: textOf(nodes) }));
      return { asked: { messages: messages.slice(leftOut(read)) }, after };
    },
    [is_chat],
  );

  const writeFrom = useCallback(
    (action: DocAction, options: SamplingOptions) => {
      const next = reduceDoc(doc, action);
      if (next === doc) return;
      change(action);
      const read = pathTo(next, next.tip);
      const question = read.findLast(({ token }) => token === null)?.id;
      answered.current = is_chat && question !== undefined ? { question, left_out: leftOut(read), change } : null;
      const { asked, after } = askedOf(read);
      const onTokens = (tokens: readonly Token[]) => change({ type: "append", tokens });
      generate(asked, { ...options, after, ...(is_told && { topLogprobs: LIKELIEST }) }, onTokens);
    },
    [doc, change, generate, askedOf, is_chat, is_told],
  );

  const answerWith = useCallback(
    (node: number, text: string, goes_on: boolean, options: SamplingOptions) => {
      const answer = (tokens: readonly Token[]) => {
        const action: DocAction = { type: "answer", node, tokens };
        // Nothing begins to be written to a text that the reader has left meanwhile.
        if (goes_on && shown.current === change) writeFrom(action, options);
        else change(action);
      };
      // What fails ends the engine, and an event tells.
      tokensOf(text).then(answer, () => undefined);
    },
    [tokensOf, writeFrom, change],
  );

  const readPrompt = useCallback(async () => {
    const { asked } = askedOf(path);
    return "messages" in asked && asked.messages.length > 0 ? await promptOf(asked.messages) : [];
  }, [askedOf, path, promptOf]);

  const look = useCallback(
    (node: TreeNode, options: SamplingOptions) => {
      if (node.token === null || node.likeliest.length > 0) return;
      const { asked, after } = askedOf(pathTo(doc, node.parent));
      const forced = { ...options, temperature: 0, logitBias: { [node.token]: FORCED }, topLogprobs: LIKELIEST };
      peek(asked, { ...forced, after }, ({ logprob, likeliest }) =>
        change({ type: "tell", node: node.id, logprob, likeliest }),
      );
    },
    [doc, change, peek, askedOf],
  );

  const before = useCallback(
    (node: TreeNode): Before => {
      const { asked, after } = askedOf(pathTo(doc, node.parent));
      return { text: "prompt" in asked ? asked.prompt : asked.messages, after };
    },
    [doc, askedOf],
  );

  return { path, turns, left_out: is_chat ? leftOut(path) : 0, writeFrom, answerWith, readPrompt, look, before };
}
