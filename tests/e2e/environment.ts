/** What the tests are told from outside. A variable that is missing fails the tests that need it. */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

/** Paths are taken from where npm was called, as `npm --prefix web run e2e` changes folder. */
function path(name: string, about: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`set ${name}: ${about}`);
  return resolve(process.env["INIT_CWD"] ?? ".", value);
}

/** E2E_BUNDLE: the folder of the bundle, model.bin in it. */
export function bundle(): string {
  const folder = path("E2E_BUNDLE", "the bundle's folder, with index.html and model.bin, as build/<preset>/web");
  for (const name of ["index.html", "model.bin"]) {
    if (!existsSync(join(folder, name))) throw new Error(`E2E_BUNDLE=${folder} has no ${name}`);
  }
  return folder;
}

/** The preset that the bundle was built with: it lies in build/<preset>/web, and its model has this name. */
export function preset(): string {
  return basename(dirname(bundle()));
}

/** What torch says of the bundle's model; expected.py writes it. */
export type Expected = {
  ids: number[];
  /** Little-endian f32, (T, V), in base64. */
  logits: string;
  /** Largest |difference| that counts as rounding. */
  tolerance: number;
  /** Margins are in f64: the distance from the likeliest logit to the next. */
  /** What `doit evaluate` finds for a text. */
  score: { text: string; bits: number; n_bytes: number };
  greedy: { prompt: string; ids: number[]; margins: number[] };
};

/** E2E_EXPECTED: the JSON of `python -m tests.e2e.expected <bundle>/model.bin FILE`. */
export function expected(): Expected {
  const file = path("E2E_EXPECTED", "the file that tests/e2e/expected.py wrote for the bundle's model.bin");
  return JSON.parse(readFileSync(file, "utf8"));
}

/** E2E_HOSTILE: the model of `python -m tests.e2e.hostile_model FILE`. */
export function hostileModel(): string {
  return path("E2E_HOSTILE", "the file that tests/e2e/hostile_model.py wrote");
}

/** E2E_CHAT: the model of `python -m tests.e2e.chat_model <bundle>/model.bin FILE`. */
export function chatModel(): string {
  return path("E2E_CHAT", "the file that tests/e2e/chat_model.py wrote");
}

/** E2E_GGUF: the folder of `python -m tests.e2e.gguf_models <bundle>/model.bin FOLDER`. */
export function ggufModels(): string {
  return path("E2E_GGUF", "the folder that tests/e2e/gguf_models.py wrote");
}

/** E2E_SMOLLM2: model.bin of the preset smollm2, 145 MB; null where it is not to be tested. */
export function realModel(): string | null {
  return process.env["E2E_SMOLLM2"] ? path("E2E_SMOLLM2", "model.bin of the preset smollm2") : null;
}

/** E2E_SMOLLM2_GGUF: model.gguf of the preset smollm2; null where it is not to be tested. */
export function realGguf(): string | null {
  return process.env["E2E_SMOLLM2_GGUF"] ? path("E2E_SMOLLM2_GGUF", "model.gguf of the preset smollm2") : null;
}

/** E2E_LARGE: the model of `python -m tests.e2e.large_model <bundle>/model.bin FILE`; null where it is not to be tested. */
export function largeModel(): string | null {
  return process.env["E2E_LARGE"] ? path("E2E_LARGE", "the file that tests/e2e/large_model.py wrote") : null;
}

/** Two models and what a person asks them: [question, answer]. */
export type Finetuned = { base: string; tuned: string; questions: [string, string][] };

/** E2E_FINETUNED: the JSON that tests/finetune/test_persona.py writes; null where it is not to be tested. */
export function finetuned(): Finetuned | null {
  if (!process.env["E2E_FINETUNED"]) return null;
  return JSON.parse(readFileSync(path("E2E_FINETUNED", "the file that tests/finetune/test_persona.py wrote"), "utf8"));
}

/** E2E_FIREFOX: a Firefox that stays as Mozilla or Debian made it; null where none is installed. */
export function firefox(): string | null {
  return process.env["E2E_FIREFOX"] ? path("E2E_FIREFOX", "the program firefox-esr") : null;
}

/** E2E_NPM: the package's folder, as build/npm/pocketlm. */
export function npmPackage(): string {
  return path("E2E_NPM", "the package's folder, as build/npm/pocketlm");
}

/** E2E_EMBEDDING: docs/EMBEDDING.md. */
export function embeddingDoc(): string {
  return path("E2E_EMBEDDING", "docs/EMBEDDING.md");
}
