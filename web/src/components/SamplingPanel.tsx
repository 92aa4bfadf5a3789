import type { GenerateOptions } from "../engine/protocol";
import { FIELDS, randomSeed } from "../state/sampling";
import { NumberField } from "./NumberField";

type Props = { options: GenerateOptions; onChange: (options: GenerateOptions) => void };

/** How the next token is drawn. */
export function SamplingPanel({ options, onChange }: Props) {
  return (
    <section className="sampling" aria-label="Sampling">
      <h2>Sampling</h2>
      {FIELDS.map(spec => (
        <NumberField
          key={spec.name}
          spec={spec}
          value={options[spec.name]}
          onChange={value => onChange({ ...options, [spec.name]: value })}
        >
          {spec.name === "seed" && (
            <button type="button" className="link" onClick={() => onChange({ ...options, seed: randomSeed() })}>
              draw another
            </button>
          )}
        </NumberField>
      ))}
    </section>
  );
}
