import { expect, test } from "vitest";
import { StopFilter } from "./stopFilter";

/** All that comes through of the whole text at once. */
function slow(text: string, stops: readonly string[]): string {
  for (let at = 0; at < text.length; at += 1)
    if (stops.some(stop => text.startsWith(stop, at))) return text.slice(0, at);
  return text;
}

/** The same for a text that comes in parts; what is let through must never have to be taken back. */
function filtered(parts: readonly string[], stops: readonly string[]): string {
  const filter = new StopFilter(stops);
  let text = "";
  for (const part of parts) {
    text += filter.push(part);
    expect(slow(parts.join(""), stops).startsWith(text)).toBe(true);
  }
  return text + filter.flush();
}

test.each([
  [["on and on"], [], "on and on"],
  [["a", "b", "c", "d"], ["bc"], "a"],
  [["ab", "ab", "ac", "x"], ["abac"], "ab"],
  [["ab"], ["abc"], "ab"],
  [["stop"], ["stop"], ""],
  [["aXYb"], ["YZ", "Y", "XY"], "a"],
])("%j with %j is %j", (parts, stops, expected) => {
  expect(filtered(parts, stops)).toBe(expected);
});

test("random texts, cut anywhere, are what the slow way makes of them", () => {
  let state = 7;
  const below = (count: number) => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    return (state >> 8) % count;
  };
  const word = (longest: number) => Array.from({ length: below(longest + 1) }, () => "abü"[below(3)]).join("");
  for (let round = 0; round < 2000; round += 1) {
    const parts = Array.from({ length: below(8) }, () => word(4));
    const stops = Array.from({ length: below(4) }, () => `${word(3)}a`);
    expect(filtered(parts, stops), JSON.stringify([parts, stops])).toBe(slow(parts.join(""), stops));
  }
});
