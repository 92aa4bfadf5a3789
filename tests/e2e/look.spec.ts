/** A look into the model at a token: where it attends to, what its layers would say, and what the settings leave of it. */

import type { Locator, Page } from "@playwright/test";
import { violations } from "./axe";
import { chatModel } from "./environment";
import { expect, type Reader, test } from "./fixtures";

const token = (page: Page) => page.getByRole("region", { name: "Token" });
const percent = (text: string | null) => Number(/([\d.]+(?:e[-+]?\d+)?) %/.exec(text ?? "")?.[1]);

/** Both are rounded to three digits. */
function expectNear(got: number, wanted: number): void {
  expect(Math.abs(got / wanted - 1), `${got}, wanted ${wanted}`).toBeLessThan(0.02);
}

async function written(reader: Reader, address: string): Promise<string> {
  await reader.open(address);
  await reader.prompt.fill("The king is here");
  await reader.field("Max tokens").fill("10");
  await reader.field("Seed").fill("4");
  return await reader.write();
}

async function opened(page: Page, title: string): Promise<Locator> {
  const details = token(page)
    .locator("details")
    .filter({ has: page.locator("summary", { hasText: title }) });
  await details.locator("summary").click();
  return details;
}

for (const device of ["cpu", "gpu"] as const) {
  test(`a token tells what the model looked at and what its layers would say, ${device}`, async ({
    site,
    reader,
    page,
    complaints,
  }) => {
    const text = await written(reader, site.address(`?device=${device}`));
    await reader.lookAt(5);
    const attention = await opened(page, "Attention");
    const shares = attention.getByRole("list", { name: "Most attention" }).getByRole("listitem");
    await expect(shares).toHaveCount(6);
    // The prompt is token by token here, and what was written before the token follows it.
    const seen = (await attention.locator(".attended").textContent()) ?? "";
    const before = (await reader.output.locator(".token").allTextContents()).slice(0, 5).join("");
    expect(seen.replaceAll("↵", "").replaceAll("·", " ")).toBe(`The king is here${before}`);
    const whole = await shares.evaluateAll(all => all.map(each => each.textContent));
    expect(new Set(whole).size).toBe(6);

    // One head sees otherwise than all of them, and one layer than another.
    const first = async () => (await shares.allTextContents()).join();
    const mean = await first();
    await attention.getByLabel("Head").selectOption({ index: 1 });
    await expect.poll(first).not.toBe(mean);
    const one = await first();
    await attention.getByLabel("Layer").selectOption({ index: 0 });
    await expect(shares).toHaveCount(6);
    await expect.poll(first).not.toBe(one);

    const layers = await opened(page, "Layer by layer");
    const rows = layers.locator("tbody tr");
    const last = rows.last().locator("td");
    // The last layer says what the model says: the likeliest of the list, and this token's own share.
    const likeliest = token(page).locator(".candidate").first();
    await expect(last.first().locator("code")).toHaveText((await likeliest.locator("code").textContent()) ?? "");
    expectNear(percent(await last.nth(1).textContent()), percent(await likeliest.textContent()));
    const own = /, ([\d.]+ %) likely/.exec((await token(page).textContent()) ?? "")?.[1] ?? "";
    expectNear(percent(await last.nth(2).textContent()), percent(own));
    expect(await rows.count()).toBe(await attention.getByLabel("Layer").locator("option").count());

    // Another token, another look; and the text goes on as if nobody had looked.
    await token(page).getByRole("button", { name: "Next token" }).click();
    await expect(attention.locator(".attended")).not.toHaveText(seen);
    expect(await reader.write()).toBe(text);
    expect(complaints).toEqual([]);
  });
}

test("what the settings leave is told beside what the model says, and anew when they change", async ({
  site,
  reader,
  page,
}) => {
  await written(reader, site.address("?device=cpu"));
  await reader.lookAt(3);
  const candidates = token(page).locator(".candidate");
  await reader.field("Temperature").fill("1");
  await reader.field("Top-k").fill("0");
  await reader.field("Top-p").fill("1");
  const asSet = async (nth: number) =>
    percent(/as set: (.*)/.exec((await candidates.nth(nth).textContent()) ?? "")?.[1] ?? "");
  const raw = percent(await candidates.first().textContent());
  // Nothing is filtered: all can come, as likely as the model says.
  await expect(candidates.first()).toContainText("as set");
  expectNear(await asSet(0), raw);
  const can = /([\d,]+) of ([\d,]+) tokens can come here/;
  const [, all, of] = can.exec((await token(page).textContent()) ?? "") ?? [];
  expect(all).toBe(of);

  await reader.field("Top-k").fill("2");
  await expect(token(page)).toContainText("2 of ");
  expect((await asSet(0)) + (await asSet(1))).toBeCloseTo(100, 0);
  await expect(candidates.nth(2)).toContainText("as set: never");
  await reader.field("Temperature").fill("0");
  await expect(candidates.first()).toContainText("as set: 100 %");
  await expect(candidates.nth(1)).toContainText("as set: never");
});

for (const [about, options] of [
  ["on a phone", { viewport: { width: 360, height: 740 } }],
  ["in the dark", { colorScheme: "dark" }],
] as const) {
  test.describe(about, () => {
    test.use(options);

    test(`axe finds nothing, and nothing is wider than the screen, ${about}`, async ({ site, reader, page }) => {
      await written(reader, site.address("?device=cpu"));
      await reader.lookAt(5);
      await expect((await opened(page, "Attention")).locator(".attended")).toBeVisible();
      await expect((await opened(page, "Layer by layer")).locator("tbody tr").first()).toBeVisible();
      await opened(page, "Merge by merge");
      await expect(token(page).getByText("How the tokenizer puts this token together")).toBeVisible();
      await expect(token(page)).toContainText("tokens can come here");
      expect(await violations(page)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
      await page.screenshot({ path: test.info().outputPath("look.png"), fullPage: true });
    });
  });
}

test("a token that the reader wrote is put together from its bytes, merge by merge", async ({ site, reader, page }) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("4");
  await reader.ask("Who are you?");
  await page.getByRole("button", { name: "Edit: answer 1" }).click();
  await page.getByRole("textbox", { name: "The answer, edited" }).fill("Q the");
  await page.getByRole("button", { name: "Keep as it is" }).click();
  await page.locator(".said .token").first().click();
  const merges = await opened(page, "Merge by merge");
  await expect(merges).toContainText("No merge makes this token");
  await token(page).getByRole("button", { name: "Next token" }).click();
  const steps = merges.getByRole("list", { name: "Merges" }).getByRole("listitem");
  // " the", of four bytes.
  await expect(steps).toHaveCount(3);
  await expect(steps.last()).toHaveText(/ → ·the$/);
  expect(await violations(page)).toEqual([]);
});

test("a conversation is looked into as the model reads it, its template too", async ({ site, reader, page }) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("6");
  await reader.ask("Who are you?");
  await expect(page.locator(".said")).toHaveCount(2);
  await expect(reader.stop).toBeDisabled();
  await page.getByRole("button", { name: "Look at a token" }).click();
  await token(page).getByRole("button", { name: "Next token" }).click();
  const attention = await opened(page, "Attention");
  const seen = attention.locator(".attended");
  await expect(seen).toContainText("Who");
  // More than the question was read: the template's marks.
  const letters = ((await seen.textContent()) ?? "").length;
  expect(letters).toBeGreaterThan("Who are you?".length + 5);
});
