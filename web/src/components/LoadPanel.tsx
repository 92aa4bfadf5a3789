import type { LoadProgress } from "pocketlm";
import { assertNever } from "../lib/assertNever";
import { formatBytes } from "../lib/format";

type Shown = { text: string; fraction: number | null };

/** What is happening, and how much of it is done where that is known. */
export function describeProgress(progress: LoadProgress | null): Shown {
  if (progress === null) return { text: "Starting", fraction: null };
  switch (progress.phase) {
    case "download": {
      const { received_bytes, total_bytes } = progress;
      return total_bytes === null
        ? { text: `Downloading · ${formatBytes(received_bytes)}`, fraction: null }
        : {
            text: `Downloading · ${formatBytes(received_bytes)} of ${formatBytes(total_bytes)}`,
            fraction: received_bytes / total_bytes,
          };
    }
    case "parse":
      return { text: "Checking the file", fraction: progress.fraction };
    case "compile":
      return { text: "Preparing the engine", fraction: progress.fraction };
    case "warm-up":
      return { text: "Checking the engine against a known answer", fraction: progress.fraction };
    case "measure":
      return { text: "Measuring whether WebGPU or the CPU is faster", fraction: progress.fraction };
    default:
      return assertNever(progress);
  }
}

const STEPS = ["download", "parse", "compile", "warm-up"] as const;

const STEP_NAMES: Record<(typeof STEPS)[number], string> = {
  download: "download",
  parse: "check the file",
  compile: "prepare the engine",
  "warm-up": "check the engine",
};

/** The step that a phase belongs to. Timing builds the CPU's engine too, so it stays with the last one. */
function stepOf(progress: LoadProgress | null): number {
  if (progress === null) return -1;
  return progress.phase === "measure" ? STEPS.length - 1 : STEPS.indexOf(progress.phase);
}

export function LoadPanel({ progress }: { progress: LoadProgress | null }) {
  const { text, fraction } = describeProgress(progress);
  const reached = stepOf(progress);
  return (
    <div className="load">
      <progress aria-label="Loading" {...(fraction === null ? {} : { value: fraction })} max={1} />
      <p>{text}</p>
      <ol aria-hidden="true">
        {STEPS.map((step, index) => (
          <li key={step} data-done={index < reached} data-now={index === reached}>
            {STEP_NAMES[step]}
          </li>
        ))}
      </ol>
    </div>
  );
}
