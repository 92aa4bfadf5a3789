import { useId } from "react";
import type { SideHandle } from "../hooks/useSide";
import type { Compared } from "../lib/comparison";
import { formatBytes } from "../lib/format";
import { isWriting } from "../state/machine";
import { ErrorPanel } from "./ErrorPanel";
import { engineStatus } from "./Header";
import { LoadPanel } from "./LoadPanel";
import { FallbackNote, InterruptionNote } from "./Notes";
import { RunFigures } from "./RunFigures";

/** Digits of a key that are shown; every command takes them. */
const KEY_SHOWN = 10;

type Props = { compared: Compared; side: SideHandle; isOnCpu: boolean };

/** One of two models: what it is, in what it differs, and what it writes. */
export function Side({ compared, side, isOnCpu }: Props) {
  const id = useId();
  const { state, text, load } = side;
  const model = "model" in state ? state.model : null;
  const run = "run" in state ? state.run : null;
  const { name, key, parameters, metrics } = compared;
  const is_chat = model !== null && model.card.chat_template !== null;
  return (
    <section className="side" aria-labelledby={id}>
      <h2 id={id}>
        {name}
        {key !== "" && !name.startsWith(key.slice(0, KEY_SHOWN)) && <code>{key.slice(0, KEY_SHOWN)}</code>}
      </h2>
      {parameters.length > 0 && (
        <dl className="differs">
          {parameters.map(([parameter, value]) => (
            <div key={parameter}>
              <dt>{parameter}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      <p className="facts">
        {[
          ...metrics.map(([metric, value]) => `${metric} ${value}`),
          ...(model === null
            ? []
            : [formatBytes(model.size_bytes), engineStatus(state).text, ...(is_chat ? ["answers as in a chat"] : [])]),
        ].join(" · ")}
      </p>
      {state.phase === "failed" && <ErrorPanel error={state.error} onRetry={load} isOnCpu={isOnCpu} />}
      {state.phase === "ready" && state.notice !== null && (
        <ErrorPanel error={state.notice} onRetry={null} isOnCpu={isOnCpu} />
      )}
      {state.phase !== "failed" && model !== null && model.fallback !== null && (
        <FallbackNote reason={model.fallback} />
      )}
      {state.phase !== "failed" && run !== null && run.interruption !== null && (
        <InterruptionNote cause={run.interruption} isOver={state.phase !== "recovering"} />
      )}
      {(state.phase === "loading" || state.phase === "recovering") && <LoadPanel progress={state.progress} />}
      <div className="output">
        <div
          className="output-text"
          data-placeholder={state.phase === "ready" ? "The model goes on from here." : ""}
          data-generating={isWriting(state)}
        >
          {text === "" ? null : <div>{text}</div>}
        </div>
      </div>
      <RunFigures run={run} />
    </section>
  );
}
