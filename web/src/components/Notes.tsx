import type { EngineError, ErrorKind } from "pocketlm";

type Sentences = { happened: string; advice: string };

/** Why the model runs on the CPU though WebGPU was wanted, and what one can do about it. */
function fallbackSentences(kind: ErrorKind): Sentences {
  switch (kind) {
    case "no-engine":
      return {
        happened: "This browser offers no WebGPU that the model can use, so it runs on the CPU.",
        advice: "That works, but more slowly. A newer browser or graphics driver may offer WebGPU.",
      };
    case "wrong-numbers":
      return {
        happened: "The graphics device computes wrong numbers, so the model runs on the CPU.",
        advice: "Nothing is wrong with the model. Update the browser and the graphics driver.",
      };
    case "out-of-memory":
      return {
        happened: "The graphics device does not have enough memory for the model, so it runs on the CPU.",
        advice: "Close other tabs that use the graphics device, then reload the page.",
      };
    case "device-lost":
      return {
        happened: "The graphics device was lost more than once, so the model runs on the CPU.",
        advice: "Reload the page to try WebGPU again.",
      };
    default:
      return {
        happened: "WebGPU failed, so the model runs on the CPU.",
        advice: "Reload the page to try WebGPU again.",
      };
  }
}

/** A note: it runs, but not where one may expect it. */
export function FallbackNote({ reason }: { reason: EngineError }) {
  const { happened, advice } = fallbackSentences(reason.kind);
  return (
    <p className="note">
      {happened} {advice}
      <span>{reason.message}</span>
    </p>
  );
}

/** A note: the engine was lost in the middle of a run, which goes on by itself. */
export function InterruptionNote({ cause, isOver }: { cause: EngineError; isOver: boolean }) {
  const happened =
    cause.kind === "device-lost"
      ? "The graphics device was lost."
      : cause.kind === "crashed"
        ? "The engine stopped because of an internal error."
        : "The engine failed.";
  return (
    <p className="note" role="status" aria-label="Interruption">
      {happened}{" "}
      {isOver
        ? "The engine was started again, and the text went on where it had stopped."
        : "The engine is starting again; the text will go on by itself."}
      <span>{cause.message}</span>
    </p>
  );
}

/** A note: what was to take the place of the model that is here does not run. */
export function NotRenewedNote({ reason }: { reason: EngineError }) {
  return (
    <p className="note" role="status" aria-label="Not renewed">
      The newest model or engine does not run; the page keeps the one before.
      <span>{reason.message}</span>
    </p>
  );
}
