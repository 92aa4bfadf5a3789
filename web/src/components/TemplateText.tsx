import { useEffect, useState } from "react";
import { type Segment, segmentsOf } from "../lib/template";

type Props = {
  /** The prompt of what is shown, in parts by turns; it rejects where the template refuses the conversation. */
  read: () => Promise<readonly string[]>;
  special_tokens: readonly string[];
  /** What the model wrote behind it. */
  answer: string;
};

/** What the model reads in place of the conversation: the template's text, in which the tokens that count are marked. */
export function TemplateText({ read, special_tokens, answer }: Props) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details className="template" onToggle={event => setIsOpen(event.currentTarget.open)}>
      <summary>The template's text</summary>
      {isOpen && <Prompt read={read} special_tokens={special_tokens} answer={answer} />}
    </details>
  );
}

function Prompt({ read, special_tokens, answer }: Props) {
  const [segments, setSegments] = useState<readonly Segment[]>([]);
  const [refusal, setRefusal] = useState<string | null>(null);

  useEffect(() => {
    let is_over = false;
    read().then(
      parts => {
        if (is_over) return;
        setRefusal(null);
        setSegments(segmentsOf(parts, special_tokens));
      },
      (thrown: unknown) => is_over || setRefusal(thrown instanceof Error ? thrown.message : String(thrown)),
    );
    return () => {
      is_over = true;
    };
  }, [read, special_tokens]);

  if (refusal !== null) return <p>{refusal}</p>;
  return (
    <>
      <p>
        What the model reads, to the letter. A <mark>marked</mark> text is one token that counts; the same text in a
        message is ordinary text, and is not marked.
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and the keyboard must come to it */}
      <section className="text" tabIndex={0} aria-label="The prompt, to the letter">
        {segments.map(({ text, is_special }, at) =>
          // Isolated: characters that turn the direction in a message do not turn what is marked.
          // biome-ignore lint/suspicious/noArrayIndexKey: a text in its parts
          is_special ? <mark key={at}>{text}</mark> : <bdi key={at}>{text}</bdi>,
        )}
        <bdi className="voice">{answer}</bdi>
      </section>
    </>
  );
}
