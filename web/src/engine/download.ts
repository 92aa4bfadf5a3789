/** Fetch model.bin with honest progress: bytes received, of how many where the server says so. */
import { engineError } from "./errors";
import type { EngineError } from "./protocol";

export type DownloadProgress = (received_bytes: number, total_bytes: number | null) => void;

const SEND_AGAIN = "Check the connection and try again.";

/** So many tries in a row may bring nothing new. */
const TRIES = 3;
const RETRY_AFTER_MS = 300;

/** Content-Length counts the bytes on the wire: it is the file's length only where nothing was compressed. */
function totalBytes(response: Response): number | null {
  const encoding = response.headers.get("content-encoding");
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  return (encoding === null || encoding === "identity") && Number.isSafeInteger(length) && length > 0 ? length : null;
}

function refusal(response: Response, url: string): EngineError | null {
  if (response.status === 404) {
    return engineError(
      "download",
      `There is no model at ${url} (404).`,
      "Put model.bin beside index.html; ./doitw builds both.",
    );
  }
  if (!response.ok) {
    return engineError("download", `The server answered ${response.status} for ${url}.`, SEND_AGAIN);
  }
  if (response.headers.get("content-type")?.startsWith("text/html")) {
    return engineError(
      "download",
      `The server sent a web page instead of ${url}.`,
      "Put model.bin beside index.html, and let the server answer 404 for files that it does not have.",
    );
  }
  return null;
}

/** The chunks joined; the list is emptied on the way, so that no more than one copy is held for long. */
function join(chunks: Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/** What has come of a file, and what the server knows this version of it by; null where nothing does. */
type Kept = { chunks: Uint8Array[]; received: number; total: number | null; validator: string | null };

const nothing = (): Kept => ({ chunks: [], received: 0, total: null, validator: null });

/** A transfer that began well and broke: worth another try. */
class Broken extends Error {}

/** What `If-Range` may name (RFC 9110 §13.1.5). */
function validatorOf(response: Response): string | null {
  const etag = response.headers.get("etag");
  return etag === null || etag.startsWith("W/") ? response.headers.get("last-modified") : etag;
}

/** Ask for `url`, or for what is missing of it where the server can tell that it is still the same file. */
async function request(url: string, { received, total, validator }: Kept): Promise<Response> {
  const can_resume = received > 0 && total !== null && validator !== null;
  const rest = { range: `bytes=${received}-`, "if-range": validator ?? "" };
  try {
    // The browser's own store would answer a range with the whole file.
    return await fetch(url, can_resume ? { cache: "no-store", headers: rest } : { cache: "no-cache" });
  } catch (cause) {
    const message = `${url} could not be fetched: ${String(cause)}`;
    throw received > 0 ? new Broken(message) : engineError("download", message, SEND_AGAIN);
  }
}

/** Fetch what `kept` lacks, and add to it as it comes. */
async function transfer(url: string, kept: Kept, onProgress: DownloadProgress): Promise<void> {
  const response = await request(url, kept);
  const refused = refusal(response, url);
  if (refused !== null) throw refused;
  const is_rest = response.headers.get("content-range")?.startsWith(`bytes ${kept.received}-`) === true;
  if (response.status !== 206 || !is_rest) {
    Object.assign(kept, nothing(), { total: totalBytes(response), validator: validatorOf(response) });
  }
  if (response.status === 206 && !is_rest) throw new Broken(`${url}: the server sent another part than was asked for.`);
  const of = kept.total === null ? "" : ` of ${kept.total}`;
  onProgress(kept.received, kept.total);
  try {
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
      kept.chunks.push(part.value);
      kept.received += part.value.length;
      onProgress(kept.received, kept.total);
    }
  } catch (cause) {
    throw new Broken(`The transfer of ${url} broke after ${kept.received}${of} bytes: ${String(cause)}`);
  }
  if (kept.total !== null && kept.received !== kept.total) {
    throw new Broken(`${url} ended after ${kept.received}${of} bytes.`);
  }
}

/**
 * The bytes of `url`. Asks the server each time whether a stored copy is still good. A transfer that breaks is taken up
 * where it broke, or begun anew where the server cannot do that, as long as each try brings more than those before.
 *
 * Throws an `EngineError` of kind "download" for a refused, missing or broken transfer; a RangeError where the file
 * does not fit into memory.
 */
export async function download(url: string, onProgress: DownloadProgress): Promise<Uint8Array<ArrayBuffer>> {
  const kept = nothing();
  let furthest = 0;
  let tries = 0;
  for (;;) {
    try {
      await transfer(url, kept, onProgress);
      return join(kept.chunks, kept.received);
    } catch (thrown) {
      if (!(thrown instanceof Broken)) throw thrown;
      tries = kept.received > furthest ? 1 : tries + 1;
      furthest = Math.max(furthest, kept.received);
      if (tries >= TRIES) throw engineError("download", thrown.message, SEND_AGAIN);
      await new Promise(resolve => setTimeout(resolve, RETRY_AFTER_MS * tries));
    }
  }
}

/** SHA-256 in hexadecimal, or null outside a secure context, where browsers offer no digest. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string | null> {
  if (!globalThis.isSecureContext) return null;
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), byte => byte.toString(16).padStart(2, "0")).join("");
}
