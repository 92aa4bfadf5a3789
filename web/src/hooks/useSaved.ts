/** The text and the settings outside the page: in its address, and on this device until the reader forgets them. */
import { type Dispatch, useCallback, useEffect, useRef } from "react";
import { hashNow, WRITE_AFTER_MS, writeHashSoon } from "../lib/address";
import type { Docs, Use } from "../state/docs";
import type { SamplingOptions } from "../state/sampling";
import { addressOf, asTyped, fromJson, readAddress, toJson } from "../state/saved";
import { type Doc, type DocAction, emptyDoc, pathTo, type Tree } from "../state/tree";

const KEYS: Record<Use, string> = { document: "pocketlm.text", chat: "pocketlm.chat" };

/** A longer text is not kept: browsers give a page about 5 million letters. */
const LONGEST_KEPT = 2_000_000;

type Parts = {
  docs: Docs;
  change: Dispatch<DocAction>;
  /** null until the reader has written. */
  written: string | null;
  setWritten: (written: string | null) => void;
  options: SamplingOptions;
  setOptions: (change: (options: SamplingOptions) => SamplingOptions) => void;
  /** Of the model that is loaded; null before. */
  model_sha256: string | null;
  as_document: boolean;
  /** Turn to a document, or back. */
  turn: (as_document: boolean) => void;
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
  const { docs, change, written, setWritten, options, setOptions, model_sha256, isReady, stop } = parts;
  const { as_document, turn } = parts;
  const use = docs.shown;
  const doc = docs[use];
  /** What the address names; a conversation's is its settings alone. */
  const prompt = use === "chat" ? null : written;
  const is_begun = use === "chat" ? doc.tip !== null : written !== null;
  const restored = useRef(new Set<Use>());

  const take = useCallback(
    (tree: Tree) => {
      change({ type: "restore", tree });
      const [first] = pathTo(tree, tree.tip);
      if (use === "document" && first !== undefined) setWritten(first.text);
    },
    [use, change, setWritten],
  );

  const jsonOf = useCallback(
    (tree: Tree) => toJson({ model_sha256: model_sha256 ?? "", tree, settings: options }),
    [options, model_sha256],
  );

  useEffect(() => {
    if (model_sha256 === null || restored.current.has(use)) return;
    restored.current.add(use);
    const saved = fromJson(kept(use) ?? "");
    const { prompt, settings } = readAddress(hashNow());
    if (saved === null || saved.model_sha256 !== model_sha256) return;
    if (use === "document" && prompt !== null && pathTo(saved.tree, saved.tree.tip)[0]?.text !== prompt) return;
    take(saved.tree);
    setOptions(now => ({ ...now, ...saved.settings, ...settings }));
  }, [model_sha256, use, take, setOptions]);

  useEffect(() => {
    const onHashChange = () => {
      const { prompt, settings, as_document } = readAddress(location.hash);
      if (prompt !== null) setWritten(prompt);
      setOptions(now => ({ ...now, ...settings }));
      turn(as_document);
    };
    addEventListener("hashchange", onHashChange);
    return () => removeEventListener("hashchange", onHashChange);
  }, [setWritten, setOptions, turn]);

  useEffect(() => {
    // An address that asks for a document is no longer true of a chat, though that has not begun.
    if (!is_begun && readAddress(location.hash).as_document === as_document) return;
    return writeHashSoon(addressOf({ prompt, settings: options, as_document }));
  }, [is_begun, prompt, options, as_document]);

  useKept("document", docs.document, jsonOf, isReady);
  useKept("chat", docs.chat, jsonOf, isReady);

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
    if (use === "document") setWritten(null);
    keep(use, null);
    history.replaceState(null, "", `${location.pathname}${location.search}`);
  }, [use, stop, change, setWritten]);

  const json = useCallback(() => jsonOf(doc), [jsonOf, doc]);
  return { json, open, forget };
}

/**
 * A page that is left in the middle of a run, or before the time is up, keeps its text; one with nothing new does not write
 * over what another tab has kept since.
 */
function useKept(use: Use, doc: Doc, jsonOf: (tree: Tree) => string, isReady: boolean): void {
  useEffect(() => {
    if (doc.tip === null) return;
    const save = () => {
      forgo();
      keep(use, jsonOf(doc));
    };
    const timer = isReady ? setTimeout(save, WRITE_AFTER_MS) : undefined;
    const forgo = () => {
      clearTimeout(timer);
      removeEventListener("pagehide", save);
    };
    addEventListener("pagehide", save);
    return forgo;
  }, [use, isReady, doc, jsonOf]);
}

/** Storage may be forbidden, or full; then the text lasts as long as the page. */
function kept(use: Use): string | null {
  try {
    return localStorage.getItem(KEYS[use]);
  } catch {
    return null;
  }
}

function keep(use: Use, text: string | null): void {
  try {
    if (text === null || text.length > LONGEST_KEPT) localStorage.removeItem(KEYS[use]);
    else localStorage.setItem(KEYS[use], text);
  } catch {
    // As above.
  }
}
