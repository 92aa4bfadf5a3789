/** A static host with nothing special about it: no extra headers, and the bundle somewhere below the root. */
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { bundle } from "./environment";

const SUB_PATH = "/somewhere/below/";
const ETAG = '"the-bundle"';

/** What faults ask for (faults.ts): answered when the test opens it; and what the page has read of a transfer. */
export const GATE = "/gate";
export const RECEIVED = "/received/";

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

/**
 * Instead of the bundle's model.bin: other bytes, another file, or nothing; or its bytes, where each transfer ends at the next of
 * these places in the file, and one that starts beyond the last is whole, or, for good, gets nothing. What is answered
 * goes by what was asked alone: a request that the browser makes twice changes nothing. Goes with the fault
 * `TELLS_WHAT_IT_READ`: no transfer breaks before the page has read what came of it.
 */
export type ModelAnswer =
  | { kind: "as it is" }
  | { kind: "missing" }
  | { kind: "bytes"; bytes: Uint8Array<ArrayBuffer> }
  | { kind: "file"; path: string }
  | { kind: "cut off"; at: number[]; forGood?: boolean };

/** One of the bundle's files otherwise than it is, until a test takes the change back; null is a missing file. */
export type Change = {
  file: RegExp;
  to: (content: Buffer) => { content: Buffer; type?: string } | null;
};

/** Something that happens once, and can be waited for before and after. */
class Signal {
  give: () => void = () => undefined;
  readonly given = new Promise<void>(resolve => {
    this.give = resolve;
  });
}

export class Site {
  readonly #server: Server;
  readonly #folder = bundle();
  /** Every path that was asked for, and every range of model.bin. */
  readonly requests: string[] = [];
  readonly ranges: string[] = [];
  changes: Change[] = [];
  /** What lies beside the bundle's files, by path: a text, what a file on disk holds, or a file as hosts give it that know its version. */
  readonly beside = new Map<string, { text: string } | { path: string } | { bytes: Uint8Array } | { file: string }>();
  /** Sent with every answer. */
  headers: Record<string, string> = {};
  model: ModelAnswer = { kind: "as it is" };
  /** Settled when the gate is first asked for, and when the test opens it. */
  readonly #reached = new Signal();
  readonly #opened = new Signal();
  /** Transfers that break as soon as the page has read so many bytes of them. */
  readonly #breaking: { response: ServerResponse; bytes: number }[] = [];

  constructor() {
    this.#server = createServer((request, response) => {
      const path = new URL(request.url ?? "/", "http://localhost").pathname;
      this.requests.push(path);
      this.#answer(path, request, response);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>(resolve => this.#server.listen(0, "localhost", resolve));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => this.#server.close(resolve));
  }

  /** Wait until a fault waits at the gate. */
  async gateReached(): Promise<void> {
    await this.#reached.given;
  }

  /** Let whatever waits at the gate, or will, go on. */
  openGate(): void {
    this.#opened.give();
  }

