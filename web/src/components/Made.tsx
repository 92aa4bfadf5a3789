import { useEffect, useMemo, useRef, useState } from "react";
import { makes, type Step } from "../lib/chain";
import { formatDuration, formatShare } from "../lib/format";
import { fetchMade, type Made as Told } from "../lib/made";
import { summed } from "../lib/timings";
import { BuildGraph } from "./BuildGraph";
import { LossCurve } from "./LossCurve";
import { StepCard } from "./StepCard";
import "../styles/figures.css";
import "../styles/made.css";

/** A chain of more stages is told as a list alone: no build of ours has as many. */
const MOST_DRAWN = 60;

type Props = { model_url: string; model_sha256: string };

function Verdict({ is_same }: { is_same: boolean | null }) {
  if (is_same === null) return null;
  return is_same ? (
    <p>This page's model is the one that these steps made: its SHA-256 is the same.</p>
  ) : (
    <p className="note">This page's model is not the one that these steps made: its SHA-256 differs.</p>
  );
}

function Total({ steps, durations }: { steps: readonly Step[]; durations: ReadonlyMap<string, number> }) {
  const total = summed(
    steps.map(({ stage }) => stage),
    durations,
  );
  if (total === null) return null;
  const { all_s, train_s } = total;
  return (
    <p>
      All commands together took {formatDuration(all_s)}
      {train_s !== null &&
        all_s > 0 &&
        `, of which training ${formatDuration(train_s)}, ${formatShare(train_s / all_s)}`}
      . A training that was interrupted counts from where it went on.
    </p>
  );
}

function Steps({ steps, durations }: { steps: readonly Step[]; durations: ReadonlyMap<string, number> }) {
  const headings = useRef(new Map<string, HTMLHeadingElement>());
  const refs = useMemo(
    () =>
      new Map(
        steps.map(({ stage }) => [
          stage,
          (heading: HTMLHeadingElement | null) => {
            if (heading !== null) headings.current.set(stage, heading);
          },
        ]),
      ),
    [steps],
  );
  return (
    <>
      {steps.length <= MOST_DRAWN && (
        <>
          <h3>The build</h3>
          <p>Each box is a step; it leads to what is told of it below.</p>
          <BuildGraph steps={steps} durations={durations} onChoose={stage => headings.current.get(stage)?.focus()} />
        </>
      )}
      <Total steps={steps} durations={durations} />
      <h3>Step by step</h3>
      <ol className="steps">
        {steps.map(step => (
          <StepCard
            key={step.stage}
            step={step}
            duration_s={durations.get(step.stage) ?? null}
            heading={refs.get(step.stage) ?? null}
          />
        ))}
      </ol>
    </>
  );
}

/** The training, the build graph and its steps. */
export default function Made({ model_url, model_sha256 }: Props) {
  const [told, setTold] = useState<Told | null>(null);
  useEffect(() => {
    let is_wanted = true;
    void fetchMade(model_url).then(made => is_wanted && setTold(made));
    return () => {
      is_wanted = false;
    };
  }, [model_url]);

  if (told === null) return <p>Reading provenance.json…</p>;
  const { chain, durations, training, samples } = told;
  if (chain.kind === "none") return <p>{chain.reason}</p>;
  return (
    <div className="made">
      <Verdict is_same={makes(chain.steps, "model.bin", model_sha256)} />
      {training !== null && (
        <section aria-label="Training">
          <h3>The training</h3>
          <LossCurve training={training} samples={samples} />
        </section>
      )}
      <Steps steps={chain.steps} durations={durations} />
      <p>
        Beside each file stand its size and the beginning of its SHA-256. Commands, parameters and digests in full:{" "}
        <a href={new URL("provenance.json", model_url).href}>provenance.json</a>
      </p>
    </div>
  );
}
