/** What the reader can do, once: buttons, shortcuts and the help at the foot of the page all read this list. */
import type { State } from "./state/machine";
import type { Doc } from "./state/tree";

export type CommandId = "generate" | "continue" | "stop" | "again" | "undo" | "copy";

export type Shortcut = { key: string; ctrl: boolean; shift: boolean; alt: boolean };

export type Command = {
  id: CommandId;
  label: string;
  /** For the help: what it does, in a few words. */
  about: string;
  shortcut: Shortcut | null;
  isEnabled: (state: State, doc: Doc) => boolean;
};

const isReady = (state: State) => state.phase === "ready";
const hasText = (doc: Doc) => doc.tip !== null;

export const COMMANDS: readonly Command[] = [
  {
    id: "generate",
    label: "Generate",
    about: "write on from the prompt",
    shortcut: { key: "Enter", ctrl: true, shift: false, alt: false },
    isEnabled: isReady,
  },
  {
    id: "continue",
    label: "Continue",
    about: "write on from where the text ends",
    shortcut: { key: "Enter", ctrl: false, shift: false, alt: true },
    isEnabled: (state, doc) => isReady(state) && hasText(doc),
  },
  {
    id: "stop",
    label: "Stop",
    about: "stop writing",
    shortcut: { key: "Escape", ctrl: false, shift: false, alt: false },
    isEnabled: state => state.phase === "generating" || (state.phase === "recovering" && state.run.ending === null),
  },
  {
    id: "again",
    label: "Regenerate",
    about: "write it again with a new seed",
    shortcut: { key: "Enter", ctrl: true, shift: true, alt: false },
    isEnabled: isReady,
  },
  {
    id: "undo",
    label: "Undo",
    about: "go back to the text before",
    shortcut: null,
    isEnabled: (state, doc) => isReady(state) && doc.past.length > 0,
  },
  {
    id: "copy",
    label: "Copy",
    about: "copy the prompt and the text",
    shortcut: null,
    isEnabled: (_, doc) => hasText(doc),
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
    shortcut.alt === press.altKey &&
    shortcut.key === press.key &&
    shortcut.ctrl === ctrl &&
    shortcut.shift === press.shiftKey;
  return COMMANDS.find(isMeant) ?? null;
}

/** The keys to press, one word each: ["Ctrl", "Enter"]. */
export function shortcutKeys(shortcut: Shortcut, isMac: boolean): string[] {
  const key = shortcut.key === "Escape" ? "Esc" : shortcut.key;
  const { ctrl, shift, alt } = shortcut;
  return [
    ...(ctrl ? [isMac ? "⌘" : "Ctrl"] : []),
    ...(alt ? [isMac ? "⌥" : "Alt"] : []),
    ...(shift ? ["Shift"] : []),
    key,
  ];
}
