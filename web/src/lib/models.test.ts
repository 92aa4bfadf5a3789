import { afterEach, expect, test, vi } from "vitest";
import { fetchOffered, offeredBy } from "./models";

const INDEX = "https://host/page/models/index.json";

afterEach(() => vi.unstubAllGlobals());

test("paths are relative to the index, and what an entry does not say is null", () => {
  const models = [
    { name: "plays", path: "../model.bin", size_bytes: 12, parameters: 3, chat: false },
    { name: "smollm2", path: "smollm2/model.bin", chat: true },
  ];
  expect(offeredBy({ models }, INDEX)).toEqual([
    { name: "plays", url: "https://host/page/model.bin", size_bytes: 12, parameters: 3, is_chat: false },
    {
      name: "smollm2",
      url: "https://host/page/models/smollm2/model.bin",
      size_bytes: null,
      parameters: null,
      is_chat: true,
    },
  ]);
});

test.each([
  ["no list", {}],
  ["nothing", null],
  ["no name", { models: [{ path: "a.bin" }] }],
  ["no path", { models: [{ name: "a" }, { name: "b", path: 7 }] }],
  ["another host", { models: [{ name: "a", path: "https://elsewhere/a.bin" }] }],
  ["no address", { models: [{ name: "a", path: "http://:" }] }],
])("an entry that cannot be used is left out: %s", (_, index) => {
  expect(offeredBy(index, INDEX)).toEqual([]);
});

test.each([
  ["a missing index", () => Promise.resolve(new Response("", { status: 404 }))],
  ["a page instead of it", () => Promise.resolve(new Response("<!doctype html>"))],
  ["no network", () => Promise.reject(new TypeError("offline"))],
])("%s is no model more", async (_, answer) => {
  vi.stubGlobal("fetch", answer);
  expect(await fetchOffered("https://host/page/")).toEqual([]);
});

test("the index is asked for below the page", async () => {
  const asked: string[] = [];
  vi.stubGlobal("fetch", (url: string) => {
    asked.push(url);
    return Promise.resolve(new Response(JSON.stringify({ models: [{ name: "a", path: "a.bin" }] })));
  });
  expect((await fetchOffered("https://host/page/index.html?x")).map(each => each.url)).toEqual([
    "https://host/page/models/a.bin",
  ]);
  expect(asked).toEqual([INDEX]);
});
