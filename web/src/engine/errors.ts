/** Every failure as an `EngineError`: its kind, what happened, and what to do about it. */
import type { EngineError, ErrorKind } from "./protocol";

const KINDS: readonly string[] = [
  "no-engine",
  "download",
  "bad-model",
  "out-of-memory",
  "device-lost",
  "bad-input",
] satisfies readonly ErrorKind[];

function isKind(value: unknown): value is ErrorKind {
  return typeof value === "string" && KINDS.includes(value);
}

export function engineError(kind: ErrorKind, message: string, hint: string): EngineError {
  return { kind, message, hint };
}

/**
 * Turn anything thrown into an `EngineError`.
 *
 * Errors of the engine carry `kind` and `hint` already. A RangeError is an allocation that the browser refused; a
 * WebAssembly.RuntimeError is a trap: the engine's memory cannot be trusted after it. The rest is reported as it is.
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
    return engineError(
      "no-engine",
      `The engine stopped on an internal error: ${thrown.message}`,
      "Load it again; if it happens again, try ?device=cpu and report it.",
    );
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return engineError("no-engine", message, "Reload the page; if it happens again, try ?device=cpu.");
}
