import type { LoadedModel, ModelSource, NotKept, Storage } from "pocketlm";
import { useStored } from "../hooks/useStored";
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

type Props = { from: ModelSource; model: LoadedModel; onDelete: () => void };

/** What this model and others take on this device, and the way to be rid of them. */
export function StorageNote({ from, model, onDelete }: Props) {
  const { others, refused, remove } = useStored(from, model.storage);
  return (
    <section className="storage" aria-label="Storage">
      <h2>Storage</h2>
      <p>{describeStorage(model.storage, model.size_bytes)}</p>
      {model.storage.is_kept && (
        <button type="button" className="button" onClick={onDelete}>
          Delete from this device
        </button>
      )}
      {others.length > 0 && (
        <>
          <h3>Also on this device</h3>
          <ul>
            {others.map(each => (
              <li key={each.path}>
                <span>
                  {each.path}{" "}
                  <small>{`${formatBytes(each.size_bytes)}${each.is_whole ? "" : ", not all of it has come"}`}</small>
                </span>
                <button type="button" className="link" aria-label={`Delete ${each.path}`} onClick={() => remove(each)}>
                  Delete
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
      {refused !== null && <p role="alert">{refused}</p>}
    </section>
  );
}
