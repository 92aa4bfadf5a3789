/**
 * Faults of browsers, drivers and machines, as scripts that run in the engine's worker before its own (`Site.inject`).
 *
 * They change what the browser offers, never the product: the page that is tested is the one that is shipped.
 */
import { GATE, RECEIVED } from "./site";

/** An adapter that gives no device. */
export const NO_DEVICE = `
  GPUAdapter.prototype.requestDevice = () => Promise.reject(new DOMException("the driver said no", "OperationError"));
`;

/** Every allocation on the device fails. */
export const NO_GPU_MEMORY = `
  const { pushErrorScope, popErrorScope } = GPUDevice.prototype;
  const scopes = [];
  GPUDevice.prototype.pushErrorScope = function (filter) {
    scopes.push(filter);
    pushErrorScope.call(this, filter);
  };
  GPUDevice.prototype.popErrorScope = function () {
    const error = popErrorScope.call(this);
    return scopes.pop() === "out-of-memory" ? Promise.resolve(new GPUOutOfMemoryError("no room")) : error;
  };
`;

/** A driver that compiles `right` as if it were `wrong`. Throws in the worker where no kernel has it: then the fault is none. */
function lies(right: string, wrong: string): string {
  return `
    const { createShaderModule } = GPUDevice.prototype;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      const code = descriptor.code.replace(${JSON.stringify(right)}, ${JSON.stringify(wrong)});
      return createShaderModule.call(this, { ...descriptor, code });
    };
  `;
}

/** The norms come out one per cent too large. */
export const LIES_ABOUT_NORMS = lies("let scale = inverseSqrt(", "let scale = 1.01 * inverseSqrt(");

/** The logits are right, but another token than the likeliest is taken. Shaders come without blanks behind commas. */
export const LIES_ABOUT_TOKENS = lies("select(id,BAD_LOGIT | bad,", "select(id ^ 1u,BAD_LOGIT | bad,");

/** The time that the GPU takes is not seen, so that "auto" finds it faster than any CPU. */
export const FAST_GPU = `
  const { submit } = GPUQueue.prototype;
  const now = performance.now.bind(performance);
  let last = now(), hidden = 0, has_submitted = false;
  GPUQueue.prototype.submit = function (commands) {
    has_submitted = true;
    submit.call(this, commands);
  };
  performance.now = () => {
    const time = now();
    if (has_submitted) hidden += time - last;
    has_submitted = false;
    last = time;
    return time - hidden;
  };
`;

/** Each submission takes a second longer than it does, so that "auto" finds the GPU slower than any CPU. */
export const SLOW_GPU = `
  const { submit } = GPUQueue.prototype;
  const now = performance.now.bind(performance);
  let added = 0;
  GPUQueue.prototype.submit = function (commands) {
    added += 1000;
    submit.call(this, commands);
  };
  performance.now = () => now() + added;
`;

/** Each device is lost after so many submissions of kernels: the first one, and every later one. */
export function losesDevices(first: number, later: number): string {
  return `
    const { submit } = GPUQueue.prototype;
    const { requestDevice } = GPUAdapter.prototype;
    const left = new WeakMap();
    let submissions = ${first};
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      const device = await requestDevice.call(this, descriptor);
      left.set(device.queue, { device, submissions });
      submissions = ${later};
      return device;
    };
    GPUQueue.prototype.submit = function (commands) {
      const entry = left.get(this);
      if (commands.length > 0 && (entry.submissions -= 1) === 0) entry.device.destroy();
      submit.call(this, commands);
    };
  `;
}

/** The engine panics at its step `step`, as a panic looks from outside: a trap in a task of its own, and no answer. */
export function panics(step: number): string {
  return `
    const { instantiateStreaming } = WebAssembly;
    WebAssembly.instantiateStreaming = async (...given) => {
      const { instance, module } = await instantiateStreaming.apply(WebAssembly, given);
      let steps = 0;
      const engine_step = (...words) => {
        steps += 1;
        if (steps !== ${step}) return instance.exports.engine_step(...words);
        queueMicrotask(() => { throw new WebAssembly.RuntimeError("unreachable"); });
        return new Promise(() => undefined);
      };
      return { instance: { exports: { ...instance.exports, engine_step } }, module };
    };
  `;
}

/**
 * The engine's step number `step`, or the first later one before which something was written (a busy machine reads a prompt in
 * more steps), waits for the site's gate: what the test does until it opens comes in mid-run.
 */
export function stepWaits(step: number): string {
  return `
    const post = self.postMessage;
    let has_written = false;
    self.postMessage = (message, ...more) => {
      if (message?.type === "tokens" && message.ids.length > 0) has_written = true;
      return post.call(self, message, ...more);
    };
    const { instantiateStreaming } = WebAssembly;
    WebAssembly.instantiateStreaming = async (...given) => {
      const { instance, module } = await instantiateStreaming.apply(WebAssembly, given);
      let steps = 0;
      let has_waited = false;
      const engine_step = async (...words) => {
        steps += 1;
        if (steps >= ${step} && has_written && !has_waited) {
          has_waited = true;
          await fetch(${JSON.stringify(GATE)});
        }
        return await instance.exports.engine_step(...words);
      };
      return { instance: { exports: { ...instance.exports, engine_step } }, module };
    };
  `;
}

