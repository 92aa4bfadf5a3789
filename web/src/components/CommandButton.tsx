import { type CommandId, command } from "../commands";
import type { State } from "../state/machine";

type Props = { id: CommandId; state: State; run: (id: CommandId) => void; variant?: "primary" | "plain" };

/**
 * A button for one entry of the list of commands.
 *
 * `aria-disabled`, not `disabled`: a button that disables itself by being pressed would lose the keyboard's focus.
 */
export function CommandButton({ id, state, run, variant = "plain" }: Props) {
  const { label, isEnabled } = command(id);
  const enabled = isEnabled(state);
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
