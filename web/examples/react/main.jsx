import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useModel } from "./useModel.js";

function Writer() {
  const { model, progress, error } = useModel("model.bin");
  const [prompt, setPrompt] = useState("Once upon a time");
  const [text, setText] = useState("");
  const [generation, setGeneration] = useState(null);

  async function write() {
    setText(prompt);
    const begun = model.generate(prompt, { maxTokens: 200 });
    setGeneration(begun);
    try {
      for await (const piece of begun) setText(before => before + piece.text);
    } catch (failure) {
      setText(before => `${before}\n${failure.message}`);
    }
    setGeneration(null);
  }

  if (error !== null) return <p role="alert">{`${error.message} ${error.hint ?? ""}`}</p>;
  if (model === null) return <p role="status">Loading: {progress?.phase}</p>;
  return (
    <>
      <label>
        Prompt <input value={prompt} onChange={event => setPrompt(event.target.value)} />
      </label>
      <button type="button" disabled={generation !== null} onClick={write}>
        Write
      </button>
      <button type="button" disabled={generation === null} onClick={() => generation.stop()}>
        Stop
      </button>
      <pre id="text">{text}</pre>
    </>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <Writer />
  </StrictMode>,
);
