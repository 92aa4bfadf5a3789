import type { Use } from "../state/docs";

const LABELS = { chat: "Chat", document: "Continue a text" } as const satisfies Record<Use, string>;

type Props = { use: Use; onChoose: (use: Use) => void };

/** Whether a model with a chat template answers, or goes on from a text as a model without one does. */
export function UseChoice({ use, onChoose }: Props) {
  return (
    <fieldset className="uses">
      <legend>What the model does</legend>
      {(["chat", "document"] as const).map(each => (
        <label key={each} className="switch">
          <input type="radio" name="use" checked={use === each} onChange={() => onChoose(each)} />
          {LABELS[each]}
        </label>
      ))}
    </fieldset>
  );
}
