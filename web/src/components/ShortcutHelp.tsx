import { COMMANDS, type CommandId, shortcutKeys } from "../commands";

/** The shortcuts, from the list of commands; `of`: of these alone. */
export function ShortcutHelp({ isMac, of }: { isMac: boolean; of?: readonly CommandId[] }) {
  return (
    <ul className="shortcuts">
      {COMMANDS.map(({ id, about, shortcut }) =>
        shortcut === null || of?.includes(id) === false ? null : (
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
