import { useMemo } from "react";
import { useMedia } from "../hooks/useMedia";
import type { Step } from "../lib/chain";
import { formatDuration } from "../lib/format";
import { layered, type Place } from "../lib/layers";
import { DIGEST_SHOWN } from "./StepCard";

/** A box and the room between two, in CSS pixels: three beside each other fit a phone. */
const BOX = { width: 108, height: 66 };
const GAP = { along: 40, across: 14 };
/** Room for the outline of a box that has the focus. */
const EDGE = 6;
const HEAD = 5;

type Direction = "right" | "down";
type Spot = { x: number; y: number };

/** The corner of a place's box. */
function corner({ layer, at }: Place, direction: Direction): Spot {
  const [along, across] = direction === "right" ? [BOX.width, BOX.height] : [BOX.height, BOX.width];
  const [far, aside] = [EDGE + layer * (along + GAP.along), EDGE + at * (across + GAP.across)];
  return direction === "right" ? { x: far, y: aside } : { x: aside, y: far };
}

/** An arrow as a path: out of a box, past the places on its way, into a box, and its head. */
function arrow(way: readonly Place[], direction: Direction): string {
  const along = direction === "right" ? BOX.width : BOX.height;
  const bend = GAP.along / 2;
  const spots = way.map(place => {
    const { x, y } = corner(place, direction);
    return direction === "right" ? { far: x, aside: y + BOX.height / 2 } : { far: y, aside: x + BOX.width / 2 };
  });
  const point = (far: number, aside: number) => (direction === "right" ? `${far} ${aside}` : `${aside} ${far}`);
  const [first, ...rest] = spots;
  const last = spots.at(-1);
  if (first === undefined || last === undefined) return "";
  let path = `M${point(first.far + along, first.aside)}`;
  let [far, aside] = [first.far + along, first.aside];
  for (const [nth, spot] of rest.entries()) {
    path += `C${point(far + bend, aside)} ${point(spot.far - bend, spot.aside)} ${point(spot.far, spot.aside)}`;
    [far, aside] = [spot.far, spot.aside];
    // Straight on beside the boxes of the layer that it passes.
    if (nth === rest.length - 1) break;
    far += along;
    path += `L${point(far, aside)}`;
  }
  const back = last.far - HEAD;
  return `${path}M${point(back, last.aside - HEAD)}L${point(last.far, last.aside)}L${point(back, last.aside + HEAD)}`;
}

/** The digest that stands for a stage: that of the largest of what it made. */
function mainOutput({ outputs }: Step): { name: string; digest: string } | null {
  return outputs.reduce<Step["outputs"][number] | null>(
    (most, each) => (most === null || each.size_bytes > most.size_bytes ? each : most),
    null,
  );
}

type Props = {
  steps: readonly Step[];
  /** Seconds by stage. */
  durations: ReadonlyMap<string, number>;
  onChoose: (stage: string) => void;
};

/** The stages as boxes, arrows from what each was made from; a box leads to the stage's card. */
export function BuildGraph({ steps, durations, onChoose }: Props) {
  const direction = useMedia("(max-width: 60rem)") ? "down" : "right";
  const graph = useMemo(() => layered(steps.map(({ stage, from }) => ({ name: stage, from }))), [steps]);
  const end = corner({ layer: graph.layers - 1, at: graph.widest - 1 }, direction);
  const size = { width: end.x + BOX.width + EDGE, height: end.y + BOX.height + EDGE };
  return (
    <nav className="graph" aria-label="Build graph">
      {/* The sizes are set by script, as the page's policy wants it: there is no style in its HTML. */}
      <ol style={size}>
        {steps.map(step => {
          const { x, y } = corner(graph.places.get(step.stage) ?? { layer: 0, at: 0 }, direction);
          const main = mainOutput(step);
          const duration_s = durations.get(step.stage);
          return (
            <li key={step.stage} style={{ left: x, top: y, ...BOX }}>
              <button type="button" onClick={() => onChoose(step.stage)}>
                <span className="stage">{step.stage}</span>
                {duration_s !== undefined && (
                  <span>
                    <span className="announcement">, took </span>
                    {formatDuration(duration_s)}
                  </span>
                )}
                {main !== null && (
                  <code>
                    <span className="announcement">, SHA-256 of {main.name} begins with </span>
                    {main.digest.slice(0, DIGEST_SHOWN)}
                  </code>
                )}
              </button>
            </li>
          );
        })}
      </ol>
      <svg aria-hidden="true" width={size.width} height={size.height}>
        {graph.arrows.map(({ from, to, way }) => (
          <path key={JSON.stringify([from, to])} d={arrow(way, direction)} />
        ))}
      </svg>
    </nav>
  );
}
