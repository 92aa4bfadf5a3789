/** The part of the page's address behind "#": written a moment after a change, and never read before it is written. */

/** Not at every letter that is typed: browsers limit how often an address may change. */
export const WRITE_AFTER_MS = 400;

let waiting: { hash: string; timer: number } | null = null;

/** Write it when nothing else has been for a moment. Returns how to forgo that. */
export function writeHashSoon(hash: string): () => void {
  forgo();
  const mine = { hash, timer: setTimeout(writeWaiting, WRITE_AFTER_MS) };
  waiting = mine;
  return () => {
    if (waiting === mine) forgo();
  };
}

/** With what waits to be written. */
export function hashNow(): string {
  writeWaiting();
  return location.hash;
}

function writeWaiting(): void {
  if (waiting === null) return;
  const { hash } = waiting;
  forgo();
  history.replaceState(null, "", hash);
}

function forgo(): void {
  if (waiting !== null) clearTimeout(waiting.timer);
  waiting = null;
}
