/** Fetch model.bin with honest progress: bytes received, of how many where the server says so. */
import { engineError } from "./errors";
import type { EngineError } from "./protocol";

export type DownloadProgress = (received_bytes: number, total_bytes: number | null) => void;

const SEND_AGAIN = "Check the connection and load again.";

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
function join(chunks: Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/**
 * The bytes of `url`. Asks the server each time whether a stored copy is still good.
 *
 * Throws an `EngineError` of kind "download" for a refused, missing or broken transfer; a RangeError where the file
 * does not fit into memory.
 */
export async function download(url: string, onProgress: DownloadProgress): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url, { cache: "no-cache" });
  } catch (cause) {
    throw engineError("download", `${url} could not be fetched: ${String(cause)}`, SEND_AGAIN);
  }
  const refused = refusal(response, url);
  if (refused !== null) throw refused;
  if (response.body === null) return new Uint8Array(await response.arrayBuffer());

  const total = totalBytes(response);
  const chunks: Uint8Array[] = [];
  let received = 0;
  const reader = response.body.getReader();
  onProgress(0, total);
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      chunks.push(part.value);
      received += part.value.length;
      onProgress(received, total);
    }
  } catch (cause) {
    const of = total === null ? "" : ` of ${total}`;
    throw engineError(
      "download",
      `The transfer of ${url} broke after ${received}${of} bytes: ${String(cause)}`,
      SEND_AGAIN,
    );
  }
  if (total !== null && received !== total) {
    throw engineError("download", `${url} ended after ${received} of ${total} bytes.`, SEND_AGAIN);
  }
  return join(chunks, received);
}

/** SHA-256 in hexadecimal, or null outside a secure context, where browsers offer no digest. */
export async function sha256(bytes: Uint8Array): Promise<string | null> {
  if (!globalThis.isSecureContext) return null;
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
  return Array.from(new Uint8Array(digest), byte => byte.toString(16).padStart(2, "0")).join("");
}
