import type { EngineError, ErrorKind } from "../engine/protocol";

type Sentences = { happened: string; advice: string };

/** Why the model runs on the CPU though WebGPU was wanted, and what one can do about it. */
function fallbackSentences(kind: ErrorKind): Sentences {
  switch (kind) {
    case "no-engine":
      return {
        happened: "This browser offers no WebGPU that the model can use, so it runs on the CPU.",
        advice: "That works, only more slowly. A current browser or graphics driver may offer it.",
      };
    case "wrong-numbers":
      return {
        happened: "The graphics device computes wrong numbers, so the model runs on the CPU.",
        advice: "Nothing is wrong with the model. Update the browser and the graphics driver.",
      };
    case "out-of-memory":
      return {
        happened: "The graphics device has no room for the model, so it runs on the CPU.",
        advice: "Close other tabs that use it, and reload the page to try again.",
      };
    case "device-lost":
      return {
        happened: "The graphics device went away more than once, so the model runs on the CPU.",
        advice: "Reload the page to try it again.",
      };
    default:
      return { happened: "WebGPU failed, so the model runs on the CPU.", advice: "Reload the page to try it again." };
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
      ? "The graphics device went away."
      : cause.kind === "crashed"
        ? "The engine stopped on an internal error."
        : "The engine failed.";
  return (
    <p className="note" role="status" aria-label="Interruption">
      {happened}{" "}
      {isOver
        ? "The engine was built anew, and the text went on where it was."
        : "The engine is being built anew; the text will go on by itself."}
      <span>{cause.message}</span>
    </p>
  );
}
