import { COMMANDS, shortcutKeys } from "../commands";

/** The shortcuts, from the list of commands. */
export function ShortcutHelp({ isMac }: { isMac: boolean }) {
  return (
    <ul className="shortcuts">
      {COMMANDS.map(({ id, about, shortcut }) =>
        shortcut === null ? null : (
          <li key={id}>
            {shortcutKeys(shortcut, isMac).map(key => (
              <kbd key={key}>{key}</kbd>
            ))}
            <span>{about}</span>
          </li>
        ),
      )}
    </ul>
  );
}
