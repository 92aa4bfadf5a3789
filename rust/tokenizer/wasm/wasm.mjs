// The wasm module of wasm.rs behind one class; and, run by itself, a check of it: `node wasm.mjs MODULE.wasm [TEXT...]`.

/** A tokenizer in its module's memory. Errors carry the module's message. */
export class Tokenizer {
  #wasm;

  /** @param {BufferSource} module the bytes of the wasm module */
  static async open(module) {
    const made = new Tokenizer();
    const normalize = (at, nbytes) => {
      const { memory, normalized } = made.#wasm;
      const text = new TextDecoder().decode(new Uint8Array(memory.buffer, at, nbytes));
      const bytes = new TextEncoder().encode(text.normalize("NFC"));
      const to = normalized(bytes.length); // the memory may grow, and its buffer be another
      new Uint8Array(memory.buffer, to, bytes.length).set(bytes);
    };
    const { instance } = await WebAssembly.instantiate(module, { host: { normalize } });
    made.#wasm = instance.exports;
    return made;
  }

  /** Learn `vocabSize` tokens from one text with GPT-2's split; the flat form. */
  train(text, vocabSize) {
    return this.#call("learn", new TextEncoder().encode(text), vocabSize).slice();
  }

  /** Load the flat form, of any split that has a name. */
  load(flat) {
    this.#call("load", flat);
  }

  /** The ids of a text, a Uint32Array; special tokens in it become theirs where `special`. */
  encode(text, special = false) {
    return new Uint32Array(this.#call("encode", new TextEncoder().encode(text), special).slice().buffer);
  }

  /** The text of ids. */
  decode(ids) {
    return new TextDecoder().decode(this.#call("decode", new Uint8Array(Uint32Array.from(ids).buffer)));
  }

  /** The text that is whole after one more id. */
  push(id) {
    return new TextDecoder().decode(this.#call("push", undefined, id));
  }

  #call(name, input, ...rest) {
    const wasm = this.#wasm;
    if (input !== undefined) {
      const at = wasm.input(input.length);
      new Uint8Array(wasm.memory.buffer, at, input.length).set(input);
    }
    const nbytes = wasm[name](...rest);
    const answer = new Uint8Array(wasm.memory.buffer, wasm.output(), wasm.output_nbytes());
    if (nbytes < 0) {
      throw new Error(new TextDecoder().decode(answer));
    }
    return answer;
  }
}

async function check(modulePath, textPaths) {
  const { readFileSync, statSync } = await import("node:fs");
  const { gzipSync } = await import("node:zlib");
  const assert = await import("node:assert/strict");
  const bytes = readFileSync(modulePath);
  const tokenizer = await Tokenizer.open(bytes);
  const made = () => Array.from({ length: 40_000 }, (_, i) => `the ${i % 911}th wörd, ${i % 97} 🙂 e\u0301`).join(" ");
  const text = textPaths.length > 0 ? textPaths.map((path) => readFileSync(path, "utf8")).join("") : made();
  const started = performance.now();
  const flat = tokenizer.train(text, 4096);
  const trainMs = performance.now() - started;
  const other = await Tokenizer.open(bytes);
  other.load(flat);
  const end = "<|endoftext|>";
  for (const part of ["", "to be", `é🙂 ${end}x`, text.slice(0, 100_000).toWellFormed()]) {
    const ids = other.encode(part);
    assert.deepEqual(ids, tokenizer.encode(part));
    assert.ok(other.decode(ids) === part, "decoding gives the text back");
    assert.ok(Array.from(ids, (id) => other.push(id)).join("") === part, "and id by id");
  }
  assert.deepEqual([...other.encode(end, true)], [0]);
  assert.throws(() => other.load(flat.slice(1)), /not a PocketLM tokenizer/);
  assert.throws(() => other.decode([1 << 20]), /not in the vocabulary/);
  other.encode(text); // warm
  const before = performance.now();
  const ids = other.encode(text);
  const ms = performance.now() - before;
  const mb = new TextEncoder().encode(text).length / 1e6;
  const kb = (nbytes) => (nbytes / 1000).toFixed(1);
  const { size } = statSync(modulePath);
  console.log(`wasm: ${kb(size)} kB, ${kb(gzipSync(bytes).length)} kB in gzip; train ${mb.toFixed(1)} MB ${trainMs.toFixed(0)} ms`);
  console.log(`wasm: encode ${(mb / (ms / 1000)).toFixed(0)} MB/s, seen before, ${ids.length} ids`);
}

if (typeof process !== "undefined" && import.meta.url.endsWith(process.argv[1].replaceAll("\\", "/"))) {
  await check(process.argv[2], process.argv.slice(3));
}
