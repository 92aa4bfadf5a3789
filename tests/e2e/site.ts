/** A static host with nothing special about it: no extra headers, and the bundle somewhere below the root. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { bundle } from "./environment";

const SUB_PATH = "/somewhere/below/";

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** Instead of the bundle's model.bin: other bytes, or nothing; or its bytes slowly, or cut off. */
export type ModelAnswer =
  | { kind: "as it is" }
  | { kind: "missing" }
  | { kind: "bytes"; bytes: Uint8Array<ArrayBuffer> }
  | { kind: "cut off"; after_bytes: number };

export class Site {
  readonly #server: Server;
  readonly #folder = bundle();
  /** Every path that was asked for. */
  readonly requests: string[] = [];
  model: ModelAnswer = { kind: "as it is" };

  constructor() {
    this.#server = createServer((request, response) => {
      const path = new URL(request.url ?? "/", "http://localhost").pathname;
      this.requests.push(path);
      this.#answer(path, response);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>(resolve => this.#server.listen(0, "localhost", resolve));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => this.#server.close(resolve));
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

  #answer(path: string, response: ServerResponse): void {
    const inside = path.startsWith(SUB_PATH) ? normalize(path.slice(SUB_PATH.length)) : null;
    const file =
      inside === null || inside.startsWith("..") ? null : join(this.#folder, inside === "." ? "index.html" : inside);
    if (inside === "model.bin" && this.model.kind !== "as it is") {
      this.#answerModel(this.model, response);
    } else if (file === null || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end("not found");
    } else {
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, "content-length": statSync(file).size });
      createReadStream(file).pipe(response);
    }
  }

  #answerModel(answer: Exclude<ModelAnswer, { kind: "as it is" }>, response: ServerResponse): void {
    if (answer.kind === "missing") {
      response.writeHead(404).end("not found");
    } else if (answer.kind === "bytes") {
      response.writeHead(200, { "content-length": answer.bytes.length }).end(answer.bytes);
    } else {
      response.writeHead(200, { "content-length": statSync(this.model_file).size });
      createReadStream(this.model_file, { end: answer.after_bytes - 1 })
        .on("data", part => response.write(part))
        .on("end", () => response.destroy());
    }
  }
}
