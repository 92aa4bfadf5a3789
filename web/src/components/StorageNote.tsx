import type { LoadedModel, NotKept, Storage } from "pocketlm";
import { assertNever } from "../lib/assertNever";
import { formatBytes } from "../lib/format";

function explained(reason: NotKept): string {
  const again = "It runs all the same; the next visit downloads it again.";
  switch (reason) {
    case "no-room":
      return `There is too little room for it on this device. ${again}`;
    case "no-storage":
      return `This browser lets the page store no files. ${again}`;
    case "other-tab":
      return `Another tab is storing it just now. ${again}`;
    case "deleted":
      return `You deleted it. ${again}`;
    case "own-file":
      return "It is read from your own file; on the next visit, open that again.";
    case "no-version":
      return `Its server does not say which version of it this is. ${again}`;
    default:
      return assertNever(reason);
  }
}

/** Whether the model stays on this device, in plain words. */
export function describeStorage(storage: Storage, size_bytes: number): string {
  return storage.is_kept
    ? `The model is stored on this device (${formatBytes(size_bytes)}), so the next visit need not download it.`
    : `The model is not stored on this device. ${explained(storage.reason)}`;
}

/** What the model takes on this device, and the way to be rid of it. */
export function StorageNote({ model, onDelete }: { model: LoadedModel; onDelete: () => void }) {
  return (
    <section className="storage" aria-label="Storage">
      <h2>Storage</h2>
      <p>{describeStorage(model.storage, model.size_bytes)}</p>
      {model.storage.is_kept && (
        <button type="button" className="button" onClick={onDelete}>
          Delete from this device
        </button>
      )}
    </section>
  );
}
