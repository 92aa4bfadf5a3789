/** The engine as React sees it: the state machine, the text, and what one can ask for. */
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { EngineClient, startWorker } from "../engine/client";
import type { Device, EngineEvent, GenerateOptions, TextScore } from "../engine/protocol";
import { initialState, reduce, type State } from "../state/machine";
import { TextLog } from "../state/textLog";

export type EngineHandle = {
  state: State;
  text: TextLog;
  load: () => void;
  /** `shorter`: prompts for a context that the first one does not fit (engine/protocol.ts). */
  generate: (prompt: string[], options: GenerateOptions, shorter?: string[][]) => void;
  stop: () => void;
  /** Ask how surprised the model is by a text; only the answer to the last question is told. */
  score: (text: string, onScore: (score: TextScore) => void) => void;
  /** Delete the model's file from this device; what runs goes on. */
  forget: () => void;
};

export function useEngine(model_url: string, device: Device): EngineHandle {
  const [state, dispatch] = useReducer(reduce, initialState);
  const [text] = useState(() => new TextLog());
  const client = useRef<EngineClient | null>(null);
  /** The run whose text is wanted; what comes late from a stopped one is dropped. */
  const current_run = useRef<number | null>(null);

  const asked = useRef<{ call: number; onScore: (score: TextScore) => void } | null>(null);

  const onEvent = useCallback(
    (event: EngineEvent) => {
      if (event.type === "tokens" && event.run === current_run.current) text.append(event.text);
      if (event.type === "scored" && event.call === asked.current?.call) asked.current.onScore(event.score);
      dispatch(event);
    },
    [text],
  );

  const load = useCallback(() => {
    current_run.current = null;
    dispatch({ type: "load" });
    client.current?.load(model_url, device);
  }, [model_url, device]);

  useEffect(() => {
    const owned = new EngineClient(startWorker, onEvent);
    client.current = owned;
    load();
    return () => {
      client.current = null;
      owned.dispose();
    };
  }, [load, onEvent]);

  const generate = useCallback(
    (prompt: string[], options: GenerateOptions, shorter: string[][] = []) => {
      if (client.current === null) return;
      text.clear();
      current_run.current = client.current.generate(prompt, options, shorter);
      dispatch({ type: "generate", run: current_run.current });
    },
    [text],
  );

  const stop = useCallback(() => {
    if (current_run.current === null) return;
    client.current?.stop(current_run.current);
    current_run.current = null;
    dispatch({ type: "stop" });
  }, []);

  const score = useCallback((scored: string, onScore: (score: TextScore) => void) => {
    if (client.current !== null) asked.current = { call: client.current.score(scored), onScore };
  }, []);

  const forget = useCallback(() => client.current?.forget(), []);

  return { state, text, load, generate, stop, score, forget };
}
