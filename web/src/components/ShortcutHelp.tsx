import { Fragment } from "react";
import { COMMANDS, type CommandId, shortcutKeys } from "../commands";

/** The shortcuts, from the list of commands; `of`: of these alone. */
export function ShortcutHelp({ isMac, of }: { isMac: boolean; of?: readonly CommandId[] }) {
  return (
    <ul className="shortcuts">
      {COMMANDS.map(({ id, about, shortcut }) =>
        shortcut === null || of?.includes(id) === false ? null : (
          <li key={id}>
            {shortcutKeys(shortcut, isMac).map(key => (
              // The blank is for those who hear it: "Ctrl Enter write on", and not one word.
              <Fragment key={key}>
                <kbd>{key}</kbd>{" "}
              </Fragment>
            ))}
            <span>{about}</span>
          </li>
        ),
      )}
    </ul>
  );
}
