import { assertNever } from "../lib/assertNever";
import type { State } from "../state/machine";

/** The engine in a word: where the model runs, or how far it is from running. */
export function engineStatus(state: State): { text: string; tone: "wait" | "on" | "off" } {
  switch (state.phase) {
    case "idle":
    case "loading":
      return { text: "Loading…", tone: "wait" };
    case "ready":
    case "generating":
      return { text: state.model.card.backend === "webgpu" ? "WebGPU" : "CPU", tone: "on" };
    case "recovering":
      return { text: "Restarting…", tone: "wait" };
    case "failed":
      return { text: "Not running", tone: "off" };
    default:
      return assertNever(state);
  }
}

type Props = { state: State; theme: "light" | "dark"; onToggleTheme: () => void };

export function Header({ state, theme, onToggleTheme }: Props) {
  const { text, tone } = engineStatus(state);
  return (
    <header className="header">
      <div className="wordmark">
        <h1>
          Pocket<span>LM</span>
        </h1>
        <p>A small language model that runs in this tab. What you write stays here.</p>
      </div>
      <p className="engine" role="status" aria-label="Engine" data-tone={tone} data-busy={state.phase === "generating"}>
        {text}
      </p>
      <button
        type="button"
        className="theme"
        onClick={onToggleTheme}
        aria-label={theme === "dark" ? "Light paper" : "Dark paper"}
        title={theme === "dark" ? "Light paper" : "Dark paper"}
      >
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <circle cx="12" cy="12" r="8" />
          <path d="M12 4a8 8 0 0 1 0 16z" />
        </svg>
      </button>
    </header>
  );
}
