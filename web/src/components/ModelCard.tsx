import type { LoadedModel } from "../engine/protocol";
import { formatBytes, formatChange, formatCount, formatMs, formatParameters } from "../lib/format";
import { origin } from "../lib/provenance";

/** Characters of the digest that are shown; the whole of it is in the title and is what gets copied. */
const DIGEST_SHOWN = 16;

function Row({ name, value, title }: { name: string; value: string; title?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd title={title}>{value}</dd>
    </div>
  );
}

/** The colophon: what this model is, read from the header of its file. */
export function ModelCard({ model }: { model: LoadedModel }) {
  const { header, parameters, backend, adapter } = model.card;
  const { n_layer, n_head, n_kv_head, d_model, ctx_len, vocab_size } = header.config;
  const { preset, val_bpb, f32_bpb, tokens_seen } = origin(header.provenance);
  const dtype = header.tensors[0]?.dtype ?? "–";
  return (
    <section className="card" aria-label="Colophon">
      <h2>Colophon</h2>
      <dl>
        {preset !== null && <Row name="Preset" value={preset} />}
        <Row name="Parameters" value={formatParameters(parameters)} title={formatCount(parameters)} />
        <Row name="Layers" value={`${n_layer} × ${formatCount(d_model)} wide`} />
        <Row name="Heads" value={n_head === n_kv_head ? `${n_head}` : `${n_head}, sharing ${n_kv_head}`} />
        <Row name="Context" value={`${formatCount(ctx_len)} tokens`} />
        <Row name="Vocabulary" value={`${formatCount(vocab_size)} tokens`} />
        {tokens_seen !== null && <Row name="Trained on" value={`${formatParameters(tokens_seen)} tokens`} />}
        {val_bpb !== null && (
          <Row
            name="Held-out text"
            value={`${val_bpb.toFixed(3)} bits per byte${f32_bpb === null ? "" : `, ${formatChange(val_bpb / f32_bpb)} against f32`}`}
          />
        )}
        <Row name="File" value={`${formatBytes(model.size_bytes)}, ${dtype}`} title={formatCount(model.size_bytes)} />
        <Row name="Runs on" value={backend === "webgpu" ? (adapter ?? "WebGPU") : "CPU, WebAssembly"} />
        {model.timing !== null && (
          <Row
            name="A token takes"
            value={`${formatMs(model.timing.cpu_ms)} on the CPU, ${formatMs(model.timing.webgpu_ms)} on WebGPU`}
          />
        )}
        <Row name="SHA-256" value={`${model.sha256.slice(0, DIGEST_SHOWN)}…`} title={model.sha256} />
      </dl>
    </section>
  );
}
