/** What live.json says, asked for again and again. */
import { useEffect, useState } from "react";
import { type LiveNews, readLive } from "../lib/live";

const EVERY_MS = 500;

/** `news`: null until there are any. `is_away`: the server did not answer the last time. */
export type LiveHandle = { news: LiveNews | null; is_away: boolean };

export function useLive(url: string): LiveHandle {
  const [handle, setHandle] = useState<LiveHandle>({ news: null, is_away: false });

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | null = null;
    let is_over = false;
    let last = "";
    const ask = async () => {
      try {
        const response = await fetch(url, { cache: "no-store" });
        const found = response.ok ? await response.text() : "";
        const news = found === "" ? null : readLive(JSON.parse(found));
        // Nothing is drawn again for what was said before.
        if (!is_over && news !== null && found !== last) setHandle({ news, is_away: false });
        if (news !== null) last = found;
        else throw new Error("no live.json");
      } catch {
        last = "";
        if (!is_over) setHandle(({ news }) => ({ news, is_away: true }));
      }
      if (!is_over) timer = setTimeout(() => void ask(), EVERY_MS);
    };
    void ask();
    return () => {
      is_over = true;
      if (timer !== null) clearTimeout(timer);
    };
  }, [url]);

  return handle;
}
