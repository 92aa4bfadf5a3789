import { randomSeed } from "pocketlm";
import { FIELDS, type FieldSpec, type SamplingOptions } from "../state/sampling";
import { NumberField } from "./NumberField";

type Props = { options: SamplingOptions; onChange: (options: SamplingOptions) => void };

/** How the next token is chosen. */
export function SamplingPanel({ options, onChange }: Props) {
  const field = (spec: FieldSpec) => (
    <NumberField
      key={spec.name}
      spec={spec}
      value={options[spec.name]}
      onChange={value => onChange({ ...options, [spec.name]: value })}
    >
      {spec.name === "seed" && (
        <button type="button" className="link" onClick={() => onChange({ ...options, seed: randomSeed() })}>
          New seed
        </button>
      )}
    </NumberField>
  );
  return (
    <section className="sampling" aria-label="Sampling">
      <h2>Sampling</h2>
      {FIELDS.filter(spec => !spec.is_advanced).map(field)}
      <details>
        <summary>Advanced</summary>
        {FIELDS.filter(spec => spec.is_advanced).map(field)}
      </details>
    </section>
  );
}
