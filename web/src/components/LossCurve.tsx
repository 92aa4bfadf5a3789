import { useId, useMemo, useState } from "react";
import { formatCount, formatParameters } from "../lib/format";
import { aligned, isWide, type Measured, nearest, type Sample, type Training } from "../lib/training";
import { Chart } from "./Chart";
import type { Curve } from "./Plot";

type Props = { training: Training; samples: readonly Sample[] };

function at(points: readonly Measured[], step: number): number | null {
  return points.find(point => point.step === step)?.bpb ?? null;
}

/** Of these points the last up to a step. */
function until(points: readonly Measured[], step: number): number | null {
  return points.findLast(point => point.step <= step)?.bpb ?? null;
}

function told(bpb: number | null): string {
  return bpb === null ? "–" : bpb.toFixed(3);
}

/** The text that the model wrote at one of its checkpoints, which the reader chooses. */
function Written({ samples, val, chosen, onChoose }: WrittenProps) {
  const slider = useId();
  const sample = samples[chosen];
  if (sample === undefined) return null;
  const bpb = at(val, sample.step);
  const where = `Step ${formatCount(sample.step)}${bpb === null ? "" : `, ${bpb.toFixed(3)} bits per byte`}`;
  return (
    <div className="written">
      {samples.length > 1 && (
        <p>
          <label htmlFor={slider}>Checkpoint</label>
          <input
            id={slider}
            type="range"
            min={0}
            max={samples.length - 1}
            step={1}
            value={chosen}
            aria-valuetext={where}
            onChange={event => onChoose(Number(event.target.value))}
          />
        </p>
      )}
      <figure>
        <figcaption>{where}. What the model wrote then:</figcaption>
        <blockquote dir="auto">{sample.text}</blockquote>
      </figure>
    </div>
  );
}

type WrittenProps = {
  samples: readonly Sample[];
  val: readonly Measured[];
  chosen: number;
  onChoose: (nth: number) => void;
};

function Table({ training: { train, val, kept } }: { training: Training }) {
  return (
    <details>
      <summary>These figures as a table</summary>
      <div className="scrolls">
        <table>
          <caption>Bits per byte. Less is better.</caption>
          <thead>
            <tr>
              <th scope="col">Step</th>
              <th scope="col">Training text</th>
              <th scope="col">Held-out text</th>
            </tr>
          </thead>
          <tbody>
            {val.map(({ step, bpb }) => (
              <tr key={step}>
                <th scope="row">{formatCount(step)}</th>
                <td>{told(until(train, step))}</td>
                <td>
                  {told(bpb)}
                  {at(kept, step) !== null && `, kept: ${told(at(kept, step))}`}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** How the training went: the curve of its loss, and what the model wrote on the way. */
export function LossCurve({ training, samples }: Props) {
  const { train, val, kept, tokens } = training;
  const [chosen, setChosen] = useState(Math.max(0, samples.length - 1));
  const { x, curves, scale } = useMemo(() => {
    const { x, y } = aligned([train, val, kept]);
    const looks = ["soft", "line", "ring"] as const;
    const curves = looks.map((look, nth): Curve => ({ look, values: y[nth] ?? [] }));
    const wide = isWide([...train, ...val].map(({ bpb }) => bpb));
    return { x, curves, scale: wide ? ("logarithmic" as const) : ("values" as const) };
  }, [train, val, kept]);
  const [first, last] = [val[0], val.at(-1)];
  if (first === undefined || last === undefined) return null;
  const label =
    `Bits per byte against the steps of the training: of the held-out text ${told(first.bpb)} at step ` +
    `${formatCount(first.step)}, ${told(last.bpb)} at step ${formatCount(last.step)}`;
  return (
    <>
      <p>
        Bits per byte after each step{tokens > 0 && `, ${formatParameters(tokens)} tokens in all`}: how much the model
        needs to write the text down. Less is better.
        {samples.length > 1 &&
          " Click into the curve, or move the slider, to read what the model wrote at a checkpoint."}
      </p>
      <ul className="legend">
        {train.length > 0 && <li data-look="soft">text that it learns from</li>}
        <li data-look="line">text that was held out</li>
        {kept.length > 0 && <li data-look="ring">the weights that were kept</li>}
      </ul>
      <Chart
        label={label}
        x={x}
        curves={curves}
        formatX={formatCount}
        formatY={value => `${Number(value.toPrecision(4))}`}
        scale={scale}
        marked={samples[chosen]?.step ?? null}
        {...(samples.length > 1 && { onPick: (step: number) => setChosen(nearest(samples, step)) })}
      />
      <Written samples={samples} val={val} chosen={chosen} onChoose={setChosen} />
      <Table training={training} />
    </>
  );
}
