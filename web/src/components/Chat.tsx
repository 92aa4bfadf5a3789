import type { FormEvent, KeyboardEvent, ReactNode } from "react";
import type { Turn } from "../state/turns";
import { Output } from "./Output";
import type { Look } from "./TokenText";
import { type TurnActions, TurnView } from "./Turn";

type Props = {
  turns: readonly Turn[];
  actions: TurnActions;
  look: Look;
  chosen: number | null;
  onChoose: (node: number) => void;
  offered: readonly string[];
  /** What is typed and not yet sent. */
  question: string;
  onQuestion: (question: string) => void;
  isReady: boolean;
  isAnswering: boolean;
  /** So many messages, the oldest, are no longer read. */
  left_out: number;
  onAsk: (question: string) => void;
  onNew: () => void;
  /** What else can be done, as buttons; and what stands at the end. */
  children: ReactNode;
  foot: ReactNode;
};

/** A conversation: what was said, the answer that is being written, and where the next question goes. */
export function Chat(props: Props) {
  const { turns, actions, look, chosen, onChoose, offered, question, onQuestion } = props;
  const { isReady, isAnswering, left_out, onAsk, onNew } = props;

  const ask = (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (!isReady || question.trim() === "") return;
    onAsk(question);
    onQuestion("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // Enter asks, with Shift it begins a line; while an input method composes, it belongs to that.
    const is_plain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.key === "Enter" && is_plain && !event.nativeEvent.isComposing) ask(event);
  };
  // The answer that is being written comes last, also before it has begun.
  const answering = isAnswering && turns.at(-1)?.role === "assistant" ? turns.at(-1) : null;

  return (
    <section className="chat" aria-label="Conversation">
      <ol>
        {turns.map((turn, index) =>
          turn === answering ? null : (
            <TurnView
              // biome-ignore lint/suspicious/noArrayIndexKey: messages follow each other
              key={index}
              turn={turn}
              number={Math.floor(index / 2) + 1}
              look={look}
              chosen={chosen}
              onChoose={onChoose}
              isReady={isReady}
              {...actions}
            />
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
      {turns.length === 0 && offered.length > 0 && (
        <p className="openings">
          {offered.map(opening => (
            <button key={opening} type="button" className="chip" onClick={() => onQuestion(opening)}>
              {opening}
            </button>
          ))}
        </p>
      )}
      <form className="prompt ask" onSubmit={ask}>
        <label htmlFor="question">Message</label>
        <textarea
          id="question"
          rows={2}
          value={question}
          placeholder="Ask something."
          onChange={event => onQuestion(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <div className="actions">
          <button type="submit" className="button primary" aria-disabled={!isReady || question.trim() === ""}>
            Send
          </button>
          {props.children}
          <button type="button" className="button" aria-disabled={turns.length === 0} onClick={onNew}>
            New chat
          </button>
        </div>
      </form>
      {props.foot}
    </section>
  );
}
