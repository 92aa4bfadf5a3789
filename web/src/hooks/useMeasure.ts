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

type Asked = { device: MeasuredDevice; signal: AbortSignal };

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

  const start = useCallback(
    <T>(
      device: MeasuredDevice,
      tell: (answer: Answer<T>) => void,
      ask: (asking: Model, options: Asked) => Promise<T>,
    ) => {
      const asking = model();
      if (asking === null) return;
      asked.current = new AbortController();
      const { signal } = asked.current;
      tell({ kind: "under way", progress: null });
      ask(asking, { device, signal }).then(
        found => tell({ kind: "found", found }),
        (thrown: unknown) => tell(failed(thrown, signal, device)),
      );
    },
    [model],
  );

  const startCheck = useCallback(
    (device: MeasuredDevice) => start(device, setCheck, (asking, options) => asking.check(options)),
    [start],
  );

  const startBenchmark = useCallback(
    (device: MeasuredDevice) =>
      start(device, setBenchmark, (asking, options) => {
        const onProgress = (progress: BenchmarkProgress) => {
          if (!options.signal.aborted) setBenchmark({ kind: "under way", progress });
        };
        return asking.benchmark({ ...options, onProgress });
      }),
    [start],
  );

  return { check, benchmark, startCheck, startBenchmark, stop };
}
