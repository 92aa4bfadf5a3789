/** Copying, and whether it has worked: told for a moment. */
import { useCallback, useEffect, useState } from "react";

export type Copied = "copied" | "refused" | null;

const TOLD_MS = 3000;

export function useCopy(): { copied: Copied; copy: (text: string) => void } {
  const [copied, setCopied] = useState<Copied>(null);

  useEffect(() => {
    if (copied === null) return;
    const timer = setTimeout(() => setCopied(null), TOLD_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  const copy = useCallback((text: string) => {
    setCopied(null);
    // Without a secure context there is no clipboard.
    const written = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
    written.then(
      () => setCopied("copied"),
      () => setCopied("refused"),
    );
  }, []);

  return { copied, copy };
}
