/**
 * Which turns of a long conversation the model still reads. The command line (rust/cli/src/turns.rs) has the same rule;
 * tests/vectors/chat_turns.json holds both to it.
 */

/**
 * The conversation, then the same with ever fewer turns: a question and its answers go together, the oldest first. System
 * messages at its beginning stay, and so does the last question.
 */
export function shortened<M extends { role: string }>(messages: readonly M[]): M[][] {
  const from = messages.findIndex(({ role }) => role !== "system");
  const system = messages.slice(0, Math.max(from, 0));
  const begins = messages.flatMap(({ role }, index) => (role === "user" && index > from ? [index] : []));
  return [[...messages], ...begins.map(begin => [...system, ...messages.slice(begin)])];
}

/** The place of the first prompt that takes at most three quarters of the context, or of the last one. */
export function firstThatFits<P>(prompts: readonly P[], ctx_len: number, count: (prompt: P) => number): number {
  const room = Math.floor(ctx_len / 4) * 3;
  const last = prompts.length - 1;
  const found = prompts.slice(0, last).findIndex(prompt => count(prompt) <= room);
  return found === -1 ? Math.max(last, 0) : found;
}
