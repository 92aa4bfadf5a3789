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
  const timeout = 60_000;
  const generate = page.getByRole("button", { name: "Generate", exact: true });
  const message = page.getByRole("textbox", { name: "Message" });
  // A document can be written once the button is enabled; a model with a chat template puts a conversation in its place.
  await Promise.any([generate.click({ trial: true, timeout }), message.waitFor({ timeout })]);
  const isChat = await message.isVisible();
  if (isChat) await message.fill("What is the capital of France?");
  else await page.getByRole("textbox", { name: "Prompt" }).fill("ROMEO:\n");
  await page.getByLabel("Seed").fill("7");
  await page.getByLabel("Max tokens").fill("160");
  await (isChat ? page.getByRole("button", { name: "Send" }) : generate).click();
  await page.getByRole("button", { name: "Stop", disabled: true }).waitFor({ timeout });
  await page.screenshot({ path: file, animations: "disabled" });
} finally {
  await browser.close();
}
