import type { Ref } from "react";
import type { Step } from "../lib/chain";
import { formatBytes, formatDuration } from "../lib/format";
import { Row } from "./Row";

/** Characters of a digest that are shown; provenance.json has the whole of it. */
export const DIGEST_SHOWN = 10;

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

type Props = {
  step: Step;
  /** Seconds that its command took; null where that is not known. */
  duration_s: number | null;
  /** Its heading, which the build graph leads to. */
  heading: Ref<HTMLHeadingElement>;
};

/** One stage of the chain in words: what it was made from, what came out, and the command. */
export function StepCard({ step, duration_s, heading }: Props) {
  return (
    <li>
      <h4 ref={heading} tabIndex={-1}>
        {step.stage}
      </h4>
      <p className="from">{step.from.length === 0 ? "from the sources alone" : `from ${step.from.join(", ")}`}</p>
      <dl>
        {step.accepted && <Row name="Accepted" value="kept by hand after a change" />}
        {duration_s !== null && <Row name="Took" value={formatDuration(duration_s)} />}
        {step.outputs.map(({ name, digest, size_bytes }) => (
          <Row key={name} name={name} value={`${formatBytes(size_bytes)}, ${digest.slice(0, DIGEST_SHOWN)}…`} />
        ))}
        {step.sources > 0 && <Row name="Sources" value={count(step.sources, "file")} />}
        {step.external > 0 && <Row name="Documents" value={count(step.external, "file")} />}
        {step.tools.map(([name, version]) => (
          <Row key={name} name={name} value={version} />
        ))}
      </dl>
      <details>
        <summary>{step.params.length === 0 ? "Command" : `Command, ${count(step.params.length, "parameter")}`}</summary>
        <code>{step.command}</code>
        <dl>
          {step.params.map(([name, value]) => (
            <Row key={name} name={name} value={value} />
          ))}
        </dl>
      </details>
    </li>
  );
}
