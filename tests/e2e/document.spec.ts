/** The document as a tree: branches, regenerating, undo, words of the reader's own; and what of it leaves the page and comes back. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Page } from "@playwright/test";
import { chatModel } from "./environment";
import { expect, Reader, test } from "./fixtures";

const token = (page: Page) => page.getByRole("region", { name: "Token" });
const branches = (page: Page) => page.getByRole("region", { name: "Branches" });
const shown = (page: Page) => page.locator(".output .token").allTextContents();

/** A short text with a seed of its own. */
async function begin(reader: Reader, address: string, prompt = "The king"): Promise<string> {
  await reader.open(address);
  await reader.prompt.fill(prompt);
  await reader.field("Max tokens").fill("12");
  await reader.field("Temperature").fill("1");
  await reader.field("Seed").fill("4");
  return await reader.write();
}

async function over(reader: Reader): Promise<void> {
  await expect(reader.stop).toBeDisabled();
  await expect(reader.generate).toBeEnabled();
}

for (const device of ["cpu", "gpu"] as const) {
  test(`a token tells what else was likely, and the text branches there, ${device}`, async ({
    site,
    reader,
    page,
    complaints,
  }) => {
    const text = await begin(reader, site.address(`?device=${device}`));
    const tokens = await shown(page);
    expect(tokens.join("")).toBe(text);
    expect(tokens).toHaveLength(12);
    await expect(branches(page)).toHaveCount(0);

    await reader.lookAt(5);
    await expect(token(page)).toContainText("Token 6 of 12");
    await expect(token(page)).toContainText(/% likely, \d+\.\d\d bits/);
    const candidates = token(page).locator(".candidate");
    await expect(candidates).toHaveCount(5);
    const other = candidates.and(page.locator('[aria-current="false"]')).first();
    const name = (await other.locator("code").textContent()) ?? "";
    await other.click();
    await over(reader);
    const branched = await shown(page);
    expect(branched.slice(0, 5)).toEqual(tokens.slice(0, 5));
    expect(branched[5]?.trim()).toBe(name.replaceAll(/[·↵]/g, " ").trim());
    expect(branched).toHaveLength(6 + 12);

    // Back to the first text, and forth.
    await expect(branches(page)).toContainText("2 of 2");
    await branches(page).getByRole("button", { name: "Previous branch" }).click();
    expect(await shown(page)).toEqual(tokens);
    await branches(page).getByRole("button", { name: "Next branch" }).click();
    expect(await shown(page)).toEqual(branched);
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByRole("button", { name: "Undo" }).click();
    expect(await shown(page)).toEqual(tokens);
    await expect(branches(page)).toHaveCount(0);
    expect(complaints).toEqual([]);
  });
}

test("regenerating makes another text beside the first, and the same seed none", async ({ site, reader, page }) => {
  const text = await begin(reader, site.address("?device=cpu"));
  expect(await reader.write()).toBe(text);
  await expect(branches(page)).toHaveCount(0);
  await page.getByRole("button", { name: "Regenerate" }).click();
  await over(reader);
  expect(await reader.text()).not.toBe(text);
  await expect(branches(page)).toContainText("2 of 2");
  await reader.field("Seed").fill("4");
  expect(await reader.write()).toBe(text);
  await expect(branches(page)).toContainText("1 of 2");
});

test("to continue is to go on with the text that a longer run writes", async ({ site, reader, page }) => {
  await begin(reader, site.address("?device=cpu"));
  const short = await shown(page);
  await page.keyboard.press("Alt+Enter");
  await expect(page.locator(".output .token")).toHaveCount(24);
  await over(reader);
  const continued = await shown(page);
  expect(continued.slice(0, 12)).toEqual(short);
  await reader.field("Max tokens").fill("24");
  await reader.write();
  expect(await shown(page)).toEqual(continued);
});

test("the reader's own words go in, and the model goes on behind them", async ({ site, reader, page }) => {
  await begin(reader, site.address("?device=cpu"));
  const tokens = await shown(page);
  await page.getByRole("button", { name: "Look at a token" }).click();
  await expect(token(page)).toContainText("Token 1 of 12");
  await token(page).getByRole("button", { name: "Next token" }).click();
  await token(page).getByRole("button", { name: "Next token" }).press("Enter");
  await expect(token(page)).toContainText("Token 3 of 12");
  await token(page).getByLabel("Go on with your own words").fill(" <b>and I</b>, said she,");
  await page.keyboard.press("Enter");
  await over(reader);
  const written = await shown(page);
  expect(written.slice(0, 4)).toEqual([...tokens.slice(0, 3), " <b>and I</b>, said she,"]);
  expect(written).toHaveLength(4 + 12);
  await page.getByRole("button", { name: "Undo" }).click();
  expect(await shown(page)).toEqual(tokens);
});

