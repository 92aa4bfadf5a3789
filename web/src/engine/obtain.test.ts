import type { ReadFile } from "pocketlm-wasm";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakePackage, FakeShelf } from "../testing/fakeShelf";
import { digester, digestOf, ggufFile, LLAMA, TENSORS } from "../testing/ggufFile";
import { isGguf } from "./formats";
import { obtain, obtainGguf, openOwnFile } from "./obtain";

const NBYTES = 100;
/** A file of this digest. */
const file = (digest: number) => Uint8Array.from({ length: NBYTES }, (_, index) => (index === 0 ? digest : index));
const sum = (bytes: Uint8Array) => `${bytes.reduce((all, byte) => all + byte, 0)}`;
const ignore = () => undefined;

/** A server with one file, which knows ranges. What was asked for; and how many bytes it sends before it breaks off. */
let served: Uint8Array | null;
let asked: string[];
let breaks_after: number;
let tells_versions: boolean;
let shelf: FakeShelf;
let parts: FakePackage;

beforeEach(() => {
  served = file(1);
  asked = [];
  breaks_after = Number.POSITIVE_INFINITY;
  tells_versions = true;
  shelf = new FakeShelf();
  parts = new FakePackage(NBYTES, () => Promise.reject(new Error("nothing is built here")));
  vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
    const range = new Headers(init.headers).get("range");
    asked.push(range ?? "all");
    if (served === null) return Promise.reject(new TypeError("offline"));
    const [, from = "0", to = ""] = /bytes=(\d+)-(\d*)/.exec(range ?? "") ?? [];
    const [start, end] = [Number(from), to === "" ? served.length : Number(to) + 1];
    const part = served.slice(start, end);
    const ends_at = Math.min(part.length, breaks_after);
    let at = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        // In odd pieces: the first 64 bytes come in several.
        if (at < ends_at) controller.enqueue(part.slice(at, Math.min(at + 23, ends_at)));
        else if (at < part.length) controller.error(new Error("reset"));
        else controller.close();
        at = Math.min(at + 23, ends_at);
      },
    });
    const content_range = `bytes ${start}-${start + part.length - 1}/${served.length}`;
    const headers = { ...(tells_versions ? { etag: `"${sum(served)}"` } : {}), "content-length": `${part.length}` };
    return Promise.resolve(
      range === null
        ? new Response(body, { headers })
        : new Response(body, { status: 206, headers: { ...headers, "content-range": content_range } }),
    );
  });
});

afterEach(() => vi.unstubAllGlobals());

const got = () => obtain("https://host/model.bin", parts, shelf, ignore);

test("what is downloaded stays on the shelf, and is read from there", async () => {
  const { build: _, free: __, ...obtained } = await got();
  expect(obtained).toEqual({
    size_bytes: NBYTES,
    sha256: sum(file(1)),
    digest: "digest 1",
    was_kept: false,
    storage: { is_kept: true },
  });
  expect(parts.opened).toEqual([{ from: "shelf", bytes: [...file(1)] }]);
  expect(shelf.files.get("digest 1")).toEqual({ bytes: [...file(1)], sha256: sum(file(1)) });
});

test("the second time no more than the beginning is asked for", async () => {
  await got();
  const second = await got();
  expect(asked).toEqual(["all", "bytes=0-63"]);
  expect(second).toMatchObject({ was_kept: true, sha256: sum(file(1)), size_bytes: NBYTES, digest: "digest 1" });
  expect(parts.opened.at(-1)).toEqual({ from: "shelf", bytes: [...file(1)] });
});

test("without a server what is on the shelf is taken; a file that is not whole is not", async () => {
  await got();
  served = null;
  expect(await got()).toMatchObject({ was_kept: true, digest: "digest 1" });
  for (const each of shelf.files.values()) each.sha256 = null;
  await expect(got()).rejects.toMatchObject({ kind: "download" });
});

test("another file on the server takes the place of the one on the shelf", async () => {
  await got();
  served = file(2);
  expect(await got()).toMatchObject({ was_kept: false, digest: "digest 2" });
  expect([...shelf.files.keys()]).toEqual(["digest 2"]);
});

test("a file on the shelf that was cut short is fetched again", async () => {
  await got();
  shelf.files.get("digest 1")?.bytes.pop();
  expect(await got()).toMatchObject({ was_kept: false, digest: "digest 1" });
  expect(shelf.files.get("digest 1")?.bytes).toEqual([...file(1)]);
});

test("a file that is shorter than it says is refused, and does not stay", async () => {
  served = file(1).slice(0, 99);
  await expect(got()).rejects.toMatchObject({ kind: "bad-model", message: "Truncated" });
  expect(shelf.files.size).toBe(0);
});

