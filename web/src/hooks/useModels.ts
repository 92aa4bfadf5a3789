/** Which model the page runs: the one beside it, another that its index offers, or a file that the reader has. */
import { useCallback, useEffect, useState } from "react";
import { DEFAULT_PATH, fetchOffered, type Offered } from "../lib/models";

/** What is chosen: an absolute URL, or the reader's own file. */
export type Chosen = string | File;

export type Models = {
  offered: readonly Offered[];
  /** null while the index is awaited, which the address asked for a model of. */
  chosen: Chosen | null;
  choose: (chosen: Chosen) => void;
};

/** The key of the address that names a model of the index. */
const KEY = "model";

const beside = () => new URL(DEFAULT_PATH, document.baseURI).href;
const named = () => new URLSearchParams(location.search).get(KEY);

/** Keep the choice in the address, so that it can be reloaded and passed on; a file on this device cannot. */
function noteInAddress(name: string | null): void {
  const address = new URL(location.href);
  if (name === null) address.searchParams.delete(KEY);
  else address.searchParams.set(KEY, name);
  history.replaceState(null, "", address);
}

export function useModels(): Models {
  const [offered, setOffered] = useState<readonly Offered[]>([]);
  const [chosen, setChosen] = useState<Chosen | null>(() => (named() === null ? beside() : null));

  useEffect(() => {
    let is_wanted = true;
    void fetchOffered(document.baseURI).then(found => {
      if (!is_wanted) return;
      setOffered(found);
      // A name that the index does not have is as good as none.
      setChosen(current => current ?? found.find(each => each.name === named())?.url ?? beside());
    });
    return () => {
      is_wanted = false;
    };
  }, []);

  const choose = useCallback(
    (next: Chosen) => {
      const entry = offered.find(each => each.url === next);
      noteInAddress(entry === undefined || entry.url === beside() ? null : entry.name);
      setChosen(next);
    },
    [offered],
  );
  return { offered, chosen, choose };
}
