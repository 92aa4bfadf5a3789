import type { Model } from "pocketlm";
import { lazy, Suspense, useState } from "react";
import { NotLoaded } from "./NotLoaded";

/** Whoever does not measure does not load it. */
const Measure = lazy(() => import("./Measure").catch(() => ({ default: NotLoaded })));

type Props = { model: () => Model | null; isReady: boolean };

/** The self-check and the benchmark, for who opens them. */
export function Measuring({ model, isReady }: Props) {
  const [was_opened, setWasOpened] = useState(false);
  return (
    <section aria-label="Check and measure">
      <details className="making" onToggle={event => event.currentTarget.open && setWasOpened(true)}>
        <summary>Check and measure</summary>
        {was_opened && (
          <Suspense fallback={<p>Loading…</p>}>
            <Measure model={model} isReady={isReady} />
          </Suspense>
        )}
      </details>
    </section>
  );
}
