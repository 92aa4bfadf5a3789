/** Any turn of a conversation is edited, written anew and walked through, and its prompt read to the letter. */
import type { Page } from "@playwright/test";
import { violations } from "./axe";
import { chatModel } from "./environment";
import { expect, type Reader, test } from "./fixtures";
import type { Site } from "./site";

const said = (page: Page) => page.locator(".chat .said");
const texts = (page: Page) => said(page).allTextContents();
const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });

/** Two questions and their answers. */
async function converse(site: Site, reader: Reader, page: Page): Promise<string[]> {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("8");
  await reader.field("Temperature").fill("1");
  await reader.field("Seed").fill("4");
  for (const [number, question] of ["Who are you?", "And I?"].entries()) {
    await reader.ask(question);
    await over(page, 2 * number + 2);
  }
  return await texts(page);
}

/** A run is over when its turn can be edited again. */
async function over(page: Page, turns: number): Promise<void> {
  await expect(said(page)).toHaveCount(turns);
  await expect(button(page, "Edit: message 1")).toBeEnabled();
}

test("a question is edited and sent again, and both conversations are walked through", async ({
  site,
  reader,
  page,
  complaints,
}) => {
  const first = await converse(site, reader, page);
  await button(page, "Edit: message 1").click();
  const field = page.getByRole("textbox", { name: "Your message, edited" });
  await expect(field).toBeFocused();
  await expect(field).toHaveValue("Who are you?");
  // Given up, nothing has changed, and the keyboard is where it was.
  await field.fill("Never mind");
  await field.press("Escape");
  await expect(button(page, "Edit: message 1")).toBeFocused();
  expect(await texts(page)).toEqual(first);

  await button(page, "Edit: message 1").press("Enter");
  await field.fill("What is <|endoftext|>?");
  await field.press("Enter");
  await over(page, 2);
  const second = await texts(page);
  expect(second[0]).toBe("What is <|endoftext|>?");
  await expect(page.locator(".chat li").first()).toContainText("2 of 2");

  await button(page, "Previous version: message 1").click();
  expect(await texts(page)).toEqual(first);
  await expect(page.locator(".chat li").first()).toContainText("1 of 2");
  await button(page, "Next version: message 1").click();
  expect(await texts(page)).toEqual(second);

  await button(page, "Edit: message 1").click();
  expect(await violations(page)).toEqual([]);
  await button(page, "Cancel").click();
  for (let undo = 0; undo < 3; undo += 1) await button(page, "Undo").click();
  expect(await texts(page)).toEqual(first);
  await expect(button(page, "Next version: message 1")).toHaveCount(0);
  expect(complaints).toEqual([]);
});

test("an answer in the middle is written again, and the old one keeps what followed it", async ({
  site,
  reader,
  page,
  complaints,
}) => {
  const first = await converse(site, reader, page);
  await button(page, "Answer again: answer 1").click();
  await over(page, 2);
  const second = await texts(page);
  expect(second[1]).not.toBe(first[1]);
  await expect(page.locator(".chat li").nth(1)).toContainText("2 of 2");
  await button(page, "Previous version: answer 1").click();
  expect(await texts(page)).toEqual(first);
  expect(complaints).toEqual([]);
});

test("an answer is copied, and that is told", async ({ site, reader, page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const [, first] = await converse(site, reader, page);
  await button(page, "Copy: answer 1").click();
  await expect(page.locator(".told")).toHaveText("Copied: the answer.");
  await expect(page.getByRole("status", { name: "Announcement" })).toHaveText("Copied: the answer.");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(first);
});

test("words are put into the model's mouth, and it goes on from them", async ({ site, reader, page, complaints }) => {
  const first = await converse(site, reader, page);
  await button(page, "Edit: answer 2").click();
  const field = page.getByRole("textbox", { name: "The answer, edited" });
  await expect(field).toHaveValue(first[3] ?? "");
  await field.fill("I am é <b>the king");
  await button(page, "Go on from here").click();
  await expect(said(page).nth(3)).toContainText("I am é <b>the king");
  await over(page, 4);
  const gone_on = await texts(page);
  expect(gone_on.slice(0, 3)).toEqual(first.slice(0, 3));
  expect(gone_on[3]).toMatch(/^I am é <b>the king./s);
  // What was put there counts as the reader's, what follows as the model's.
  await expect(said(page).nth(3).locator('[data-source="sampled"]')).not.toHaveCount(0);

  await button(page, "Edit: answer 2").click();
  await field.fill("Only this.");
  await button(page, "Keep as it is").click();
  await expect(said(page).nth(3)).toHaveText("Only this.");
  await expect(page.locator(".chat li").nth(3)).toContainText("3 of 3");
  await button(page, "Continue").click();
  await expect(said(page).nth(3).locator('[data-source="sampled"]')).not.toHaveCount(0);
  await expect(said(page).nth(3)).toContainText("Only this.");
  expect(complaints).toEqual([]);
});

test("the template's text is there to the letter, and only what counts is marked", async ({ site, reader, page }) => {
  await converse(site, reader, page);
  await reader.ask("A <|endoftext|> of mine");
  await over(page, 6);
  const [who, answer, and, second, mine, last] = await texts(page);
  await page.getByText("The template's text").click();
  const prompt = page.getByRole("region", { name: "The prompt, to the letter" });
  const turn = (role: string, text: string) => `<|endoftext|>${role}:\n${text}\n`;
  await expect(prompt.locator("mark")).toHaveText(Array(6).fill("<|endoftext|>"));
  // A message that turns the direction of writing does not turn the marks.
  const between = await prompt.locator("bdi").evaluateAll(all => all.map(each => getComputedStyle(each).unicodeBidi));
  expect(new Set(between)).toEqual(new Set(["isolate"]));
  expect(await prompt.textContent()).toBe(
    turn("USER", who ?? "") +
      turn("ASSISTANT", answer ?? "") +
      turn("USER", and ?? "") +
      turn("ASSISTANT", second ?? "") +
      turn("USER", mine ?? "") +
      `<|endoftext|>PROSPERO:\n${last}`,
  );
  expect(await violations(page)).toEqual([]);
});
