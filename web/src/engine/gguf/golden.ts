/**
 * The answer that an engine is checked against, for a file that brings none: the logits after a short prompt, from the weights as
 * they are stored. Plain loops, summed in f64; the twin of training/reference.py, and no relation of the engine's own code.
 */
import type { ModelConfig } from "pocketlm-wasm";

/** Visits the rows of a tensor by its name in model.bin; each is good until the next. */
export type Visit = (name: string, use: (row: Float32Array, index: number) => void) => void;

type Vector = Float64Array;

/** The words of the prompt: most vocabularies have a token for each. */
export const GOLDEN_WORDS: readonly string[] = ["Once", " upon", " a", " time"];

/** Four sums, so that an addition need not wait for the one before. */
function dot(row: Float32Array, x: Vector): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  let at = 0;
  for (; at + 3 < row.length; at += 4) {
    a += (row[at] as number) * (x[at] as number);
    b += (row[at + 1] as number) * (x[at + 1] as number);
    c += (row[at + 2] as number) * (x[at + 2] as number);
    d += (row[at + 3] as number) * (x[at + 3] as number);
  }
  for (; at < row.length; at += 1) a += (row[at] as number) * (x[at] as number);
  return a + b + c + d;
}

/** RMSNorm of some of a vector, in place. */
function norm(x: Vector, gain: Vector, epsilon: number): void {
  let squares = 0;
  for (const value of x) squares += value * value;
  const scale = 1 / Math.sqrt(squares / x.length + epsilon);
  for (let at = 0; at < x.length; at += 1) x[at] = (x[at] as number) * scale * (gain[at] as number);
}

/** Turn component j of a head with component j + d_head/2 by the angle of the position. */
function rotate(head: Vector, position: number, theta: number): void {
  const half = head.length / 2;
  for (let j = 0; j < half; j += 1) {
    const angle = position * theta ** (-j / half);
    const [cosine, sine, x, y] = [Math.cos(angle), Math.sin(angle), head[j] as number, head[j + half] as number];
    head[j] = x * cosine - y * sine;
    head[j + half] = y * cosine + x * sine;
  }
}

function add(x: Vector, y: Vector): void {
  for (let at = 0; at < x.length; at += 1) x[at] = (x[at] as number) + (y[at] as number);
}

/**
 * The logits of the last of `ids`, (vocab_size). Visits every tensor that `has` knows, once and in their order in model.bin; the embedding
 * once more at the end where it is the output layer too.
 */
export function lastLogits(
  config: ModelConfig,
  ids: readonly number[],
  visit: Visit,
  has: (name: string) => boolean,
): Float32Array<ArrayBuffer> {
  const { n_layer, n_head, n_kv_head, d_model, d_head, d_ff, vocab_size, rope_theta, norm_eps } = config;
  const zeros = (size: number) => ids.map(() => new Float64Array(size));
  const vector = (name: string, size: number): Vector => {
    const found = new Float64Array(size);
    visit(name, row => found.set(row));
    return found;
  };
  const linear = (name: string, inputs: readonly Vector[], size: number): Vector[] => {
    const outputs = inputs.map(() => new Float64Array(size));
    visit(name, (row, index) => {
      inputs.forEach((input, at) => {
        (outputs[at] as Vector)[index] = dot(row, input);
      });
    });
    return outputs;
  };
  const normed = (inputs: readonly Vector[], name: string): Vector[] => {
    const gain = vector(name, d_model);
    return inputs.map(input => {
      const output = input.slice();
      norm(output, gain, norm_eps);
      return output;
    });
  };
  /** Queries, keys or values of all positions; RoPE is of the first two. */
  const projected = (layer: string, part: "q" | "k" | "v", inputs: readonly Vector[], heads: number): Vector[] => {
    const name = `${layer}self_attn.${part}_`;
    const outputs = linear(`${name}proj.weight`, inputs, heads * d_head);
    if (has(`${name}proj.bias`)) {
      const bias = vector(`${name}proj.bias`, heads * d_head);
      for (const output of outputs) add(output, bias);
    }
    const gain = has(`${name}norm.weight`) ? vector(`${name}norm.weight`, d_head) : null;
    outputs.forEach((output, position) => {
      for (let at = 0; at < output.length; at += d_head) {
        const head = output.subarray(at, at + d_head);
        if (gain !== null) norm(head, gain, norm_eps);
        if (part !== "v") rotate(head, position, rope_theta);
      }
    });
    return outputs;
  };
  const attended = (queries: readonly Vector[], keys: readonly Vector[], values: readonly Vector[]): Vector[] =>
    queries.map((query, position) => {
      const mixed = new Float64Array(n_head * d_head);
      for (let head = 0; head < n_head; head += 1) {
        const from = Math.floor((head * n_kv_head) / n_head) * d_head;
        const q = query.subarray(head * d_head, (head + 1) * d_head);
        const scores = keys.slice(0, position + 1).map(key => {
          let sum = 0;
          for (let at = 0; at < d_head; at += 1) sum += (q[at] as number) * (key[from + at] as number);
          return sum / Math.sqrt(d_head);
        });
        const largest = Math.max(...scores);
        const weights = scores.map(score => Math.exp(score - largest));
        const total = weights.reduce((a, b) => a + b, 0);
        const out = mixed.subarray(head * d_head, (head + 1) * d_head);
        weights.forEach((weight, before) => {
          const value = values[before] as Vector;
          for (let at = 0; at < d_head; at += 1) {
            out[at] = (out[at] as number) + (weight / total) * (value[from + at] as number);
          }
        });
      }
      return mixed;
    });

  const x = zeros(d_model);
  visit("model.embed_tokens.weight", (row, index) => {
    ids.forEach((id, position) => {
      if (id === index) x[position]?.set(row);
    });
  });
  for (let index = 0; index < n_layer; index += 1) {
    const layer = `model.layers.${index}.`;
    const y = normed(x, `${layer}input_layernorm.weight`);
    const queries = projected(layer, "q", y, n_head);
    const keys = projected(layer, "k", y, n_kv_head);
    const values = projected(layer, "v", y, n_kv_head);
    const mixed = linear(`${layer}self_attn.o_proj.weight`, attended(queries, keys, values), d_model);
    x.forEach((each, position) => void add(each, mixed[position] as Vector));
    const z = normed(x, `${layer}post_attention_layernorm.weight`);
    const gates = linear(`${layer}mlp.gate_proj.weight`, z, d_ff);
    const hidden = linear(`${layer}mlp.up_proj.weight`, z, d_ff);
    hidden.forEach((each, position) => {
      const gate = gates[position] as Vector;
      for (let at = 0; at < d_ff; at += 1) {
        const value = gate[at] as number;
        each[at] = ((each[at] as number) * value) / (1 + Math.exp(-value));
      }
    });
    const added = linear(`${layer}mlp.down_proj.weight`, hidden, d_model);
    x.forEach((each, position) => void add(each, added[position] as Vector));
  }
  const last = normed(x.slice(-1), "model.norm.weight");
  const head = config.tie_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  return Float32Array.from(linear(head, last, vocab_size)[0] as Vector);
}
