/**
 * The page as a picture: load the model, let it write, save what is seen.
 * `node scripts/screenshot.mjs ADDRESS CHROMIUM FILE.png` (doit screenshot does it)
 */
import process from "node:process";
import { chromium } from "@playwright/test";

const [address, executablePath, file] = process.argv.slice(2);
if (!address || !executablePath || !file) {
  process.stderr.write("usage: screenshot.mjs ADDRESS CHROMIUM FILE.png\n");
  process.exit(2);
}

const args = ["--no-first-run", "--disable-background-networking"];
if (process.getuid?.() === 0) args.push("--no-sandbox"); // Chromium refuses its sandbox to root
const browser = await chromium.launch({ executablePath, args });
try {
  const viewport = { width: 1080, height: 760 };
  const page = await browser.newPage({ viewport, deviceScaleFactor: 1.5, colorScheme: "light" });
  await page.goto(`${address}?device=cpu`); // no note about the adapter of whoever takes the picture
  const generate = page.getByRole("button", { name: "Generate" });
  const ready = () => generate.click({ trial: true, timeout: 60_000 }); // waits until the button is enabled
  await ready();
  await page.getByRole("textbox", { name: "Prompt" }).fill("ROMEO:\n");
  await page.getByLabel("Seed").fill("7");
  await page.getByLabel("Max tokens").fill("160");
  await generate.click();
  await ready();
  await page.screenshot({ path: file, animations: "disabled" });
} finally {
  await browser.close();
}
