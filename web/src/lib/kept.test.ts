import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { forgetText, keepText, textKept } from "./kept";

/** A browser's storage with room for so many letters, names included. */
class Room {
  readonly items = new Map<string, string>();
  constructor(readonly letters: number) {}
  getItem = (key: string) => this.items.get(key) ?? null;
  removeItem = (key: string) => void this.items.delete(key);
  setItem = (key: string, value: string) => {
    const after = new Map(this.items).set(key, value);
    if ([...after].join("").length > this.letters) throw new DOMException("full", "QuotaExceededError");
    this.items.set(key, value);
  };
}

let room: Room;
beforeEach(() => {
  room = new Room(1000);
  vi.stubGlobal("localStorage", room);
});
afterEach(() => vi.unstubAllGlobals());

test("each has a text of its own, until it is forgotten", () => {
  expect(textKept("chat.ab")).toBeNull();
  expect(keepText("chat.ab", "one")).toBe(true);
  expect(keepText("document.ab", "two")).toBe(true);
  expect(keepText("chat.ab", "three")).toBe(true);
  expect([textKept("chat.ab"), textKept("document.ab")]).toEqual(["three", "two"]);
  forgetText("chat.ab");
  expect([textKept("chat.ab"), textKept("document.ab")]).toEqual([null, "two"]);
});

test("where the room ends the oldest go, and what is kept again is new", () => {
  for (const name of ["a", "b", "c"]) expect(keepText(name, name.repeat(200))).toBe(true);
  expect(keepText("a", "A".repeat(200))).toBe(true);
  expect(keepText("d", "d".repeat(600))).toBe(true);
  expect(["a", "b", "c", "d"].filter(name => textKept(name) !== null)).toEqual(["a", "d"]);
  expect(keepText("e", "e".repeat(2000))).toBe(false);
});

test("there are at most sixteen, and none beyond what can be kept", () => {
  for (let at = 0; at < 20; at += 1) expect(keepText(`${at}`, "x")).toBe(true);
  expect([...room.items.keys()].filter(key => key.startsWith("pocketlm.text."))).toHaveLength(16);
  expect(textKept("3")).toBeNull();
  expect(textKept("4")).toBe("x");
  // Not the text before, which would be taken for this one.
  expect(keepText("4", "x".repeat(2_000_001))).toBe(false);
  expect(textKept("4")).toBeNull();
});

test("a list that is none is no list, and a storage that is forbidden keeps nothing", () => {
  for (const list of ["{", "7", '{"a":1}', "[7]"]) {
    room.items.set("pocketlm.texts", list);
    expect(keepText("a", "one")).toBe(true);
    expect(textKept("a")).toBe("one");
  }
  vi.stubGlobal("localStorage", {
    getItem: () => {
      throw new DOMException("forbidden", "SecurityError");
    },
  });
  expect(keepText("a", "one")).toBe(false);
  expect(textKept("a")).toBeNull();
  expect(() => forgetText("a")).not.toThrow();
});
