import type { EngineError, LoadedModel } from "pocketlm";
import { expect, test } from "vitest";
import { CARD } from "../testing/fakeEngine";
import { type Action, initialState, isWriting, reduce, runOf, type State, tokensPerSecond } from "./machine";

const MODEL: LoadedModel = {
  card: CARD,
  fallback: null,
  timing: null,
  size_bytes: 3,
  sha256: "ab",
  storage: { is_kept: true },
};
const LOST: EngineError = { kind: "device-lost", message: "gone", hint: "" };
const REFUSED: EngineError = { kind: "bad-input", message: "empty", hint: "" };

function after(...actions: Action[]): State {
  return actions.reduce(reduce, initialState);
}

const ready: Action[] = [{ type: "load" }, { type: "ready", model: MODEL }];
const generating: Action[] = [...ready, { type: "generate", run: 1 }];
const tokens = (run: number, count: number, elapsed_ms: number, prefilled = 0): Action => {
  return { type: "tokens", run, text: "x", ids: new Uint32Array(count), tokens: [], prefilled, elapsed_ms };
};
const done: Action = { type: "done", run: 1, ending: "eos", elapsed_ms: 9 };

test("idle → loading → ready → generating → ready", () => {
  expect(after()).toEqual({ phase: "idle" });
  expect(after({ type: "load" })).toEqual({ phase: "loading", progress: null });
  expect(after(...ready)).toEqual({ phase: "ready", model: MODEL, run: null, notice: null });
  expect(after(...generating).phase).toBe("generating");
  expect(after(...generating, done)).toMatchObject({ phase: "ready", run: { id: 1, ending: "eos" } });
});

test("progress is kept while loading, and only then", () => {
  const progress: Action = { type: "progress", progress: { phase: "parse", fraction: 0.5 } };
  expect(after({ type: "load" }, progress)).toEqual({ phase: "loading", progress: { phase: "parse", fraction: 0.5 } });
  expect(after(...ready, progress)).toEqual(after(...ready));
});

test("nothing can be generated before a model is there", () => {
  expect(after({ type: "generate", run: 1 })).toEqual(initialState);
  expect(after({ type: "load" }, { type: "generate", run: 1 }).phase).toBe("loading");
});

test("another model takes the place of one that is ready or has failed, and the last run stays", () => {
  const other: LoadedModel = { ...MODEL, sha256: "cd" };
  const renewed: Action = { type: "renewed", model: other };
  expect(after(...generating, done, renewed)).toMatchObject({ phase: "ready", model: other, run: { ending: "eos" } });
  expect(after(...ready, { type: "failed", error: LOST }, renewed)).toMatchObject({ phase: "ready", model: other });
});

test("a reader who turns to another text hears no more of the last run, whether it was over, stopped or refused", () => {
  const fresh = after(...ready);
  expect(after(...generating, done, { type: "leave" })).toEqual(fresh);
  expect(after(...generating, { type: "stop" }, { type: "leave" })).toEqual(fresh);
  expect(after(...generating, { type: "refused", run: 1, error: REFUSED }, { type: "leave" })).toEqual(fresh);
  // An engine that is being built anew is waited for.
  const lost = after(...generating, { type: "interrupted", run: 1, error: LOST }, { type: "stop" }, { type: "leave" });
  expect(lost.phase).toBe("recovering");
  expect([runOf(lost), isWriting(lost)]).toEqual([null, false]);
  expect(reduce(lost, { type: "ready", model: MODEL })).toEqual(fresh);
  expect(reduce(lost, { type: "failed", error: LOST })).toMatchObject({ phase: "failed", run: null });
  const failed = after(...generating, { type: "failed", error: LOST }, { type: "leave" });
  expect(failed).toMatchObject({ phase: "failed", error: LOST, run: null });
});

test("tokens are counted, the first ones apart", () => {
  const state = after(...generating, tokens(1, 0, 4, 12), tokens(1, 2, 10), tokens(1, 8, 50));
  expect(state).toMatchObject({
    run: { prefilled: 12, tokens: 10, first_batch_tokens: 2, first_token_ms: 10, elapsed_ms: 50 },
  });
});

test("what a run leaves out of a chat is kept, of the run under way", () => {
  expect(after(...generating)).toMatchObject({ run: { left_out: 0 } });
  const begun: Action = { type: "begun", run: 1, prompt_tokens: 9, left_out: 2 };
  expect(after(...generating, begun)).toMatchObject({ run: { left_out: 2 } });
  expect(after(...generating, { ...begun, run: 0 })).toMatchObject({ run: { left_out: 0 } });
});

