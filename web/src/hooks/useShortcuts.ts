/** Key presses anywhere on the page, as commands. */
import { useEffect } from "react";
import { tinykeys } from "tinykeys";
import { COMMANDS, type CommandId } from "../commands";

export function useShortcuts(isEnabled: (id: CommandId) => boolean, run: (id: CommandId) => void): void {
  useEffect(() => {
    const bindings = COMMANDS.flatMap(({ id, shortcut }) => {
      const onPress = (event: KeyboardEvent) => {
        if (event.repeat || event.isComposing || !isEnabled(id)) return;
        event.preventDefault();
        run(id);
      };
      return shortcut === null ? [] : [[shortcut, onPress] as const];
    });
    return tinykeys(window, Object.fromEntries(bindings));
  }, [isEnabled, run]);
}
