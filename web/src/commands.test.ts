import { expect, test } from "vitest";
import { COMMANDS, command, commandFor, shortcutKeys } from "./commands";
import { emptyDoc, reduceDoc } from "./state/tree";
import { CARD } from "./testing/fakeEngine";

const press = (key: string, held: Partial<Record<"ctrlKey" | "metaKey" | "shiftKey" | "altKey", boolean>> = {}) => {
  return { key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...held };
};

test("every shortcut means its own command", () => {
  for (const { id, shortcut } of COMMANDS) {
    if (shortcut === null) continue;
    const held = { ctrlKey: shortcut.ctrl, shiftKey: shortcut.shift, altKey: shortcut.alt };
    expect(commandFor(press(shortcut.key, held))?.id).toBe(id);
  }
});

test("⌘ counts as Ctrl; other keys mean nothing, and Alt its own", () => {
  expect(commandFor(press("Enter", { metaKey: true }))?.id).toBe("generate");
  expect(commandFor(press("Enter"))).toBeNull();
  expect(commandFor(press("Enter", { ctrlKey: true, altKey: true }))).toBeNull();
  expect(commandFor(press("Enter", { altKey: true }))?.id).toBe("continue");
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
    expect(command("generate").isEnabled(state, emptyDoc)).toBe(can_generate);
    expect(command("stop").isEnabled(state, emptyDoc)).toBe(can_stop);
    const written = reduceDoc(emptyDoc, { type: "begin", prompt: "a" });
    for (const id of ["continue", "undo", "copy"] as const) {
      expect(command(id).isEnabled(state, emptyDoc)).toBe(false);
      expect(command(id).isEnabled(state, written)).toBe(id === "copy" || can_generate);
    }
  }
});

test("keys are spelled as the keyboard spells them", () => {
  expect(shortcutKeys({ key: "Enter", ctrl: true, shift: true, alt: false }, false)).toEqual([
    "Ctrl",
    "Shift",
    "Enter",
  ]);
  expect(shortcutKeys({ key: "Escape", ctrl: false, shift: false, alt: false }, true)).toEqual(["Esc"]);
  expect(shortcutKeys({ key: "Enter", ctrl: false, shift: false, alt: true }, true)).toEqual(["⌥", "Enter"]);
  expect(shortcutKeys({ key: "Enter", ctrl: true, shift: false, alt: false }, true)).toEqual(["⌘", "Enter"]);
});
