/**
 * What measuring a GPU's kernels has found, kept in the browser's Cache storage, which a worker has: the next visit need not measure again.
 */
const STORE = "pocketlm";

/** Nothing is served from there. */
const place = () => `${location.origin}/pocketlm-tunings`;

/** What is known; null where nothing is, or where this browser keeps nothing. */
export async function knownTunings(): Promise<string | null> {
  try {
    const kept = await (await caches.open(STORE)).match(place());
    return kept === undefined ? null : await kept.text();
  } catch {
    return null;
  }
}

/** Keep it; where that fails, it is measured again. */
export async function keepTunings(tunings: string): Promise<void> {
  try {
    await (await caches.open(STORE)).put(place(), new Response(tunings));
  } catch {}
}
