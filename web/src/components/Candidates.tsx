import type { Candidate, Model } from "pocketlm";
import { useMemo } from "react";
import { type Before, placeOf, useLook } from "../hooks/useLook";
import { keptTokens } from "../lib/filter";
import { formatCount } from "../lib/format";
import { percentOf, shownText } from "../lib/surprise";
import type { SamplingOptions } from "../state/sampling";
import type { TreeNode } from "../state/tree";

type Props = {
  node: TreeNode;
  before: Before;
  /** null while it is busy. */
  model: Model | null;
  options: SamplingOptions;
  isReady: boolean;
  onBranch: (candidate: Candidate) => void;
};

/** The likeliest tokens at a place: as the model says, and after what is set. The logits are asked for once, whatever is set then. */
export function Candidates({ node, before, model, options, isReady, onBranch }: Props) {
  const { answer } = useLook(placeOf(before), model, before, (model, { text, after }, signal) =>
    model.next(text, { after, signal }),
  );
  const kept = useMemo(
    () => (answer === null ? null : keptTokens(answer.logits, answer.ids, options)),
    [answer, options],
  );
  const asSet = (id: number) => {
    const probability = kept?.get(id);
    return probability === undefined ? "never" : percentOf(Math.log(probability));
  };

  return (
    <>
      <p id="likeliest-here">Likeliest here; take one, and the model writes on from it:</p>
      <ul className="candidates" aria-labelledby="likeliest-here">
        {node.likeliest.map(candidate => (
          <li key={candidate.id}>
            <button
              type="button"
              className="candidate"
              aria-disabled={!isReady || candidate.id === node.token}
              aria-current={candidate.id === node.token}
              onClick={() => isReady && candidate.id !== node.token && onBranch(candidate)}
            >
              <code>{shownText(candidate.text)}</code> {percentOf(candidate.logprob)}
              {kept !== null && <span className="as-set"> as set: {asSet(candidate.id)}</span>}
            </button>
          </li>
        ))}
      </ul>
      {kept !== null && answer !== null && (
        <p>
          First what the model says, then what is left of it as temperature, top-k, top-p, min-p and repetition penalty
          are set now: {formatCount(kept.size)} of {formatCount(answer.logits.length)} tokens can come here
          {node.token !== null && `, this one ${kept.has(node.token) ? `at ${asSet(node.token)}` : "never"}`}.
        </p>
      )}
    </>
  );
}
