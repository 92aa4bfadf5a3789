import type { BenchmarkProgress, Check, Model } from "pocketlm";
import { useId, useState } from "react";
import { type MeasuredDevice, useMeasure } from "../hooks/useMeasure";
import { assertNever } from "../lib/assertNever";
import { BenchmarkFigures } from "./BenchmarkFigures";
import { Figure } from "./Figure";
import "../styles/figures.css";
import "../styles/measure.css";

const NAMES = { cpu: "the CPU", gpu: "WebGPU" } as const satisfies Record<MeasuredDevice, string>;

function doing(phase: BenchmarkProgress["phase"]): string {
  switch (phase) {
    case "start":
      return "Starting the engine.";
    case "runs":
      return "Reading a prompt and writing after it.";
    case "positions":
      return "Measuring a token at places all over the context.";
    case "memory":
      return "Measuring the memory.";
    case "kernels":
      return "Measuring each kernel.";
    default:
      return assertNever(phase);
  }
}

function Verdict({ check }: { check: Check }) {
  const { is_sound, backend, largest_difference, tolerance, golden_likeliest, likeliest, sampled } = check;
  const name = NAMES[backend === "cpu" ? "cpu" : "gpu"];
  return (
    <>
      <p className={is_sound ? "sound" : "note"}>
        {is_sound
          ? `Right: on ${name} the model gives the answer that stands in its file, which PyTorch computed.`
          : `Wrong: on ${name} the model does not give the answer that stands in its file, which PyTorch computed. Do not trust its texts here; reload the page, and choose another device.`}
      </p>
      <dl>
        <Figure name="Largest difference of a logit" value={largest_difference.toPrecision(2)} />
        <Figure name="Counts as rounding, up to" value={tolerance.toPrecision(2)} />
        <Figure
          name="Likeliest token"
          value={
            likeliest === golden_likeliest ? `${likeliest}, as expected` : `${likeliest}, expected ${golden_likeliest}`
          }
        />
        {sampled !== null && (
          <Figure
            name="Token taken at temperature 0"
            value={sampled === likeliest ? `${sampled}, the likeliest` : `${sampled}, not the likeliest`}
          />
        )}
      </dl>
    </>
  );
}

type Props = { model: () => Model | null; isReady: boolean };

/** What this device makes of the model: whether its numbers are right, and how fast they come. */
export default function Measure({ model, isReady }: Props) {
  const group = useId();
  const [device, setDevice] = useState<MeasuredDevice>(() => (model()?.card.backend === "cpu" ? "cpu" : "gpu"));
  const { check, benchmark, startCheck, startBenchmark, stop } = useMeasure(model);
  const is_busy = check.kind === "under way" || benchmark.kind === "under way";
  const can_start = isReady && !is_busy;
  const has_webgpu = "gpu" in navigator || device === "gpu";
  const progress = benchmark.kind === "under way" ? benchmark.progress : null;

  const told = () => {
    if (check.kind === "under way") return "Checking.";
    if (benchmark.kind === "under way") return progress === null ? "Waiting for the engine." : doing(progress.phase);
    return "";
  };

  return (
    <div className="measure">
      <p>
        The check lets this device answer a prompt whose answer stands in the model's file. Measuring takes some
        seconds, in which the model writes nothing; close what else keeps the machine busy.
      </p>
      <fieldset>
        <legend>Where</legend>
        {(["cpu", "gpu"] as const).map(each => (
          <label key={each}>
            <input
              type="radio"
              name={group}
              checked={device === each}
              disabled={is_busy || (each === "gpu" && !has_webgpu)}
              onChange={() => setDevice(each)}
            />
            {each === "cpu" ? "CPU" : has_webgpu ? "WebGPU" : "WebGPU (this browser has none)"}
          </label>
        ))}
      </fieldset>
      <p className="actions">
        <button
          type="button"
          className="button"
          aria-disabled={!can_start}
          onClick={() => can_start && startCheck(device)}
        >
          Check the numbers
        </button>
        <button
          type="button"
          className="button"
          aria-disabled={!can_start}
          onClick={() => can_start && startBenchmark(device)}
        >
          Measure the speed
        </button>
        <button type="button" className="button" aria-disabled={!is_busy} onClick={() => is_busy && stop()}>
          Cancel
        </button>
      </p>
      <p role="status" aria-label="Measuring">
        {told()}
        {benchmark.kind === "stopped" && "Stopped: nothing was measured."}
        {benchmark.kind === "found" && !is_busy && "Measured."}
      </p>
      {progress !== null && <progress aria-label="Measured so far" value={progress.fraction} max={1} />}
      {[check, benchmark].map(
        answer =>
          answer.kind === "refused" && (
            <p key={answer.error.message} className="note" role="alert">
              {answer.error.kind === "wrong-numbers"
                ? `Wrong: on ${NAMES[answer.device]} the model does not give the answer that stands in its file.`
                : `It does not run on ${NAMES[answer.device]}.`}{" "}
              {answer.error.hint}
              <span>{answer.error.message}</span>
            </p>
          ),
      )}
      {check.kind === "found" && (
        <section aria-label="Check">
          <Verdict check={check.found} />
        </section>
      )}
      {benchmark.kind === "found" && (
        <section aria-label="Speed">
          <BenchmarkFigures benchmark={benchmark.found} />
        </section>
      )}
    </div>
  );
}
