import { describe, expect, test } from "vitest";
import { readLive } from "./live";

describe("live.json", () => {
  test("is read as it was written", () => {
    const news = {
      model: "models/live.bin?1f",
      worker: "engine/1f/worker.js",
      says: "A training runs.",
      figures: [["loss at step 5", "3.2 nats"]],
      error: "",
    };
    expect(readLive({ format: 1, ...news })).toEqual(news);
  });

  test("without what can be left out", () => {
    expect(readLive({ says: "No training runs.", model: null })).toEqual({
      model: null,
      worker: null,
      says: "No training runs.",
      figures: [],
      error: "",
    });
  });

  test.each([null, [], "says", {}, { says: 1 }, { says: "" }])("%j is none", value => {
    expect(readLive(value)).toBeNull();
  });

  test("values of other types are no text that is shown", () => {
    expect(readLive({ says: "So.", figures: [[1, {}], 2], error: [] })?.figures).toEqual([["", ""]]);
  });
});
