import { afterEach, expect, test, vi } from "vitest";
import { type DownloadProgress, download, fetchBeginning } from "./download";

/** A server that answers with these parts, one chunk each. */
function serve(parts: Uint8Array[], init: ResponseInit, error: Error | null = null): void {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      if (error === null) controller.close();
      else controller.error(error);
    },
  });
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(body, init)));
}

const bytes = (...values: number[]) => new Uint8Array(values);
const ignore = () => undefined;

/** All bytes that a download brings. */
async function downloaded(url: string, onProgress: DownloadProgress): Promise<Uint8Array> {
  let parts: number[] = [];
  const write = (part: Uint8Array) => void parts.push(...part);
  const restart = () => {
    parts = [];
  };
  await download(url, { write, restart }, onProgress);
  return Uint8Array.from(parts);
}

afterEach(() => vi.unstubAllGlobals());

test("joins the chunks and tells how many of how many bytes came", async () => {
  serve([bytes(1, 2), bytes(3)], { headers: { "content-length": "3" } });
  const told: [number, number | null][] = [];
  expect(await downloaded("m", (received, total) => told.push([received, total]))).toEqual(bytes(1, 2, 3));
  expect(told).toEqual([
    [0, 3],
    [2, 3],
    [3, 3],
  ]);
});

test.each([
  ["no length", {}],
  ["a compressed transfer", { "content-length": "2", "content-encoding": "gzip" }],
])("knows no total with %s", async (_, headers) => {
  serve([bytes(1, 2, 3)], { headers });
  const totals: (number | null)[] = [];
  await downloaded("m", (_received, total) => totals.push(total));
  expect(new Set(totals)).toEqual(new Set([null]));
});

test.each([
  ["a missing file", 404, {}, /no model at m \(404\)/],
  ["a refusal", 503, {}, /answered 503/],
  ["a web page", 200, { "content-type": "text/html; charset=utf-8" }, /web page instead/],
])("%s is a download error", async (_, status, headers, message) => {
  serve([bytes(60)], { status, headers });
  await expect(downloaded("m", ignore)).rejects.toMatchObject({
    kind: "download",
    message: expect.stringMatching(message),
  });
});

/** A server that answers one request after another from this list, the last one for good; what was asked for. */
function serveInTurn(...answers: (() => Response)[]): (HeadersInit | undefined)[] {
  const asked: (HeadersInit | undefined)[] = [];
  vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
    asked.push(init.headers);
    const answer = answers[Math.min(asked.length, answers.length) - 1];
    return answer === undefined ? Promise.reject(new TypeError("Failed to fetch")) : Promise.resolve(answer());
  });
  return asked;
}

/** The first bytes of 1 2 3 4, then a broken connection. */
const broken = (headers: HeadersInit, ...first: number[]) => {
  const chunks = [bytes(...first)];
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk === undefined) controller.error(new Error("reset"));
      else controller.enqueue(chunk);
    },
  });
  return () => new Response(body, { headers: { "content-length": "4", ...headers } });
};
const whole = () => new Response(bytes(1, 2, 3, 4), { headers: { "content-length": "4", etag: '"b"' } });
const rest = (from: number, ...values: number[]) => {
  const headers = { "content-range": `bytes ${from}-3/4`, "content-length": `${values.length}` };
  return () => new Response(bytes(...values), { status: 206, headers });
};

test("a broken transfer is taken up where it broke", async () => {
  const asked = serveInTurn(broken({ etag: '"a"' }, 1, 2), rest(2, 3, 4));
  const told: number[] = [];
  expect(await downloaded("m", received => told.push(received))).toEqual(bytes(1, 2, 3, 4));
  expect(asked).toEqual([undefined, { range: "bytes=2-", "if-range": '"a"' }]);
  expect(told).toEqual([0, 2, 2, 4]);
});

test("a file that changed meanwhile is fetched from its beginning", async () => {
  serveInTurn(broken({ etag: '"a"' }, 9, 9), whole);
  expect(await downloaded("m", ignore)).toEqual(bytes(1, 2, 3, 4));
});

test.each([
  ["names no version", {}],
  ["names a weak version", { etag: 'W/"a"' }],
])("no part is asked of a server that %s", async (_, headers) => {
  const asked = serveInTurn(broken(headers, 1, 2), whole);
  expect(await downloaded("m", ignore)).toEqual(bytes(1, 2, 3, 4));
  expect(asked).toEqual([undefined, undefined]);
});

