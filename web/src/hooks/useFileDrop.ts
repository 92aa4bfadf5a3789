/** A file dropped anywhere on the page. */
import { useEffect, useState } from "react";

const hasFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") === true;

/** Calls `onFile` with the first file that is dropped, and says whether one is held over the page. */
export function useFileDrop(onFile: (file: File) => void): boolean {
  const [is_over, setOver] = useState(false);
  useEffect(() => {
    const over = (event: DragEvent) => {
      if (!hasFile(event)) return;
      event.preventDefault(); // else the browser opens the file in place of the page
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      // Between two elements of the page there is a related target.
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      setOver(false);
      const file = event.dataTransfer?.files.item(0);
      if (file != null) onFile(file);
    };
    const listeners = new AbortController();
    const { signal } = listeners;
    addEventListener("dragover", over, { signal });
    addEventListener("dragleave", leave, { signal });
    addEventListener("drop", drop, { signal });
    return () => listeners.abort();
  }, [onFile]);
  return is_over;
}
