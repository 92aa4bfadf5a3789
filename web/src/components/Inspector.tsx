import type { Candidate, Model } from "pocketlm";
import { type FormEvent, lazy, Suspense, useEffect, useState } from "react";
import type { Before } from "../hooks/useLook";
import { formatCount } from "../lib/format";
import { bitsOf, bytesOf, percentOf, shownText } from "../lib/surprise";
import type { SamplingOptions } from "../state/sampling";
import { type Doc, siblings, type TreeNode } from "../state/tree";
import { Candidates } from "./Candidates";
import type { Size } from "./Inside";
import { Walker } from "./Walker";

const Inside = lazy(() => import("./Inside"));

type Props = {
  doc: Doc;
  /** The nodes that are shown, and the one of them that is looked at. */
  nodes: readonly TreeNode[];
  node: TreeNode;
  /** What the model read before the node. */
  before: Before;
  options: SamplingOptions;
  /** null while it is busy. */
  model: Model | null;
  config: Size | null;
  isReady: boolean;
  onChoose: (node: number) => void;
  onClose: () => void;
  onBranch: (candidate: Candidate) => void;
  /** null in a conversation, where a question is the reader's word. */
  onWrite: ((text: string) => void) | null;
  onWalk: (node: number) => void;
};

/** One token: what it is, what else was likely in its place, and the ways on from it. */
export function Inspector(props: Props) {
  const { doc, nodes, node, before, options, model, config, isReady, onChoose, onClose, onBranch, onWrite, onWalk } =
    props;
  const [written, setWritten] = useState("");
  const place = nodes.findIndex(({ id }) => id === node.id);
  const ways = siblings(doc, node);
  const bits = bitsOf(node);

  // Above this panel, which may lie over it.
  useEffect(() => {
    document.querySelector(`.token[data-node="${node.id}"]`)?.scrollIntoView({ block: "nearest" });
  }, [node.id]);

  const step = (by: -1 | 1) => {
    const to = nodes[place + by];
    return (
      <button
        type="button"
        className="step"
        aria-label={by < 0 ? "Previous token" : "Next token"}
        aria-disabled={to === undefined}
        onClick={() => to !== undefined && onChoose(to.id)}
      >
        {by < 0 ? "‹" : "›"}
      </button>
    );
  };
  const write = (event: FormEvent) => {
    event.preventDefault();
    if (!isReady || written === "") return;
    onWrite?.(written);
    setWritten("");
  };

  return (
    <section className="inspector" aria-label="Token">
      <p className="heading">
        {step(-1)}
        <span>
          Token {formatCount(place + 1)} of {formatCount(nodes.length)}
        </span>
        {step(1)}
        <code>{shownText(node.text)}</code>
        <button type="button" className="link" onClick={onClose}>
          Close
        </button>
      </p>
      <p>
        {node.token === null ? "Your text" : `id ${node.token}, ${bytesOf(node.text)}`}
        {node.token !== null && node.source === "typed" && ", chosen by you"}
        {bits !== null && `, ${percentOf(node.logprob ?? 0)} likely, ${bits.toFixed(2)} bits`}
      </p>
      {ways.length > 1 && (
        <p>
          Branches here:{" "}
          <Walker fork={{ node, ways, taken: ways.indexOf(node.id) }} isEnabled={isReady} onWalk={onWalk} />
        </p>
      )}
      {node.likeliest.length > 0 && (
        <Candidates node={node} before={before} model={model} options={options} isReady={isReady} onBranch={onBranch} />
      )}
      {node.token !== null && config !== null && (
        <Suspense>
          <Inside node={node} before={before} model={model} config={config} />
        </Suspense>
      )}
      {onWrite !== null && (
        <form onSubmit={write}>
          <label htmlFor="insert">Go on with your own words after this</label>
          <input id="insert" value={written} autoComplete="off" onChange={event => setWritten(event.target.value)} />
          <button type="submit" className="button" aria-disabled={!isReady || written === ""}>
            Write on
          </button>
        </form>
      )}
    </section>
  );
}
