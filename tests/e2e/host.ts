/** A static host of somebody else's page: files of their own, and folders that they have copied. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};

export class Host {
  readonly #server: Server;

  /** `files`: by path, "/index.html"; a text, or what lies at a path on disk, a folder's files below it too. */
  constructor(files: Record<string, { text: string } | { path: string }>, headers: Record<string, string> = {}) {
    const contentOf = (path: string): string | Buffer | null => {
      for (const [name, file] of Object.entries(files)) {
        if ("text" in file) {
          if (path === name) return file.text;
        } else if (path === name || path.startsWith(`${name.replace(/\/$/, "")}/`)) {
          const found = join(file.path, normalize(path.slice(name.replace(/\/$/, "").length)));
          if (existsSync(found) && statSync(found).isFile()) return readFileSync(found);
        }
      }
      return null;
    };
    this.#server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      const path = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
      const content = contentOf(path);
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      // Browsers ask for it by themselves.
      if (path === "/favicon.ico") response.writeHead(204).end();
      else if (content === null) response.writeHead(404).end("not found");
      else response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(content);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>(resolve => this.#server.listen(0, "localhost", resolve));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => this.#server.close(resolve));
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the server does not listen");
    return `http://localhost:${address.port}/`;
  }
}
