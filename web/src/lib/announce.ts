/** What a screen reader is told about a run: that it began, and once it is over what was written and how it ended. */
import { type Run, runOf, type State } from "../state/machine";
import { formatCount } from "./format";

/** More than this is not read out by itself: it stands in the output, to be read at leisure. */
const LONGEST_TEXT = 600;

const ENDINGS: Record<NonNullable<Run["ending"]>, string> = {
  eos: "The model ended its text",
  "max-tokens": "The model reached the limit of tokens",
  stopped: "The model was stopped",
  failed: "The run failed",
};

/** `textOf` gives all that the run has written; it is asked once the run is over alone. Empty where there is nothing to tell. */
export function announcement(state: State, textOf: () => string): string {
  const run = runOf(state);
  if (run === null) return "";
  if (run.ending === null) return "Writing";
  const text = textOf();
  const written = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)} … and so on` : text;
  return `${ENDINGS[run.ending]} after ${formatCount(run.tokens)} tokens. ${written}`;
}
