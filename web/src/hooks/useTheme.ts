/** Light, dark, or as the system has it: the reader's choice, which is remembered. */
import { useCallback, useState } from "react";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

/** public/theme.js has read what is stored, before the first paint. */
function current(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

function apply(theme: Theme): void {
  const { dataset } = document.documentElement;
  const key = dataset["themeKey"];
  if (key === undefined) throw new Error("index.html names no data-theme-key");
  if (theme === "system") delete dataset["theme"];
  else dataset["theme"] = theme;
  try {
    if (theme === "system") localStorage.removeItem(key);
    else localStorage.setItem(key, theme);
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
}

export function useTheme(): { theme: Theme; choose: (theme: Theme) => void } {
  const [theme, setTheme] = useState<Theme>(current);
  const choose = useCallback((chosen: Theme) => {
    apply(chosen);
    setTheme(chosen);
  }, []);
  return { theme, choose };
}
