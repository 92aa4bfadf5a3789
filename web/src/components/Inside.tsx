import type { Attention, Layer, Merge, Model, ModelConfig } from "pocketlm";
import { type ReactNode, useState } from "react";
import { type Before, type Look, placeOf, useLook } from "../hooks/useLook";
import { formatCount } from "../lib/format";
import { percentOf, shownText } from "../lib/surprise";
import type { TreeNode } from "../state/tree";
import "../styles/inside.css";

export type Size = Pick<ModelConfig, "n_layer" | "n_head">;

type Props = {
  node: TreeNode;
  before: Before;
  /** null while it is busy. */
  model: Model | null;
  config: Size;
};

/** So many tokens are named with their share. */
const NAMED = 6;
/** From such a share of a head's attention on a token is of the next shade. */
const SHARES = [0.02, 0.08, 0.2, 0.4];

function Disclosure({
  title,
  onOpen,
  children,
}: {
  title: string;
  onOpen: (is: boolean) => void;
  children: ReactNode;
}) {
  return (
    <details onToggle={event => onOpen(event.currentTarget.open)}>
      <summary>{title}</summary>
      {children}
    </details>
  );
}

function Waiting({ look, isBusy }: { look: Look<unknown>; isBusy: boolean }) {
  if (look.reason !== null) return <p>{look.reason}</p>;
  return <p>{isBusy ? "The model is busy; it answers when it is done." : "Asking the model…"}</p>;
}

type ChoiceProps = { label: string; value: number; options: readonly string[]; onChange: (value: number) => void };

function Choice({ label, value, options, onChange }: ChoiceProps) {
  return (
    <label>
      {label}{" "}
      <select value={value} onChange={event => onChange(Number(event.target.value))}>
        {options.map((name, at) => (
          <option key={name} value={at}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The weights of head `head`, counted from 1; 0 is the mean of all. */
function weightsOf({ heads, tokens }: Attention, head: number): number[] {
  const chosen = head === 0 ? heads : heads.slice(head - 1, head);
  return tokens.map((_, at) => chosen.reduce((sum, weights) => sum + (weights[at] ?? 0), 0) / chosen.length);
}

function AttentionView({ attention, head }: { attention: Attention; head: number }) {
  const { tokens } = attention;
  const weights = weightsOf(attention, head);
  const most = weights
    .map((weight, at) => ({ weight, at }))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, NAMED);
  return (
    <>
      <ol className="shares" aria-label="Most attention">
        {most.map(({ weight, at }) => (
          <li key={at}>
            <code>{shownText(tokens[at]?.text ?? "")}</code> {(100 * weight).toFixed(1)} %
            <span className="place">, token {formatCount(at + 1)}</span>
          </li>
        ))}
      </ol>
      <p className="attended">
        {tokens.map(({ text }, at) => (
          <span
            // biome-ignore lint/suspicious/noArrayIndexKey: a token is known by its place in the text
            key={at}
            className="share"
            data-level={SHARES.filter(share => (weights[at] ?? 0) >= share).length}
          >
            {shownText(text)}
          </span>
        ))}
      </p>
    </>
  );
}

function Layers({ layers, token }: { layers: readonly Layer[]; token: string }) {
  return (
    <div className="layers">
      <table>
        <thead>
          <tr>
            <th scope="col">After layer</th>
            <th scope="col">Likeliest</th>
            <th scope="col">Probability</th>
            <th scope="col">
              <code>{shownText(token)}</code>
            </th>
          </tr>
        </thead>
        <tbody>
          {layers.map(({ likeliest: [first], logprob }, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a layer is its place
            <tr key={at}>
              <th scope="row">{at + 1}</th>
              <td>
                <code>{shownText(first?.text ?? "")}</code>
              </td>
              <td>{percentOf(first?.logprob ?? 0)}</td>
              <td>{percentOf(logprob ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** One that is no text by itself holds a part of a letter: it has only its number. */
function Piece({ id, text }: Merge["left"]) {
  return <code>{text.includes("\uFFFD") ? `#${id}` : shownText(text)}</code>;
}

function Merges({ merges }: { merges: readonly Merge[] }) {
  if (merges.length === 0) return <p>No merge makes this token: it is a byte, or it was put into the vocabulary.</p>;
  return (
    <ol className="merges" aria-label="Merges">
      {merges.map(({ left, right, result }, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a merge is known by its place
        <li key={at}>
          <Piece {...left} /> + <Piece {...right} /> → <Piece {...result} />
        </li>
      ))}
    </ol>
  );
}

/** What went on in the model where it came to a token, and in the tokenizer: asked of the engine when it is first opened. */
export default function Inside({ node, before, model, config: { n_layer, n_head } }: Props) {
  const [isAttention, setIsAttention] = useState(false);
  const [isLayers, setIsLayers] = useState(false);
  const [isMerges, setIsMerges] = useState(false);
  const [layer, setLayer] = useState(n_layer - 1);
  const [head, setHead] = useState(0);
  const attention = useLook(
    isAttention ? `${layer} ${placeOf(before)}` : null,
    model,
    before,
    (model, { text, after }, signal) => model.attention(text, { after, layer, signal }),
  );
  const layers = useLook(
    isLayers ? `${node.token} ${placeOf(before)}` : null,
    model,
    before,
    (model, { text, after }, signal) =>
      model.lens(text, { after, signal, ...(node.token !== null && { of: node.token }) }),
  );
  const merges = useLook(isMerges ? `${node.token}` : null, model, before, (model, _, signal) =>
    model.merges(node.token ?? 0, { signal }),
  );

  return (
    <div className="inside">
      <Disclosure title="Attention" onOpen={setIsAttention}>
        <p>
          What the model looked at in the text before this token, when it chose what comes here. The thicker the line
          under a token, the more of the attention it got.
        </p>
        <p className="choices">
          <Choice
            label="Layer"
            value={layer}
            options={Array.from({ length: n_layer }, (_, at) => `${at + 1} of ${n_layer}`)}
            onChange={setLayer}
          />
          <Choice
            label="Head"
            value={head}
            options={["all, averaged", ...Array.from({ length: n_head }, (_, at) => `${at + 1} of ${n_head}`)]}
            onChange={setHead}
          />
        </p>
        {attention.answer === null ? (
          <Waiting look={attention} isBusy={model === null} />
        ) : (
          <AttentionView attention={attention.answer} head={head} />
        )}
      </Disclosure>
      <Disclosure title="Layer by layer" onOpen={setIsLayers}>
        <p>What the model would say here if it ended after each of its layers, and how likely this token is by then.</p>
        {layers.answer === null ? (
          <Waiting look={layers} isBusy={model === null} />
        ) : (
          <Layers layers={layers.answer} token={node.text} />
        )}
      </Disclosure>
      <Disclosure title="Merge by merge" onOpen={setIsMerges}>
        <p>How the tokenizer puts this token together from bytes: the pairs that it merges, one after the other.</p>
        {merges.answer === null ? <Waiting look={merges} isBusy={model === null} /> : <Merges merges={merges.answer} />}
      </Disclosure>
    </div>
  );
}
