import { type ChangeEvent, useRef } from "react";
import { useFileDrop } from "../hooks/useFileDrop";
import type { Chosen } from "../hooks/useModels";
import { formatBytes, formatParameters } from "../lib/format";
import type { Offered } from "../lib/models";

/** What one knows of a model before it is loaded. */
function described({ size_bytes, parameters, is_chat }: Offered): string {
  const said = [
    size_bytes === null ? null : formatBytes(size_bytes),
    parameters === null ? null : `${formatParameters(parameters)} parameters`,
    is_chat ? "answers questions" : "continues texts",
  ];
  return said.filter(each => each !== null).join(" · ");
}

type Props = { offered: readonly Offered[]; chosen: Chosen; onChoose: (chosen: Chosen) => void };

/** The models that can be had here, where there is more than one, and the way to run a file of one's own. */
export function ModelChoice({ offered, chosen, onChoose }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const is_over = useFileDrop(onChoose);
  const own = typeof chosen === "string" ? null : chosen;

  const onFile = (event: ChangeEvent<HTMLInputElement>) => {
    const file = event.target.files?.item(0);
    event.target.value = ""; // the same file can be chosen again
    if (file != null) onChoose(file);
  };

  return (
    <section className="models" aria-labelledby="models">
      <h2 id="models">Models</h2>
      {(offered.length > 1 || own !== null) && (
        <fieldset>
          <legend>The model that runs</legend>
          {offered.map(each => (
            <label key={each.url}>
              <input type="radio" name="model" checked={each.url === chosen} onChange={() => onChoose(each.url)} />
              <span>
                {each.name} <small>{described(each)}</small>
              </span>
            </label>
          ))}
          {own !== null && (
            <label>
              <input type="radio" name="model" checked readOnly />
              <span>
                {own.name} <small>{`${formatBytes(own.size)} · your file, read where it lies`}</small>
              </span>
            </label>
          )}
        </fieldset>
      )}
      <input ref={input} type="file" accept=".bin,.gguf" hidden onChange={onFile} />
      <button type="button" className="button" onClick={() => input.current?.click()}>
        Open a model file…
      </button>
      <p>A model.bin or a GGUF file on this device; you can also drop it onto the page. It is uploaded nowhere.</p>
      {is_over && <p className="drop">Drop a model.bin or a GGUF file here to run it</p>}
    </section>
  );
}
