import type { EngineError, ErrorKind } from "../engine/protocol";

const TITLES: Record<ErrorKind, string> = {
  "no-engine": "The engine cannot run here",
  download: "The model could not be fetched",
  "bad-model": "The model file is not sound",
  "out-of-memory": "Not enough memory",
  "device-lost": "The graphics device went away",
  "bad-input": "That could not be run",
};

type Props = { error: EngineError; onRetry: (() => void) | null };

/** A failure: what happened, what to do, and the ways on. */
export function ErrorPanel({ error, onRetry }: Props) {
  const offers_cpu = onRetry !== null && (error.kind === "no-engine" || error.kind === "device-lost");
  return (
    <div className="error" role="alert" data-kind={error.kind}>
      <h2>{TITLES[error.kind]}</h2>
      <p className="message">{error.message}</p>
      {error.hint !== "" && <p>{error.hint}</p>}
      {onRetry !== null && (
        <p className="ways">
          <button type="button" className="button plain" onClick={onRetry}>
            Load again
          </button>
          {offers_cpu && <a href="?device=cpu">Run on the processor</a>}
        </p>
      )}
    </div>
  );
}
