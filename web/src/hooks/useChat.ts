/** A conversation on top of the engine: each question is a run whose prompt is the whole of it, by the model's template. */
import { useCallback, useEffect, useState } from "react";
import { engineError } from "../engine/errors";
import type { EngineError, GenerateOptions } from "../engine/protocol";
import { type ChatCard, chatPrompt, type Message } from "../lib/chat";
import type { EngineHandle } from "./useEngine";

export type ChatHandle = {
  messages: readonly Message[];
  isAnswering: boolean;
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
      try {
        generate(chatPrompt(card, asked), options);
        setMessages(asked);
        setIsAnswering(true);
        setError(null);
      } catch (thrown) {
        const message = `The model's chat template cannot be used: ${thrown instanceof Error ? thrown.message : thrown}`;
        setError(engineError("bad-model", message, "Export the model again, with another template."));
      }
    },
    [messages, generate],
  );

  const clear = useCallback(() => {
    stop();
    text.clear();
    setIsAnswering(false);
    setMessages([]);
    setError(null);
  }, [stop, text]);

  return { messages, isAnswering, error, ask, clear };
}
