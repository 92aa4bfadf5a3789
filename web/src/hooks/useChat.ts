/** A conversation on top of the engine: each question is a run whose prompt is the whole of it, by the model's template. */
import { useCallback, useEffect, useState } from "react";
import { engineError } from "../engine/errors";
import type { EngineError, GenerateOptions } from "../engine/protocol";
import { shortened } from "../engine/turns";
import { type ChatCard, chatPrompt, type Message } from "../package/chat";
import type { EngineHandle } from "./useEngine";

export type ChatHandle = {
  messages: readonly Message[];
  isAnswering: boolean;
  /** So many messages, the oldest, no longer fit into the context: the model does not read them. */
  left_out: number;
  /** What the template refused. */
  error: EngineError | null;
  ask: (card: ChatCard, question: string, options: GenerateOptions) => void;
  /** Forget everything that was said. */
  clear: () => void;
};

export function useChat({ state, text, generate, stop }: EngineHandle): ChatHandle {
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const [isAnswering, setIsAnswering] = useState(false);
  const [error, setError] = useState<EngineError | null>(null);
  /** So many messages are left out by each prompt that the engine could choose from. */
  const [choices, setChoices] = useState<readonly number[]>([0]);

  const chosen = "run" in state ? (state.run?.prompt ?? 0) : 0;
  const left_out = choices[chosen] ?? 0;

  // What was written when a run ended, was stopped or failed is the answer.
  const is_over = state.phase === "ready" || state.phase === "failed";
  useEffect(() => {
    if (!isAnswering || !is_over) return;
    setIsAnswering(false);
    const answer: Message = { role: "assistant", content: text.since(0) };
    setMessages(said => [...said, answer]);
  }, [isAnswering, is_over, text]);

  const ask = useCallback(
    (card: ChatCard, question: string, options: GenerateOptions) => {
      const asked: Message[] = [...messages, { role: "user", content: question }];
      const read = shortened(asked.slice(left_out));
      try {
        const [prompt = [], ...shorter] = read.map(each => chatPrompt(card, each));
        generate(prompt, options, shorter);
        setMessages(asked);
        setChoices(read.map(each => asked.length - each.length));
        setIsAnswering(true);
        setError(null);
      } catch (thrown) {
        const message = `The model's chat template cannot be used: ${thrown instanceof Error ? thrown.message : thrown}`;
        setError(engineError("bad-model", message, "Export the model again, with another template."));
      }
    },
    [messages, left_out, generate],
  );

  const clear = useCallback(() => {
    stop();
    text.clear();
    setIsAnswering(false);
    setMessages([]);
    setChoices([0]);
    setError(null);
  }, [stop, text]);

  return { messages, isAnswering, left_out, error, ask, clear };
}
