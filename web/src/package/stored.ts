/** What lies on this device. */
import { type StoredModel, storedModels as stored } from "../engine/stored";
import { ModelError } from "./modelError";

export type { StoredModel };

/**
 * The models of this origin that are stored on this device, those of other pages too, by path. None has to be loaded. One whose URL is
 * being loaded, or that runs on WebGPU, is better deleted by its own `forget()`: a graphics device that is lost takes it from there again.
 *
 * Its `remove` throws a `ModelError` of kind "bad-input" while the file is downloaded or read.
 */
export async function storedModels(): Promise<StoredModel[]> {
  const found = await stored();
  return found.map(model => ({
    ...model,
    remove: () =>
      model.remove().catch(thrown => {
        throw new ModelError(thrown);
      }),
  }));
}
