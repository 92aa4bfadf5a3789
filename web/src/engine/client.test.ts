import { expect, test } from "vitest";
import { CARD } from "../testing/fakeEngine";
import { EngineClient, type WorkerPort } from "./client";
import type { EngineEvent, EngineRequest, GenerateOptions, LoadedModel } from "./protocol";

const OPTIONS: GenerateOptions = { temperature: 0, top_k: 0, top_p: 1, seed: 1, max_tokens: 1 };

class FakePort implements WorkerPort {
  readonly requests: EngineRequest[] = [];
  is_terminated = false;
  onmessage: WorkerPort["onmessage"] = null;
  onerror: WorkerPort["onerror"] = null;
  postMessage(request: EngineRequest): void {
    this.requests.push(request);
  }
  terminate(): void {
    this.is_terminated = true;
  }
}

function setUp(): { client: EngineClient; ports: FakePort[]; events: EngineEvent[] } {
  const ports: FakePort[] = [];
  const events: EngineEvent[] = [];
  const start = () => {
    const port = new FakePort();
    ports.push(port);
    return port;
  };
  return { client: new EngineClient(start, event => events.push(event)), ports, events };
}

test("questions are numbered, and requests go to the worker", () => {
  const { client, ports } = setUp();
  client.load("m", "auto");
  client.generate(1, ["", "a"], OPTIONS);
  client.generate(2, ["", "b"], OPTIONS);
  client.stop(2);
  expect([client.encode("c"), client.decode(Uint32Array.of(7)), client.merges(9)]).toEqual([1, 2, 3]);
  expect(ports[0]?.requests).toEqual([
    { type: "load", from: "m", device: "auto" },
    { type: "generate", run: 1, prompt: ["", "a"], shorter: [], options: OPTIONS, written: null, engine: 0 },
    { type: "generate", run: 2, prompt: ["", "b"], shorter: [], options: OPTIONS, written: null, engine: 0 },
    { type: "stop", run: 2 },
    { type: "encode", call: 1, text: "c" },
    { type: "decode", call: 2, ids: Uint32Array.of(7) },
    { type: "merges", call: 3, id: 9 },
  ]);
});

test("loading again ends the old worker, whose late events are not heard", () => {
  const { client, ports, events } = setUp();
  client.load("m", "auto");
  const [old] = ports;
  client.load("m", "cpu");
  expect(old?.is_terminated).toBe(true);
  expect(old?.onmessage).toBeNull();
  ports[1]?.onmessage?.(
    new MessageEvent("message", { data: { type: "logits", call: 1, logits: new Float32Array(1) } }),
  );
  expect(events).toHaveLength(1);
});

test("a worker that cannot start is a failure of the engine", () => {
  const { client, ports, events } = setUp();
  client.load("m", "auto");
  const event: Pick<ErrorEvent, "message"> = { message: "" };
  ports[0]?.onerror?.(Object.assign(new Event("error"), { ...event, filename: "", lineno: 0, colno: 0, error: null }));
  expect(events).toMatchObject([{ type: "failed", run: null, error: { kind: "no-engine" } }]);
});

const hear = (port: FakePort | undefined, data: EngineEvent) =>
  port?.onmessage?.(new MessageEvent("message", { data }));
const MODEL: LoadedModel = {
  card: CARD,
  fallback: null,
  timing: null,
  size_bytes: 3,
  sha256: "ab",
  storage: { is_kept: true },
};
const CRASH: EngineEvent = { type: "failed", run: 1, error: { kind: "crashed", message: "unreachable", hint: "" } };
const tokens = (...ids: number[]): EngineEvent => {
  return { type: "tokens", run: 1, text: "x", ids: Uint32Array.from(ids), tokens: [], prefilled: 0, elapsed_ms: 40 };
};

/** A run that has brought the tokens 4, 5, 6 when its worker crashes. */
function crashedRun() {
  const page = setUp();
  page.client.load("m", "auto");
  hear(page.ports[0], { type: "ready", model: MODEL });
  page.client.generate(1, ["", "a"], OPTIONS);
  hear(page.ports[0], tokens(4, 5));
  hear(page.ports[0], tokens(6));
  hear(page.ports[0], CRASH);
  return page;
}

test("a crash in the middle of a run takes its worker, and another goes on with the run", () => {
  const { ports, events } = crashedRun();
  expect(ports[0]?.is_terminated).toBe(true);
  expect(ports[1]?.requests).toEqual([{ type: "load", from: "m", device: "auto" }]);
  hear(ports[1], { type: "ready", model: MODEL });
  expect(ports[1]?.requests[1]).toEqual({
    type: "generate",
    run: 1,
    prompt: ["", "a"],
    shorter: [],
    options: OPTIONS,
    written: { ids: Uint32Array.of(4, 5, 6), elapsed_ms: 40 },
    engine: 0,
  });
  expect(events.map(event => event.type)).toEqual(["ready", "tokens", "tokens", "interrupted", "recovered"]);
});

test("a run that crashes again is a failure", () => {
  const { ports, events } = crashedRun();
  hear(ports[1], { type: "ready", model: MODEL });
  hear(ports[1], CRASH);
  expect(ports).toHaveLength(2);
  expect(events.at(-1)).toEqual(CRASH);
});

test("a run that is stopped while its worker starts again does not go on", () => {
  const { client, ports, events } = crashedRun();
  client.stop(1);
  hear(ports[1], { type: "ready", model: MODEL });
  expect(ports[1]?.requests.map(request => request.type)).toEqual(["load", "stop"]);
  expect(events.at(-1)).toEqual({ type: "ready", model: MODEL });
});

test("a run that is asked for while a worker starts again is asked for once", () => {
  const { client, ports, events } = crashedRun();
  client.stop(1);
  client.generate(2, ["", "b"], OPTIONS);
  hear(ports[1], { type: "ready", model: MODEL });
  expect(ports[1]?.requests.map(request => request.type)).toEqual(["load", "stop", "generate"]);
  expect(events.at(-1)).toEqual({ type: "ready", model: MODEL });
});

test("an error in a worker that has begun is a crash; without a run it is a failure", () => {
  const { client, ports, events } = setUp();
  client.load("m", "auto");
  hear(ports[0], { type: "ready", model: MODEL });
  ports[0]?.onerror?.(
    Object.assign(new Event("error"), { message: "x", filename: "", lineno: 0, colno: 0, error: null }),
  );
  expect(events.at(-1)).toMatchObject({ type: "failed", run: null, error: { kind: "crashed" } });
});
