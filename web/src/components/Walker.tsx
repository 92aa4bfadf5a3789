import type { Fork } from "../state/tree";

/** `of`: whose versions they are, where several stand on the page. */
type Props = { fork: Fork; onWalk: (node: number) => void; isEnabled: boolean; of?: string };

/** "2 of 3": from one text to the next at a place where they part. */
export function Walker({ fork: { ways, taken }, onWalk, isEnabled, of }: Props) {
  const name = of === undefined ? "branch" : `version: ${of}`;
  const step = (by: -1 | 1) => {
    const node = ways[taken + by];
    return (
      <button
        type="button"
        className="step"
        aria-label={`${by < 0 ? "Previous" : "Next"} ${name}`}
        aria-disabled={!isEnabled || node === undefined}
        onClick={() => isEnabled && node !== undefined && onWalk(node)}
      >
        {by < 0 ? "‹" : "›"}
      </button>
    );
  };
  return (
    <span className="walker">
      {step(-1)}
      <span>
        {taken + 1} of {ways.length}
      </span>
      {step(1)}
    </span>
  );
}
