/** What the package throws. */
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
