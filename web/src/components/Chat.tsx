import { type FormEvent, type KeyboardEvent, type ReactNode, useState } from "react";
import { type Said, textOf } from "../state/tree";
import { Output } from "./Output";
import { type Look, nodeOf, TokenText } from "./TokenText";

type Props = {
  said: readonly Said[];
  look: Look;
  chosen: number | null;
  onChoose: (node: number) => void;
  offered: readonly string[];
  isReady: boolean;
  isAnswering: boolean;
  /** So many messages, the oldest, are no longer read. */
  left_out: number;
  onAsk: (question: string) => void;
  onNew: () => void;
  /** What else can be done, as buttons. */
  children: ReactNode;
};

/** A conversation: what was said, the answer that is being written, and where the next question goes. */
export function Chat(props: Props) {
  const { said, look, chosen, onChoose, offered, isReady, isAnswering, left_out, onAsk, onNew, children } = props;
  const [question, setQuestion] = useState("");

  const ask = (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (!isReady || question.trim() === "") return;
    onAsk(question);
    setQuestion("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // Enter asks, with Shift it begins a line; while an input method composes, it belongs to that.
    const is_plain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.key === "Enter" && is_plain && !event.nativeEvent.isComposing) ask(event);
  };
  // The answer that is being written comes last, also before it has begun.
  const answering = isAnswering && said.at(-1)?.role === "assistant" ? said.at(-1) : null;

  return (
    <section className="chat" aria-label="Conversation">
      <ol>
        {said.map((each, index) =>
          each === answering ? null : (
            // biome-ignore lint/suspicious/noArrayIndexKey: messages follow each other
            <li key={index} data-role={each.role}>
              <h2>{each.role === "user" ? "You" : "Model"}</h2>
              {each.role === "user" ? (
                <div className="said">{textOf(each.nodes)}</div>
              ) : (
                // biome-ignore lint/a11y: a shorter way for the mouse; the keyboard goes from token to token where one is looked at
                <div
                  className="said"
                  onClick={event => {
                    const node = nodeOf(event.target);
                    if (node !== null) onChoose(node);
                  }}
                >
                  <TokenText nodes={each.nodes} look={look} chosen={chosen} />
                </div>
              )}
            </li>
          ),
        )}
        {isAnswering && (
          <li data-role="assistant">
            <h2>Model</h2>
            <Output
              nodes={answering?.nodes ?? []}
              look={look}
              chosen={chosen}
              onChoose={onChoose}
              isGenerating={true}
              placeholder="…"
            />
          </li>
        )}
      </ol>
      {left_out > 0 && (
        <p className="note">
          The conversation has outgrown the model's context: it no longer reads the first {left_out} messages.
        </p>
      )}
      {said.length === 0 && offered.length > 0 && (
        <p className="openings">
          {offered.map(opening => (
            <button key={opening} type="button" className="chip" onClick={() => setQuestion(opening)}>
              {opening}
            </button>
          ))}
        </p>
      )}
      <form className="prompt" onSubmit={ask}>
        <label htmlFor="question">Message</label>
        <textarea
          id="question"
          rows={2}
          value={question}
          placeholder="Ask something."
          onChange={event => setQuestion(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <div className="actions">
          <button type="submit" className="button primary" aria-disabled={!isReady || question.trim() === ""}>
            Send
          </button>
          {children}
          <button type="button" className="button" aria-disabled={said.length === 0} onClick={onNew}>
            New chat
          </button>
        </div>
      </form>
    </section>
  );
}
