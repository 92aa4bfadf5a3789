/**
 * What a model can be used for, and a text of its own for each: a conversation, for a model with a chat template, and a
 * document that it continues, for any. The one that is not shown stays as it is. A pure reducer.
 */
import { type Doc, type DocAction, emptyDoc, reduceDoc } from "./tree";

export type Use = "document" | "chat";

export type Docs = Record<Use, Doc> & { shown: Use };

/** Whatever is done is done to the text that is shown. */
export type DocsAction = DocAction | { type: "show"; use: Use };

export const emptyDocs: Docs = { document: emptyDoc, chat: emptyDoc, shown: "document" };

export function reduceDocs(docs: Docs, action: DocsAction): Docs {
  if (action.type === "show") return docs.shown === action.use ? docs : { ...docs, shown: action.use };
  const doc = docs[docs.shown];
  const next = reduceDoc(doc, action);
  return next === doc ? docs : { ...docs, [docs.shown]: next };
}
