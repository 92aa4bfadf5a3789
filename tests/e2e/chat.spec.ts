/** A conversation, with a model that has a chat template: the page renders it and shows messages in place of a document. */
import type { Page } from "@playwright/test";
import { chatModel, realModel } from "./environment";
import { expect, test } from "./fixtures";

const ANSWER_MS = 9 * 60_000;
/**
 * A conversation that outgrows its model: of chat_model.py's 256 positions a prompt may take 192, the template takes
 * some 25 of them a turn, and of "XQ", which is in no text, each letter is a token.
 */
const [LONG, SHORT, LAST] = ["XQ".repeat(55), "X", "XQ".repeat(50)];

/** The conversation that this device keeps, as it was saved; an empty object where there is none. */
function keptChat(page: Page) {
  return page.evaluate(() => {
    const [chat] = Object.keys(localStorage).filter(key => key.startsWith("pocketlm.text.chat."));
    return JSON.parse(localStorage.getItem(chat ?? "") ?? "{}");
  });
}

for (const device of ["gpu", "cpu"]) {
  test(`asks, is answered, asks again and begins anew on the ${device}`, async ({ site, reader, page, complaints }) => {
    site.model = { kind: "file", path: chatModel() };
    await reader.openChat(site.address(`?device=${device}`));
    await reader.field("Max tokens").fill("12");
    await reader.field("Temperature").fill("0");
    const { said } = reader;
    await reader.ask("Who are you? <|endoftext|>");
    await expect(said).toHaveCount(2);
    await expect(said.first()).toHaveText("Who are you? <|endoftext|>");
    const answer = await said.nth(1).textContent();
    expect(answer?.length).toBeGreaterThan(3);
    await reader.ask("And I?");
    await expect(said).toHaveCount(4);

    await page.getByRole("button", { name: "New chat" }).click();
    await expect(said).toHaveCount(0);
    await reader.ask("Who are you? <|endoftext|>");
    await expect(said).toHaveCount(2);
    expect(await said.nth(1).textContent()).toBe(answer);
    expect(complaints).toEqual([]);
  });
}

test("an answer can be stopped, and what was written stays", async ({ site, reader, page }) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("100000");
  // Greedy text runs in circles, so it does not end by itself.
  await reader.field("Temperature").fill("0");
  await reader.ask("Go on for ever.");
  await expect.poll(() => reader.text()).not.toBe("");
  await page.getByRole("button", { name: "Stop" }).click();
  const { said } = reader;
  await expect(said).toHaveCount(2);
  await reader.ask("Once more.");
  await expect(reader.output).toBeVisible();
});

test("a long conversation leaves its oldest turns out, and reads only what is new", async ({ site, reader, page }) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("4");
  await reader.field("Temperature").fill("0");
  const { said } = reader;
  const left_out = page.getByText("it no longer reads the first 2 messages");
  const read = async () => Number((await page.locator(".figures").textContent())?.match(/(\d+) \+ \d/)?.[1]);
  await reader.ask(LONG);
  await expect(said).toHaveCount(2);
  expect(await read()).toBeGreaterThan(LONG.length);
  await reader.ask(SHORT);
  await expect(said).toHaveCount(4);
  expect(await read()).toBeLessThan(LONG.length);
  await expect(left_out).not.toBeVisible();
  await reader.ask(LAST);
  await expect(said).toHaveCount(6);
  await expect(left_out).toBeVisible();
  await page.getByRole("button", { name: "New chat" }).click();
  await expect(left_out).not.toBeVisible();
});

