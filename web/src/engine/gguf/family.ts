/**
 * What a GGUF's metadata says of its model, in the terms of training/FORMAT.md: the configuration, and the tensors that it asks for.
 *
 * The twin of training/interop/gguf.py, and of the table in training/format/families.py.
 */
import type { ModelConfig } from "pocketlm-wasm";
import type { Container, Field } from "./container";
import { shown } from "./container";
import { damaged, unsupported } from "./refusal";

export type Family = "llama" | "qwen2" | "qwen3";

/** A tensor that the configuration asks for. `theirs`: llama.cpp's name. `swaps`: its rows are in another order there. */
export type Spec = { name: string; theirs: string; shape: number[]; swaps: boolean };

/** The families that llama.cpp knows too. */
const FAMILIES: readonly string[] = ["llama", "qwen2", "qwen3"] satisfies readonly Family[];

/** The bounds of FORMAT.md §2: nothing is computed of a size beyond them. */
const BOUNDS = {
  n_layer: 1024,
  n_head: 1024,
  n_kv_head: 1024,
  d_model: 65536,
  d_head: 1024,
  d_ff: 262144,
  vocab_size: 1 << 20,
  ctx_len: 1 << 20,
} as const;

/** A cache for every position that a model knows is larger than a browser has room for: models for long texts are cut to this. */
export const MOST_POSITIONS = 4096;

/** Keys, after the family's name, of what the engine does not do, and the values that mean "none of it". */
const MUST_BE: Record<string, readonly Field[]> = {
  "rope.scaling.type": ["", "none"],
  "rope.scaling.factor": [0, 1],
  "rope.scale_linear": [0, 1],
  "attention.sliding_window": [0],
  "attention.clamp_kqv": [0],
  "attention.scale": [0],
  expert_count: [0],
  logit_scale: [0, 1],
  residual_scale: [0, 1],
  embedding_scale: [0, 1],
};

const MOST_STOPS = 16;
const ENDS_A_TURN = ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

/** Of a layer, in FORMAT.md's order: the name there, llama.cpp's, its sizes by their letters, and which family alone has it. */
const LAYER: readonly (readonly [string, string, string, Family?])[] = [
  ["input_layernorm.weight", "attn_norm.weight", "C"],
  ["self_attn.q_proj.weight", "attn_q.weight", "QC"],
  ["self_attn.q_proj.bias", "attn_q.bias", "Q", "qwen2"],
  ["self_attn.q_norm.weight", "attn_q_norm.weight", "D", "qwen3"],
  ["self_attn.k_proj.weight", "attn_k.weight", "KC"],
  ["self_attn.k_proj.bias", "attn_k.bias", "K", "qwen2"],
  ["self_attn.k_norm.weight", "attn_k_norm.weight", "D", "qwen3"],
  ["self_attn.v_proj.weight", "attn_v.weight", "KC"],
  ["self_attn.v_proj.bias", "attn_v.bias", "K", "qwen2"],
  ["self_attn.o_proj.weight", "attn_output.weight", "CQ"],
  ["post_attention_layernorm.weight", "ffn_norm.weight", "C"],
  ["mlp.gate_proj.weight", "ffn_gate.weight", "FC"],
  ["mlp.up_proj.weight", "ffn_up.weight", "FC"],
  ["mlp.down_proj.weight", "ffn_down.weight", "CF"],
];

const EMBEDDING = "token_embd.weight";
const HEAD = "output.weight";

/** The family that a file names. Throws an `EngineError` for one that the engine does not run. */
export function familyOf({ fields }: Container): Family {
  const name = fields.get("general.architecture");
  const family = FAMILIES.find(each => each === name);
  if (family === undefined) {
    const got = name === undefined ? "not named" : shown(String(name));
    throw unsupported(`its family (general.architecture) is ${got}, expected ${FAMILIES.join(", ")}`);
  }
  return family as Family;
}

/** The configuration. Throws an `EngineError` that names the setting which is missing or not supported. */
export function configOf({ fields, tensors }: Container, family: Family): ModelConfig {
  const get = (key: string, otherwise?: number): number => {
    const value = fields.get(`${family}.${key}`) ?? otherwise;
    if (value === undefined) throw damaged(`there is no ${family}.${key}`);
    if (typeof value === "object") throw unsupported(`${family}.${key} differs from layer to layer`);
    if (typeof value !== "number") throw damaged(`${family}.${key} is ${shown(String(value))}, expected a number`);
    return value;
  };
  for (const [key, plain] of Object.entries(MUST_BE)) {
    const value = fields.get(`${family}.${key}`);
    if (value !== undefined && !plain.includes(value)) {
      throw unsupported(`${family}.${key} is ${shown(String(value))}, expected none of it`);
    }
  }
  if (tensors.has("rope_freqs.weight")) {
    throw unsupported("it has rope_freqs.weight: scaled RoPE, as of Llama 3.1, is none that the engine has");
  }
  const embedding = tensors.get(EMBEDDING);
  if (embedding === undefined) throw damaged(`there is no ${EMBEDDING}`);
  const [n_head, d_model] = [get("attention.head_count"), get("embedding_length")];
  const d_head = get("attention.key_length", Math.floor(d_model / n_head));
  for (const key of ["attention.value_length", "rope.dimension_count"]) {
    const width = get(key, d_head);
    if (width !== d_head) throw unsupported(`${family}.${key} is ${width}, expected the width of a head, ${d_head}`);
  }
  const config: ModelConfig = {
    n_layer: get("block_count"),
    n_head,
    n_kv_head: get("attention.head_count_kv", n_head),
    d_model,
    d_head,
    d_ff: get("feed_forward_length"),
    vocab_size: embedding.sizes[1] ?? 0,
    ctx_len: Math.min(get("context_length"), MOST_POSITIONS),
    rope_theta: get("rope.freq_base", 10_000),
    norm_eps: Number(get("attention.layer_norm_rms_epsilon").toPrecision(7)), // of an f32: 1e-05, not 9.999999747e-06
    tie_embeddings: !tensors.has(HEAD),
    ...endings(fields),
  };
  check(config);
  return config;
}

