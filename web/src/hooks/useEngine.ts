/** The engine as React sees it: the state machine, the text, and what one can ask for. */
import {
  type Device,
  type EngineError,
  type Generation,
  loadModel,
  type Message,
  type Model,
  ModelError,
  type ModelEvent,
  type ModelSource,
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
  /** Why the newest model could not take the place of the one that is there; null where it did. */
  not_renewed: EngineError | null;
};

function never(): void {}

/**
 * `worker_url`: of the package's worker, where it is not the one that the page was bundled with. Another model or worker is
 * loaded beside what is there and takes its place between two runs; where it fails, what is there stays.
 */
export function useEngine(from: ModelSource, device: Device, worker_url: string | null = null): EngineHandle {
  const [state, dispatch] = useReducer(reduce, initialState);
  const [text] = useState(() => new TextLog());
  const [not_renewed, setNotRenewed] = useState<EngineError | null>(null);
  /** Ends the loading that is under way, or the model that came of it. */
  const loading = useRef<AbortController | null>(null);
  const renewing = useRef<AbortController | null>(null);
  const model = useRef<Model | null>(null);
  /** The run whose text is wanted; what comes late from a stopped one is dropped. */
  const generation = useRef<Generation | null>(null);
  const asked = useRef<AbortController | null>(null);

  const dispose = useCallback(() => {
    renewing.current?.abort();
    loading.current?.abort();
    model.current?.dispose();
    model.current = null;
    generation.current = null;
  }, []);

  /** What happens to the model is told to the page while `controller` is the one in `loading`. */
  const start = useCallback(
    (controller: AbortController) => {
      const { signal } = controller;
      const onEvent = (event: ModelEvent) => {
        if (signal.aborted || loading.current !== controller) return;
        if (event.type === "tokens" && event.run === generation.current?.run) text.append(event.text);
        dispatch(event);
      };
      const worker = worker_url === null ? undefined : () => new Worker(worker_url, { type: "module" });
      return loadModel(from, { device, signal, onEvent, worker });
    },
    [from, device, worker_url, text],
  );

  const load = useCallback(() => {
    dispose();
    dispatch({ type: "load" });
    setNotRenewed(null);
    const controller = new AbortController();
    loading.current = controller;
    start(controller).then(loaded => {
      if (controller.signal.aborted) loaded.dispose();
      else model.current = loaded;
    }, never); // an event has told
  }, [dispose, start]);

  const renew = useCallback(() => {
    renewing.current?.abort();
    const controller = new AbortController();
    const { signal } = controller;
    renewing.current = controller;
    const takeOver = async () => {
      const loaded = await start(controller);
      while (generation.current !== null && generation.current.state !== "over") {
        await generation.current.result.catch(never);
      }
      if (signal.aborted) {
        loaded.dispose();
        return;
      }
      loading.current?.abort();
      model.current?.dispose();
      loading.current = controller;
      model.current = loaded;
      generation.current = null;
      setNotRenewed(null);
      dispatch({ type: "renewed", model: loaded.info });
    };
    takeOver().catch((thrown: unknown) => {
      if (!signal.aborted && thrown instanceof ModelError) setNotRenewed(thrown);
    });
  }, [start]);

  useEffect(() => {
    if (model.current === null) load();
    else renew();
  }, [load, renew]);
  useEffect(() => dispose, [dispose]);

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

  return { state, text, load, generate, chat, stop, score, forget, not_renewed };
}