test("a download that broke off on an earlier visit is taken up", async () => {
  breaks_after = 70;
  const going_on = expect(got()).rejects.toMatchObject({ kind: "download" });
  await vi.waitFor(() => expect(shelf.files.get("digest 1")?.bytes).toHaveLength(70));
  served = null;
  await going_on;
  expect(shelf.files.get("digest 1")?.bytes).toHaveLength(70);

  served = file(1);
  breaks_after = Number.POSITIVE_INFINITY;
  asked = [];
  expect(await got()).toMatchObject({ was_kept: false, sha256: sum(file(1)), size_bytes: NBYTES });
  expect(asked).toEqual(["bytes=0-63", "bytes=70-"]);
  expect(parts.opened).toEqual([{ from: "shelf", bytes: [...file(1)] }]);
});

test.each([
  ["too little room is announced", { announced: NBYTES - 1 }, "no-room"],
  ["the room ends in the middle", { room: 70, announced: NBYTES }, "no-room"],
  ["the room ends at once", { room: 0, announced: NBYTES }, "no-room"],
  ["another tab writes", { is_locked: true }, "other-tab"],
])("where %s, the model runs from memory", async (_, change, reason) => {
  Object.assign(shelf, change);
  const obtained = await got();
  expect(obtained).toMatchObject({ digest: null, sha256: sum(file(1)), storage: { is_kept: false, reason } });
  expect(parts.opened).toEqual([{ from: "memory", bytes: [...file(1)] }]);
  expect(shelf.files.size).toBe(0);
});

test("without a shelf the model runs from memory", async () => {
  const obtained = await obtain("https://host/model.bin", parts, null, ignore);
  expect(obtained.storage).toEqual({ is_kept: false, reason: "no-storage" });
  expect(parts.opened).toEqual([{ from: "memory", bytes: [...file(1)] }]);
});

test.each([
  ["no model", file(0), "BadMagic"],
  ["too short to tell", file(1).slice(0, 63), "Truncated"],
  ["empty", new Uint8Array(0), "Truncated"],
])("a file that is %s is refused, and nothing stays", async (_, bytes, message) => {
  served = bytes;
  await expect(got()).rejects.toMatchObject({ kind: "bad-model", message });
  expect(shelf.files.size).toBe(0);
});

describe("the reader's own file", () => {
  const own = (bytes: Uint8Array<ArrayBuffer>) =>
    openOwnFile(
      new Blob([bytes]),
      parts,
      (offset, nbytes) => bytes.subarray(offset, offset + nbytes),
      () => undefined,
    );

  test("is read where it lies, and stored nowhere", async () => {
    const { build: _, free: __, ...obtained } = await own(file(1));
    expect(obtained).toEqual({
      size_bytes: NBYTES,
      sha256: sum(file(1)),
      digest: null,
      was_kept: false,
      storage: { is_kept: false, reason: "own-file" },
    });
    expect(shelf.files.size).toBe(0);
    expect(asked).toEqual([]);
  });

  test("that is no model is refused as a served one is", async () => {
    await expect(own(file(0))).rejects.toMatchObject({ kind: "bad-model", message: "BadMagic" });
    await expect(own(new Uint8Array(0))).rejects.toMatchObject({ kind: "bad-model" });
  });

  test("of llama.cpp is opened as the model.bin that it is as good as", async () => {
    const bytes = ggufFile(LLAMA, TENSORS);
    const told: number[] = [];
    let opened = new Uint8Array(0) as Uint8Array;
    parts.digester = digester;
    parts.open = (nbytes, read) => {
      opened = read(0, nbytes).slice();
      return { build: parts.build, free: () => undefined };
    };
    const reader: ReadFile = (offset, nbytes) => bytes.subarray(offset, offset + nbytes);
    const obtained = await openOwnFile(new Blob([bytes]), parts, reader, at => void told.push(at));
    expect(obtained).toMatchObject({ size_bytes: bytes.length, sha256: digestOf(bytes), digest: null });
    expect(new TextDecoder().decode(opened.subarray(0, 8))).toBe("POCKETLM");
    expect(told.at(-1)).toBe(1);
  });

  test("of llama.cpp that is cut short is called by its name", async () => {
    const bytes = ggufFile(LLAMA, TENSORS).slice(0, 300);
    await expect(own(bytes)).rejects.toMatchObject({ kind: "bad-model", message: expect.stringContaining("GGUF") });
  });

  test("that can no longer be read is said to be so", async () => {
    const gone = () => {
      throw new DOMException("moved", "NotReadableError");
    };
    await expect(openOwnFile(new Blob([file(1)]), parts, gone, () => undefined)).rejects.toMatchObject({
      kind: "bad-model",
      message: expect.stringContaining("no longer be read"),
    });
  });
});

