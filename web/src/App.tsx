import { type Device, type ModelSource, randomSeed } from "pocketlm";
import { type ReactNode, useCallback, useState } from "react";
import type { CommandId } from "./commands";
import { Chat } from "./components/Chat";
import { CommandButton } from "./components/CommandButton";
import { ErrorPanel } from "./components/ErrorPanel";
import { Header } from "./components/Header";
import { LoadPanel } from "./components/LoadPanel";
import { Making } from "./components/Making";
import { ModelCard } from "./components/ModelCard";
import { FallbackNote, InterruptionNote, NotRenewedNote } from "./components/Notes";
import { Output } from "./components/Output";
import { PromptBox } from "./components/PromptBox";
import { RunFigures } from "./components/RunFigures";
import { SamplingPanel } from "./components/SamplingPanel";
import { ShortcutHelp } from "./components/ShortcutHelp";
import { StorageNote } from "./components/StorageNote";
import { Tokens } from "./components/Tokens";
import { useChat } from "./hooks/useChat";
import { type Copied, useCopy } from "./hooks/useCopy";
import { useEngine } from "./hooks/useEngine";
import { useScore } from "./hooks/useScore";
import { useShortcuts } from "./hooks/useShortcuts";
import { useTheme } from "./hooks/useTheme";
import { announcement } from "./lib/announce";
import { assertNever } from "./lib/assertNever";
import { openings } from "./lib/provenance";
import { defaultSampling } from "./state/sampling";

const COPIED: Record<NonNullable<Copied>, string> = {
  copied: "Copied: the prompt and the text.",
  refused: "The browser did not allow copying. Select the text and copy it by hand.",
};

/** `choice`: how the reader chooses another model, where that can be done. */
type Props = { from: ModelSource; worker_url?: string | null; choice?: ReactNode; device: Device; isMac: boolean };

/** The page: holds what the reader has set, and joins the engine's state to what is shown. */
export function App({ from, worker_url = null, choice = null, device, isMac }: Props) {
  const engine = useEngine(from, device, worker_url);
  const { state, text, load, generate, stop, forget } = engine;
  const chat = useChat(engine);
  const surprise = useScore(engine);
  const { theme, choose } = useTheme();
  const { copied, copy } = useCopy();
  const [options, setOptions] = useState(() => defaultSampling(randomSeed()));
  /** null until the reader has written: an opening that the model brings stands there meanwhile. */
  const [written, setWritten] = useState<string | null>(null);

  const model = "model" in state ? state.model : null;
  const run_state = "run" in state ? state.run : null;
  const interruption = run_state?.interruption ?? null;
  const offered = model === null ? [] : openings(model.card.header.provenance);
  const prompt = written ?? offered[0] ?? model?.card.golden_prompt ?? "";

  const run = useCallback(
    (id: CommandId) => {
      switch (id) {
        case "generate":
          setWritten(prompt);
          generate(prompt, options);
          return;
        case "stop":
          stop();
          return;
        case "again": {
          const drawn = { ...options, seed: randomSeed() };
          setOptions(drawn);
          generate(prompt, drawn);
          return;
        }
        case "copy":
          copy(prompt + text.since(0));
          return;
        default:
          assertNever(id);
      }
    },
    [prompt, options, generate, stop, text, copy],
  );
  const is_chat = model !== null && model.card.chat_template !== null;
  const runOfShortcut = useCallback(
    (id: CommandId) => {
      // In a conversation there is no prompt to continue and nothing to copy but by selecting it.
      if (!is_chat || id === "stop") run(id);
    },
    [is_chat, run],
  );
  useShortcuts(state, runOfShortcut);

  return (
    <div className="page">
      <Header state={state} theme={theme} onTheme={choose} />
      <main>
        <div className="sheet">
          {state.phase === "failed" && <ErrorPanel error={state.error} onRetry={load} isOnCpu={device === "cpu"} />}
          {state.phase === "ready" && state.notice !== null && (
            <ErrorPanel error={state.notice} onRetry={null} isOnCpu={device === "cpu"} />
          )}
          {engine.not_renewed !== null && <NotRenewedNote reason={engine.not_renewed} />}
          {state.phase !== "failed" && model !== null && model.fallback !== null && (
            <FallbackNote reason={model.fallback} />
          )}
          {is_chat ? (
            <Chat
              messages={chat.messages}
              text={text}
              offered={offered}
              isReady={state.phase === "ready"}
              isAnswering={chat.isAnswering}
              left_out={chat.left_out}
              onAsk={question => chat.ask(question, options)}
              onStop={stop}
              onNew={chat.clear}
            />
          ) : (
            <>
              <PromptBox value={prompt} onChange={setWritten} />
              {offered.length > 1 && (
                <p className="openings">
                  {offered.map(opening => (
                    <button key={opening} type="button" className="chip" onClick={() => setWritten(opening)}>
                      {opening.trim()}
                    </button>
                  ))}
                </p>
              )}
              <div className="actions">
                <CommandButton id="generate" state={state} run={run} variant="primary" />
                <CommandButton id="stop" state={state} run={run} />
                <CommandButton id="again" state={state} run={run} />
                <CommandButton id="copy" state={state} run={run} />
              </div>
              <label className="switch">
                <input
                  type="checkbox"
                  checked={surprise.is_on}
                  disabled={state.phase !== "ready"}
                  onChange={() => surprise.toggle(prompt + text.since(0))}
                />
                Show surprise
              </label>
              {copied !== null && <p className="told">{COPIED[copied]}</p>}
            </>
          )}
          {state.phase !== "failed" && interruption !== null && (
            <InterruptionNote cause={interruption} isOver={state.phase !== "recovering"} />
          )}
          {(state.phase === "loading" || state.phase === "recovering") && <LoadPanel progress={state.progress} />}
          {surprise.is_on && surprise.score === null && <p>Scoring the prompt and the text…</p>}
          {surprise.score !== null && <Tokens score={surprise.score} />}
          {!is_chat && !surprise.is_on && (
            <Output
              text={text}
              isGenerating={state.phase === "generating" || state.phase === "recovering"}
              placeholder={state.phase === "ready" ? "The model goes on from here." : ""}
            />
          )}
          <RunFigures run={run_state} />
        </div>
        <aside>
          <SamplingPanel options={options} onChange={setOptions} />
          {choice}
          {model !== null && <ModelCard model={model} />}
          {model !== null && <StorageNote model={model} onDelete={forget} />}
        </aside>
      </main>
      {model !== null && typeof from === "string" && <Making model_url={from} model_sha256={model.sha256} />}
      <p className="announcement" role="status" aria-label="Announcement">
        {copied === null ? announcement(state, () => text.since(0)) : COPIED[copied]}
      </p>
      <footer>
        <ShortcutHelp isMac={isMac} />
      </footer>
    </div>
  );
}
