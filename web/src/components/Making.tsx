import { lazy, Suspense, useState } from "react";
import { NotLoaded } from "./NotLoaded";

/** Whoever does not want to know does not load it. */
const Made = lazy(() => import("./Made").catch(() => ({ default: NotLoaded })));

type Props = { model_url: string; model_sha256: string };

/** How the model was made, as the files beside it tell: fetched when it is first opened. */
export function Making({ model_url, model_sha256 }: Props) {
  const [was_opened, setWasOpened] = useState(false);
  return (
    <section aria-label="How this model was made">
      <details className="making" onToggle={event => event.currentTarget.open && setWasOpened(true)}>
        <summary>How this model was made</summary>
        {was_opened && (
          <Suspense fallback={<p>Loading…</p>}>
            <Made model_url={model_url} model_sha256={model_sha256} />
          </Suspense>
        )}
      </details>
    </section>
  );
}
