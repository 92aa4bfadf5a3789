import type { LoadedModel } from "pocketlm";
import { formatBytes, formatChange, formatCount, formatMs, formatParameters } from "../lib/format";
import { origin } from "../lib/provenance";
import { Row } from "./Row";

/** What this model is, read from the header of its file. */
export function ModelCard({ model }: { model: LoadedModel }) {
  const { header, parameters, backend, adapter } = model.card;
  const { n_layer, n_head, n_kv_head, d_model, ctx_len, vocab_size } = header.config;
  const { preset, val_bpb, f32_bpb, tokens_seen } = origin(header.provenance);
  const dtype = header.tensors[0]?.dtype ?? "–";
  return (
    <section className="card" aria-labelledby="about-model">
      <h2 id="about-model">About this model</h2>
      <dl>
        {preset !== null && <Row name="Preset" value={preset} />}
        <Row name="Parameters" value={`${formatParameters(parameters)} (${formatCount(parameters)})`} />
        <Row name="Layers" value={`${n_layer}, each ${formatCount(d_model)} wide`} />
        <Row
          name="Heads"
          value={n_head === n_kv_head ? `${n_head}` : `${n_head}, sharing ${n_kv_head} key-value heads`}
        />
        <Row name="Context" value={`${formatCount(ctx_len)} tokens`} />
        <Row name="Vocabulary" value={`${formatCount(vocab_size)} tokens`} />
        {tokens_seen !== null && <Row name="Trained on" value={`${formatParameters(tokens_seen)} tokens`} />}
        {val_bpb !== null && (
          <Row
            name="On held-out text"
            value={`${val_bpb.toFixed(3)} bits per byte${f32_bpb === null ? "" : `, ${formatChange(val_bpb / f32_bpb)} compared with f32`}`}
          />
        )}
        <Row name="File" value={`${formatBytes(model.size_bytes)}, ${dtype}`} />
        <Row name="Runs on" value={backend === "webgpu" ? (adapter ?? "WebGPU") : "CPU, WebAssembly"} />
        {model.timing !== null && (
          <Row
            name="A token takes"
            value={`${formatMs(model.timing.cpu_ms)} on the CPU, ${formatMs(model.timing.webgpu_ms)} on WebGPU`}
          />
        )}
        <Row name="SHA-256" value={model.sha256} />
      </dl>
    </section>
  );
}
