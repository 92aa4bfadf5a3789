/** The colours of a canvas, which no style sheet reaches: read from elements that have them, anew when the theme changes. */
import { type RefObject, useEffect, useState } from "react";

/** What may change the colours without an element of ours: the system's theme, and its forced colours. */
const QUERIES = ["(prefers-color-scheme: dark)", "(forced-colors: active)"];

/** The colour of each of the elements in `holder` that names one in `data-colour`; null before they are there. */
export function useColours(holder: RefObject<HTMLElement | null>): ReadonlyMap<string, string> | null {
  const [colours, setColours] = useState<ReadonlyMap<string, string> | null>(null);
  useEffect(() => {
    const read = () => {
      const found = [...(holder.current?.querySelectorAll<HTMLElement>("[data-colour]") ?? [])];
      setColours(new Map(found.map(each => [each.dataset["colour"] ?? "", getComputedStyle(each).color])));
    };
    read();
    const lists = QUERIES.map(query => matchMedia(query));
    for (const list of lists) list.addEventListener("change", read);
    // The reader's own choice of a theme (hooks/useTheme.ts).
    const chosen = new MutationObserver(read);
    chosen.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      for (const list of lists) list.removeEventListener("change", read);
      chosen.disconnect();
    };
  }, [holder]);
  return colours;
}