test("another part than was asked for is not joined", async () => {
  serveInTurn(broken({ etag: '"a"' }, 1, 2), rest(3, 4), whole);
  expect(await downloaded("m", ignore)).toEqual(bytes(1, 2, 3, 4));
});

test("a transfer that breaks at one place again and again is a download error", async () => {
  const asked = serveInTurn(...Array.from({ length: 9 }, () => broken({}, 1)));
  await expect(downloaded("m", ignore)).rejects.toMatchObject({
    kind: "download",
    message: expect.stringMatching(/broke after 1 of 4 bytes/),
  });
  expect(asked).toHaveLength(3);
});

test("tries that bring more are not counted", async () => {
  const asked = serveInTurn(broken({ etag: '"a"' }, 1), ...[1, 1, 2, 2, 3].map(from => rest(from)), rest(3, 4));
  await expect(downloaded("m", ignore)).rejects.toMatchObject({ message: "m ended after 1 of 4 bytes." });
  expect(asked).toHaveLength(3);
  serveInTurn(broken({ etag: '"a"' }, 1), rest(1), rest(1, 2), rest(2), rest(2, 3), rest(3), rest(3, 4));
  expect(await downloaded("m", ignore)).toEqual(bytes(1, 2, 3, 4));
});

test("a server that is gone in the middle is a download error", async () => {
  vi.stubGlobal("fetch", vi.fn().mockResolvedValueOnce(broken({}, 1)()).mockRejectedValue(new TypeError("offline")));
  await expect(downloaded("m", ignore)).rejects.toMatchObject({
    kind: "download",
    message: expect.stringMatching(/offline/),
  });
});

test("an unreachable server is a download error", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  await expect(downloaded("m", ignore)).rejects.toMatchObject({
    kind: "download",
    message: expect.stringMatching(/m could not/),
  });
});

test("what the sink throws ends the download", async () => {
  serve([bytes(1, 2), bytes(3)], {});
  const sink = { write: () => Promise.reject(new Error("no room")), restart: ignore };
  await expect(download("m", sink, ignore)).rejects.toThrow("no room");
});

test("what has come before is not asked for again", async () => {
  const asked = serveInTurn(rest(2, 3, 4));
  const got: number[] = [];
  const sink = { write: (part: Uint8Array) => void got.push(...part), restart: () => void got.push(-1) };
  await download("m", sink, ignore, { received: 2, total: 4, validator: '"a"' });
  expect([asked, got]).toEqual([[{ range: "bytes=2-", "if-range": '"a"' }], [3, 4]]);
});

test("the beginning of a file, of a server that knows ranges and of one that does not", async () => {
  const head = { "content-range": "bytes 0-1/4", etag: '"a"' };
  serveInTurn(
    () => new Response(bytes(1, 2), { status: 206, headers: head }),
    whole,
    () => new Response(bytes(1)),
  );
  expect(await fetchBeginning("m", 2)).toEqual({ first: bytes(1, 2), version: { total: 4, validator: '"a"' } });
  expect(await fetchBeginning("m", 2)).toEqual({ first: bytes(1, 2), version: { total: 4, validator: '"b"' } });
  expect(await fetchBeginning("m", 2)).toMatchObject({ first: bytes(1) });
});

test("of a host that hides how long the whole is, the length of the part is not taken for it", async () => {
  const headers = { "content-length": "2", "last-modified": "yesterday" };
  serveInTurn(() => new Response(bytes(1, 2), { status: 206, headers }));
  const version = { total: null, validator: "yesterday" };
  expect(await fetchBeginning("m", 2)).toEqual({ first: bytes(1, 2), version });
});

test("no beginning can be had of a server that is gone or in trouble; one that has no file says so", async () => {
  const answers = [503, 404].map(status => () => new Response(null, { status }));
  serveInTurn(...answers);
  expect(await fetchBeginning("m", 2)).toBeNull();
  await expect(fetchBeginning("m", 2)).rejects.toMatchObject({ kind: "download" });
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("offline")));
  expect(await fetchBeginning("m", 2)).toBeNull();
});
