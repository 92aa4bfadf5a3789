/** Texts that this browser keeps, by name: the newest of them. A browser gives a page some 5 million letters for all of them. */

/** A longer text is not kept, since there would be no room for another. */
const LONGEST = 2_000_000;
/** Of so many models and uses; the one that was kept first goes first. */
const MOST = 16;
const PREFIX = "pocketlm.text.";
/** The names, the newest last. */
const NAMES = "pocketlm.texts";

/** null where there is none, or storage is forbidden. */
export function textKept(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

/** Whether it is kept. It is not where storage is forbidden, or has no room for it even without the others. */
export function keepText(name: string, text: string): boolean {
  try {
    const others = names().filter(each => each !== name);
    if (text.length > LONGEST) {
      forgetText(name);
      return false;
    }
    while (others.length >= MOST) drop(others);
    for (;;) {
      try {
        localStorage.setItem(PREFIX + name, text);
        localStorage.setItem(NAMES, JSON.stringify([...others, name]));
        return true;
      } catch (full) {
        if (others.length === 0) throw full;
        drop(others);
      }
    }
  } catch {
    return false;
  }
}

export function forgetText(name: string): void {
  try {
    localStorage.removeItem(PREFIX + name);
    localStorage.setItem(NAMES, JSON.stringify(names().filter(each => each !== name)));
  } catch {
    // Then there is none.
  }
}

/** Remove the oldest. */
function drop(others: string[]): void {
  const oldest = others.shift();
  if (oldest !== undefined) localStorage.removeItem(PREFIX + oldest);
}

function names(): string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(NAMES) ?? "[]");
    return Array.isArray(found) ? found.filter(each => typeof each === "string") : [];
  } catch {
    return [];
  }
}
