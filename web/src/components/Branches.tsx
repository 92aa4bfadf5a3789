import { useMemo, useState } from "react";
import { shownText } from "../lib/surprise";
import { type Doc, forksOf, type TreeNode, textOf } from "../state/tree";
import { Walker } from "./Walker";

/** So many characters of what stands before a place are shown, and so many places, the last ones. */
const EXCERPT = 24;
const MOST_PLACES = 8;

type Props = { doc: Doc; path: readonly TreeNode[]; isEnabled: boolean; onWalk: (node: number) => void };

/** The places where the text that is shown parts from others, each with its ways. Nothing where there is one text. */
export function Branches({ doc, path, isEnabled, onWalk }: Props) {
  const forks = useMemo(() => forksOf(doc, path), [doc, path]);
  const [isWhole, setIsWhole] = useState(false);
  if (forks.length === 0) return null;
  const places = new Map(path.map((node, at) => [node.id, at]));
  const before = ({ id }: TreeNode) => textOf(path.slice(0, places.get(id))).slice(-EXCERPT);
  return (
    <section className="branches" aria-labelledby="branches">
      <h2 id="branches">Branches</h2>
      {forks.length > MOST_PLACES && (
        <p>
          {isWhole ? `All ${forks.length} places. ` : `The last ${MOST_PLACES} of ${forks.length} places. `}
          <button type="button" className="link" onClick={() => setIsWhole(!isWhole)}>
            {isWhole ? "Show the last alone" : "Show all"}
          </button>
        </p>
      )}
      <ul>
        {(isWhole ? forks : forks.slice(-MOST_PLACES)).map(fork => (
          <li key={fork.node.id}>
            <Walker fork={fork} isEnabled={isEnabled} onWalk={onWalk} />
            <span className="excerpt">
              {fork.node.parent === null ? "" : <bdi>{`…${before(fork.node)}`}</bdi>}
              <code>{shownText(fork.node.text.slice(0, EXCERPT))}</code>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
