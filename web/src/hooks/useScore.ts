/** How surprised the model is by what stands on the page: asked for by a switch, and put away when the page goes on. */

import type { TextScore } from "pocketlm";
import { useCallback, useEffect, useState } from "react";
import type { EngineHandle } from "./useEngine";

/** `score` is null until the engine has answered. */
export type ScoreHandle = { is_on: boolean; score: TextScore | null; toggle: (text: string) => void };

export function useScore({ state, score }: EngineHandle): ScoreHandle {
  const [is_on, setIsOn] = useState(false);
  const [answer, setAnswer] = useState<TextScore | null>(null);

  // Another run writes another text.
  const is_away = state.phase !== "ready";
  useEffect(() => {
    if (!is_away) return;
    setIsOn(false);
    setAnswer(null);
  }, [is_away]);

  const toggle = useCallback(
    (text: string) => {
      setAnswer(null);
      setIsOn(was_on => !was_on);
      if (!is_on) score(text, setAnswer);
    },
    [is_on, score],
  );
  return { is_on, score: answer, toggle };
}
