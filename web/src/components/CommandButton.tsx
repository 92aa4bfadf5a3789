import { type CommandId, command } from "../commands";

type Props = { id: CommandId; isEnabled: boolean; run: (id: CommandId) => void; variant?: "primary" | "plain" };

/**
 * A button for one entry of the list of commands.
 *
 * `aria-disabled`, not `disabled`: a button that disables itself by being pressed would lose the keyboard's focus.
 */
export function CommandButton({ id, isEnabled, run, variant = "plain" }: Props) {
  return (
    <button
      type="button"
      className={`button ${variant}`}
      aria-disabled={!isEnabled}
      onClick={() => {
        if (isEnabled) run(id);
      }}
    >
      {command(id).label}
    </button>
  );
}
