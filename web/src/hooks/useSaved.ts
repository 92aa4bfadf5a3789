/** The text and the settings outside the page: in its address, and on this device until the reader forgets them. */
import { type Dispatch, useCallback, useEffect, useRef } from "react";
import { hashNow, WRITE_AFTER_MS, writeHashSoon } from "../lib/address";
import type { SamplingOptions } from "../state/sampling";
import { addressOf, asTyped, fromJson, readAddress, toJson } from "../state/saved";
import { type Doc, type DocAction, emptyDoc, pathTo, type Tree } from "../state/tree";

const KEY = "pocketlm.text";

/** A longer text is not kept: browsers give a page about 5 million letters. */
const LONGEST_KEPT = 2_000_000;

type Parts = {
  doc: Doc;
  change: Dispatch<DocAction>;
  /** null until the reader has written. */
  written: string | null;
  setWritten: (written: string | null) => void;
  options: SamplingOptions;
  setOptions: (change: (options: SamplingOptions) => SamplingOptions) => void;
  /** Of the model that is loaded; null before. */
  model_sha256: string | null;
  is_chat: boolean;
  isReady: boolean;
  /** End the run that is under way: what it writes belongs to another text. */
  stop: () => void;
};

export type SavedHandle = {
  json: () => string;
  /** Take up a text that was saved as a file; false where it is none. */
  open: (text: string) => boolean;
  forget: () => void;
};

export function useSaved(parts: Parts): SavedHandle {
  const { doc, change, written, setWritten, options, setOptions, model_sha256, is_chat, isReady, stop } = parts;
  /** What the address names; a conversation's is its settings alone. */
  const prompt = is_chat ? null : written;
  const is_begun = is_chat ? doc.tip !== null : written !== null;
  const is_restored = useRef(false);

  const take = useCallback(
    (tree: Tree) => {
      change({ type: "restore", tree });
      const [first] = pathTo(tree, tree.tip);
      if (first !== undefined) setWritten(first.text);
    },
    [change, setWritten],
  );

  const json = useCallback(
    () => toJson({ model_sha256: model_sha256 ?? "", tree: doc, settings: options }),
    [doc, options, model_sha256],
  );

  useEffect(() => {
    if (model_sha256 === null || is_restored.current) return;
    is_restored.current = true;
    const saved = fromJson(keptText() ?? "");
    const { prompt, settings } = readAddress(hashNow());
    if (saved === null || saved.model_sha256 !== model_sha256) return;
    if (!is_chat && prompt !== null && pathTo(saved.tree, saved.tree.tip)[0]?.text !== prompt) return;
    take(saved.tree);
    setOptions(now => ({ ...now, ...saved.settings, ...settings }));
  }, [model_sha256, is_chat, take, setOptions]);

  useEffect(() => {
    const onHashChange = () => {
      const { prompt, settings } = readAddress(location.hash);
      if (prompt !== null) setWritten(prompt);
      setOptions(now => ({ ...now, ...settings }));
    };
    addEventListener("hashchange", onHashChange);
    return () => removeEventListener("hashchange", onHashChange);
  }, [setWritten, setOptions]);

  useEffect(() => {
    if (!is_begun) return;
    return writeHashSoon(addressOf(prompt, options));
  }, [is_begun, prompt, options]);

  // A page that is left in the middle of a run, or before the time is up, keeps its text; one with nothing new does not
  // write over what another tab has kept since.
  useEffect(() => {
    if (doc.tip === null) return;
    const save = () => {
      forgo();
      keep(json());
    };
    const timer = isReady ? setTimeout(save, WRITE_AFTER_MS) : undefined;
    const forgo = () => {
      clearTimeout(timer);
      removeEventListener("pagehide", save);
    };
    addEventListener("pagehide", save);
    return forgo;
  }, [isReady, doc, json]);

  const open = useCallback(
    (text: string) => {
      const saved = fromJson(text);
      if (saved === null) return false;
      stop();
      const { tree } = saved;
      take(saved.model_sha256 === model_sha256 ? tree : asTyped(pathTo(tree, tree.tip)));
      setOptions(now => ({ ...now, ...saved.settings }));
      return true;
    },
    [model_sha256, stop, take, setOptions],
  );

  const forget = useCallback(() => {
    stop();
    change({ type: "restore", tree: emptyDoc });
    setWritten(null);
    keep(null);
    history.replaceState(null, "", `${location.pathname}${location.search}`);
  }, [stop, change, setWritten]);

  return { json, open, forget };
}

/** Storage may be forbidden, or full; then the text lasts as long as the page. */
function keptText(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function keep(text: string | null): void {
  try {
    if (text === null || text.length > LONGEST_KEPT) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, text);
  } catch {
    // As above.
  }
}