  /** The page's address, with a query such as "?device=cpu". */
  address(query = ""): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the server does not listen");
    return `http://localhost:${address.port}${SUB_PATH}${query}`;
  }

  /** Where the bundle's own model.bin is. */
  get model_file(): string {
    return join(this.#folder, "model.bin");
  }

  /** Where one of the bundle's files is whose name has a digest in it. */
  asset(name: RegExp): string {
    const found = readdirSync(join(this.#folder, "assets")).find(each => name.test(each));
    if (found === undefined) throw new Error(`the bundle has no ${name}`);
    return `assets/${found}`;
  }

  /** Where the bundle's page is. */
  get page_file(): string {
    return join(this.#folder, "index.html");
  }

  /** Run `script` in the engine's worker before its own, in every worker that starts while the change stands. */
  inject(script: string): void {
    const to = (content: Buffer) => ({ content: Buffer.concat([Buffer.from(`{${script}}\n`), content]) });
    this.changes.push({ file: /^assets.worker.*\.js$/, to });
  }

  #answer(path: string, request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of Object.entries(this.headers)) response.setHeader(name, value);
    if (path === GATE) {
      this.#reached.give();
      void this.#opened.given.then(() => response.writeHead(204).end());
      return;
    }
    if (path.startsWith(RECEIVED)) {
      response.writeHead(204).end();
      const bytes = Number(path.slice(RECEIVED.length));
      for (const transfer of this.#breaking) if (transfer.bytes === bytes) transfer.response.destroy();
      return;
    }
    const inside = path.startsWith(SUB_PATH) ? normalize(path.slice(SUB_PATH.length)) : null;
    const added = inside === null ? undefined : this.beside.get(inside);
    if (added !== undefined && "file" in added) {
      this.#answerFile(added.file, request, response);
      return;
    }
    if (added !== undefined && inside !== null) {
      const content = "text" in added ? added.text : "bytes" in added ? added.bytes : readFileSync(added.path);
      response.writeHead(200, { "content-type": TYPES[extname(inside)] ?? "application/octet-stream" }).end(content);
      return;
    }
    const file =
      inside === null || inside.startsWith("..") ? null : join(this.#folder, inside === "." ? "index.html" : inside);
    if (inside === "model.bin" && (this.model.kind !== "as it is" || request.headers.range !== undefined)) {
      this.#answerModel(this.model, request, response);
    } else if (inside === null || file === null || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end("not found");
    } else {
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      const answer = this.#changed(inside, { content: readFileSync(file), type });
      if (answer === null) response.writeHead(404).end("not found");
      else response.writeHead(200, { "content-type": answer.type ?? type }).end(answer.content);
    }
  }

  /** The file after every change that is meant for it. */
  #changed(name: string, file: { content: Buffer; type?: string }): { content: Buffer; type?: string } | null {
    let answer: typeof file | null = file;
    for (const change of this.changes) {
      if (answer === null || !change.file.test(name)) continue;
      answer = change.to(answer.content);
    }
    return answer;
  }

  #answerModel(answer: ModelAnswer, request: IncomingMessage, response: ServerResponse): void {
    if (answer.kind === "missing") {
      response.writeHead(404).end("not found");
    } else if (answer.kind === "bytes") {
      response.writeHead(200, { "content-length": answer.bytes.length }).end(answer.bytes);
    } else if (answer.kind !== "cut off") {
      this.#answerFile(answer.kind === "file" ? answer.path : this.model_file, request, response);
    } else {
      this.#answerCutOff(answer.at, answer.forGood ?? false, request, response);
    }
  }

  /** A file as a host gives it that knows ranges: from the disk, and never in this process as a whole. */
  #answerFile(file: string, request: IncomingMessage, response: ServerResponse): void {
    const { size } = statSync(file);
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const start = Number(from ?? 0);
    const end = to ? Math.min(Number(to), size - 1) : size - 1;
    if (request.headers.range !== undefined) this.ranges.push(request.headers.range);
    const headers = { "cache-control": "no-store", etag: ETAG, "content-length": end + 1 - start };
    if (from === undefined) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, "content-range": `bytes ${start}-${end}/${size}` });
    createReadStream(file, { start, end }).pipe(response);
  }

  /** The bytes from the range's first on, up to where they are to be cut off. */
  #answerCutOff(at: number[], forGood: boolean, request: IncomingMessage, response: ServerResponse): void {
    const content = readFileSync(this.model_file);
    const range = request.headers["if-range"] === ETAG ? (request.headers.range ?? null) : null;
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    if (range !== null) this.ranges.push(range);
    const last = content.length - 1;
    const content_range = range === null ? {} : { "content-range": `bytes ${start}-${last}/${content.length}` };
    // The browser's own store would take up a broken transfer, too.
    const headers = {
      "cache-control": "no-store",
      etag: ETAG,
      "content-length": content.length - start,
      ...content_range,
    };
    response.writeHead(range === null ? 200 : 206, headers);
    const end = at.find(place => place > start) ?? (forGood ? start : undefined);
    if (end === undefined) {
      response.end(content.subarray(start));
    } else {
      response.flushHeaders();
      response.write(content.subarray(start, end));
      // Chromium drops what has not reached the page yet when a connection breaks: so the page tells when it has it.
      this.#breaking.push({ response, bytes: end - start });
    }
  }
}