test("what is left out belongs to the conversation that is shown: walked to, edited, opened again", async ({
  site,
  reader,
  page,
}) => {
  site.model = { kind: "file", path: chatModel() };
  const address = site.address("?device=cpu");
  await reader.openChat(address);
  await reader.field("Max tokens").fill("4");
  await reader.field("Temperature").fill("0");
  const { said } = reader;
  const left_out = page.getByText("it no longer reads the first 2 messages");
  const read = page.getByRole("region", { name: "The prompt, to the letter" });
  const button = (name: string) => page.getByRole("button", { name, exact: true });
  for (const [number, question] of [LONG, SHORT, LAST].entries()) {
    await reader.ask(question);
    await expect(said).toHaveCount(2 * number + 2);
    await expect(button("Edit: message 1")).toBeEnabled();
  }
  await expect(left_out).toBeVisible();
  await page.getByText("The template's text").click();
  await expect(read).toContainText(LAST);
  await expect(read).not.toContainText(LONG);

  // Another first question has room for all that follows it.
  await button("Edit: message 1").click();
  await page.getByRole("textbox", { name: "Your message, edited" }).fill("Short");
  await button("Send edited").click();
  await expect(said).toHaveCount(2);
  await expect(button("Edit: message 1")).toBeEnabled();
  await expect(left_out).toBeHidden();

  await button("Previous version: message 1").click();
  await expect(said).toHaveCount(6);
  await expect(left_out).toBeVisible();
  await expect(read).not.toContainText(LONG);
  await button("Answer again: answer 3").click();
  await expect(button("Edit: message 1")).toBeEnabled();
  await expect(left_out).toBeVisible();

  // What one conversation has outgrown is no matter of another.
  await button("Next version: message 1").click();
  await expect(said).toHaveCount(2);
  await expect(left_out).toBeHidden();
  await reader.ask("More");
  await expect(said).toHaveCount(4);
  await expect(button("Edit: message 1")).toBeEnabled();
  await expect(read).toContainText("Short");
  await expect(left_out).toBeHidden();

  // As it is kept on this device, and comes back.
  await button("Previous version: message 1").click();
  await expect(left_out).toBeVisible();
  const kept = async () => {
    const { tip, nodes } = await keptChat(page);
    let root = nodes?.[tip];
    while (root && root.parent !== null) root = nodes[root.parent];
    return root?.text;
  };
  await expect.poll(kept).toBe(LONG);
  await reader.openChat(address);
  await expect(said).toHaveCount(6);
  await expect(left_out).toBeVisible();
});

test("a conversation is there at the next visit whatever was walked to, and its address has its settings", async ({
  site,
  reader,
  page,
}) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("4");
  await reader.field("Temperature").fill("0");
  await reader.field("Seed").fill("5");
  const { said } = reader;
  const over = async () => {
    await expect(said).toHaveCount(2);
    await expect(page.getByRole("button", { name: "Edit: message 1" })).toBeEnabled();
  };
  await reader.ask("Who?");
  await over();
  await page.getByRole("button", { name: "Edit: message 1" }).click();
  await page.getByRole("textbox", { name: "Your message, edited" }).fill("What?");
  await page.getByRole("button", { name: "Send edited" }).click();
  await over();
  await page.getByRole("button", { name: "Previous version: message 1" }).click();
  await page.getByRole("button", { name: "New chat" }).click();
  await reader.ask("Why?");
  await over();
  const kept = async () => (await keptChat(page)).nodes?.[0]?.text;
  await expect.poll(kept).toBe("Why?");
  await expect(page).toHaveURL(/#temperature=0&.*seed=5/);
  const answer = await said.nth(1).textContent();
  await page.reload();
  await expect(said).toHaveCount(2);
  await expect(said.first()).toHaveText("Why?");
  expect(await said.nth(1).textContent()).toBe(answer);
  await expect(reader.field("Seed")).toHaveValue("5");
});

/** `doit test e2e --slow`, where the preset smollm2 is built. */
for (const device of ["cpu", "gpu"]) {
  test(`SmolLM2 knows the capital of France on the ${device}`, async ({ site, reader, page }) => {
    const real = realModel();
    test.skip(real === null, "set E2E_SMOLLM2 to the model.bin of the preset smollm2");
    if (real === null) return;
    site.model = { kind: "file", path: real };
    await page.goto(site.address(`?device=${device}`));
    await expect(page.getByRole("textbox", { name: "Message" })).toBeVisible({ timeout: ANSWER_MS });
    await reader.field("Temperature").fill("0");
    await reader.field("Max tokens").fill("24");
    await reader.ask("What is the capital of France?");
    const { said } = reader;
    await expect(said).toHaveCount(2, { timeout: ANSWER_MS });
    await expect(said.nth(1)).toContainText("Paris");
  });
}
