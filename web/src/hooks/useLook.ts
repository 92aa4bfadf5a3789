/** A question to the model about a place in the text: asked again when the place changes, and what is out of date is not told. */
import type { Model, Read } from "pocketlm";
import { useEffect, useState } from "react";

/** What the model read before a token: a text or a conversation, and the ids after it. */
export type Before = { text: Read; after: readonly number[] };

/** `answer` is null while the model works, or where nothing is asked; `reason`: why there is none. */
export type Look<T> = { answer: T | null; reason: string | null };

type Question<T> = (model: Model, before: Before, signal: AbortSignal) => Promise<T>;

const NOTHING = { answer: null, reason: null };

/** Where in a text a question is about: the same for the same tokens before. */
export function placeOf(before: Before): string {
  return JSON.stringify(before);
}

/** `key` names the place and the question; null asks nothing. `model` is null while it is busy with something else. */
export function useLook<T>(key: string | null, model: Model | null, before: Before, question: Question<T>): Look<T> {
  type Told = Look<T> & { key: string | null; by: Model | null };
  const [told, setTold] = useState<Told>({ key: null, by: null, ...NOTHING });
  const isTold = told.key === key && (model === null || told.by === model);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says what is asked, and about what
  useEffect(() => {
    if (key === null || model === null || isTold) return;
    const asked = new AbortController();
    question(model, before, asked.signal).then(
      answer => !asked.signal.aborted && setTold({ key, by: model, answer, reason: null }),
      (thrown: unknown) => {
        const reason = thrown instanceof Error ? thrown.message : String(thrown);
        if (!asked.signal.aborted) setTold({ key, by: model, answer: null, reason });
      },
    );
    return () => asked.abort();
  }, [key, model]);

  return isTold ? told : NOTHING;
}
