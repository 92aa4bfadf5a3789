import { type SyntheticEvent, useState } from "react";
import { type ChainAnswer, fetchChain, makes, type Step } from "../lib/chain";
import { formatBytes } from "../lib/format";

/** Characters of a digest that are shown; provenance.json has the whole of it. */
const DIGEST_SHOWN = 10;

type Props = { model_url: string; model_sha256: string };

function Row({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function StepCard({ step }: { step: Step }) {
  return (
    <li>
      <h3>{step.stage}</h3>
      <p>{step.from.length === 0 ? "from the sources alone" : `from ${step.from.join(", ")}`}</p>
      <dl>
        {step.accepted && <Row name="Accepted" value="kept by hand after a change" />}
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

function Verdict({ is_same }: { is_same: boolean | null }) {
  if (is_same === null) return null;
  return is_same ? (
    <p>This page's model is the one that these steps made: its SHA-256 is the same.</p>
  ) : (
    <p className="note">This page's model is not the one that these steps made: its SHA-256 differs.</p>
  );
}

/** How the model was made, as the provenance.json beside it tells: fetched when it is first opened. */
export function Making({ model_url, model_sha256 }: Props) {
  const [answer, setAnswer] = useState<ChainAnswer | "not asked" | "asked">("not asked");
  const url = new URL("provenance.json", model_url).href;

  const onToggle = (event: SyntheticEvent<HTMLDetailsElement>) => {
    if (!event.currentTarget.open || answer !== "not asked") return;
    setAnswer("asked");
    void fetchChain(url).then(setAnswer);
  };

  return (
    <section aria-label="How this model was made">
      <details className="making" onToggle={onToggle}>
        <summary>How this model was made</summary>
        {answer === "asked" && <p>Reading provenance.json…</p>}
        {typeof answer === "object" && answer.kind === "none" && <p>{answer.reason}</p>}
        {typeof answer === "object" && answer.kind === "chain" && (
          <>
            <Verdict is_same={makes(answer.steps, "model.bin", model_sha256)} />
            <ol>
              {answer.steps.map(step => (
                <StepCard key={step.stage} step={step} />
              ))}
            </ol>
            <p>
              Beside each file stand its size and the beginning of its SHA-256. Commands, parameters and digests in
              full: <a href={url}>provenance.json</a>
            </p>
          </>
        )}
      </details>
    </section>
  );
}
