import { type CommandId, command } from "../commands";
import type { State } from "../state/machine";
import type { Doc } from "../state/tree";

type Props = { id: CommandId; state: State; doc: Doc; run: (id: CommandId) => void; variant?: "primary" | "plain" };

/**
 * A button for one entry of the list of commands.
 *
 * `aria-disabled`, not `disabled`: a button that disables itself by being pressed would lose the keyboard's focus.
 */
export function CommandButton({ id, state, doc, run, variant = "plain" }: Props) {
  const { label, isEnabled } = command(id);
  const enabled = isEnabled(state, doc);
  return (
    <button
      type="button"
      className={`button ${variant}`}
      aria-disabled={!enabled}
      onClick={() => {
        if (enabled) run(id);
      }}
    >
      {label}
    </button>
  );
}