describe("a GGUF at a URL", () => {
  const URL_OF_IT = "https://host/some.GGUF?x";
  const bytes = ggufFile(LLAMA, TENSORS);
  const half = bytes.length >> 1;

  /** Each file as it was opened. */
  let opened: Uint8Array[];
  /** Files that the browser keeps for the page, where no shelf does. */
  let blobs: Blob[];
  const readerOf = (blob: Blob): ReadFile => {
    blobs.push(blob);
    return (offset, nbytes) => bytes.slice(offset, offset + nbytes);
  };
  const got = (on: FakeShelf | null = shelf) => obtainGguf(URL_OF_IT, parts, on, readerOf, ignore, ignore);

  beforeEach(() => {
    served = bytes;
    opened = [];
    blobs = [];
    parts.digester = digester;
    parts.open = (nbytes, read) => {
      opened.push(read(0, nbytes).slice());
      return { build: parts.build, free: ignore };
    };
  });

  test("is known by the end of its path", () => {
    expect(isGguf(URL_OF_IT)).toBe(true);
    expect(isGguf("https://host/model.bin#.gguf")).toBe(false);
  });

  test("is stored, and opened from there as the model.bin that it is as good as", async () => {
    const first = await got();
    const { build: _, free: __, ...told } = first;
    const common = { size_bytes: bytes.length, sha256: digestOf(bytes), storage: { is_kept: true } };
    expect(told).toEqual({ ...common, digest: expect.stringMatching(/^[0-9a-f]{64}$/), was_kept: false });
    expect(shelf.files.get(first.digest ?? "")?.bytes).toEqual([...bytes]);
    expect(await got()).toMatchObject({ ...common, digest: first.digest, was_kept: true });
    expect(asked).toEqual(["bytes=0-63", "all", "bytes=0-63"]);
    expect(opened.map(each => new TextDecoder().decode(each.subarray(0, 8)))).toEqual(["POCKETLM", "POCKETLM"]);
    expect(opened[0]).toEqual(opened[1]);
    expect(blobs).toEqual([]);
  });

  test("is taken from the shelf where the server is away", async () => {
    await got();
    served = null;
    expect(await got()).toMatchObject({ was_kept: true, sha256: digestOf(bytes) });
  });

  test("is fetched again where the server has another version", async () => {
    const { digest } = await got();
    served = bytes.with(bytes.length - 1, 1 ^ (bytes.at(-1) ?? 0));
    const second = await got();
    expect(second).toMatchObject({ was_kept: false, sha256: digestOf(served) });
    expect([...shelf.files.keys()]).toEqual([second.digest]);
    expect(second.digest).not.toBe(digest);
  });

  test("is fetched again where a weight has changed on the shelf, or the end is missing", async () => {
    const { digest } = await got();
    const kept = shelf.files.get(digest ?? "");
    for (const damage of [
      () => kept?.bytes.splice(bytes.length - 1, 1, 1 ^ (bytes.at(-1) ?? 0)),
      () => kept?.bytes.pop(),
    ]) {
      shelf.files.set(digest ?? "", kept as NonNullable<typeof kept>);
      damage();
      expect(await got()).toMatchObject({ was_kept: false, sha256: digestOf(bytes) });
      expect(shelf.files.get(digest ?? "")?.bytes).toEqual([...bytes]);
    }
  });

  test("is taken up where an earlier download broke off", async () => {
    breaks_after = half;
    const going_on = expect(got()).rejects.toMatchObject({ kind: "download" });
    await vi.waitFor(() => expect([...shelf.files.values()][0]?.bytes).toHaveLength(half));
    served = null;
    await going_on;
    served = bytes;
    breaks_after = Number.POSITIVE_INFINITY;
    asked = [];
    expect(await got()).toMatchObject({ was_kept: false, sha256: digestOf(bytes), storage: { is_kept: true } });
    expect(asked).toEqual(["bytes=0-63", `bytes=${half}-`]);
  });

  test.each([
    ["the server does not tell versions apart", "no-version", false, {}],
    ["there is too little room", "no-room", true, { announced: bytes.length - 1 }],
    ["the room ends in the middle", "no-room", true, { room: half, announced: bytes.length }],
    ["another tab writes", "other-tab", true, { is_locked: true }],
  ])("runs all the same where %s", async (_, reason, tells, change) => {
    tells_versions = tells;
    Object.assign(shelf, change);
    expect(await got()).toMatchObject({ sha256: digestOf(bytes), digest: null, storage: { is_kept: false, reason } });
    expect(blobs.map(({ size }) => size)).toEqual([bytes.length]);
    expect(shelf.files.size).toBe(0);
  });

  test("runs all the same where the browser stores nothing, and nothing is asked before the file", async () => {
    const storage = { is_kept: false, reason: "no-storage" };
    expect(await got(null)).toMatchObject({ sha256: digestOf(bytes), storage });
    expect(asked).toEqual(["all"]);
  });

  test("that does not run here does not stay", async () => {
    served = bytes.slice(0, half);
    await expect(got()).rejects.toMatchObject({ kind: "bad-model", message: expect.stringContaining("GGUF") });
    expect(shelf.files.size).toBe(0);
  });
});
