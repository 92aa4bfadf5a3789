import { lazy, Suspense } from "react";
import type { PlotProps } from "./Plot";
import "../styles/chart.css";

/** uPlot is a chunk of its own: the numbers stand beside each chart, also where it does not come. */
const Plot = lazy(() => import("./Plot").catch(() => ({ default: NoPlot })));

function NoPlot({ label }: PlotProps) {
  return (
    <p className="note">
      The picture could not be loaded; the table below has its numbers. <span>{label}</span>
    </p>
  );
}

/** A chart, in a place that is as high before it is there. */
export function Chart(props: PlotProps) {
  return (
    <div className="chart">
      <Suspense>
        <Plot {...props} />
      </Suspense>
    </div>
  );
}
