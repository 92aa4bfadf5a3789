import type { LoadedModel } from "pocketlm";
import { expect, test } from "vitest";
import { initialState, reduce, type State } from "../state/machine";
import { CARD } from "../testing/fakeEngine";
import { announcement } from "./announce";

const MODEL: LoadedModel = {
  card: CARD,
  fallback: null,
  timing: null,
  size_bytes: 3,
  sha256: "0".repeat(64),
  storage: { is_kept: false, reason: "no-storage" },
};

test("a run is told when it begins and when it is over, and not in between", () => {
  let state: State = reduce(reduce(initialState, { type: "load" }), { type: "ready", model: MODEL });
  expect(announcement(state, () => "")).toBe("");
  state = reduce(state, { type: "generate", run: 1 });
  const begun = announcement(state, () => "");
  expect(begun).not.toBe("");
  const ids = Uint32Array.of(1, 2);
  state = reduce(state, { type: "tokens", run: 1, text: "To be", ids, tokens: [], prefilled: 0, elapsed_ms: 1 });
  const never = () => {
    throw new Error("the text is put together for every step");
  };
  expect(announcement(state, never)).toBe(begun);
  state = reduce(state, { type: "done", run: 1, ending: "eos", elapsed_ms: 2 });
  expect(announcement(state, () => "To be")).toBe("The model ended its text after 2 tokens. To be");
  expect(announcement(state, () => "x".repeat(5000)).length).toBeLessThan(700);
});
