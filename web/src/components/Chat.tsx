import type { Message } from "pocketlm";
import { type FormEvent, type KeyboardEvent, useState } from "react";
import type { TextLog } from "../state/textLog";
import { Output } from "./Output";

type Props = {
  messages: readonly Message[];
  text: TextLog;
  offered: readonly string[];
  isReady: boolean;
  isAnswering: boolean;
  /** So many messages, the oldest, are no longer read. */
  left_out: number;
  onAsk: (question: string) => void;
  onStop: () => void;
  onNew: () => void;
};

/** A conversation: what was said, the answer that is being written, and where the next question goes. */
export function Chat({ messages, text, offered, isReady, isAnswering, left_out, onAsk, onStop, onNew }: Props) {
  const [question, setQuestion] = useState("");

  const ask = (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (!isReady || question.trim() === "") return;
    onAsk(question);
    setQuestion("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // Enter asks, with Shift it begins a line; while an input method composes, it belongs to that.
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) ask(event);
  };

  return (
    <section className="chat" aria-label="Conversation">
      <ol>
        {messages.map((message, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: messages are only ever added at the end
          <li key={index} data-role={message.role}>
            <h2>{message.role === "user" ? "You" : "Model"}</h2>
            <div className="said">{message.content}</div>
          </li>
        ))}
        {isAnswering && (
          <li data-role="assistant">
            <h2>Model</h2>
            <Output text={text} isGenerating={true} placeholder="…" />
          </li>
        )}
      </ol>
      {left_out > 0 && (
        <p className="note">
          The conversation has outgrown the model's context: it no longer reads the first {left_out} messages.
        </p>
      )}
      {messages.length === 0 && offered.length > 0 && (
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
          <button type="button" className="button" aria-disabled={!isAnswering} onClick={() => isAnswering && onStop()}>
            Stop
          </button>
          <button type="button" className="button" aria-disabled={messages.length === 0} onClick={onNew}>
            New chat
          </button>
        </div>
      </form>
    </section>
  );
}
