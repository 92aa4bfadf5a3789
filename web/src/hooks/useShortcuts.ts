/** Key presses anywhere on the page, as commands. */
import { useEffect } from "react";
import { type CommandId, commandFor } from "../commands";
import type { State } from "../state/machine";
import type { Doc } from "../state/tree";

export function useShortcuts(state: State, doc: Doc, run: (id: CommandId) => void): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const meant = commandFor(event);
      if (meant === null || event.repeat || event.isComposing || !meant.isEnabled(state, doc)) return;
      event.preventDefault();
      run(meant.id);
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [state, doc, run]);
}
