/** One of two models that are compared: its state, its text, and what one can ask for. */
import { type Device, type Generation, loadModel, type Model, type ModelEvent, type TextOptions } from "pocketlm";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { initialState, reduce, type State } from "../state/machine";

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
  const [state, dispatch] = useReducer(reduce, initialState);
  const [text, setText] = useState("");
  const loading = useRef<AbortController | null>(null);
  const model = useRef<Model | null>(null);
  /** The run whose text is wanted; what comes late from a stopped one is dropped. */
  const generation = useRef<Generation | null>(null);

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
  }, [dispose, model_url, device]);

  useEffect(() => {
    load();
    return dispose;
  }, [load, dispose]);

  const generate = useCallback((prompt: string, options: TextOptions) => {
    const loaded = model.current;
    if (loaded === null) return;
    setText("");
    const is_chat = loaded.card.chat_template !== null;
    const begun = is_chat
      ? loaded.chat([{ role: "user", content: prompt }], options)
      : loaded.generate(prompt, options);
    generation.current = begun;
    dispatch({ type: "generate", run: begun.run });
    const read = async () => {
      for await (const piece of begun) {
        if (generation.current === begun) setText(so_far => so_far + piece.text);
      }
    };
    read().catch(() => undefined); // an event has told
  }, []);

  const stop = useCallback(() => {
    if (generation.current === null) return;
    generation.current.stop();
    generation.current = null;
    dispatch({ type: "stop" });
  }, []);

  return { state, text, load, generate, stop };
}
