import { afterEach, expect, test, vi } from "vitest";
import { keepTunings, knownTunings } from "./tunings";

afterEach(() => vi.unstubAllGlobals());

test("what is kept is known the next time, and the newest counts", async () => {
  const kept = new Map<string, Response>();
  const store = {
    match: (place: string) => Promise.resolve(kept.get(place)?.clone()),
    put: (place: string, response: Response) => Promise.resolve(void kept.set(place, response)),
  };
  vi.stubGlobal("location", { origin: "https://host" });
  vi.stubGlobal("caches", { open: () => Promise.resolve(store) });
  expect(await knownTunings()).toBeNull();
  await keepTunings("a");
  await keepTunings("ab");
  expect(await knownTunings()).toBe("ab");
  expect([...kept.keys()]).toEqual(["https://host/pocketlm-tunings"]);
});

test("a browser that keeps nothing is no failure", async () => {
  vi.stubGlobal("location", { origin: "https://host" });
  for (const caches of [undefined, { open: () => Promise.reject(new DOMException("no", "SecurityError")) }]) {
    vi.stubGlobal("caches", caches);
    await keepTunings("a");
    expect(await knownTunings()).toBeNull();
  }
});
