/** Key presses anywhere on the page, as commands. */
import { useEffect } from "react";
import { type CommandId, commandFor } from "../commands";

export function useShortcuts(isEnabled: (id: CommandId) => boolean, run: (id: CommandId) => void): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const meant = commandFor(event);
      if (meant === null || event.repeat || event.isComposing || !isEnabled(meant.id)) return;
      event.preventDefault();
      run(meant.id);
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [isEnabled, run]);
}
