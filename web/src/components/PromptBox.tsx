import { useLayoutEffect, useRef } from "react";

type Props = { value: string; onChange: (value: string) => void };

/** The prompt: as tall as its text, set in the same type as the text that continues it. */
export function PromptBox({ value, onChange }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the height follows the value
  useLayoutEffect(() => {
    const element = field.current;
    // Browsers with field-sizing do this themselves, and better.
    if (element === null || CSS.supports("field-sizing", "content")) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [value]);

  return (
    <div className="prompt">
      <label htmlFor="prompt">Prompt</label>
      <textarea
        id="prompt"
        ref={field}
        rows={3}
        value={value}
        spellCheck={false}
        placeholder="Write the beginning of a text. The model goes on from there."
        onChange={event => onChange(event.target.value)}
      />
    </div>
  );
}