function check(config: ModelConfig): void {
  for (const [field, most] of Object.entries(BOUNDS) as [keyof typeof BOUNDS, number][]) {
    const got = config[field];
    if (!(Number.isInteger(got) && got >= 1 && got <= most)) {
      throw unsupported(`its ${field} is ${got}, expected a whole number from 1 to ${most}`);
    }
  }
  const { n_head, n_kv_head, d_head, rope_theta, norm_eps } = config;
  if (n_head % n_kv_head !== 0) throw unsupported(`its ${n_kv_head} key/value heads do not divide ${n_head} heads`);
  if (d_head % 2 !== 0) throw unsupported(`a head is ${d_head} wide, expected an even number`);
  if (!(rope_theta > 0 && rope_theta < Number.POSITIVE_INFINITY)) throw damaged(`its RoPE's base is ${rope_theta}`);
  if (!(norm_eps > 0 && norm_eps < 1))
    throw damaged(`its norms' epsilon is ${norm_eps}, expected more than 0, below 1`);
  const { bos_token_id, eos_token_id, stop_token_ids = [], vocab_size } = config;
  for (const id of [bos_token_id ?? 0, eos_token_id ?? 0, ...stop_token_ids]) {
    if (!(Number.isInteger(id) && id >= 0 && id < vocab_size)) {
      throw damaged(`a special token has the number ${id}, expected one below ${vocab_size}`);
    }
  }
}

/** The token that begins a document, the one that ends it, and all others that end a text; the lowest of those where there is no end. */
function endings(fields: Container["fields"]): Pick<ModelConfig, "bos_token_id" | "eos_token_id" | "stop_token_ids"> {
  const id = (key: string): number | undefined => {
    const value = fields.get(key);
    if (value === undefined || typeof value === "number") return value;
    throw damaged(`${key} is ${shown(String(value))}, expected a token's number`);
  };
  const bos = id("tokenizer.ggml.bos_token_id");
  const named = id("tokenizer.ggml.eos_token_id");
  const others = new Set(ENDS_A_TURN.flatMap(key => id(key) ?? []).filter(each => each !== named));
  const stops = [...others].sort((a, b) => a - b);
  const eos = named ?? stops.shift();
  if (stops.length > MOST_STOPS) throw unsupported(`${stops.length} tokens end a text, at most ${MOST_STOPS} are`);
  return {
    ...(bos !== undefined && { bos_token_id: bos }),
    ...(eos !== undefined && { eos_token_id: eos }),
    ...(stops.length > 0 && { stop_token_ids: stops }),
  };
}

/** All tensors of a configuration, in the order of model.bin (FORMAT.md §3). */
export function tensorsOf(config: ModelConfig, family: Family): Spec[] {
  const { d_model, d_head, d_ff, n_head, n_kv_head, vocab_size } = config;
  const sizes: Record<string, number> = {
    C: d_model,
    D: d_head,
    F: d_ff,
    K: n_kv_head * d_head,
    Q: n_head * d_head,
    V: vocab_size,
  };
  const spec = (name: string, theirs: string, letters: string): Spec => ({
    name,
    theirs,
    shape: Array.from(letters, letter => sizes[letter] as number),
    // llama.cpp's RoPE turns neighbours of a head in this family: its converter interleaves the rows of both halves.
    swaps: family === "llama" && /\.[qk]_proj\.weight$/.test(name),
  });
  const layers = Array.from({ length: config.n_layer }, (_, index) =>
    LAYER.filter(([, , , of]) => of === undefined || of === family).map(([name, theirs, letters]) =>
      spec(`model.layers.${index}.${name}`, `blk.${index}.${theirs}`, letters),
    ),
  );
  return [
    spec("model.embed_tokens.weight", EMBEDDING, "VC"),
    ...layers.flat(),
    spec("model.norm.weight", "output_norm.weight", "C"),
    ...(config.tie_embeddings ? [] : [spec("lm_head.weight", HEAD, "VC")]),
  ];
}
