/** A model with a chat template goes on from a text as well: a conversation and a document, each as it was left. */
import type { Page } from "@playwright/test";
import { violations } from "./axe";
import { chatModel } from "./environment";
import { stepWaits } from "./faults";
import { expect, type Reader, test } from "./fixtures";

const chat = (page: Page) => page.getByRole("radio", { name: "Chat" });
const document = (page: Page) => page.getByRole("radio", { name: "Continue a text" });
const said = (page: Page) => page.getByRole("region", { name: "Conversation" }).locator("li .said");

async function settings(reader: Reader): Promise<void> {
  await reader.field("Max tokens").fill("12");
  await reader.field("Temperature").fill("0");
}

test("both texts stay while the other is shown, and at the next visit", async ({ site, reader, page, complaints }) => {
  // What the same weights write that have no template.
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
  await expect(said(page)).toHaveCount(2);
  const answer = await said(page).nth(1).textContent();
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
  await expect(said(page)).toHaveText(["Who are you?", answer ?? ""]);
  await document(page).check();
  expect(await reader.text()).toBe(alone);

  await expect(page).toHaveURL(/prompt=The\+king&.*as=document/);
  await page.reload();
  await expect(reader.generate).toBeEnabled();
  await expect(document(page)).toBeChecked();
  await expect(reader.prompt).toHaveValue("The king");
  expect(await reader.text()).toBe(alone);
  await chat(page).check();
  await expect(said(page)).toHaveText(["Who are you?", answer ?? ""]);
  await expect(page).not.toHaveURL(/as=document/);
  expect(complaints).toEqual([]);
});

test("to turn to the other ends what is written, and it is written to neither", async ({ site, reader, page }) => {
  site.inject(stepWaits(5));
  site.model = { kind: "file", path: chatModel() };
  await reader.open(site.address("?device=cpu#as=document"));
  await reader.prompt.fill("The king");
  await reader.field("Max tokens").fill("100000");
  await reader.field("Temperature").fill("0");
  await reader.generate.click();
  await site.gateReached();
  const written = await reader.text();
  await chat(page).check();
  site.openGate();
  await reader.field("Max tokens").fill("4");
  await reader.ask("Who are you?");
  await expect(said(page)).toHaveCount(2);
  await expect(said(page).nth(1).locator(".token")).toHaveCount(4);
  await document(page).check();
  expect(await reader.text()).toBe(written);
});

test("a question is no prompt, and what is forgotten is the text that is shown alone", async ({
  site,
  reader,
  page,
}) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await settings(reader);
  await reader.ask("Who are you?");
  await expect(said(page)).toHaveCount(2);
  await page.reload();
  await expect(said(page)).toHaveCount(2);
  await document(page).check();
  await expect(reader.prompt).not.toHaveValue("Who are you?");
  await reader.prompt.fill("The king");
  await reader.write();
  await page.getByRole("button", { name: "Forget it" }).click();
  await expect(reader.output).toHaveText("");
  await chat(page).check();
  await expect(said(page)).toHaveCount(2);
});
