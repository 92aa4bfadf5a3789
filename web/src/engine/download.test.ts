import { afterEach, expect, test, vi } from "vitest";
import { download, sha256 } from "./download";

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

afterEach(() => vi.unstubAllGlobals());

test("joins the chunks and tells how many of how many bytes came", async () => {
  serve([bytes(1, 2), bytes(3)], { headers: { "content-length": "3" } });
  const told: [number, number | null][] = [];
  expect(await download("m", (received, total) => told.push([received, total]))).toEqual(bytes(1, 2, 3));
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
  await download("m", (_received, total) => totals.push(total));
  expect(new Set(totals)).toEqual(new Set([null]));
});

test.each([
  ["a missing file", 404, {}, /no model at m \(404\)/],
  ["a refusal", 503, {}, /answered 503/],
  ["a web page", 200, { "content-type": "text/html; charset=utf-8" }, /web page instead/],
])("%s is a download error", async (_, status, headers, message) => {
  serve([bytes(60)], { status, headers });
  await expect(download("m", ignore)).rejects.toMatchObject({
    kind: "download",
    message: expect.stringMatching(message),
  });
});

test("a transfer that ends early is a download error", async () => {
  serve([bytes(1)], { headers: { "content-length": "3" } });
  await expect(download("m", ignore)).rejects.toMatchObject({
    kind: "download",
    message: "m ended after 1 of 3 bytes.",
  });
});

test("a transfer that breaks is a download error", async () => {
  serve([], { headers: { "content-length": "3" } }, new Error("reset"));
  await expect(download("m", ignore)).rejects.toMatchObject({
    kind: "download",
    message: expect.stringMatching(/broke/),
  });
});

test("an unreachable server is a download error", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  await expect(download("m", ignore)).rejects.toMatchObject({
    kind: "download",
    message: expect.stringMatching(/m could not/),
  });
});

test("SHA-256 where the context is secure, null elsewhere", async () => {
  vi.stubGlobal("isSecureContext", true);
  const abc = new TextEncoder().encode("abc");
  // FIPS 180-2, appendix B.1.
  expect(await sha256(abc)).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  vi.stubGlobal("isSecureContext", false);
  expect(await sha256(abc)).toBeNull();
});
