/** What the reader can do, once: buttons, shortcuts and the help at the foot of the page all read this list. */
import type { Use } from "./state/docs";
import type { State } from "./state/machine";
import type { Doc } from "./state/tree";

export type CommandId = "generate" | "continue" | "stop" | "again" | "undo" | "copy";

export type Command = {
  id: CommandId;
  label: string;
  /** For the help: what it does, in a few words. */
  about: string;
  /** As tinykeys reads it: "$mod" is ⌘ on a Mac, and Ctrl elsewhere. */
  shortcut: string | null;
  /** What the model may be used for meanwhile. */
  uses: readonly Use[];
  isEnabled: (state: State, doc: Doc, use: Use) => boolean;
};

const isReady = (state: State) => state.phase === "ready";
const hasText = (doc: Doc) => doc.tip !== null;

export const COMMANDS: readonly Command[] = [
  {
    id: "generate",
    label: "Generate",
    about: "write on from the prompt",
    shortcut: "$mod+Enter",
    uses: ["document"], // a conversation has no prompt to go on from
    isEnabled: isReady,
  },
  {
    id: "continue",
    label: "Continue",
    about: "write on from where the text ends",
    shortcut: "Alt+Enter",
    uses: ["document", "chat"],
    isEnabled: (state, doc) => isReady(state) && hasText(doc),
  },
  {
    id: "stop",
    label: "Stop",
    about: "stop writing",
    shortcut: "Escape",
    uses: ["document", "chat"],
    isEnabled: state => state.phase === "generating" || (state.phase === "recovering" && state.run.ending === null),
  },
  {
    id: "again",
    label: "Regenerate",
    about: "write it again with a new seed",
    shortcut: "$mod+Shift+Enter",
    uses: ["document", "chat"],
    // A conversation that has not begun has no answer; a document's prompt stands in its field.
    isEnabled: (state, doc, use) => isReady(state) && (use === "document" || hasText(doc)),
  },
  {
    id: "undo",
    label: "Undo",
    about: "go back to the text before",
    shortcut: null,
    uses: ["document", "chat"],
    isEnabled: (state, doc) => isReady(state) && doc.past.length > 0,
  },
  {
    id: "copy",
    label: "Copy",
    about: "copy the prompt and the text",
    shortcut: null,
    uses: ["document"],
    isEnabled: (_, doc) => hasText(doc),
  },
];

export function commandsOf(use: Use): CommandId[] {
  return COMMANDS.filter(({ uses }) => uses.includes(use)).map(({ id }) => id);
}

export function canRun(id: CommandId, state: State, doc: Doc, use: Use): boolean {
  const { uses, isEnabled } = command(id);
  return uses.includes(use) && isEnabled(state, doc, use);
}

export function command(id: CommandId): Command {
  const found = COMMANDS.find(entry => entry.id === id);
  if (found === undefined) throw new Error(`no command ${id}`);
  return found;
}

const NAMES: Record<string, readonly [name: string, on_mac: string]> = {
  $mod: ["Ctrl", "⌘"],
  Alt: ["Alt", "⌥"],
  Escape: ["Esc", "Esc"],
};

/** The keys to press, one word each: ["Ctrl", "Enter"]. */
export function shortcutKeys(shortcut: string, isMac: boolean): string[] {
  return shortcut.split("+").map(key => NAMES[key]?.[isMac ? 1 : 0] ?? key);
}
