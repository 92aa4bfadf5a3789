/** What the page promises to those who use it by name: every control, once, in sight; keys; themes; no markup from text. */
import { stepWaits } from "./faults";
import { expect, test } from "./fixtures";

const NAMES = ["Prompt", "Output", "Engine", "Temperature", "Top-k", "Top-p", "Seed", "Max tokens"];

for (const viewport of [
  { width: 1280, height: 900 },
  { width: 360, height: 740 },
]) {
  test(`every control by its name, ${viewport.width} pixels wide`, async ({ site, reader, page }) => {
    await page.setViewportSize(viewport);
    await reader.open(site.address("?device=cpu"));
    for (const name of NAMES) {
      await expect(page.getByLabel(name), name).toHaveCount(1);
      await expect(page.getByLabel(name), name).toBeVisible();
    }
    await expect(page.getByRole("button", { name: "Generate", exact: true })).toHaveCount(1);
    await expect(page.getByRole("button", { name: "Stop" })).toHaveCount(1);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow, "pixels wider than the screen").toBeLessThanOrEqual(0);
  });
}

test("keys: Ctrl+Enter generates, Esc stops", async ({ site, reader, page }) => {
  site.inject(stepWaits(5));
  await reader.open(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("100000");
  await reader.field("Temperature").fill("0");
  await reader.prompt.press("Control+Enter");
  await site.gateReached();
  await expect(reader.stop).toBeEnabled();
  await page.keyboard.press("Escape");
  await expect(reader.stop).toBeDisabled();
  site.openGate();
  await expect(page.locator(".figures").getByText("stopped")).toBeVisible();
});

test("writing it again draws another seed", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("5");
  await reader.field("Seed").fill("1");
  await page.getByRole("button", { name: "Regenerate" }).click();
  await expect(reader.stop).toBeDisabled();
  await expect(reader.field("Seed")).not.toHaveValue("1");
});

test("values out of bounds are brought back", async ({ site, reader }) => {
  await reader.open(site.address("?device=cpu"));
  for (const [name, typed, kept] of [
    ["Temperature", "-3", "0"],
    ["Top-p", "7", "1"],
    ["Max tokens", "0", "1"],
    ["Top-k", "2.6", "3"],
  ] as const) {
    await reader.field(name).fill(typed);
    await reader.field(name).blur();
    await expect(reader.field(name), name).toHaveValue(kept);
  }
});

test("an empty prompt begins a document, or is refused with a reason", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await reader.prompt.fill("");
  await reader.field("Max tokens").fill("8");
  await reader.generate.click();
  await expect(reader.stop).toBeDisabled();
  await expect(page.getByText(/\+ 8$|the model ended its text|prompt is empty/)).toBeVisible();
  await expect(reader.generate).toBeEnabled();
});

test("a prompt longer than the context is cut, not refused", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await reader.prompt.fill("All the world is a stage. ".repeat(400));
  await reader.field("Max tokens").fill("4");
  await reader.write();
  await expect(page.getByText(/\+ \d$/)).toBeVisible();
});

const LIGHT_DESK = "rgb(233, 236, 241)";
const DARK_DESK = "rgb(14, 17, 22)";

test("the theme follows the system, then the reader, from the first paint on, and finds its way back", async ({
  site,
  reader,
  page,
}) => {
  const desk = page.locator("html");
  await page.emulateMedia({ colorScheme: "dark" });
  await reader.open(site.address("?device=cpu"));
  await expect(desk).toHaveCSS("background-color", DARK_DESK);
  await page.emulateMedia({ colorScheme: "light" });
  await expect(desk).toHaveCSS("background-color", LIGHT_DESK);
  await page.getByLabel("Theme").selectOption("Dark theme");
  await expect(desk).toHaveCSS("background-color", DARK_DESK);

  // The page's own script never comes: what is painted before it has the theme already.
  await page.route(/assets\/index.*\.js$/, route => route.abort());
  await page.reload();
  await expect(desk).toHaveCSS("background-color", DARK_DESK);
  await expect(page.locator("h1")).toHaveCount(0);
  await page.unroute(/assets\/index.*\.js$/);

  await reader.open(site.address("?device=cpu"));
  await expect(page.getByLabel("Theme")).toHaveValue("dark");
  await page.getByLabel("Theme").selectOption("System theme");
  await page.reload();
  await expect(desk).toHaveCSS("background-color", LIGHT_DESK);
  await expect(page.getByLabel("Theme")).toHaveValue("system");
});
