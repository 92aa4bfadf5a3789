import { matchKeyBindingPress, parseKeybinding } from "tinykeys";
import { expect, test } from "vitest";
import { COMMANDS, canRun, commandsOf, shortcutKeys } from "./commands";
import { emptyDoc, reduceDoc } from "./state/tree";
import { CARD } from "./testing/fakeEngine";

/** The commands that a key press means. */
function meant(key: string, ...held: string[]): string[] {
  const event = { key, code: key, getModifierState: (modifier: string) => held.includes(modifier) };
  return COMMANDS.filter(({ shortcut }) => {
    const [press] = shortcut === null ? [] : parseKeybinding(shortcut);
    return press !== undefined && matchKeyBindingPress(event as unknown as KeyboardEvent, press);
  }).map(({ id }) => id);
}

test("every shortcut means its own command, and other keys mean nothing", () => {
  expect(meant("Enter", "Control")).toEqual(["generate"]);
  expect(meant("Enter", "Control", "Shift")).toEqual(["again"]);
  expect(meant("Enter", "Alt")).toEqual(["continue"]);
  expect(meant("Escape")).toEqual(["stop"]);
  expect(meant("Enter")).toEqual([]);
  expect(meant("Enter", "Control", "Alt")).toEqual([]);
  expect(meant("Escape", "Shift")).toEqual([]);
});

test("every command has a label of its own", () => {
  expect(new Set(COMMANDS.map(({ label }) => label.toLowerCase())).size).toBe(COMMANDS.length);
});

test("generate and stop are enabled in turn, and what goes on from a text where there is one", () => {
  const model = {
    card: CARD,
    fallback: null,
    timing: null,
    size_bytes: 1,
    sha256: "ab",
    storage: { is_kept: true as const },
  };
  const run = {
    id: 1,
    left_out: 0,
    prefilled: 0,
    tokens: 0,
    first_batch_tokens: 0,
    first_token_ms: null,
    elapsed_ms: 0,
    interruption: null,
    ending: null,
  };
  for (const [state, can_generate, can_stop] of [
    [{ phase: "idle" }, false, false],
    [{ phase: "ready", model, run: null, notice: null }, true, false],
    [{ phase: "generating", model, run }, false, true],
  ] as const) {
    expect(canRun("generate", state, emptyDoc, "document")).toBe(can_generate);
    expect(canRun("stop", state, emptyDoc, "document")).toBe(can_stop);
    const written = reduceDoc(emptyDoc, { type: "begin", prompt: "a" });
    for (const id of ["continue", "undo", "copy"] as const) {
      expect(canRun(id, state, emptyDoc, "document")).toBe(false);
      expect(canRun(id, state, written, "document")).toBe(id === "copy" || can_generate);
    }
    expect(canRun("again", state, emptyDoc, "document")).toBe(can_generate);
  }
  const ready = { phase: "ready", model, run: null, notice: null } as const;
  expect(canRun("again", ready, emptyDoc, "chat")).toBe(false);
  expect(canRun("generate", ready, emptyDoc, "chat")).toBe(false);
  expect(commandsOf("chat")).toEqual(["continue", "stop", "again", "undo"]);
  expect(commandsOf("document")).toEqual(COMMANDS.map(({ id }) => id));
  expect(canRun("again", ready, reduceDoc(emptyDoc, { type: "begin", prompt: "a" }), "chat")).toBe(true);
});

test("keys are spelled as the keyboard spells them", () => {
  expect(shortcutKeys("$mod+Shift+Enter", false)).toEqual(["Ctrl", "Shift", "Enter"]);
  expect(shortcutKeys("Escape", true)).toEqual(["Esc"]);
  expect(shortcutKeys("Alt+Enter", true)).toEqual(["⌥", "Enter"]);
  expect(shortcutKeys("$mod+Enter", true)).toEqual(["⌘", "Enter"]);
});
