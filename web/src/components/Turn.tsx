import { type FormEvent, type KeyboardEvent, type ReactNode, useId, useLayoutEffect, useRef, useState } from "react";
import { textOf } from "../state/tree";
import type { Turn } from "../state/turns";
import { type Look, nodeOf, TokenText } from "./TokenText";
import { Walker } from "./Walker";

/** What can be done with a turn, by its place in the conversation. */
export type TurnActions = {
  /** Say something else in the place of a question, and let the model answer. */
  onAskAgain: (turn: Turn, text: string) => void;
  /** Let the model answer anew. */
  onAnswerAgain: (turn: Turn) => void;
  /** Put other words into the model's mouth, and let it go on from them or not. */
  onAnswer: (turn: Turn, text: string, goes_on: boolean) => void;
  onCopy: (text: string) => void;
  onWalk: (node: number) => void;
};

type Props = TurnActions & {
  turn: Turn;
  /** From 1 on. */
  number: number;
  look: Look;
  chosen: number | null;
  onChoose: (node: number) => void;
  isReady: boolean;
};

/** One turn of a conversation: what was said, its other versions, and the ways to make one more. */
export function TurnView(props: Props) {
  const { turn, number, look, chosen, onChoose, isReady, onAskAgain, onAnswerAgain, onAnswer, onCopy, onWalk } = props;
  const [isEdited, setIsEdited] = useState(false);
  const edit = useRef<HTMLButtonElement>(null);
  const is_question = turn.role === "user";
  const name = `${is_question ? "message" : "answer"} ${number}`;
  const close = () => {
    setIsEdited(false);
    // The form goes, and the keyboard's focus would go with it.
    edit.current?.focus();
  };
  const button = (label: string, onClick: () => void, is_edit = false) => (
    <button
      type="button"
      ref={is_edit ? edit : undefined}
      className="link"
      aria-label={`${label}: ${name}`}
      aria-disabled={!isReady}
      aria-expanded={is_edit ? isEdited : undefined}
      onClick={() => isReady && onClick()}
    >
      {label}
    </button>
  );

  return (
    <li data-role={turn.role}>
      <h2>{is_question ? "You" : "Model"}</h2>
      {isEdited ? (
        <EditForm
          label={is_question ? "Your message, edited" : "The answer, edited"}
          text={textOf(turn.nodes)}
          isReady={isReady}
          sends={is_question}
          ways={
            is_question
              ? [{ label: "Send edited", use: text => onAskAgain(turn, text) }]
              : [
                  { label: "Go on from here", use: text => onAnswer(turn, text, true) },
                  { label: "Keep as it is", use: text => onAnswer(turn, text, false) },
                ]
          }
          onClose={close}
        />
      ) : is_question ? (
        <div className="said">{textOf(turn.nodes)}</div>
      ) : (
        // biome-ignore lint/a11y: a shorter way for the mouse; the keyboard goes from token to token where one is looked at
        <div
          className="said"
          onClick={event => {
            const node = nodeOf(event.target);
            if (node !== null) onChoose(node);
          }}
        >
          <TokenText nodes={turn.nodes} look={look} chosen={chosen} />
        </div>
      )}
      <p className="turn-actions">
        {button("Edit", () => (isEdited ? close() : setIsEdited(true)), true)}
        {!is_question && button("Answer again", () => onAnswerAgain(turn))}
        {!is_question && button("Copy", () => onCopy(textOf(turn.nodes)))}
        {turn.fork !== null && <Walker fork={turn.fork} of={name} isEnabled={isReady} onWalk={onWalk} />}
      </p>
    </li>
  );
}

type Way = { label: string; use: (text: string) => void };

type FormProps = {
  label: string;
  text: string;
  isReady: boolean;
  /** Enter takes the first way, as in the field of the next question. */
  sends: boolean;
  /** What can be done with the edited text; the first is what the form is for. */
  ways: readonly Way[];
  onClose: () => void;
};

function EditForm({ label, text, isReady, sends, ways, onClose }: FormProps): ReactNode {
  const [edited, setEdited] = useState(text);
  const field = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  const isUsable = isReady && edited.trim() !== "";

  useLayoutEffect(() => {
    const element = field.current;
    element?.focus();
    element?.setSelectionRange(element.value.length, element.value.length);
  }, []);

  const take = (way: Way | undefined) => {
    if (!isUsable || way === undefined) return;
    onClose();
    way.use(edited);
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    take(ways[0]);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const is_plain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.nativeEvent.isComposing || !is_plain) return;
    if (event.key === "Escape") onClose();
    if (event.key === "Enter" && sends) {
      event.preventDefault();
      take(ways[0]);
    }
  };

  return (
    <form className="prompt edit" onSubmit={onSubmit}>
      <label htmlFor={id}>{label}</label>
      <textarea
        id={id}
        ref={field}
        rows={3}
        value={edited}
        onChange={event => setEdited(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="actions">
        {ways.map((way, at) => (
          <button
            key={way.label}
            type={at === 0 ? "submit" : "button"}
            className={`button ${at === 0 ? "primary" : "plain"}`}
            aria-disabled={!isUsable}
            onClick={at === 0 ? undefined : () => take(way)}
          >
            {way.label}
          </button>
        ))}
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}
