/** The engine as React sees it: the state machine, the text, and what one can ask for. */
import {
  type Device,
  type Generation,
  loadModel,
  type Message,
  type Model,
  type ModelEvent,
  type TextOptions,
  type TextScore,
} from "pocketlm";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { initialState, reduce, type State } from "../state/machine";
import { TextLog } from "../state/textLog";

export type EngineHandle = {
  state: State;
  text: TextLog;
  load: () => void;
  /** Continue a text. */
  generate: (prompt: string, options: TextOptions) => void;
  /** Write the next message of a conversation. */
  chat: (messages: readonly Message[], options: TextOptions) => void;
  stop: () => void;
  /** Ask how surprised the model is by a text; only the answer to the last question is told. */
  score: (text: string, onScore: (score: TextScore) => void) => void;
  /** Delete the model's file from this device; what runs goes on. */
  forget: () => void;
};

export function useEngine(model_url: string, device: Device): EngineHandle {
  const [state, dispatch] = useReducer(reduce, initialState);
  const [text] = useState(() => new TextLog());
  /** Ends the loading that is under way. */
  const loading = useRef<AbortController | null>(null);
  const model = useRef<Model | null>(null);
  /** The run whose text is wanted; what comes late from a stopped one is dropped. */
  const generation = useRef<Generation | null>(null);
  const asked = useRef<AbortController | null>(null);

  const dispose = useCallback(() => {
    loading.current?.abort();
    model.current?.dispose();
    model.current = null;
    generation.current = null;
  }, []);

  const load = useCallback(() => {
    dispose();
    dispatch({ type: "load" });
    const controller = new AbortController();
    const { signal } = controller;
    const onEvent = (event: ModelEvent) => {
      if (signal.aborted) return;
      if (event.type === "tokens" && event.run === generation.current?.run) text.append(event.text);
      dispatch(event);
    };
    loading.current = controller;
    loadModel(model_url, { device, signal, onEvent }).then(
      loaded => {
        if (signal.aborted) loaded.dispose();
        else model.current = loaded;
      },
      () => undefined, // an event has told
    );
  }, [dispose, model_url, device, text]);

  useEffect(() => {
    load();
    return dispose;
  }, [load, dispose]);

  const begin = useCallback(
    (start: (loaded: Model) => Generation) => {
      if (model.current === null) return;
      text.clear();
      generation.current = start(model.current);
      dispatch({ type: "generate", run: generation.current.run });
    },
    [text],
  );
  const generate = useCallback(
    (prompt: string, options: TextOptions) => begin(loaded => loaded.generate(prompt, options)),
    [begin],
  );
  const chat = useCallback(
    (messages: readonly Message[], options: TextOptions) => begin(loaded => loaded.chat(messages, options)),
    [begin],
  );

  const stop = useCallback(() => {
    if (generation.current === null) return;
    generation.current.stop();
    generation.current = null;
    dispatch({ type: "stop" });
  }, []);

  const score = useCallback((scored: string, onScore: (score: TextScore) => void) => {
    asked.current?.abort();
    asked.current = new AbortController();
    // What fails ends the engine, and an event tells; what is out of date is not wanted.
    model.current?.score(scored, { signal: asked.current.signal }).then(onScore, () => undefined);
  }, []);

  const forget = useCallback(() => model.current?.forget(), []);

  return { state, text, load, generate, chat, stop, score, forget };
}
