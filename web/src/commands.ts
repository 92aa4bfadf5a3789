/** What the reader can do, once: buttons, shortcuts and the help at the foot of the page all read this list. */
import type { State } from "./state/machine";

export type CommandId = "generate" | "stop" | "again" | "copy";

export type Shortcut = { key: string; ctrl: boolean; shift: boolean };

export type Command = {
  id: CommandId;
  label: string;
  /** For the help: what it does, in a few words. */
  about: string;
  shortcut: Shortcut | null;
  isEnabled: (state: State) => boolean;
};

const isReady = (state: State) => state.phase === "ready";

export const COMMANDS: readonly Command[] = [
  {
    id: "generate",
    label: "Generate",
    about: "write on from the prompt",
    shortcut: { key: "Enter", ctrl: true, shift: false },
    isEnabled: isReady,
  },
  {
    id: "stop",
    label: "Stop",
    about: "stop writing",
    shortcut: { key: "Escape", ctrl: false, shift: false },
    isEnabled: state => state.phase === "generating" || (state.phase === "recovering" && state.run.ending === null),
  },
  {
    id: "again",
    label: "Regenerate",
    about: "write it again with a new seed",
    shortcut: { key: "Enter", ctrl: true, shift: true },
    isEnabled: isReady,
  },
  {
    id: "copy",
    label: "Copy",
    about: "copy the prompt and the text",
    shortcut: null,
    isEnabled: state => "run" in state && state.run !== null && state.run.tokens > 0,
  },
];

export function command(id: CommandId): Command {
  const found = COMMANDS.find(entry => entry.id === id);
  if (found === undefined) throw new Error(`no command ${id}`);
  return found;
}

export type KeyPress = { key: string; ctrlKey: boolean; metaKey: boolean; shiftKey: boolean; altKey: boolean };

/** The command that a key press means, whether it is enabled or not. ⌘ counts as Ctrl. */
export function commandFor(press: KeyPress): Command | null {
  const ctrl = press.ctrlKey || press.metaKey;
  const isMeant = ({ shortcut }: Command) =>
    shortcut !== null &&
    !press.altKey &&
    shortcut.key === press.key &&
    shortcut.ctrl === ctrl &&
    shortcut.shift === press.shiftKey;
  return COMMANDS.find(isMeant) ?? null;
}

/** The keys to press, one word each: ["Ctrl", "Enter"]. */
export function shortcutKeys(shortcut: Shortcut, isMac: boolean): string[] {
  const key = shortcut.key === "Escape" ? "Esc" : shortcut.key;
  return [...(shortcut.ctrl ? [isMac ? "⌘" : "Ctrl"] : []), ...(shortcut.shift ? ["Shift"] : []), key];
}
