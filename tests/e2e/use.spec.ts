/** A model with a chat template goes on from a text as well: a conversation and a document, each as it was left. */
import type { Page } from "@playwright/test";
import { violations } from "./axe";
import { chatModel } from "./environment";
import { stepWaits } from "./faults";
import { expect, type Reader, test } from "./fixtures";

const chat = (page: Page) => page.getByRole("radio", { name: "Chat" });
const document = (page: Page) => page.getByRole("radio", { name: "Continue a text" });

/** The uses of which this device keeps a text. */
const keptUses = (page: Page) =>
  page.evaluate(() => Object.keys(localStorage).flatMap(key => /^pocketlm\.text\.(\w+)\./.exec(key)?.[1] ?? []));

async function settings(reader: Reader): Promise<void> {
  await reader.field("Max tokens").fill("12");
  await reader.field("Temperature").fill("0");
}

test("both texts stay while the other is shown, and at the next visit", async ({ site, reader, page, complaints }) => {
  // What the same weights write without a template.
  await reader.open(site.address("?device=cpu"));
  await expect(document(page)).toHaveCount(0);
  await settings(reader);
  await reader.prompt.fill("The king");
  const alone = await reader.write();

  site.model = { kind: "file", path: chatModel() };
  await page.goto("about:blank");
  await reader.openChat(site.address("?device=cpu"));
  await settings(reader);
  await reader.ask("Who are you?");
  await expect(reader.said).toHaveCount(2);
  const answer = await reader.said.nth(1).textContent();
  await expect(page.locator(".figures")).toContainText("reached the limit");

  await document(page).check();
  await expect(page.getByRole("region", { name: "Conversation" })).toHaveCount(0);
  // Nothing is told here of what was said there.
  await expect(page.locator(".figures")).not.toContainText("reached the limit");
  await expect(page.getByRole("status", { name: "Announcement" })).toHaveText("");
  await reader.prompt.fill("The king");
  expect(await reader.write()).toBe(alone);
  await page.getByLabel("Score the text").check();
  await expect(page.getByRole("region", { name: "Surprise" })).toContainText("bits per byte");
  expect(await violations(page)).toEqual([]);

  await chat(page).check();
  await expect(page.getByRole("region", { name: "Surprise" })).toHaveCount(0);
  await expect(reader.said).toHaveText(["Who are you?", answer ?? ""]);
  await document(page).check();
  expect(await reader.text()).toBe(alone);

  await expect(page).toHaveURL(/prompt=The\+king&.*as=document/);
  await page.reload();
  await expect(reader.generate).toBeEnabled();
  await expect(document(page)).toBeChecked();
  await expect(reader.prompt).toHaveValue("The king");
  expect(await reader.text()).toBe(alone);
  await chat(page).check();
  await expect(reader.said).toHaveText(["Who are you?", answer ?? ""]);
  await expect(page).not.toHaveURL(/as=document/);
  expect(complaints).toEqual([]);
});

test("turning to the other text stops the run, and its tokens go to neither", async ({ site, reader, page }) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await settings(reader);
  await reader.ask("Who are you?");
  await reader.answered(2);
  const answer = await reader.said.nth(1).textContent();
  site.inject(stepWaits(5));
  await page.goto("about:blank"); // another part behind the # alone would load nothing anew
  await reader.open(site.address("?device=cpu#as=document"));
  await reader.prompt.fill("The king");
  await reader.field("Max tokens").fill("100000");
  await reader.generate.click();
  await site.gateReached();
  const written = await reader.text();
  expect(written).not.toBe("");
  await chat(page).check();
  await expect(reader.said).toHaveText(["Who are you?", answer ?? ""]);
  site.openGate();
  await reader.field("Max tokens").fill("4");
  await reader.ask("And I?");
  await reader.answered(4);
  await expect(reader.said.nth(1)).toHaveText(answer ?? "");
  await expect(reader.said.nth(3).locator(".token")).toHaveCount(4);
  await document(page).check();
  expect(await reader.text()).toBe(written);
});

test("what is typed and set stays as it is, whichever text is shown; a late score is not shown in the chat", async ({
  site,
  reader,
  page,
}) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.open(site.address("?device=cpu#as=document"));
  await reader.prompt.fill("The king");
  await settings(reader);
  await reader.write();
  await expect.poll(() => keptUses(page)).toEqual(["document"]);

  await page.goto("about:blank");
  await reader.openChat(site.address("?device=cpu"));
  await reader.message.fill("Not yet sent");
  await reader.field("Max tokens").fill("50");
  await document(page).check();
  await expect(reader.output).not.toHaveText("");
  await expect(reader.field("Max tokens")).toHaveValue("50");
  await page.getByLabel("Score the text").check();
  await chat(page).check();
  await expect(reader.message).toHaveValue("Not yet sent");
  await reader.field("Max tokens").fill("4");
  await reader.ask("Who are you?");
  await reader.answered(2);
  await expect(page.getByRole("region", { name: "Surprise" })).toHaveCount(0);
});

test("a saved chat is opened as a chat, also from the document", async ({ site, reader, page }, info) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await settings(reader);
  await reader.ask("Who are you?");
  await reader.answered(2);
  const answer = await reader.said.nth(1).textContent();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as JSON" }).click();
  const file = info.outputPath("chat.json");
  await (await download).saveAs(file);
  await page.getByRole("button", { name: "Forget this chat" }).click();
  await document(page).check();
  await reader.prompt.fill("The king");
  const written = await reader.write();
  await page.getByLabel("A text saved as JSON").setInputFiles(file);
  await expect(reader.said).toHaveText(["Who are you?", answer ?? ""]);
  await document(page).check();
  expect(await reader.text()).toBe(written);
  await expect(reader.prompt).toHaveValue("The king");
});

test("a question is no prompt, and only the shown text is forgotten", async ({ site, reader, page }) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await settings(reader);
  await reader.ask("Who are you?");
  await expect(reader.said).toHaveCount(2);
  await page.reload();
  await expect(reader.said).toHaveCount(2);
  await document(page).check();
  await expect(reader.prompt).not.toHaveValue("Who are you?");
  await reader.prompt.fill("The king");
  await reader.write();
  await page.getByRole("button", { name: "Forget this text" }).click();
  await expect(reader.output).toHaveText("");
  await chat(page).check();
  await expect(reader.said).toHaveCount(2);
});
