import { type ReactNode, useState } from "react";
import { type FieldSpec, parseField } from "../state/sampling";

type Props = { spec: FieldSpec; value: number; onChange: (value: number) => void; children?: ReactNode };

/**
 * A number with a slider under it. The field is the control; the slider is a second handle on it for mouse and finger,
 * and hidden from assistive technology so that the name stands for one control.
 */
export function NumberField({ spec, value, onChange, children }: Props) {
  // What is being typed, while it is not yet what the value reads as: "", "0.", or out of bounds. A value from elsewhere takes its place.
  const [draft, setDraft] = useState<string | null>(null);
  const meant = draft === null ? value : parseField(spec, draft);
  const id = `field-${spec.name}`;

  const type = (text: string) => {
    setDraft(text);
    const parsed = parseField(spec, text);
    if (parsed !== null) onChange(parsed);
  };

  return (
    <div className="field">
      <label htmlFor={id}>{spec.label}</label>
      <p id={`${id}-about`}>{spec.about}</p>
      <input
        id={id}
        type="number"
        inputMode="decimal"
        min={spec.min}
        max={spec.max}
        step={spec.step}
        value={draft === null || (meant !== null && meant !== value) ? value : draft}
        aria-describedby={`${id}-about`}
        onChange={event => type(event.target.value)}
        onBlur={() => setDraft(null)}
      />
      {spec.slider_max !== null && (
        <input
          className="slider"
          type="range"
          aria-hidden="true"
          tabIndex={-1}
          min={spec.min}
          max={spec.slider_max}
          step={spec.step}
          value={Math.min(value, spec.slider_max)}
          onChange={event => {
            setDraft(null);
            onChange(Number(event.target.value));
          }}
        />
      )}
      {children}
    </div>
  );
}
