/** Every failure as an `EngineError`: its kind, what happened, and what to do about it. */
import type { EngineError, ErrorKind } from "./protocol";

const KINDS: readonly string[] = [
  "no-engine",
  "download",
  "bad-model",
  "unsupported-model",
  "wrong-numbers",
  "out-of-memory",
  "device-lost",
  "crashed",
  "bad-input",
] satisfies readonly ErrorKind[];

function isKind(value: unknown): value is ErrorKind {
  return typeof value === "string" && KINDS.includes(value);
}

export function engineError(kind: ErrorKind, message: string, hint: string): EngineError {
  return { kind, message, hint };
}

/** The engine's memory cannot be trusted any more; only a new worker helps. */
export function crashed(reason: string): EngineError {
  const hint = "Load it again; if it happens again, run it on the CPU, and report it.";
  return engineError("crashed", `Its code failed: ${reason}`, hint);
}

/**
 * Turn anything thrown into an `EngineError`.
 *
 * Errors of the engine carry `kind` and `hint` already. A RangeError is an allocation that the browser refused; a
 * WebAssembly.RuntimeError is a trap, which is what a panic becomes. The rest is reported as it is.
 */
export function toEngineError(thrown: unknown): EngineError {
  if (typeof thrown === "object" && thrown !== null && "kind" in thrown && isKind(thrown.kind)) {
    const message = "message" in thrown && typeof thrown.message === "string" ? thrown.message : thrown.kind;
    const hint = "hint" in thrown && typeof thrown.hint === "string" ? thrown.hint : "";
    return engineError(thrown.kind, message, hint);
  }
  if (thrown instanceof RangeError) {
    return engineError(
      "out-of-memory",
      `The browser refused memory: ${thrown.message}`,
      "Close other tabs, or use a smaller model.",
    );
  }
  if (thrown instanceof WebAssembly.RuntimeError) {
    return crashed(thrown.message);
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return engineError("no-engine", message, "Load it again; if it happens again, run it on the CPU.");
}
