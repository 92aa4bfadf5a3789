/** What the package throws. */
import { engineError } from "../engine/errors";
import type { EngineError, ErrorKind } from "../engine/protocol";

/** `kind` is for programs, `message` says what happened, and `hint` what to do about it. */
export class ModelError extends Error implements EngineError {
  override readonly name = "ModelError";
  readonly kind: ErrorKind;
  readonly hint: string;

  constructor({ kind, message, hint }: EngineError) {
    super(message);
    this.kind = kind;
    this.hint = hint;
  }
}

/** What was asked for cannot be done; the model is as it was. */
export function badInput(message: string, hint: string): ModelError {
  return new ModelError({ kind: "bad-input", message, hint });
}

/** What the package is made of did not come. */
export function partIsMissing(cause: unknown): ModelError {
  const message = `A part of the package could not be loaded: ${String(cause)}`;
  return new ModelError(engineError("download", message, "Check the connection and try again."));
}

/** Throws: an answer to another question, which no engine gives. */
export function unexpected(answer: { type: string }): never {
  throw new ModelError(
    engineError("crashed", `The engine answered another question: ${answer.type}`, "Load it again."),
  );
}
