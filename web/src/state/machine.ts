/**
 * The page's state machine, a pure function: idle → loading → ready ⇄ generating ⇄ recovering → failed.
 *
 * The text itself is not here but in state/tree.ts.
 */
import type { Ending, EngineError, LoadedModel, LoadProgress, ModelEvent } from "pocketlm";
import { assertNever } from "../lib/assertNever";

/** One generation, counted. Times are the worker's, in milliseconds since it began the run. */
export type Run = {
  id: number;
  /** So many messages of a chat, the oldest, are left out of what is read. */
  left_out: number;
  /** Tokens of the prompt that are in the cache. */
  prefilled: number;
  /** Tokens generated, and how many of them came with the first batch. */
  tokens: number;
  first_batch_tokens: number;
  first_token_ms: number | null;
  elapsed_ms: number;
  /** What the engine was last lost to in the middle of the run; null where nothing happened. */
  interruption: EngineError | null;
  /** null while it goes on. */
  ending: Ending | "failed" | null;
};

export type State =
  | { phase: "idle" }
  | { phase: "loading"; progress: LoadProgress | null }
  /** `notice`: what the engine refused about the last run, though it can go on. */
  | { phase: "ready"; model: LoadedModel; run: Run | null; notice: EngineError | null }
  | { phase: "generating"; model: LoadedModel; run: Run }
  /** The engine was lost and is being built anew; the run then goes on, unless it was stopped meanwhile. `is_left`: no more is told of it. */
  | { phase: "recovering"; model: LoadedModel; run: Run; progress: LoadProgress | null; is_left: boolean }
  | { phase: "failed"; error: EngineError; model: LoadedModel | null; run: Run | null };

export type Action =
  | { type: "load" }
  | { type: "generate"; run: number }
  | { type: "stop" }
  /** The reader turns to another text: no more is told of the last run. */
  | { type: "leave" }
  /** Another model has taken the place of the one that was there, between two runs. */
  | { type: "renewed"; model: LoadedModel }
  | ModelEvent;

export const initialState: State = { phase: "idle" };

/** Whether a run is under way, or will be again. */
export function isWriting(state: State): boolean {
  return state.phase === "generating" || (state.phase === "recovering" && state.run.ending === null);
}

/** The run that the reader is told of. */
export function runOf(state: State): Run | null {
  if (state.phase === "recovering" && state.is_left) return null;
  return "run" in state ? state.run : null;
}

function newRun(id: number): Run {
  return {
    id,
    left_out: 0,
    prefilled: 0,
    tokens: 0,
    first_batch_tokens: 0,
    first_token_ms: null,
    elapsed_ms: 0,
    interruption: null,
    ending: null,
  };
}

function count(run: Run, event: Extract<ModelEvent, { type: "tokens" }>): Run {
  const added = event.ids.length;
  const first = run.first_token_ms === null && added > 0;
  return {
    ...run,
    prefilled: run.prefilled + event.prefilled,
    tokens: run.tokens + added,
    first_batch_tokens: first ? added : run.first_batch_tokens,
    first_token_ms: first ? event.elapsed_ms : run.first_token_ms,
    elapsed_ms: event.elapsed_ms,
  };
}

/** Tokens a second while decoding: those after the first batch, over the time since it; all of them if it was the only one. */
export function tokensPerSecond(run: Run): number | null {
  if (run.first_token_ms === null || run.tokens === 0) return null;
  const later = run.tokens - run.first_batch_tokens;
  const [tokens, ms] = later > 0 ? [later, run.elapsed_ms - run.first_token_ms] : [run.tokens, run.elapsed_ms];
  return ms > 0 ? (tokens * 1000) / ms : null;
}

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "load":
      return { phase: "loading", progress: null };

    case "progress":
      return state.phase === "loading" || state.phase === "recovering"
        ? { ...state, progress: action.progress }
        : state;

    case "ready":
      if (state.phase === "recovering") return recovered(state, action.model);
      return state.phase === "loading" ? { phase: "ready", model: action.model, run: null, notice: null } : state;

    case "generate":
      return state.phase === "ready" || state.phase === "generating"
        ? { phase: "generating", model: state.model, run: newRun(action.run) }
        : state;

    case "stop":
      if (state.phase === "recovering") return { ...state, run: { ...state.run, ending: "stopped" } };
      return state.phase === "generating"
        ? { phase: "ready", model: state.model, run: { ...state.run, ending: "stopped" }, notice: null }
        : state;

    case "leave":
      // An engine that is being built anew is waited for.
      if (state.phase === "recovering") return { ...state, is_left: true };
      if (state.phase === "ready") return { ...state, run: null, notice: null };
      return state.phase === "failed" ? { ...state, run: null } : state;

    case "renewed":
      return { phase: "ready", model: action.model, run: "run" in state ? state.run : null, notice: null };

    case "interrupted": {
      if (state.phase !== "generating" || state.run.id !== action.run) return state;
      const run = { ...state.run, interruption: action.error };
      return { phase: "recovering", model: state.model, run, progress: null, is_left: false };
    }

    case "recovered":
      return state.phase === "recovering" && state.run.id === action.run ? recovered(state, action.model) : state;

    case "begun":
      return state.phase === "generating" && state.run.id === action.run
        ? { ...state, run: { ...state.run, left_out: action.left_out } }
        : state;

    case "tokens":
      return state.phase === "generating" && state.run.id === action.run
        ? { ...state, run: count(state.run, action) }
        : state;

    case "done":
      return state.phase === "generating" && state.run.id === action.run
        ? { phase: "ready", model: state.model, run: { ...state.run, ending: action.ending }, notice: null }
        : state;

    case "stored":
      return "model" in state && state.model !== null
        ? { ...state, model: { ...state.model, storage: action.storage } }
        : state;

    case "queued":
      // A run begins here when no other does: what it waits for is one that was just stopped.
      return state;

    case "refused":
      return state.phase === "generating" && state.run.id === action.run
        ? { phase: "ready", model: state.model, run: null, notice: action.error }
        : state;

    case "failed":
      return fail(state, action.error);

    default:
      return assertNever(action);
  }
}

function recovered({ run, is_left }: Extract<State, { phase: "recovering" }>, model: LoadedModel): State {
  if (run.ending === null) return { phase: "generating", model, run };
  return { phase: "ready", model, run: is_left ? null : run, notice: null };
}

/** A run that is over has no say. */
function fail(state: State, error: EngineError): State {
  const model = "model" in state ? state.model : null;
  const last = runOf(state);
  return { phase: "failed", error, model, run: last && { ...last, ending: last.ending ?? "failed" } };
}
