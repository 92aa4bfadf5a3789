import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { folderOf, storedModels } from "./stored";

type Folder = { [name: string]: Folder | number };

/** A folder as the browser hands it out: numbers are sizes of files. */
function handle(folder: Folder, in_use: readonly string[]) {
  return {
    kind: "directory",
    *[Symbol.iterator]() {
      for (const [name, each] of Object.entries(folder)) {
        yield [
          name,
          typeof each === "number" ? { kind: "file", getFile: async () => ({ size: each }) } : handle(each, in_use),
        ];
      }
    },
    getDirectoryHandle: async (name: string) => {
      const found = folder[name];
      if (typeof found !== "object") throw new DOMException("no such folder", "NotFoundError");
      return handle(found, in_use);
    },
    removeEntry: async (name: string) => {
      if (in_use.includes(name)) throw new DOMException("locked", "NoModificationAllowedError");
      delete folder[name];
    },
  };
}

let root: Folder;
let in_use: string[];

beforeEach(() => {
  root = {};
  in_use = [];
  vi.stubGlobal("navigator", { storage: { getDirectory: async () => handle(root, in_use) } });
});
afterEach(() => vi.unstubAllGlobals());

const told = async () =>
  (await storedModels()).map(({ path, size_bytes, is_whole }) => [path, size_bytes, is_whole] as const);

test("each is told by its path, with what it takes and whether all of it has come", async () => {
  root = {
    pocketlm: {
      [folderOf("https://host/b/model.bin?x#y")]: { digest: 100, "digest.sha256": 64 },
      [folderOf("https://host/a/my%20model.gguf")]: { digest: 40 },
      [folderOf("https://host/emptied.bin")]: {},
      "a file of nobody": 3,
    },
    others: { model: { digest: 7 } },
  };
  expect(await told()).toEqual([
    ["/a/my%20model.gguf", 40, false],
    ["/b/model.bin", 100, true],
  ]);
});

test("of a long path the end is told, cut within a letter or not", async () => {
  const paths = [`/${"x".repeat(300)}/model.bin`, `/${"ä".repeat(40)}x/model.bin`];
  for (const path of paths) {
    root = { pocketlm: { [folderOf(`https://host${path}`)]: { digest: 1 } } };
    expect((await told())[0]?.[0]).toMatch(/x\/model\.bin$|x%2Fmodel\.bin$/);
  }
});

test("where nothing was kept, or nothing can be, there is none", async () => {
  expect(await storedModels()).toEqual([]);
  vi.stubGlobal("navigator", {
    storage: { getDirectory: () => Promise.reject(new DOMException("", "SecurityError")) },
  });
  expect(await storedModels()).toEqual([]);
  vi.stubGlobal("navigator", {}); // not a secure context
  expect(await storedModels()).toEqual([]);
});

test("one is deleted, and the others stay", async () => {
  root = { pocketlm: { "%2Fa": { digest: 1, "digest.sha256": 64 }, "%2Fb": { digest: 2 } } };
  await (await storedModels())[0]?.remove();
  expect(await told()).toEqual([["/b", 2, false]]);
});

test("one that is in use is not deleted, and the message says why", async () => {
  root = { pocketlm: { "%2Fa": { digest: 1 } } };
  in_use = ["digest"];
  const [model] = await storedModels();
  await expect(model?.remove()).rejects.toMatchObject({
    kind: "bad-input",
    message: expect.stringContaining("/a is in use"),
    hint: expect.stringContaining("close the tabs"),
  });
  expect(await told()).toEqual([["/a", 1, false]]);
});