/** As `stepWaits`, at what is read from the graphics device for the `read`th time. */
export function readingWaits(read: number): string {
  return `
    const { mapAsync } = GPUBuffer.prototype;
    let reads = 0;
    GPUBuffer.prototype.mapAsync = async function (...given) {
      reads += 1;
      if (reads === ${read}) await fetch(${JSON.stringify(GATE)});
      return await mapAsync.apply(this, given);
    };
  `;
}

/** The site is told how many bytes of a transfer the page has read, 0 when it begins to read. */
export const TELLS_WHAT_IT_READ = `
  const bytes = new WeakMap();
  const tell = count => fetch(${JSON.stringify(RECEIVED)} + count).catch(() => undefined);
  for (const { prototype } of [ReadableStreamDefaultReader, ReadableStreamBYOBReader]) {
    const { read } = prototype;
    prototype.read = async function (...given) {
      if (!bytes.has(this)) {
        bytes.set(this, 0);
        tell(0);
      }
      const part = await read.apply(this, given);
      if (!part.done) {
        bytes.set(this, bytes.get(this) + part.value.length);
        tell(bytes.get(this));
      }
      return part;
    };
  }
`;

/** The browser's storage takes so many bytes and no more; what it announces is more. */
export function storageEndsAfter(nbytes: number): string {
  return `
    const { write } = FileSystemSyncAccessHandle.prototype;
    let left = ${nbytes};
    FileSystemSyncAccessHandle.prototype.write = function (bytes, options) {
      left -= bytes.length;
      if (left < 0) throw new DOMException("full", "QuotaExceededError");
      return write.call(this, bytes, options);
    };
  `;
}

/** The browser says that so many bytes are left. */
export function storageHas(nbytes: number): string {
  return `StorageManager.prototype.estimate = () => Promise.resolve({ quota: ${nbytes}, usage: 0 });`;
}

/** The browser grants the page no files, as in some private windows. */
export const NO_STORAGE = `
  StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException("no", "SecurityError"));
`;

/** The server of the model is out of reach. */
export const MODEL_OUT_OF_REACH = `
  const { fetch } = self;
  self.fetch = (...given) =>
    String(given[0]).endsWith("model.bin") ? Promise.reject(new TypeError("offline")) : fetch(...given);
`;

/** Not a fault: the engine's memory stands in the worker as `wasm_memory`. */
export const SHOWS_WASM_MEMORY = `
  const { instantiateStreaming } = WebAssembly;
  WebAssembly.instantiateStreaming = async (...given) => {
    const made = await instantiateStreaming.apply(WebAssembly, given);
    self.wasm_memory = made.instance.exports.memory;
    return made;
  };
`;

/** So many bytes of weights are looked for in memory: enough to be there once a copy. */
const SOUGHT_BYTES = 64;

/** The first weights of this model change in the engine's memory, wherever they lie there, as soon as a self-check is asked for. */
export function weightsRot(model: Buffer): string {
  // The last tensors: before them lies what is read once, and behind them nothing.
  const sought = model.subarray(model.length - 8192).subarray(0, SOUGHT_BYTES);
  return `
    const sought = new Uint8Array(${JSON.stringify([...sought])});
    const { instantiateStreaming } = WebAssembly;
    WebAssembly.instantiateStreaming = async (...given) => {
      const { instance, module } = await instantiateStreaming.apply(WebAssembly, given);
      const { memory, engine_check } = instance.exports;
      const rotting = (...words) => {
        const bytes = new Uint8Array(memory.buffer);
        let found = 0;
        for (let at = bytes.indexOf(sought[0]); at !== -1; at = bytes.indexOf(sought[0], at + 1)) {
          if (sought.some((byte, nth) => bytes[at + nth] !== byte)) continue;
          bytes.fill(0x7f, at, at + sought.length);
          found += 1;
        }
        if (found === 0) throw new Error("the weights are not in memory");
        return engine_check(...words);
      };
      return { instance: { exports: { ...instance.exports, engine_check: rotting } }, module };
    };
  `;
}

const MEMORY_SECTION = 5;

/** A LEB128 number at `at`, and where what follows begins. */
function leb128(bytes: Buffer, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value |= (byte & 0x7f) << shift;
    if ((byte & 0x80) === 0) return [value, at];
  }
}

/** The wasm module with a memory that can grow by no more than a few pages of 64 KiB. */
export function withLittleMemory(wasm: Buffer): Buffer {
  for (let at = 8; at < wasm.length; ) {
    const id = wasm[at];
    const [size, content] = leb128(wasm, at + 1);
    if (id === MEMORY_SECTION) {
      const [pages, end] = leb128(wasm, content + 2);
      if (wasm[content + 1] !== 0 || end !== content + size) throw new Error("the module's memory has a limit already");
      const limits = [pages, pages + 3].flatMap(number => [(number & 0x7f) | 0x80, number >> 7]);
      const section = Buffer.of(MEMORY_SECTION, 2 + limits.length, 1, 1, ...limits);
      return Buffer.concat([wasm.subarray(0, at), section, wasm.subarray(end)]);
    }
    at = content + size;
  }
  throw new Error("the module has no memory of its own");
}
