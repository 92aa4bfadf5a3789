/** The texts and the settings outside the page: in its address, and on this device until the reader forgets them. */
import { type Dispatch, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { hashNow, WRITE_AFTER_MS, writeHashSoon } from "../lib/address";
import { forgetText, keepText, textKept } from "../lib/kept";
import type { Docs, DocsAction, Use } from "../state/docs";
import type { SamplingOptions } from "../state/sampling";
import { addressOf, asTyped, fromJson, readAddress, toJson } from "../state/saved";
import { emptyDoc, pathTo, type Tree } from "../state/tree";

type Parts = {
  docs: Docs;
  changeDocs: Dispatch<DocsAction>;
  /** null until the reader has written. */
  written: string | null;
  setWritten: (written: string | null) => void;
  options: SamplingOptions;
  setOptions: (change: (options: SamplingOptions) => SamplingOptions) => void;
  /** Of the model that is loaded; null before. */
  model_sha256: string | null;
  /** A model without a chat template has the document alone. */
  has_template: boolean;
  as_document: boolean;
  setAsDocument: (as_document: boolean) => void;
  isReady: boolean;
  /** End the run that is under way: what it writes belongs to another text. */
  stop: () => void;
};

export type SavedHandle = {
  /** Whether this device has room for what is shown, and keeps it. */
  is_kept: boolean;
  json: () => string;
  /** Take up a text that was saved as a file; false where it is none. */
  open: (text: string) => boolean;
  forget: () => void;
};

const nameOf = (use: Use, model_sha256: string) => `${use}.${model_sha256}`;

export function useSaved(parts: Parts): SavedHandle {
  const { docs, changeDocs, written, setWritten, options, setOptions, has_template, isReady, stop } = parts;
  const { as_document, setAsDocument } = parts;
  const use = docs.shown;
  /** The last that there was: a model that has failed leaves its text. */
  const [model_sha256, setModel] = useState(parts.model_sha256);
  if (parts.model_sha256 !== null && parts.model_sha256 !== model_sha256) setModel(parts.model_sha256);
  /** What the address names; a conversation's is its settings alone. */
  const prompt = use === "chat" ? null : written;
  const is_begun = use === "chat" ? docs.chat.tip !== null : written !== null;
  const restored = useRef(new Set<Use>());

  const take = useCallback(
    (of: Use, tree: Tree) => {
      restored.current.add(of); // what was kept before would take its place
      changeDocs({ type: "restore", tree, of });
      const [first] = pathTo(tree, tree.tip);
      if (of === "document" && first !== undefined) setWritten(first.text);
    },
    [changeDocs, setWritten],
  );

  useEffect(() => {
    if (model_sha256 === null || restored.current.has(use)) return;
    const is_first = restored.current.size === 0;
    restored.current.add(use);
    const saved = fromJson(textKept(nameOf(use, model_sha256)) ?? "");
    const { settings } = readAddress(hashNow());
    if (saved === null || saved.model_sha256 !== model_sha256) return;
    // What the reader has typed meanwhile, or the address has brought, begins another text.
    if (use === "document" && written !== null && pathTo(saved.tree, saved.tree.tip)[0]?.text !== written) return;
    take(use, saved.tree);
    // Of the text that is turned to later the settings stay as they are now.
    if (is_first) setOptions(now => ({ ...now, ...saved.settings, ...settings }));
  }, [model_sha256, use, written, take, setOptions]);

  useEffect(() => {
    // What is told by the event: the page's own address may have been written over it by now.
    const onHashChange = ({ newURL }: HashChangeEvent) => {
      const { prompt, settings, as_document } = readAddress(new URL(newURL).hash);
      if (prompt !== null) setWritten(prompt);
      setOptions(now => ({ ...now, ...settings }));
      setAsDocument(as_document || prompt !== null);
    };
    addEventListener("hashchange", onHashChange);
    return () => removeEventListener("hashchange", onHashChange);
  }, [setWritten, setOptions, setAsDocument]);

  useEffect(() => {
    // An address that asks for a document is no longer true of a chat, though that has not begun.
    if (!is_begun && readAddress(location.hash).as_document === as_document) return;
    return writeHashSoon(addressOf({ prompt, settings: options, as_document }));
  }, [is_begun, prompt, options, as_document]);

  const kept = { docs, options, model_sha256, isReady };
  const has_room = { document: useKept("document", kept), chat: useKept("chat", kept) };

  const open = useCallback(
    (text: string) => {
      const saved = fromJson(text);
      if (saved === null) return false;
      stop();
      const { tree } = saved;
      // A model without a template continues a conversation as the text that it is.
      const of = has_template ? saved.use : "document";
      take(of, saved.model_sha256 === model_sha256 ? tree : asTyped(pathTo(tree, tree.tip)));
      if (has_template) setAsDocument(of === "document");
      setOptions(now => ({ ...now, ...saved.settings }));
      return true;
    },
    [model_sha256, has_template, stop, take, setAsDocument, setOptions],
  );

  const forget = useCallback(() => {
    stop();
    changeDocs({ type: "restore", tree: emptyDoc, of: use });
    if (use === "document") setWritten(null);
    if (model_sha256 !== null) forgetText(nameOf(use, model_sha256));
    history.replaceState(null, "", `${location.pathname}${location.search}`);
  }, [use, model_sha256, stop, changeDocs, setWritten]);

  const json = useCallback(
    () => toJson({ model_sha256: model_sha256 ?? "", use, tree: docs[use], settings: options }),
    [model_sha256, use, docs, options],
  );
  return { is_kept: has_room[use], json, open, forget };
}

/**
 * Whether there is room for a text. A page that is left in the middle of a run, or before the time is up, keeps its text; one
 * with nothing new does not write over what another tab has kept since.
 */
function useKept(
  use: Use,
  { docs, options, model_sha256, isReady }: Pick<Parts, "docs" | "options" | "model_sha256" | "isReady">,
): boolean {
  const doc = docs[use];
  const is_shown = docs.shown === use;
  const last = useRef({ nodes: doc.nodes, tip: doc.tip, options });
  const [has_room, setHasRoom] = useState(true);

  // With the text that is drawn, not after it: the page may be left in between.
  useLayoutEffect(() => {
    if (doc.tip === null || model_sha256 === null) return;
    const { nodes, tip } = last.current;
    const is_same = nodes === doc.nodes && tip === doc.tip;
    // The settings are kept with the text that they are seen with.
    if (is_same && (!is_shown || last.current.options === options)) return;
    const save = () => {
      forgo();
      last.current = { nodes: doc.nodes, tip: doc.tip, options };
      setHasRoom(keepText(nameOf(use, model_sha256), toJson({ model_sha256, use, tree: doc, settings: options })));
    };
    const timer = isReady ? setTimeout(save, WRITE_AFTER_MS) : undefined;
    const forgo = () => {
      clearTimeout(timer);
      removeEventListener("pagehide", save);
    };
    addEventListener("pagehide", save);
    return forgo;
  }, [use, doc, is_shown, options, model_sha256, isReady]);
  return has_room;
}
