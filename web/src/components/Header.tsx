import { THEMES, type Theme } from "../hooks/useTheme";
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

const THEME_NAMES: Record<Theme, string> = { system: "System theme", light: "Light theme", dark: "Dark theme" };

/** `state` null: there is no one engine to tell of. */
type Props = { state: State | null; theme: Theme; onTheme: (theme: Theme) => void };

export function Header({ state, theme, onTheme }: Props) {
  const status = state === null ? null : { ...engineStatus(state), is_busy: state.phase === "generating" };
  return (
    <header className="header">
      <div className="wordmark">
        <h1>
          Pocket<span>LM</span>
        </h1>
        <p>A small language model that runs in this tab. What you write stays here.</p>
      </div>
      {status !== null && (
        <p className="engine" role="status" aria-label="Engine" data-tone={status.tone} data-busy={status.is_busy}>
          {status.text}
        </p>
      )}
      <select
        className="theme"
        aria-label="Theme"
        value={theme}
        onChange={event => {
          const chosen = THEMES.find(name => name === event.target.value);
          if (chosen !== undefined) onTheme(chosen);
        }}
      >
        {THEMES.map(name => (
          <option key={name} value={name}>
            {THEME_NAMES[name]}
          </option>
        ))}
      </select>
    </header>
  );
}
