/** What axe finds on a page. */
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** All that another theme can change. */
const COLOUR_RULES = ["color-contrast", "link-in-text-block"];

/** What axe finds, as "rule: element" lines; both themes. */
export async function violations(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const theme of ["Light theme", "Dark theme"]) {
    await page.getByLabel("Theme").selectOption(theme);
    // Colours fade for a moment.
    await page.evaluate(() => Promise.all(document.getAnimations().map(each => each.finished.catch(() => null))));
    const axe = new AxeBuilder({ page }).setLegacyMode();
    const asked = theme === "Light theme" ? axe.withTags(RULES) : axe.withRules(COLOUR_RULES);
    const { violations } = await asked.analyze();
    for (const { id, nodes } of violations) {
      for (const { target, failureSummary } of nodes) found.push(`${theme}: ${id}: ${target}: ${failureSummary}`);
    }
  }
  return found;
}
