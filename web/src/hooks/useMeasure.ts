/** A self-check and a benchmark as React sees them: one at a time, and what came of the last of each. */
import { type Benchmark, type BenchmarkProgress, type Check, type Model, ModelError } from "pocketlm";
import { useCallback, useEffect, useRef, useState } from "react";

export type MeasuredDevice = "cpu" | "gpu";

export type Answer<T> =
  | { kind: "none" }
  | { kind: "under way"; progress: BenchmarkProgress | null }
  | { kind: "stopped" }
  | { kind: "found"; found: T }
  /** `device`: where it did not work. */
  | { kind: "refused"; error: ModelError; device: MeasuredDevice };

export type MeasureHandle = {
  check: Answer<Check>;
  benchmark: Answer<Benchmark>;
  startCheck: (device: MeasuredDevice) => void;
  startBenchmark: (device: MeasuredDevice) => void;
  stop: () => void;
};

/** What was asked for came to this. The model's own failure is told by the page as a whole. */
function failed<T>(thrown: unknown, signal: AbortSignal, device: MeasuredDevice): Answer<T> {
  if (signal.aborted) return { kind: "stopped" };
  return thrown instanceof ModelError ? { kind: "refused", error: thrown, device } : { kind: "none" };
}

export function useMeasure(model: () => Model | null): MeasureHandle {
  const [check, setCheck] = useState<Answer<Check>>({ kind: "none" });
  const [benchmark, setBenchmark] = useState<Answer<Benchmark>>({ kind: "none" });
  const asked = useRef<AbortController | null>(null);

  const stop = useCallback(() => asked.current?.abort(), []);
  useEffect(() => stop, [stop]);

  const startCheck = useCallback(
    (device: MeasuredDevice) => {
      const asking = model();
      if (asking === null) return;
      asked.current = new AbortController();
      const { signal } = asked.current;
      setCheck({ kind: "under way", progress: null });
      asking.check({ device, signal }).then(
        found => setCheck({ kind: "found", found }),
        (thrown: unknown) => setCheck(failed(thrown, signal, device)),
      );
    },
    [model],
  );

  const startBenchmark = useCallback(
    (device: MeasuredDevice) => {
      const asking = model();
      if (asking === null) return;
      asked.current = new AbortController();
      const { signal } = asked.current;
      setBenchmark({ kind: "under way", progress: null });
      const onProgress = (progress: BenchmarkProgress) => {
        if (!signal.aborted) setBenchmark({ kind: "under way", progress });
      };
      asking.benchmark({ device, signal, onProgress }).then(
        found => setBenchmark({ kind: "found", found }),
        (thrown: unknown) => setBenchmark(failed(thrown, signal, device)),
      );
    },
    [model],
  );

  return { check, benchmark, startCheck, startBenchmark, stop };
}
