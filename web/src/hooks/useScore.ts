/** How surprised the model is by what stands on the page: asked for by a switch, and put away when the page goes on. */

import type { TextScore } from "pocketlm";
import { useCallback, useEffect, useRef, useState } from "react";
import type { EngineHandle } from "./useEngine";

/** `score` is null until the engine has answered, and where it is put away. */
export type ScoreHandle = { is_on: boolean; score: TextScore | null; toggle: (text: string) => void; off: () => void };

export function useScore({ state, score }: EngineHandle): ScoreHandle {
  const [is_on, setIsOn] = useState(false);
  const [answer, setAnswer] = useState<TextScore | null>(null);

  // Another run writes another text, and another model is surprised by other tokens.
  const is_away = state.phase !== "ready";
  const sha256 = "model" in state ? (state.model?.sha256 ?? null) : null;
  const scored_by = useRef(sha256);
  const off = useCallback(() => {
    setIsOn(false);
    setAnswer(null);
  }, []);
  useEffect(() => {
    if (!is_away && sha256 === scored_by.current) return;
    scored_by.current = sha256;
    off();
  }, [is_away, sha256, off]);

  const toggle = useCallback(
    (text: string) => {
      setAnswer(null);
      setIsOn(was_on => !was_on);
      if (!is_on) score(text, setAnswer);
    },
    [is_on, score],
  );
  // An answer may come after it was put away.
  return { is_on, score: is_on ? answer : null, toggle, off };
}
