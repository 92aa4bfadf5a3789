/** One of two models that are compared: its state, its text, and what one can ask for. */
import type { Device, TextOptions, Token } from "pocketlm";
import { useCallback, useState } from "react";
import type { State } from "../state/machine";
import { useEngine } from "./useEngine";

export type SideHandle = {
  state: State;
  /** What it has written of the last prompt. */
  text: string;
  load: () => void;
  /** Continue a text; a model with a chat template answers it. Nothing where the model is not there. */
  generate: (prompt: string, options: TextOptions) => void;
  stop: () => void;
};

export function useSide(model_url: string, device: Device): SideHandle {
  const [text, setText] = useState("");
  const { state, load, generate: ask, stop } = useEngine(model_url, device, null);
  const is_chat = "model" in state && state.model !== null && state.model.card.chat_template !== null;

  const generate = useCallback(
    (prompt: string, options: TextOptions) => {
      const asked = is_chat ? { messages: [{ role: "user" as const, content: prompt }] } : { prompt };
      const onTokens = (tokens: readonly Token[]) =>
        setText(so_far => so_far + tokens.map(token => token.text).join(""));
      ask(asked, options, onTokens);
      setText("");
    },
    [ask, is_chat],
  );

  return { state, text, load, generate, stop };
}
