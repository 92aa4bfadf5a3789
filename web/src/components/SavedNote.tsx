import { useEffect, useRef, useState } from "react";

/** A larger file holds no text of this page. */
const LARGEST_FILE_BYTES = 20_000_000;

type Props = {
  hasText: boolean;
  is_chat: boolean;
  /** Whether this device has room for it. */
  is_kept: boolean;
  onMarkdown: () => void;
  onJson: () => void;
  /** False where it is no text of this page. */
  onOpen: (text: string) => boolean;
  onForget: () => void;
};

/** The text as a file, and back: chosen or pasted (what is dropped onto the page is a model); and what this device keeps of it. */
export function SavedNote({ hasText, is_chat, is_kept, onMarkdown, onJson, onOpen, onForget }: Props) {
  const file = useRef<HTMLInputElement>(null);
  const [told, setTold] = useState("");

  useEffect(() => {
    const open = async (chosen: File) => {
      const is_text = chosen.size <= LARGEST_FILE_BYTES && onOpen(await chosen.text());
      setTold(is_text ? `Opened ${chosen.name}.` : `${chosen.name} is no text that was saved here.`);
    };
    const onPaste = (event: ClipboardEvent) => {
      // What is no text of this page is pasted as it is.
      if (!onOpen(event.clipboardData?.getData("text/plain") ?? "")) return;
      event.preventDefault();
      setTold("Opened what was pasted.");
    };
    const onChange = () => {
      const chosen = file.current?.files?.[0];
      if (chosen !== undefined) void open(chosen);
      if (file.current !== null) file.current.value = "";
    };
    const input = file.current;
    addEventListener("paste", onPaste);
    input?.addEventListener("change", onChange);
    return () => {
      removeEventListener("paste", onPaste);
      input?.removeEventListener("change", onChange);
    };
  }, [onOpen]);

  const button = (label: string, onClick: () => void, isEnabled: boolean) => (
    <button type="button" className="button" aria-disabled={!isEnabled} onClick={() => isEnabled && onClick()}>
      {label}
    </button>
  );
  return (
    <section className="storage" aria-labelledby="your-text">
      <h2 id="your-text">Your text</h2>
      <p>
        {is_kept
          ? `This device keeps ${is_chat ? "the chat" : "it"}, with all its branches, for your next visit;`
          : "This browser has no room to keep it: save it as JSON, or it is gone when you leave the page;"}{" "}
        the address has {is_chat ? "the settings" : "its beginning and the settings"}. Nothing is sent anywhere.
      </p>
      <p className="ways">
        {button("Save as Markdown", onMarkdown, hasText)}
        {button("Save as JSON", onJson, hasText)}
        {button("Open a saved text", () => file.current?.click(), true)}
        {button(
          is_chat ? "Forget this chat" : "Forget this text",
          () => {
            onForget();
            setTold("Forgotten.");
          },
          true,
        )}
      </p>
      <input ref={file} type="file" accept=".json,application/json" hidden aria-label="A text saved as JSON" />
      <p role="status" aria-label="Saved">
        {told}
      </p>
    </section>
  );
}
