/**
 * The theme that the reader chose, before anything is painted: a script of its own, which the parser waits for. Where none
 * was chosen, the style sheet follows the system. hooks/useTheme.ts stores the choice under the same name.
 */
{
  const { dataset } = document.documentElement;
  try {
    const chosen = localStorage.getItem(dataset.themeKey);
    if (chosen === "light" || chosen === "dark") dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; then the system decides.
  }
}
