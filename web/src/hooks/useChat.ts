/** A conversation on top of the engine: each question is a run that reads the whole of it. */
import type { Message } from "pocketlm";
import { useCallback, useEffect, useState } from "react";
import type { SamplingOptions } from "../state/sampling";
import type { EngineHandle } from "./useEngine";

export type ChatHandle = {
  messages: readonly Message[];
  isAnswering: boolean;
  /** So many messages, the oldest, no longer fit into the context: the model does not read them. */
  left_out: number;
  ask: (question: string, options: SamplingOptions) => void;
  /** Forget everything that was said. */
  clear: () => void;
};

export function useChat({ state, text, chat, stop }: EngineHandle): ChatHandle {
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const [isAnswering, setIsAnswering] = useState(false);
  /** What earlier runs left out stays out, so that the next one finds in the cache what this one read. */
  const [left_out_before, setLeftOutBefore] = useState(0);

  const run = "run" in state ? state.run : null;
  const left_out = messages.length === 0 ? 0 : left_out_before + (run?.left_out ?? 0);

  // What was written when a run ended, was stopped or failed is the answer; a question that was refused has none.
  const is_over = state.phase === "ready" || state.phase === "failed";
  const is_refused = state.phase === "ready" && state.notice !== null;
  useEffect(() => {
    if (!isAnswering || !is_over) return;
    setIsAnswering(false);
    const answer: Message = { role: "assistant", content: text.since(0) };
    setMessages(said => (is_refused ? said.slice(0, -1) : [...said, answer]));
  }, [isAnswering, is_over, is_refused, text]);

  const ask = useCallback(
    (question: string, options: SamplingOptions) => {
      const asked: Message[] = [...messages, { role: "user", content: question }];
      chat(asked.slice(left_out), options);
      setMessages(asked);
      setLeftOutBefore(left_out);
      setIsAnswering(true);
    },
    [messages, left_out, chat],
  );

  const clear = useCallback(() => {
    stop();
    text.clear();
    setIsAnswering(false);
    setMessages([]);
    setLeftOutBefore(0);
  }, [stop, text]);

  return { messages, isAnswering, left_out, ask, clear };
}
