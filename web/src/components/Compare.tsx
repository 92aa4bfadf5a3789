import { type Device, randomSeed } from "pocketlm";
import { useEffect, useState } from "react";
import type { CommandId } from "../commands";
import { type Copied, useCopy } from "../hooks/useCopy";
import { useShortcuts } from "../hooks/useShortcuts";
import { type SideHandle, useSide } from "../hooks/useSide";
import { useTheme } from "../hooks/useTheme";
import { announcement } from "../lib/announce";
import { type Compared, type Comparison, type ComparisonAnswer, fetchComparison, joint } from "../lib/comparison";
import { openings } from "../lib/provenance";
import { isWriting } from "../state/machine";
import { defaultSampling } from "../state/sampling";
import { CommandButton } from "./CommandButton";
import { Header } from "./Header";
import { PromptBox } from "./PromptBox";
import { SamplingPanel } from "./SamplingPanel";
import { ShortcutHelp } from "./ShortcutHelp";
import { Side } from "./Side";
import "../styles/compare.css";

const COPIED: Record<NonNullable<Copied>, string> = {
  copied: "Copied: the prompt and both texts.",
  refused: "The browser did not allow copying. Select the text and copy it by hand.",
};

/** Of the commands of one document those that two have, too. */
const ACTIONS = ["generate", "stop", "again", "copy"] as const;

type Props = { url: string; device: Device; isMac: boolean };

/** Two models side by side, as the compare.json at `url` names them: one prompt, one seed, the same settings. */
export default function Compare({ url, device, isMac }: Props) {
  const [answer, setAnswer] = useState<ComparisonAnswer | null>(null);
  const { theme, choose } = useTheme();

  useEffect(() => {
    let is_over = false;
    void fetchComparison(url).then(found => {
      if (!is_over) setAnswer(found);
    });
    return () => {
      is_over = true;
    };
  }, [url]);

  return (
    <div className="page compare">
      <Header state={null} theme={theme} onTheme={choose} />
      {answer?.kind === "none" && (
        <main>
          <div className="error" role="alert">
            <h2>There is nothing to compare</h2>
            <p className="message">{answer.reason}</p>
            <p>./doitw preview --compare A B puts it beside this page.</p>
          </div>
        </main>
      )}
      {answer?.kind === "comparison" && (
        <Sides comparison={answer.comparison} base={url} device={device} isMac={isMac} />
      )}
    </div>
  );
}

/** What a screen reader is told of both: nothing until neither writes. */
function announced(sides: [Compared, SideHandle][]): string {
  const told = sides.map(([{ name }, { state, text }]) => [name, announcement(state, () => text)] as const);
  return told
    .filter(([, sentence]) => sentence !== "")
    .map(([name, sentence]) => `${name}: ${sentence}`)
    .join(" ");
}

function Sides({ comparison, base, device, isMac }: { comparison: Comparison; base: string } & Omit<Props, "url">) {
  const [one, two] = comparison.models;
  const first = useSide(new URL(one.url, base).href, device);
  const second = useSide(new URL(two.url, base).href, device);
  const { copied, copy } = useCopy();
  const [options, setOptions] = useState(() => defaultSampling(randomSeed()));
  /** null until the reader has written: an opening that a model brings stands there meanwhile. */
  const [written, setWritten] = useState<string | null>(null);

  const state = joint(first.state, second.state);
  const models = [first.state, second.state].flatMap(each => ("model" in each && each.model ? [each.model] : []));
  const offered = models.flatMap(({ card }) => [...openings(card.header.provenance), card.golden_prompt]);
  const prompt = written ?? offered[0] ?? "";
  const is_writing = isWriting(state);

  const both = (settings: typeof options) => {
    for (const side of [first, second]) side.generate(prompt, settings);
  };
  const actions: Partial<Record<CommandId, { isEnabled: boolean; run: () => void }>> = {
    generate: {
      isEnabled: state.phase === "ready",
      run: () => {
        setWritten(prompt);
        both(options);
      },
    },
    stop: {
      isEnabled: is_writing,
      run: () => {
        for (const side of [first, second]) side.stop();
      },
    },
    again: {
      isEnabled: state.phase === "ready",
      run: () => {
        const drawn = { ...options, seed: randomSeed() };
        setOptions(drawn);
        both(drawn);
      },
    },
    copy: {
      isEnabled: first.text !== "" || second.text !== "",
      run: () => copy(`${one.name}:\n${prompt}${first.text}\n\n${two.name}:\n${prompt}${second.text}`),
    },
  };
  const isEnabled = (id: CommandId) => actions[id]?.isEnabled === true;
  const run = (id: CommandId) => actions[id]?.run();
  useShortcuts(isEnabled, run);

  return (
    <>
      <main>
        <div className="sheet">
          <PromptBox value={prompt} onChange={setWritten} />
          <div className="actions">
            {ACTIONS.map(id => (
              <CommandButton
                key={id}
                id={id}
                isEnabled={isEnabled(id)}
                run={run}
                variant={id === "generate" ? "primary" : "plain"}
              />
            ))}
          </div>
          {copied !== null && <p className="told">{COPIED[copied]}</p>}
          {comparison.also !== "" && <p className="also">{comparison.also}</p>}
          <div className="sides">
            <Side compared={one} side={first} isOnCpu={device === "cpu"} />
            <Side compared={two} side={second} isOnCpu={device === "cpu"} />
          </div>
          <p className="also">Both write at the same time, so each is slower than it is alone.</p>
        </div>
        <aside>
          <SamplingPanel options={options} onChange={setOptions} />
        </aside>
      </main>
      <p className="announcement" role="status" aria-label="Announcement">
        {copied !== null
          ? COPIED[copied]
          : is_writing
            ? "Writing"
            : announced([
                [one, first],
                [two, second],
              ])}
      </p>
      <footer>
        <ShortcutHelp isMac={isMac} of={ACTIONS} />
      </footer>
    </>
  );
}