test("a stop shows at once; what the run still sends is nothing any more", () => {
  const stopped = after(...generating, tokens(1, 2, 10), { type: "stop" });
  expect(stopped).toMatchObject({ phase: "ready", run: { tokens: 2, ending: "stopped" } });
  expect(reduce(stopped, tokens(1, 5, 20))).toBe(stopped);
  expect(reduce(stopped, done)).toBe(stopped);
  const next = reduce(stopped, { type: "generate", run: 2 });
  expect(reduce(next, tokens(1, 5, 20))).toBe(next);
  expect(reduce(next, done)).toBe(next);
});

test("a refused input leaves the engine ready, with a notice until the next run", () => {
  const refused = after(...generating, { type: "refused", run: 1, error: REFUSED });
  expect(refused).toEqual({ phase: "ready", model: MODEL, run: null, notice: REFUSED });
  expect(reduce(refused, { type: "generate", run: 2 })).toMatchObject({ phase: "generating", run: { id: 2 } });
});

test("a late refusal of a stopped run changes nothing", () => {
  const stopped = after(...generating, { type: "stop" });
  expect(reduce(stopped, { type: "refused", run: 1, error: REFUSED })).toBe(stopped);
});

test("every other failure ends the engine, from every phase, and loading begins anew", () => {
  for (const actions of [[{ type: "load" }] satisfies Action[], ready, generating, [...generating, interrupted]]) {
    const failed = after(...actions, { type: "failed", error: LOST });
    expect(failed).toMatchObject({ phase: "failed", error: LOST });
    expect(reduce(failed, { type: "generate", run: 3 })).toBe(failed);
    expect(reduce(failed, { type: "load" })).toEqual({ phase: "loading", progress: null });
  }
});

const interrupted: Action = { type: "interrupted", run: 1, error: LOST };
const ON_CPU: LoadedModel = { ...MODEL, fallback: LOST };

test("a lost engine is built anew, and the run goes on where it was", () => {
  const progress: Action = { type: "progress", progress: { phase: "compile", fraction: 0.5 } };
  const recovering = after(...generating, tokens(1, 2, 10), interrupted, progress);
  expect(recovering).toMatchObject({ phase: "recovering", progress: { phase: "compile" }, run: { tokens: 2 } });
  expect(reduce(recovering, { type: "generate", run: 2 })).toBe(recovering);
  const recovered = reduce(recovering, { type: "recovered", run: 1, model: ON_CPU });
  expect(recovered).toMatchObject({ phase: "generating", model: ON_CPU, run: { tokens: 2, interruption: LOST } });
  expect(reduce(reduce(recovered, tokens(1, 3, 20)), done)).toMatchObject({
    phase: "ready",
    run: { tokens: 5, interruption: LOST, ending: "eos" },
  });
});

test.each([
  ["recovered", { type: "recovered", run: 1, model: ON_CPU }],
  ["ready", { type: "ready", model: ON_CPU }],
] satisfies [string, Action][])("a run that was stopped while the engine was built anew stays so: %s", (_, event) => {
  const stopped = after(...generating, interrupted, { type: "stop" });
  expect(stopped.phase).toBe("recovering");
  expect(reduce(stopped, event)).toMatchObject({ phase: "ready", model: ON_CPU, run: { ending: "stopped" } });
});

test("what befell another run's engine changes nothing", () => {
  const next = after(...generating, { type: "generate", run: 2 });
  expect(reduce(next, interrupted)).toBe(next);
  expect(reduce(next, { type: "recovered", run: 1, model: ON_CPU })).toBe(next);
});

test("a failure ends the run that goes on, and none that is over", () => {
  const failed: Action = { type: "failed", error: LOST };
  expect(after(...generating, tokens(1, 2, 10), failed)).toMatchObject({ run: { tokens: 2, ending: "failed" } });
  expect(after(...generating, done, failed)).toMatchObject({ run: { ending: "eos" } });
  expect(after(...ready, failed)).toMatchObject({ run: null });
});

test("a run that waits for one that was stopped is under way all the same", () => {
  const waiting = after(...generating, { type: "queued", run: 1, ahead: 1 });
  expect(waiting).toEqual(after(...generating));
});

test("tokens a second: after the first batch where more came, else over all", () => {
  const run = (...actions: Action[]) => {
    const state = after(...generating, ...actions);
    if (state.phase !== "generating") throw new Error(state.phase);
    return state.run;
  };
  expect(tokensPerSecond(run())).toBeNull();
  expect(tokensPerSecond(run(tokens(1, 4, 100)))).toBe(40);
  expect(tokensPerSecond(run(tokens(1, 4, 100), tokens(1, 10, 200)))).toBe(100);
});
