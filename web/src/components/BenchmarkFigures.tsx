import type { Benchmark, Phase } from "pocketlm";
import { useMemo } from "react";
import { useCopy } from "../hooks/useCopy";
import { saveFile } from "../lib/download";
import { formatBandwidth, formatBytes, formatCount, formatMs, formatRate, formatShare } from "../lib/format";
import { Chart } from "./Chart";
import { Figure } from "./Figure";
import type { Curve } from "./Plot";

function Kernels({ title, phase }: { title: string; phase: Phase }) {
  return (
    <table>
      <caption>
        {title}: {formatMs(phase.ms)}
        {phase.share_of_stream !== null &&
          `, weights read at ${formatShare(phase.share_of_stream)} of what memory gives`}
      </caption>
      <thead>
        <tr>
          <th scope="col">Kernel</th>
          <th scope="col">ms</th>
          <th scope="col">Share</th>
          <th scope="col">Reads</th>
        </tr>
      </thead>
      <tbody>
        {phase.operations.map(({ name, ms, bytes }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{ms.toFixed(3)}</td>
            <td>{phase.ms > 0 ? formatShare(ms / phase.ms) : "–"}</td>
            <td>{bytes > 0 ? formatBytes(Math.round(bytes)) : "–"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What a benchmark found: the figures, a picture of them against position, and all of it as JSON. */
export function BenchmarkFigures({ benchmark }: { benchmark: Benchmark }) {
  const { copied, copy } = useCopy();
  const { device, adapter, at, profile, stream_bytes_per_s: stream } = benchmark;
  const json = JSON.stringify({ ...benchmark, user_agent: navigator.userAgent }, null, 2);
  const share = benchmark.share_of_stream;
  // The same while the figures are: another one would be drawn anew.
  const places = useMemo(() => at.map(({ position }) => position), [at]);
  const curves = useMemo((): Curve[] => [{ look: "line", values: at.map(({ ms }) => ms) }], [at]);
  return (
    <>
      <dl>
        <Figure name="On" value={device === "cpu" ? "CPU, WebAssembly" : (adapter ?? "WebGPU")} />
        <Figure
          name="First token"
          value={`${formatMs(benchmark.first_token_ms)} after a prompt of ${formatCount(benchmark.prompt_tokens)} tokens`}
        />
        <Figure name="Reading a prompt" value={`${formatRate(benchmark.prefill_tokens_per_s)} tokens/s`} />
        <Figure
          name="Writing"
          value={`${formatRate(benchmark.decode_tokens_per_s)} tokens/s, over ${formatCount(benchmark.decode_tokens)} tokens`}
        />
        <Figure name="A token reads" value={`${formatBytes(benchmark.weight_bytes)} of weights`} />
        <Figure name="Memory gives" value={stream === null ? "could not be measured" : formatBandwidth(stream)} />
        {share !== null && (
          <Figure
            name="Writing uses of that"
            value={`${formatShare(share)}${share > 1 ? ": the weights lie in a cache" : ""}`}
          />
        )}
        {benchmark.start_ms !== null && <Figure name="The engine started in" value={formatMs(benchmark.start_ms)} />}
      </dl>
      <h3>Time a token, by its place in the context</h3>
      <Chart
        label={`Milliseconds a token against position: ${at.map(({ position, ms }) => `${ms.toFixed(2)} at ${position}`).join(", ")}`}
        x={places}
        curves={curves}
        formatX={formatCount}
        formatY={ms => `${Number(ms.toPrecision(4))} ms`}
        scale="from 0"
      />
      <details>
        <summary>These times as a table</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">Tokens before</th>
              <th scope="col">ms a token</th>
              <th scope="col">Reads</th>
              <th scope="col">Of memory's rate</th>
            </tr>
          </thead>
          <tbody>
            {at.map(({ position, ms, bytes, share_of_stream }) => (
              <tr key={position}>
                <th scope="row">{formatCount(position)}</th>
                <td>{ms.toFixed(3)}</td>
                <td>{formatBytes(bytes)}</td>
                <td>{share_of_stream === null ? "–" : formatShare(share_of_stream)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
      <h3>Where the time goes</h3>
      {profile === null ? (
        <p>The times of the kernels are missing: {benchmark.profile_missing}</p>
      ) : (
        <>
          <p>
            Behind {formatCount(profile.position)} tokens, over all layers. A kernel waits here until the one before it
            has ended, and browsers round times, so the sum differs from the time above.
          </p>
          <Kernels title="Writing one token" phase={profile.decode} />
          <Kernels title={`Reading ${formatCount(profile.prefill.tokens)} tokens`} phase={profile.prefill} />
        </>
      )}
      <h3>Keep it</h3>
      <p className="actions">
        <button type="button" className="button" onClick={() => copy(json)}>
          Copy the figures
        </button>
        <button
          type="button"
          className="button"
          onClick={() => saveFile("benchmark.json", "application/json", `${json}\n`)}
        >
          Save the figures
        </button>
      </p>
      <p role="status" aria-label="Copying">
        {copied === "copied" && "Copied: the figures, as JSON."}
        {copied === "refused" && "The browser did not allow copying. Save the figures as a file."}
      </p>
    </>
  );
}
