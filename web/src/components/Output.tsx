import { useEffect, useRef } from "react";
import type { TextLog } from "../state/textLog";

/** A new block begins at the first line end after this many characters, so that the browser lays out only the last one. */
const BLOCK_CHARACTERS = 2000;

/** Appends to the last block's text node; text only, so nothing that a model says can become markup. */
function appendText(parent: HTMLElement, text: string): void {
  let rest = text;
  while (rest !== "") {
    const last = parent.lastElementChild?.firstChild;
    const is_full = last instanceof Text && last.length >= BLOCK_CHARACTERS && last.data.endsWith("\n");
    let node: Text;
    if (last instanceof Text && !is_full) {
      node = last;
    } else {
      node = document.createTextNode("");
      const block = document.createElement("div");
      block.append(node);
      parent.append(block);
    }
    const line_end = rest.indexOf("\n", Math.max(0, BLOCK_CHARACTERS - node.length));
    const cut = line_end === -1 ? rest.length : line_end + 1;
    node.appendData(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
}

type Props = { text: TextLog; isGenerating: boolean; placeholder: string };

/** The model's text, drawn once a frame while it grows. React never sees it: a render per token would cost more than a token. */
export function Output({ text, isGenerating, placeholder }: Props) {
  const target = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const element = target.current;
    if (element === null) return;
    let drawn = 0;
    let frame: number | null = null;
    const draw = () => {
      frame = null;
      if (text.length < drawn) drawn = 0;
      if (drawn === 0) element.replaceChildren();
      appendText(element, text.since(drawn));
      drawn = text.length;
    };
    const onChange = () => {
      // A cleared log is shown at once: what follows belongs to another run, however soon it comes.
      if (text.length === 0) draw();
      else frame ??= requestAnimationFrame(draw);
    };
    draw();
    const unsubscribe = text.subscribe(onChange);
    return () => {
      unsubscribe();
      if (frame !== null) cancelAnimationFrame(frame);
    };
  }, [text]);

  return (
    <section className="output" aria-label="Output">
      <div ref={target} className="output-text" data-placeholder={placeholder} data-generating={isGenerating} />
    </section>
  );
}
