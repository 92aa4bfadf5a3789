/** Fetch a file part by part, with honest progress: bytes received, of how many where the server says so. */
import { engineError } from "./errors";
import type { EngineError } from "./protocol";

export type DownloadProgress = (received_bytes: number, total_bytes: number | null) => void;

/** Where the bytes of a file go, in their order. What it throws ends the download. */
export type Sink = {
  /** A part is good until this is done. */
  write(part: Uint8Array<ArrayBuffer>): void | Promise<void>;
  /** The file begins anew: what has come of it is worth nothing. */
  restart(): void | Promise<void>;
};

/** What has come of a file, and what the server knows this version of it by; null where nothing does. */
export type Received = { received: number; total: number | null; validator: string | null };

const SEND_AGAIN = "Check the connection and try again.";

/** So many tries in a row may bring nothing new. */
const TRIES = 3;
const RETRY_AFTER_MS = 300;

/** The most that comes at once. */
const BUFFER_NBYTES = 1 << 20;

/** Content-Length counts the bytes on the wire: it is the file's length only where nothing was compressed. */
function totalBytes(response: Response): number | null {
  const encoding = response.headers.get("content-encoding");
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  return (encoding === null || encoding === "identity") && Number.isSafeInteger(length) && length > 0 ? length : null;
}

function refusal(response: Response, url: string): EngineError | null {
  if (response.status === 404) {
    return engineError("download", `There is no model at ${url} (404).`, "Check the address of the model.");
  }
  if (!response.ok) {
    return engineError("download", `The server answered ${response.status} for ${url}.`, SEND_AGAIN);
  }
  if (response.headers.get("content-type")?.startsWith("text/html")) {
    return engineError(
      "download",
      `The server sent a web page instead of ${url}.`,
      "Check the address of the model, and let the server answer 404 for files that it does not have.",
    );
  }
  return null;
}

/** A transfer that began well and broke: worth another try. */
class Broken extends Error {}

/** What `If-Range` may name (RFC 9110 §13.1.5). */
function validatorOf(response: Response): string | null {
  const etag = response.headers.get("etag");
  return etag === null || etag.startsWith("W/") ? response.headers.get("last-modified") : etag;
}

/** Ask for `url`, or for what is missing of it where the server can tell that it is still the same file. */
async function request(url: string, { received, total, validator }: Received): Promise<Response> {
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

/** The parts of a body, null at its end. */
type PartReader = { read(): Promise<Uint8Array<ArrayBuffer> | null>; cancel(): void };

/** Where the browser can, all parts come in one buffer: fresh ones would wait for the collector, as much as the file in the end. */
function readerOf({ body }: Response): PartReader {
  if (body === null) return { read: () => Promise.resolve(null), cancel: () => undefined };
  try {
    const reader = body.getReader({ mode: "byob" });
    let buffer = new ArrayBuffer(BUFFER_NBYTES);
    const read = async () => {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (value !== undefined) buffer = value.buffer;
      return done || value === undefined ? null : value;
    };
    return { read, cancel: () => void reader.cancel() };
  } catch {
    const reader = body.getReader();
    const read = async () => (await reader.read()).value ?? null;
    return { read, cancel: () => void reader.cancel() };
  }
}

/** Fetch what is missing after `so_far`, which is kept up to date. */
async function transfer(url: string, so_far: Received, sink: Sink, onProgress: DownloadProgress): Promise<void> {
  const response = await request(url, so_far);
  const refused = refusal(response, url);
  if (refused !== null) throw refused;
  const is_rest = response.headers.get("content-range")?.startsWith(`bytes ${so_far.received}-`) === true;
  if (response.status !== 206 || !is_rest) {
    await sink.restart();
    Object.assign(so_far, { received: 0, total: totalBytes(response), validator: validatorOf(response) });
  }
  if (response.status === 206 && !is_rest) throw new Broken(`${url}: the server sent another part than was asked for.`);
  const of = so_far.total === null ? "" : ` of ${so_far.total}`;
  onProgress(so_far.received, so_far.total);
  const reader = readerOf(response);
  const next = () =>
    reader.read().catch((cause: unknown) => {
      throw new Broken(`The transfer of ${url} broke after ${so_far.received}${of} bytes: ${String(cause)}`);
    });
  try {
    for (let part = await next(); part !== null; part = await next()) {
      await sink.write(part);
      so_far.received += part.length;
      onProgress(so_far.received, so_far.total);
    }
  } catch (thrown) {
    if (!(thrown instanceof Broken)) reader.cancel();
    throw thrown;
  }
  if (so_far.total !== null && so_far.received !== so_far.total) {
    throw new Broken(`${url} ended after ${so_far.received}${of} bytes.`);
  }
}

/**
 * Give the bytes of `url` to `sink`, from those on that have come already. Asks the server each time whether a stored copy
 * is still good. A transfer that breaks is taken up where it broke, or begun anew where the server cannot do that, as long
 * as each try brings more than those before.
 *
 * Throws an `EngineError` of kind "download" for a refused, missing or broken transfer, and what the sink throws.
 */
export async function download(
  url: string,
  sink: Sink,
  onProgress: DownloadProgress,
  begun: Received = { received: 0, total: null, validator: null },
): Promise<void> {
  const so_far = { ...begun };
  let furthest = so_far.received;
  let tries = 0;
  for (;;) {
    try {
      await transfer(url, so_far, sink, onProgress);
      return;
    } catch (thrown) {
      if (!(thrown instanceof Broken)) throw thrown;
      tries = so_far.received > furthest ? 1 : tries + 1;
      furthest = Math.max(furthest, so_far.received);
      if (tries >= TRIES) throw engineError("download", thrown.message, SEND_AGAIN);
      await new Promise(resolve => setTimeout(resolve, RETRY_AFTER_MS * tries));
    }
  }
}

/** The beginning of what lies at a URL now, and what asking for the rest of it takes. */
export type Beginning = { first: Uint8Array<ArrayBuffer>; version: Omit<Received, "received"> };

/**
 * The first `nbytes` bytes of `url`, or all where it has fewer; null where no answer can be had.
 *
 * Throws an `EngineError` of kind "download" where the server refuses the file.
 */
export async function fetchBeginning(url: string, nbytes: number): Promise<Beginning | null> {
  let response: Response;
  try {
    response = await fetch(url, { cache: "no-store", headers: { range: `bytes=0-${nbytes - 1}` } });
  } catch {
    return null;
  }
  if (response.status >= 500) return null;
  const refused = refusal(response, url);
  if (refused !== null) throw refused;
  const first = new Uint8Array(nbytes);
  let length = 0;
  try {
    const reader = readerOf(response);
    while (length < nbytes) {
      const part = await reader.read();
      if (part === null) break;
      const fitting = part.subarray(0, nbytes - length);
      first.set(fitting, length);
      length += fitting.length;
    }
    reader.cancel();
  } catch {
    return null;
  }
  const of = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  // Of a part the length is no file's; other hosts may hide how long the whole is.
  const total_if_whole = response.status === 206 ? null : totalBytes(response);
  const total = of === null ? total_if_whole : Number(of[1]);
  return { first: first.subarray(0, length), version: { total, validator: validatorOf(response) } };
}
