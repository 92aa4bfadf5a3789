/**
 * What a model can be used for, and a text of its own for each: a conversation, for a model with a chat template, and a
 * document that it continues, for any. The one that is not shown stays as it is. A pure reducer.
 */
import { type Doc, type DocAction, emptyDoc, reduceDoc } from "./tree";

export type Use = "document" | "chat";

export type Docs = Record<Use, Doc> & { shown: Use };

/** `of`: the text that it is done to; else the one that is shown. What comes late is meant for the one it was asked for. */
export type DocsAction = (DocAction & { of?: Use }) | { type: "show"; use: Use };

export const emptyDocs: Docs = { document: emptyDoc, chat: emptyDoc, shown: "document" };

export function reduceDocs(docs: Docs, action: DocsAction): Docs {
  if (action.type === "show") return docs.shown === action.use ? docs : { ...docs, shown: action.use };
  const { of: use = docs.shown, ...done } = action;
  const next = reduceDoc(docs[use], done);
  return next === docs[use] ? docs : { ...docs, [use]: next };
}
