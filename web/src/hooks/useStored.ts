/** The other models that are stored on this device, and the way to be rid of them. */
import { type LoadedModel, type ModelSource, type StoredModel, storedModels } from "pocketlm";
import { useCallback, useEffect, useState } from "react";

export type StoredHandle = {
  others: readonly StoredModel[];
  /** Why one could not be deleted; null where none was refused. */
  refused: string | null;
  remove: (model: StoredModel) => void;
};

/** `from`: where the model comes from that runs, and is shown elsewhere. */
export function useStored(from: ModelSource, storage: LoadedModel["storage"]): StoredHandle {
  const [found, setFound] = useState<readonly StoredModel[]>([]);
  const [refused, setRefused] = useState<string | null>(null);
  const look = useCallback(async () => setFound(await storedModels()), []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a model that was stored or deleted changes what there is
  useEffect(() => void look(), [look, storage]);

  const remove = useCallback(
    (model: StoredModel) => {
      const onRefused = ({ message, hint }: { message: string; hint: string }) => setRefused(`${message} ${hint}`);
      setRefused(null);
      void model.remove().catch(onRefused).then(look);
    },
    [look],
  );
  const here = typeof from === "string" ? new URL(from).pathname : null;
  return { others: found.filter(({ path }) => !here?.endsWith(path)), refused, remove };
}
