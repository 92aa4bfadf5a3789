import type { EngineError, ErrorKind } from "pocketlm";
import type { ReactNode } from "react";

const TITLES: Record<ErrorKind, string> = {
  "no-engine": "The engine cannot run in this browser",
  download: "The model could not be downloaded",
  "bad-model": "The model file is damaged, or is no model",
  "unsupported-model": "This kind of model does not run here",
  "wrong-numbers": "The graphics device computes wrong numbers",
  "out-of-memory": "Not enough memory",
  "device-lost": "The graphics device was lost",
  crashed: "The engine stopped because of an internal error",
  "bad-input": "The model could not run this",
};

/** What else helps on this page, beside the error's own hint. */
const ADVICE: Partial<Record<ErrorKind, ReactNode>> = {
  download: "Put model.bin beside index.html; ./doitw builds both.",
  // `import` takes no GGUF file that the page does not take.
  "unsupported-model": (
    <>
      If it is a GGUF file, the same model’s Hugging Face folder may do:{" "}
      <code>./doitw export preset=smollm2 import.sha256= import.source=file:FOLDER</code> makes a model.bin of that, or
      says what is not supported.
    </>
  ),
};

/** Failures that the CPU may not have. */
const HELPED_BY_CPU: readonly ErrorKind[] = ["no-engine", "wrong-numbers", "out-of-memory", "device-lost", "crashed"];

/** `onRetry` null: there is nothing to load again. `isOnCpu`: the page was asked to run on the CPU already. */
type Props = { error: EngineError; onRetry: (() => void) | null; isOnCpu: boolean };

/** A failure: what happened, what to do, and the ways on. */
export function ErrorPanel({ error, onRetry, isOnCpu }: Props) {
  const offers_cpu = !isOnCpu && HELPED_BY_CPU.includes(error.kind);
  return (
    <div className="error" role="alert" data-kind={error.kind}>
      <h2>{TITLES[error.kind]}</h2>
      <p className="message">{error.message}</p>
      {error.hint !== "" && <p>{error.hint}</p>}
      {ADVICE[error.kind] !== undefined && <p>{ADVICE[error.kind]}</p>}
      {onRetry !== null && (
        <p className="ways">
          <button type="button" className="button plain" onClick={onRetry}>
            {error.kind === "download" ? "Try again" : "Load again"}
          </button>
          {offers_cpu && <a href="?device=cpu">Run on the CPU instead</a>}
        </p>
      )}
    </div>
  );
}
