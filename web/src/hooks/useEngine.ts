/** The engine as React sees it: the state machine, and what one can ask for. */
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
  type Token,
} from "pocketlm";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { Batches } from "../lib/batches";
import { tokensOfText } from "../lib/tokensOfText";
import { initialState, reduce, type State } from "../state/machine";

/** What the model is to go on with: a text, or a conversation. */
export type Asked = { prompt: string } | { messages: readonly Message[] };

export type OnTokens = (tokens: readonly Token[]) => void;

export type EngineHandle = {
  state: State;
  load: () => void;
  /** `onTokens` is told what this run writes. */
  generate: (asked: Asked, options: TextOptions, onTokens: OnTokens) => void;
  stop: () => void;
  /** Stop, and tell no more of what was written. */
  leave: () => void;
  /** Ask for one token alone, beside what stands on the page; only the answer to the last question is told. */
  peek: (asked: Asked, options: TextOptions, onToken: (token: Token) => void) => void;
  /** Ask how surprised the model is by a text; only the answer to the last question is told. */
  score: (text: string, onScore: (score: TextScore) => void) => void;
  /** The tokens of a text of the reader's. */
  tokensOf: (text: string) => Promise<Token[]>;
  /** What the model reads in place of a conversation, in parts by turns. */
  promptOf: (messages: readonly Message[]) => Promise<readonly string[]>;
  /** The model itself, for what is beside the text; null while there is none. */
  model: () => Model | null;
  /** Delete the model's file from this device; what runs goes on. */
  forget: () => void;
  /** Why the newest model could not take the place of the one that is there; null where it did. */
  not_renewed: EngineError | null;
};

type TokensEvent = Extract<ModelEvent, { type: "tokens" }>;

/** New text is drawn no more often than this: a render a token would cost more than the token. */
const DRAW_MS = 100;

function never(): void {}

/**
 * `worker_url`: of the package's worker, where it is not the one that the page was bundled with. Another model or worker is
 * loaded beside what is there and takes its place between two runs; where it fails, what is there stays.
 */
export function useEngine(from: ModelSource, device: Device, worker_url: string | null): EngineHandle {
  const [state, dispatch] = useReducer(reduce, initialState);
  const [not_renewed, setNotRenewed] = useState<EngineError | null>(null);
  /** Ends the loading that is under way, or the model that came of it. */
  const loading = useRef<AbortController | null>(null);
  const renewing = useRef<AbortController | null>(null);
  const model = useRef<Model | null>(null);
  /** The run whose text is wanted; what comes late from a stopped one is dropped. */
  const generation = useRef<Generation | null>(null);
  const onTokens = useRef<OnTokens>(never);
  const asked = useRef<AbortController | null>(null);
  const [written] = useState(
    () =>
      new Batches<TokensEvent>(DRAW_MS, events => {
        onTokens.current(events.flatMap(({ tokens }) => tokens));
        for (const event of events) dispatch(event);
      }),
  );

  const dispose = useCallback(() => {
    renewing.current?.abort();
    loading.current?.abort();
    model.current?.dispose();
    model.current = null;
    generation.current = null;
    written.clear();
  }, [written]);

  /** What happens to the model is told to the page while `controller` is the one in `loading`. */
  const start = useCallback(
    (controller: AbortController) => {
      const { signal } = controller;
      const onEvent = (event: ModelEvent) => {
        if (signal.aborted || loading.current !== controller) return;
        if (event.type === "tokens") {
          if (event.run === generation.current?.run) written.push(event);
          return;
        }
        written.flush();
        dispatch(event);
      };
      const worker = worker_url === null ? undefined : () => new Worker(worker_url, { type: "module" });
      return loadModel(from, { device, signal, onEvent, worker });
    },
    [from, device, worker_url, written],
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

  const generate = useCallback(
    (what: Asked, options: TextOptions, told: OnTokens) => {
      if (model.current === null) return;
      written.flush();
      onTokens.current = told;
      generation.current = begin(model.current, what, options);
      dispatch({ type: "generate", run: generation.current.run });
    },
    [written],
  );

  const stop = useCallback(() => {
    if (generation.current === null) return;
    written.flush();
    generation.current.stop();
    generation.current = null;
    dispatch({ type: "stop" });
  }, [written]);

  const leave = useCallback(() => {
    stop();
    dispatch({ type: "leave" });
  }, [stop]);

  const peek = useCallback((what: Asked, options: TextOptions, onToken: (token: Token) => void) => {
    if (model.current === null) return;
    asked.current?.abort();
    asked.current = new AbortController();
    const told = { ...options, maxTokens: 1, signal: asked.current.signal };
    // What is out of date is not wanted; what fails ends the engine, and an event tells.
    begin(model.current, what, told).result.then(
      ({ tokens: [token] }) => token !== undefined && onToken(token),
      () => undefined,
    );
  }, []);

  const score = useCallback((scored: string, onScore: (score: TextScore) => void) => {
    asked.current?.abort();
    asked.current = new AbortController();
    model.current?.score(scored, { signal: asked.current.signal }).then(onScore, () => undefined);
  }, []);

  const tokensOf = useCallback(
    (text: string) => (model.current === null ? Promise.resolve([]) : tokensOfText(model.current, text)),
    [],
  );

  const promptOf = useCallback(
    (messages: readonly Message[]) =>
      model.current === null ? Promise.resolve([]) : model.current.chatPrompt(messages),
    [],
  );

  const forget = useCallback(() => model.current?.forget(), []);
  const current = useCallback(() => model.current, []);

  return { state, load, generate, stop, leave, peek, score, tokensOf, promptOf, model: current, forget, not_renewed };
}

function begin(model: Model, asked: Asked, options: TextOptions): Generation {
  return "prompt" in asked ? model.generate(asked.prompt, options) : model.chat(asked.messages, options);
}
