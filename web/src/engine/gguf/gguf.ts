/**
 * A GGUF file as the model.bin that `import` and `export` make of it (training/interop/gguf.py): read where it lies, by parts, and
 * never in memory as a whole. What is asked of that model.bin is read and put in order when it is asked for.
 *
 * A GGUF has no answer to check an engine against, so one is worked out of its weights (golden.ts) while their digests are.
 */
import type { ModelConfig, ReadFile } from "pocketlm-wasm";
import { type Container, readContainer } from "./container";
import { configOf, familyOf, tensorsOf } from "./family";
import { flatForm, type Parts } from "./flatForm";
import { GOLDEN_WORDS, lastLogits } from "./golden";
import { Float, type Json, modelFile, type Place, type Section } from "./modelFile";
import { damaged, unsupported } from "./refusal";
import { SourceTensor } from "./tensor";
import { idsOf, partsOf } from "./vocabulary";

/** SHA-256 of bytes that come in parts. */
type Digester = { update(part: Uint8Array): void; hex(): string };

export type Given = {
  nbytes: number;
  /** What it gives is good until the next reading. */
  read: ReadFile;
  digester: () => Digester;
  /** SHA-256 of the file: asked for when it is known to be one that can be run. */
  digestOfAll: () => string;
  /** How much of the weights was looked at, 0 … 1. */
  onProgress: (fraction: number) => void;
};

/** `sha256`: of the GGUF. */
export type ModelBin = { nbytes: number; read: ReadFile; sha256: string };

/** Multiplications that the golden answer may take, about a second or two of them; of a large model the prompt is cut to two tokens. */
const MOST_PRODUCTS = 1e9;
const MOST_GOLDEN_IDS = 64;
const MOST_TEMPLATE_NBYTES = 1 << 20;
/** Of a text of the metadata that is passed on. */
const MOST_SHOWN = 200;

/**
 * The model.bin of a GGUF file, of llama, qwen2 or qwen3, with byte-level BPE, its tensors in the types of kinds.ts.
 *
 * Throws an `EngineError` that says what is damaged or missing (kind "bad-model"), or not supported ("unsupported-model").
 */
export function modelBinOf({ nbytes, read, digester, digestOfAll, onProgress }: Given): ModelBin {
  const container = readContainer(nbytes, read);
  const family = familyOf(container);
  const parts = partsOf(container);
  const config = configOf(container, family);
  if (parts.tokens.length > config.vocab_size) {
    throw damaged(`the tokenizer has ${parts.tokens.length} tokens, the model only ${config.vocab_size}`);
  }
  const specs = tensorsOf(config, family);
  const tensors = new Map(
    specs.map(spec => [
      spec.name,
      new SourceTensor(spec, container.tensors.get(spec.theirs), nbytes, config.d_head, read),
    ]),
  );
  const known = new Set(specs.map(spec => spec.theirs));
  const unknown = [...container.tensors.keys()].find(name => !known.has(name));
  if (unknown !== undefined) throw unsupported(`the tensor ${unknown} has no place in the family ${family}`);
  const sectionOf = (bytes: Uint8Array): Section => ({
    nbytes: bytes.length,
    sha256: digestOf(bytes),
    read: (from, length) => bytes.subarray(from, from + length),
  });
  const digestOf = (bytes: Uint8Array) => {
    const digest = digester();
    digest.update(bytes);
    return digest.hex();
  };
  const tokenizer = sectionOf(flatForm(parts));
  const template = templateOf(container);

  const sha256 = digestOfAll();
  const weights = specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
  const ids = goldenIds(parts, config, Math.max(2, Math.floor(MOST_PRODUCTS / weights)));
  const digests = new Map<string, string>();
  const total = [...tensors.values()].reduce((sum, tensor) => sum + tensor.nbytes, 0);
  let done = 0;
  const logits = lastLogits(
    config,
    ids,
    (name, use) => {
      const tensor = tensors.get(name) as SourceTensor;
      if (digests.has(name)) {
        tensor.eachRow(use);
        return;
      }
      const digest = digester();
      tensor.eachRow(use, digest);
      digests.set(name, digest.hex());
      done += tensor.nbytes;
      onProgress(done / total);
    },
    name => tensors.has(name),
  );
  // A weight that is no number makes an answer of none; it is named by the engine, which looks at each of them.
  const answer = logits.every(Number.isFinite) ? logits : logits.fill(0);

  const sections: Section[] = [
    tokenizer,
    sectionOf(new Uint8Array(answer.buffer)),
    ...(template === null ? [] : [sectionOf(template)]),
    ...Array.from(tensors.values(), tensor => ({
      nbytes: tensor.nbytes,
      sha256: digests.get(tensor.name) as string,
      read: (from: number, length: number) => tensor.read(from, length),
    })),
  ];
  const { rope_theta, norm_eps, ...sizes } = config;
  const headerOf = (places: readonly Place[]): Json => {
    const [of_tokenizer, of_logits, ...others] = places as [Place, Place, ...Place[]];
    const of_template = template === null ? [] : others.splice(0, 1);
    return {
      architecture: family,
      config: { ...sizes, rope_theta: new Float(rope_theta), norm_eps: new Float(norm_eps) },
      golden: { ids, logits: of_logits },
      provenance: provenanceOf(container, [...tensors.values()], sha256),
      sections: of_template.map(place => ({ name: "chat_template", required: false, ...place })),
      tensors: Array.from(tensors.values(), (tensor, index) => ({
        name: tensor.name,
        dtype: tensor.kind.dtype,
        shape: tensor.shape,
        ...(others[index] as Place),
      })),
      tokenizer: of_tokenizer,
    };
  };
  return { ...modelFile(sections, headerOf, digestOf), sha256 };
}

/** The golden prompt, after the token that begins a document, if there is one. */
function goldenIds(parts: Parts, { bos_token_id: bos, ctx_len }: ModelConfig, most: number): number[] {
  const all = [...(bos === undefined ? [] : [bos]), ...idsOf(parts, GOLDEN_WORDS)];
  const ids = all.slice(0, Math.min(MOST_GOLDEN_IDS, ctx_len, most));
  return ids.length === 0 ? [0] : ids;
}

function templateOf({ fields }: Container): Uint8Array | null {
  const template = fields.get("tokenizer.chat_template");
  if (template === undefined) return null;
  if (typeof template !== "string") throw damaged("tokenizer.chat_template is no text");
  const bytes = new TextEncoder().encode(template);
  if (bytes.length <= MOST_TEMPLATE_NBYTES) return bytes;
  throw unsupported(`its chat template has ${bytes.length} bytes, at most ${MOST_TEMPLATE_NBYTES} are`);
}

/** Where the model came from, under the keys of training/export_imported.py. */
function provenanceOf({ fields }: Container, tensors: readonly SourceTensor[], sha256: string): Json {
  const text = (key: string) => {
    const value = fields.get(key);
    // Not cut within a pair of surrogates, which alone would be no text.
    return typeof value === "string" ? value.slice(0, MOST_SHOWN).replace(/[\ud800-\udbff]$/, "") : null;
  };
  const dtypes: Record<string, number> = {};
  for (const { kind } of tensors) dtypes[kind.name] = (dtypes[kind.name] ?? 0) + 1;
  return {
    import: { dtypes, format: "gguf", license: text("general.license"), name: text("general.name"), sha256 },
  };
}
