import { type Device, type ModelSource, randomSeed } from "pocketlm";
import { type ReactNode, useCallback, useLayoutEffect, useReducer, useRef, useState } from "react";
import { type CommandId, canRun, commandsOf } from "./commands";
import { Branches } from "./components/Branches";
import { Chat } from "./components/Chat";
import { CommandButton } from "./components/CommandButton";
import { ErrorPanel } from "./components/ErrorPanel";
import { Header } from "./components/Header";
import { Inspector } from "./components/Inspector";
import { LoadPanel } from "./components/LoadPanel";
import { Making } from "./components/Making";
import { Measuring } from "./components/Measuring";
import { ModelCard } from "./components/ModelCard";
import { FallbackNote, InterruptionNote, NotRenewedNote } from "./components/Notes";
import { Output } from "./components/Output";
import { PromptBox } from "./components/PromptBox";
import { RunFigures } from "./components/RunFigures";
import { SamplingPanel } from "./components/SamplingPanel";
import { SavedNote } from "./components/SavedNote";
import { ShortcutHelp } from "./components/ShortcutHelp";
import { StorageNote } from "./components/StorageNote";
import { Switch } from "./components/Switch";
import { TemplateText } from "./components/TemplateText";
import { Tokens } from "./components/Tokens";
import type { Look } from "./components/TokenText";
import { UseChoice } from "./components/UseChoice";
import { useCopy } from "./hooks/useCopy";
import { useDocument } from "./hooks/useDocument";
import { useEngine } from "./hooks/useEngine";
import { useSaved } from "./hooks/useSaved";
import { useScore } from "./hooks/useScore";
import { useShortcuts } from "./hooks/useShortcuts";
import { useTheme } from "./hooks/useTheme";
import { hashNow } from "./lib/address";
import { announcement } from "./lib/announce";
import { assertNever } from "./lib/assertNever";
import { saveFile } from "./lib/download";
import { openings } from "./lib/provenance";
import { emptyDocs, reduceDocs, type Use } from "./state/docs";
import { isWriting, runOf } from "./state/machine";
import { defaultSampling } from "./state/sampling";
import { readAddress, toMarkdown } from "./state/saved";
import { type DocAction, pathTo, reduceDoc, textOf } from "./state/tree";

const COPIED: Record<Use, string> = {
  document: "Copied: the prompt and the text.",
  chat: "Copied: the answer.",
};
const NOT_COPIED = "The browser did not allow copying. Select the text and copy it by hand.";

/** No model, so no special tokens. */
const NONE: readonly string[] = [];

/** `choice`: how the reader chooses another model, where that can be done. */
type Props = { from: ModelSource; worker_url?: string | null; choice?: ReactNode; device: Device; isMac: boolean };