test("the address brings prompt and settings, and no server hears of them", async ({ site, reader, page, browser }) => {
  const text = await begin(reader, site.address("?device=cpu"), "A secret");
  await expect(page).toHaveURL(/#prompt=A\+secret&.*seed=4/);
  const elsewhere = new Reader(await (await browser.newContext()).newPage());
  await elsewhere.open(page.url());
  await expect(elsewhere.prompt).toHaveValue("A secret");
  await expect(elsewhere.field("Seed")).toHaveValue("4");
  await expect(elsewhere.output).toHaveText("");
  expect(await elsewhere.write()).toBe(text);
  expect(site.requests.filter(path => /secret/.test(path))).toEqual([]);
  await elsewhere.page.context().close();
});

test("the text is there at the next visit, until the reader forgets it", async ({ site, reader, page }) => {
  const text = await begin(reader, site.address("?device=cpu"));
  await page.getByRole("button", { name: "Regenerate" }).click();
  await over(reader);
  await branches(page).getByRole("button", { name: "Previous branch" }).click();
  // What is kept is what is shown, however soon the page is left.
  await reader.open(site.address("?device=cpu"));
  await expect(reader.output).not.toHaveText("");
  expect(await reader.text()).toBe(text);
  await expect(branches(page)).toContainText("1 of 2");
  await page.getByRole("button", { name: "Forget this text" }).click();
  await expect(reader.output).toHaveText("");
  expect(await page.evaluate(() => Object.keys(localStorage).filter(key => key.startsWith("pocketlm.text.")))).toEqual(
    [],
  );
  await page.reload();
  await expect(reader.generate).toBeEnabled();
  await expect(reader.output).toHaveText("");
});

test("a text is saved as Markdown and as JSON, and the JSON comes back", async ({ site, reader, page }, info) => {
  const text = await begin(reader, site.address("?device=cpu"), "```The king");
  const saveAs = async (kind: string) => {
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: `Save as ${kind}` }).click();
    return readFileSync(await (await download).path(), "utf8");
  };
  const markdown = await saveAs("Markdown");
  expect(markdown).toContain("````text\n```The king\n````");
  expect(markdown).toContain(text);
  expect(markdown).toContain("- Seed: 4");
  const json = await saveAs("JSON");
  await page.getByRole("button", { name: "Forget this text" }).click();
  await reader.field("Seed").fill("5");
  const file = info.outputPath("text.json");
  writeFileSync(file, json);
  await page.getByLabel("A text saved as JSON").setInputFiles(file);
  await expect(page.getByRole("status", { name: "Saved" })).toHaveText("Opened text.json.");
  expect(await reader.text()).toBe(text);
  await expect(reader.prompt).toHaveValue("```The king");
  await expect(reader.field("Seed")).toHaveValue("4");
  writeFileSync(file, '{"format":"something else"}');
  await page.getByLabel("A text saved as JSON").setInputFiles(file);
  await expect(page.getByRole("status", { name: "Saved" })).toContainText("is no text that was saved here");
  expect(await reader.text()).toBe(text);
});

test("a conversation branches too: another answer, a token of it, and back", async ({
  site,
  reader,
  page,
  complaints,
}) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await page.getByLabel("Show surprise").check();
  await reader.field("Max tokens").fill("10");
  await reader.field("Temperature").fill("1.5");
  await reader.ask("Who are you?");
  const said = page.locator(".chat .said");
  await expect(said).toHaveCount(2);
  const answer = await said.nth(1).textContent();
  await expect(said.nth(1).locator("[data-level]")).toHaveCount(10);
  await page.getByRole("button", { name: "Regenerate" }).click();
  await expect(branches(page)).toContainText("2 of 2");
  await expect(said).toHaveCount(2);
  expect(await said.nth(1).textContent()).not.toBe(answer);
  await branches(page).getByRole("button", { name: "Previous branch" }).click();
  expect(await said.nth(1).textContent()).toBe(answer);
  await said.nth(1).locator(".token").nth(4).dispatchEvent("click");
  await token(page).locator('.candidate[aria-current="false"]').first().click();
  await expect(said.nth(1).locator(".token")).toHaveCount(15);
  await reader.ask("And I?");
  await expect(said).toHaveCount(4);
  expect(complaints).toEqual([]);
});
