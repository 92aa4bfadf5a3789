import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useColours } from "../hooks/useColours";

/** "line" is what it is about, "soft" is beside it, "ring" stands around single points. */
export type Curve = { look: "line" | "soft" | "ring"; values: readonly (number | null)[] };

export type PlotProps = {
  /** What a reader who does not see the picture is told of it. */
  label: string;
  x: readonly number[];
  curves: readonly Curve[];
  formatX: (x: number) => string;
  formatY: (y: number) => string;
  /** "from 0", "logarithmic", or as far as the values reach. */
  scale: "from 0" | "logarithmic" | "values";
  /** A line is drawn there. */
  marked?: number | null;
  /** Called with the x that was clicked. */
  onPick?: (x: number) => void;
};

const HEIGHT = 220;
const COLOURS = ["ink", "rule", "line", "soft", "ring"] as const;
/** Room for the numbers at the axes. */
const AXIS = { x: 30, y: 58 };
/** So much room is left above and below the values, as a share of their span. */
const MARGIN = 0.06;

function rangeOf(scale: PlotProps["scale"]): uPlot.Range.Function {
  return (_, least, most) => {
    if (!(Number.isFinite(least) && Number.isFinite(most))) return [0, 1];
    if (scale === "from 0") return [0, most > 0 ? most * (1 + MARGIN) : 1];
    if (scale === "logarithmic") return [least / (1 + MARGIN), most * (1 + MARGIN)];
    const room = (most - least || Math.abs(most) || 1) * MARGIN;
    return [least - room, most + room];
  };
}

function series({ look }: Curve, colours: ReadonlyMap<string, string>): uPlot.Series {
  const stroke = colours.get(look) ?? "";
  if (look === "ring")
    return { stroke, paths: () => null, points: { show: true, size: 12, width: 2, fill: "transparent" } };
  return {
    stroke,
    spanGaps: true,
    width: look === "line" ? 2 : 1,
    points: { show: look === "line", size: 7, fill: stroke },
  };
}

/** Curves over their axes, drawn by uPlot on a canvas: whoever shows it has the numbers in a table beside it. */
export default function Plot(props: PlotProps) {
  const { label, x, curves, scale, marked = null } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const colours = useColours(holder);
  // What is called later is what was given last: it makes no new plot.
  const last = useRef(props);
  last.current = props;

  useEffect(() => {
    const parent = holder.current;
    if (parent === null || colours === null) return;
    const font = `12px ${getComputedStyle(parent).fontFamily}`;
    const axis = {
      stroke: colours.get("ink") ?? "",
      font,
      grid: { stroke: colours.get("rule") ?? "", width: 1 },
      ticks: { show: false },
    };
    const labels = (format: (value: number) => string) => (_: uPlot, splits: (number | null)[]) =>
      splits.map(split => (split === null ? "" : format(split)));
    const mark = (drawn: uPlot) => {
      const at = last.current.marked ?? null;
      if (at === null) return;
      const { ctx, bbox } = drawn;
      const left = Math.round(drawn.valToPos(at, "x", true));
      ctx.save();
      ctx.strokeStyle = colours.get("line") ?? "";
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      ctx.restore();
    };
    const made = new uPlot(
      {
        width: parent.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: false },
          y: { range: rangeOf(scale), ...(scale === "logarithmic" && { distr: 3 }) },
        },
        axes: [
          { ...axis, size: AXIS.x, grid: { show: false }, values: labels(value => last.current.formatX(value)) },
          { ...axis, size: AXIS.y, values: labels(value => last.current.formatY(value)) },
        ],
        series: [{}, ...curves.map(curve => series(curve, colours))],
        hooks: { draw: [mark] },
      },
      [[...x], ...curves.map(({ values }) => [...values])],
      parent,
    );
    plot.current = made;
    const picked = (event: MouseEvent) =>
      last.current.onPick?.(made.posToVal(event.clientX - made.over.getBoundingClientRect().left, "x"));
    made.over.addEventListener("click", picked);
    const resized = new ResizeObserver(() => made.setSize({ width: parent.clientWidth, height: HEIGHT }));
    resized.observe(parent);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [colours, curves, scale, x]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: drawn anew because the mark has moved
  useEffect(() => plot.current?.redraw(false), [marked]);

  return (
    <div ref={holder} className="plot" role="img" aria-label={label} data-pick={props.onPick !== undefined}>
      {COLOURS.map(name => (
        <span key={name} data-colour={name} hidden />
      ))}
    </div>
  );
}