/** The page: holds what the reader has set, and joins the engine's state to what is shown. */
export function App({ from, worker_url = null, choice = null, device, isMac }: Props) {
  const [docs, changeDocs] = useReducer(reduceDocs, emptyDocs);
  const engine = useEngine(from, device, worker_url);
  const { state, load, stop, leave, forget } = engine;
  const surprise = useScore(engine);
  const { theme, choose } = useTheme();
  const { copied, copy } = useCopy();
  const lookAt = useRef<HTMLButtonElement>(null);
  const [address] = useState(() => readAddress(hashNow()));
  const [options, setOptions] = useState(() => ({ ...defaultSampling(randomSeed()), ...address.settings }));
  const [look, setLook] = useState<Look>({ shades: false, whitespace: false });
  /** The node that is looked at. */
  const [chosen, setChosen] = useState<number | null>(null);
  /** null until the reader has written: an opening that the model brings stands there meanwhile. */
  const [written, setWritten] = useState<string | null>(address.prompt);
  /** In a conversation: what is typed and not yet sent. */
  const [question, setQuestion] = useState("");
  /** A model with a chat template goes on from a text all the same. */
  const [as_document, setAsDocument] = useState(address.as_document);

  const model = "model" in state ? state.model : null;
  const has_template = model !== null && model.card.chat_template !== null;
  const use = model === null ? docs.shown : has_template && !as_document ? "chat" : "document";
  // During render, so that the wrong text is never drawn or saved.
  if (use !== docs.shown) {
    changeDocs({ type: "show", use });
    setChosen(null);
  }
  const doc = docs[use];
  const change = useCallback((action: DocAction) => changeDocs({ ...action, of: use }), [use]);
  const run_state = runOf(state);
  const interruption = run_state?.interruption ?? null;
  const { off } = surprise;
  // Nothing more is written to the text that is left, nor told of it.
  // biome-ignore lint/correctness/useExhaustiveDependencies: when another text is shown
  useLayoutEffect(() => {
    leave();
    off();
  }, [use, leave, off]);
  const isReady = state.phase === "ready";
  const isGenerating = isWriting(state);
  const is_chat = use === "chat";
  const told = copied === null ? null : copied === "copied" ? COPIED[use] : NOT_COPIED;
  const writing = useDocument({ doc, change, engine, is_chat, is_told: look.shades });
  const { path, writeFrom } = writing;
  const saved = useSaved({
    docs,
    changeDocs,
    written,
    setWritten,
    options,
    setOptions,
    model_sha256: model?.sha256 ?? null,
    has_template,
    as_document,
    setAsDocument,
    isReady,
    stop,
  });
  // What a model with a template brings are questions.
  const offered = model === null || (has_template && !is_chat) ? [] : openings(model.card.header.provenance);
  const prompt = written ?? offered[0] ?? model?.card.golden_prompt ?? "";
  /** What the model wrote, and what stands in between. */
  const behind = path.filter((node, at) => at > 0 && (!is_chat || node.token !== null));
  const node = behind.find(({ id }) => id === chosen) ?? null;
  /** Tokens that came while nobody asked how likely they were. */
  const isUnshaded = look.shades && behind.some(({ source, logprob }) => source === "sampled" && logprob === null);
  const written_last = path.slice(path.findLastIndex(({ token }) => token === null) + 1);

  /** Change what is shown, its prompt too. */
  const show = useCallback(
    (action: DocAction) => {
      const next = reduceDoc(doc, action);
      change(action);
      const [first] = pathTo(next, next.tip);
      if (!is_chat && first !== undefined) setWritten(first.text);
    },
    [doc, change, is_chat],
  );
  /** With another seed. */
  const answerAgain = useCallback(
    (action: DocAction) => {
      const drawn = { ...options, seed: randomSeed() };
      setOptions(drawn);
      writeFrom(action, drawn);
    },
    [options, writeFrom],
  );
  const run = useCallback(
    (id: CommandId) => {
      switch (id) {
        case "generate":
          setWritten(prompt);
          writeFrom({ type: "begin", prompt }, options);
          return;
        case "continue":
          writeFrom({ type: "continue" }, options);
          return;
        case "stop":
          stop();
          return;
        case "again":
          answerAgain(is_chat ? { type: "rewind" } : { type: "begin", prompt });
          return;
        case "undo":
          show({ type: "undo" });
          return;
        case "copy":
          copy(textOf(path));
          return;
        default:
          assertNever(id);
      }
    },
    [prompt, path, options, is_chat, writeFrom, answerAgain, show, stop, copy],
  );
  const isEnabled = useCallback((id: CommandId) => canRun(id, state, doc, use), [state, doc, use]);
  useShortcuts(isEnabled, run);

  const onChoose = (id: number | null) => {
    setChosen(id);
    const found = id === null ? undefined : doc.nodes[id];
    if (found !== undefined && isReady) writing.look(found, options);
  };
  /** The panel of a token goes, and the keyboard's focus would go with it. */
  const onClose = () => {
    setChosen(null);
    lookAt.current?.focus();
  };
  const onWalk = (id: number) => show({ type: "walk", node: id });
  const button = (id: CommandId) => <CommandButton id={id} isEnabled={isEnabled(id)} run={run} />;

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
          {has_template && <UseChoice use={use} onChoose={to => setAsDocument(to === "document")} />}
          {is_chat ? (
            <Chat
              turns={writing.turns}
              actions={{
                onAskAgain: ({ before }, text) => writeFrom({ type: "write", node: before, text }, options),
                onAnswerAgain: ({ before }) => before !== null && answerAgain({ type: "rewind", node: before }),
                onAnswer: ({ before }, text, goes_on) =>
                  before !== null && writing.answerWith(before, text, goes_on, options),
                onCopy: copy,
                onWalk,
              }}
              look={look}
              chosen={chosen}
              onChoose={onChoose}
              offered={offered}
              question={question}
              onQuestion={setQuestion}
              isReady={isReady}
              isAnswering={isGenerating}
              left_out={writing.left_out}
              onAsk={question =>
                writeFrom(
                  doc.tip === null
                    ? { type: "begin", prompt: question }
                    : { type: "write", node: doc.tip, text: question },
                  options,
                )
              }
              onNew={() => {
                stop();
                change({ type: "clear" });
              }}
              foot={
                doc.tip !== null && (
                  <TemplateText
                    read={writing.readPrompt}
                    special_tokens={model?.card.special_tokens ?? NONE}
                    answer={textOf(written_last)}
                  />
                )
              }
            >
              {button("stop")}
              {button("again")}
              {button("continue")}
              {button("undo")}
            </Chat>
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
                <CommandButton id="generate" isEnabled={isEnabled("generate")} run={run} variant="primary" />
                {button("stop")}
                {button("again")}
                {button("continue")}
                {button("undo")}
                {button("copy")}
              </div>
            </>
          )}
          {told !== null && <p className="told">{told}</p>}
          <div className="switches">
            <Switch
              label="Show surprise"
              is_on={look.shades}
              onToggle={() => setLook({ ...look, shades: !look.shades })}
            />
            <Switch
              label="Show whitespace"
              is_on={look.whitespace}
              onToggle={() => setLook({ ...look, whitespace: !look.whitespace })}
            />
            {!is_chat && (
              <Switch
                label="Score the text"
                is_on={surprise.is_on}
                isEnabled={isReady}
                onToggle={() => surprise.toggle(path[0]?.text === prompt ? textOf(path) : prompt)}
              />
            )}
            <button
              ref={lookAt}
              type="button"
              className="link"
              aria-disabled={behind.length === 0}
              onClick={() => behind.length > 0 && onChoose(chosen === null ? (behind[0]?.id ?? null) : null)}
            >
              Look at a token
            </button>
          </div>
          {isUnshaded && isReady && (
            <p className="told">
              What was written while “Show surprise” was off has no shades. Write it again
              {is_chat ? "." : ", or use “Score the text”."}
            </p>
          )}
          {state.phase !== "failed" && interruption !== null && (
            <InterruptionNote cause={interruption} isOver={state.phase !== "recovering"} />
          )}
          {(state.phase === "loading" || state.phase === "recovering") && <LoadPanel progress={state.progress} />}
          {surprise.is_on && surprise.score === null && <p>Scoring the prompt and the text…</p>}
          {surprise.score !== null && <Tokens score={surprise.score} />}
          {!is_chat && !surprise.is_on && (
            <Output
              nodes={behind}
              look={look}
              chosen={chosen}
              onChoose={onChoose}
              isGenerating={isGenerating}
              placeholder={isReady ? "The model goes on from here." : ""}
            />
          )}
          <RunFigures run={run_state} />
          <Branches doc={doc} path={path} isEnabled={isReady} onWalk={onWalk} />
          {node !== null && (
            <Inspector
              doc={doc}
              nodes={behind}
              node={node}
              before={writing.before(node)}
              options={options}
              model={isReady ? engine.model() : null}
              config={model?.card.header.config ?? null}
              isReady={isReady}
              onChoose={onChoose}
              onClose={onClose}
              onBranch={candidate => {
                onClose();
                writeFrom({ type: "branch", node: node.id, candidate }, options);
              }}
              onWrite={
                is_chat
                  ? null
                  : text => {
                      onClose();
                      writeFrom({ type: "write", node: node.id, text }, options);
                    }
              }
              onWalk={onWalk}
            />
          )}
        </div>
        <aside>
          <SamplingPanel options={options} onChange={setOptions} />
          {choice}
          <SavedNote
            hasText={doc.tip !== null}
            is_chat={is_chat}
            is_kept={saved.is_kept}
            onMarkdown={() =>
              saveFile("text.md", "text/markdown", toMarkdown(path, options, model?.sha256 ?? "", is_chat))
            }
            onJson={() => saveFile("text.json", "application/json", saved.json())}
            onOpen={saved.open}
            onForget={saved.forget}
          />
          {model !== null && <ModelCard model={model} />}
          {model !== null && <StorageNote from={from} model={model} onDelete={forget} />}
        </aside>
      </main>
      {model !== null && <Measuring key={model.sha256} model={engine.model} isReady={isReady} />}
      {model !== null && typeof from === "string" && <Making model_url={from} model_sha256={model.sha256} />}
      <p className="announcement" role="status" aria-label="Announcement">
        {told ?? announcement(state, () => textOf(written_last))}
      </p>
      <footer>
        <ShortcutHelp isMac={isMac} of={commandsOf(use)} />
      </footer>
    </div>
  );
}
