import { loadModel } from "pocketlm";
import { useEffect, useState } from "react";

/** A model for as long as the component is there: `{ model, progress, error }`, each null until there is one. */
export function useModel(url) {
  const [loading, setLoading] = useState({ model: null, progress: null, error: null });

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    let loaded = null;
    const onProgress = progress => setLoading({ model: null, progress, error: null });
    loadModel(url, { signal, onProgress }).then(
      model => {
        loaded = model;
        if (signal.aborted) model.dispose();
        else setLoading({ model, progress: null, error: null });
      },
      error => {
        if (!signal.aborted) setLoading({ model: null, progress: null, error });
      },
    );
    return () => {
      controller.abort();
      loaded?.dispose();
    };
  }, [url]);

  return loading;
}
