/** Ends a switch over a union: a case that is missing is a type error here, and throws if it is ever reached. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
