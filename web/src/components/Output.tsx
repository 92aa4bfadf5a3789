import type { TreeNode } from "../state/tree";
import { type Look, nodeOf, TokenText } from "./TokenText";

type Props = {
  nodes: readonly TreeNode[];
  look: Look;
  chosen: number | null;
  onChoose: (node: number) => void;
  isGenerating: boolean;
  placeholder: string;
};

/** What stands behind the prompt, drawn as often as the document changes. */
export function Output({ nodes, look, chosen, onChoose, isGenerating, placeholder }: Props) {
  return (
    <section className="output" aria-label="Output">
      {/* biome-ignore lint/a11y: a shorter way for the mouse; the keyboard goes from token to token where one is looked at */}
      <div
        className="output-text"
        data-placeholder={placeholder}
        data-generating={isGenerating}
        onClick={event => {
          const node = nodeOf(event.target);
          if (node !== null) onChoose(node);
        }}
      >
        <TokenText nodes={nodes} look={look} chosen={chosen} />
      </div>
    </section>
  );
}
