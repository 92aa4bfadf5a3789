import { formatCount, formatMs, formatRate } from "../lib/format";
import { type Run, tokensPerSecond } from "../state/machine";

const ENDINGS: Record<NonNullable<Run["ending"]>, string> = {
  eos: "the model ended its text",
  "max-tokens": "reached the limit",
  stopped: "stopped",
  failed: "failed",
};

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** The figures of a run: how fast, how soon, how much, how it ended. Outside the output, whose text they are not. */
export function RunFigures({ run }: { run: Run | null }) {
  const rate = run === null ? null : tokensPerSecond(run);
  const first_ms = run?.first_token_ms ?? null;
  return (
    <dl className="figures">
      <Figure name="tokens/s" value={rate === null ? "–" : formatRate(rate)} />
      <Figure name="first token" value={first_ms === null ? "–" : formatMs(first_ms)} />
      <Figure
        name="tokens read + written"
        value={run === null ? "–" : `${formatCount(run.prefilled)} + ${formatCount(run.tokens)}`}
      />
      <Figure name="end" value={run === null ? "–" : run.ending === null ? "writing…" : ENDINGS[run.ending]} />
    </dl>
  );
}
