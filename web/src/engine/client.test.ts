import { expect, test } from "vitest";
import { EngineClient, type WorkerPort } from "./client";
import type { EngineEvent, EngineRequest, GenerateOptions } from "./protocol";

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

test("runs are numbered, and requests go to the worker", () => {
  const { client, ports } = setUp();
  client.load("m", "auto");
  expect(client.generate("a", OPTIONS)).toBe(1);
  expect(client.generate("b", OPTIONS)).toBe(2);
  client.stop(2);
  expect(ports[0]?.requests).toEqual([
    { type: "load", model_url: "m", device: "auto" },
    { type: "generate", run: 1, prompt: "a", options: OPTIONS },
    { type: "generate", run: 2, prompt: "b", options: OPTIONS },
    { type: "stop", run: 2 },
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
  expect(client.generate("a", OPTIONS)).toBe(1);
});

test("a worker that cannot start is a failure of the engine", () => {
  const { client, ports, events } = setUp();
  client.load("m", "auto");
  const event: Pick<ErrorEvent, "message"> = { message: "" };
  ports[0]?.onerror?.(Object.assign(new Event("error"), { ...event, filename: "", lineno: 0, colno: 0, error: null }));
  expect(events).toMatchObject([{ type: "failed", run: null, error: { kind: "no-engine" } }]);
});
