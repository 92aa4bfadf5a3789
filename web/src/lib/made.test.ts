import { afterEach, expect, test, vi } from "vitest";
import { fetchMade } from "./made";

const DIGEST = "ab".repeat(32);

function provenance(outputs: string[]): unknown {
  const made = Object.fromEntries(outputs.map(name => [name, { digest: DIGEST, size_bytes: 9 }]));
  return { stages: { train: { key: "k", command: ["make", "it"], inputs: {}, outputs: made } } };
}

/** Answer with these files, by name; returns what was asked for. */
function serve(files: Record<string, unknown>): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", (url: string) => {
    const name = new URL(url).pathname.split("/").at(-1) ?? "";
    asked.push(name);
    const file = files[name];
    if (file instanceof Error) return Promise.reject(file);
    if (typeof file === "string") return Promise.resolve(new Response(file));
    return Promise.resolve(file === undefined ? new Response("", { status: 404 }) : Response.json(file));
  });
  return asked;
}

const MODEL = "http://localhost/below/model.bin?1f";

afterEach(() => {
  vi.unstubAllGlobals();
});

test("all that lies beside the model is read", async () => {
  serve({
    "provenance.json": provenance(["training.json"]),
    "timings.json": { train: { duration_s: 2 } },
    "training.json": { val: [[0, 5]] },
    "samples.json": { samples: [{ step: 0, text: "a" }] },
  });
  const made = await fetchMade(MODEL);
  expect(made.chain.kind).toBe("chain");
  expect(made.durations.get("train")).toBe(2);
  expect(made.training?.val).toEqual([{ step: 0, bpb: 5 }]);
  expect(made.samples).toEqual([{ step: 0, text: "a" }]);
});

test("a model that was not trained here has no curve, and none is asked for", async () => {
  const asked = serve({ "provenance.json": provenance(["model.bin"]), "training.json": { val: [[0, 5]] } });
  expect(await fetchMade(MODEL)).toMatchObject({ training: null, samples: [] });
  expect(asked).toEqual(["provenance.json", "timings.json"]);
});

test.each([
  ["missing", undefined],
  ["no JSON", "<!doctype html>"],
  ["of another form", [[]]],
  ["out of reach", new TypeError("offline")],
])("what is %s is not told, and the chain is", async (_, file) => {
  const files = { "timings.json": file, "training.json": file, "samples.json": file };
  serve({ "provenance.json": provenance(["training.json"]), ...files });
  const { chain, durations, training, samples } = await fetchMade(MODEL);
  expect([chain.kind, durations.size, training, samples]).toEqual(["chain", 0, null, []]);
});

test("without a chain nothing else is asked for", async () => {
  const asked = serve({});
  expect((await fetchMade(MODEL)).chain.kind).toBe("none");
  expect(asked).toEqual(["provenance.json"]);
});
