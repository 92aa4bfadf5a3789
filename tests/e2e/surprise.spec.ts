/** What the model expected: each token's surprisal, the bits per byte of the whole, and the likeliest tokens at a place. */
import { expected } from "./environment";
import { expect, test } from "./fixtures";

for (const device of ["cpu", "gpu"] as const) {
  test(`a text costs as many bits per byte as torch says, ${device}`, async ({ site, reader, page, complaints }) => {
    const { text, bits, n_bytes } = expected().score;
    await reader.open(site.address(`?device=${device}`));
    await reader.prompt.fill(text);
    await page.getByLabel("Score the text").check();
    const surprise = page.getByRole("region", { name: "Surprise" });
    await expect(surprise).toContainText(`for ${new Intl.NumberFormat("en").format(n_bytes)} bytes`);
    const said = /^([\d.]+) bits per byte/.exec((await surprise.textContent()) ?? "")?.[1];
    expect(Math.abs(Number(said) - bits / n_bytes)).toBeLessThan(0.002); // it is shown to a thousandth
    const shown = (await page.getByRole("listbox", { name: "Tokens" }).textContent()) ?? "";
    expect(shown.replaceAll("↵", "").replaceAll("·", " ")).toBe(text);
    expect(complaints).toEqual([]);
  });
}

test("a token tells how likely it was, from the keyboard too, and a new run puts the view away", async ({
  site,
  reader,
  page,
}) => {
  await reader.open(site.address("?device=cpu"));
  await reader.prompt.fill("The king is here");
  await reader.field("Max tokens").fill("8");
  await reader.write();
  const view = page.getByLabel("Score the text");
  await view.check();
  const tokens = page.getByRole("listbox", { name: "Tokens" });
  const told = page.locator(".likeliest");
  await tokens.getByRole("option").nth(2).click();
  await expect(told).toContainText("Token 3,");
  await expect(told.locator("li")).toHaveCount(5);
  await tokens.press("ArrowRight");
  await expect(told).toContainText("Token 4,");
  await expect(told).toContainText(/% likely, \d+\.\d\d bits/);
  await tokens.press("End");
  await expect(tokens.getByRole("option", { selected: true })).toHaveCount(1);
  // Some token surprises more than another, and is told apart by more than its colour.
  const lines = await page
    .getByRole("option")
    .evaluateAll(all => all.map(one => getComputedStyle(one).borderBottomWidth));
  expect(new Set(lines).size).toBeGreaterThan(1);
  await reader.write();
  await expect(view).not.toBeChecked();
  await expect(tokens).toHaveCount(0);
});

for (const device of ["cpu", "gpu"] as const) {
  test(`what is written is shaded as it comes, in the same text, ${device}`, async ({
    site,
    reader,
    page,
    complaints,
  }) => {
    await reader.open(site.address(`?device=${device}`));
    await reader.field("Seed").fill("3");
    await reader.field("Max tokens").fill("30");
    const plain = await reader.write();
    await expect(reader.output.locator("[data-level]")).toHaveCount(0);
    await page.getByLabel("Show surprise").check();
    const unshaded = page.getByText("What was written while “Show surprise” was off has no shades.");
    await expect(unshaded).toBeVisible();
    expect(await reader.write()).toBe(plain);
    await expect(unshaded).toBeHidden();
    const levels = await reader.output.locator(".token").evaluateAll(all => all.map(each => each.dataset["level"]));
    expect(levels).toHaveLength(30);
    expect(new Set(levels).size).toBeGreaterThan(2);
    await page.getByLabel("Show whitespace").check();
    await expect.poll(async () => (await reader.text()).replaceAll("↵", "")).toBe(plain.replaceAll(" ", "·"));
    expect(complaints).toEqual([]);
  });
}

for (const viewport of [
  { width: 1280, height: 720 },
  { width: 390, height: 844 },
]) {
  test.describe(`${viewport.width} pixels wide`, () => {
    test.use({ viewport });

    test("a token that is looked at is not beneath what tells of it", async ({ site, reader, page }) => {
      await reader.open(site.address("?device=cpu"));
      await reader.field("Temperature").fill("0"); // such a text does not end by itself
      await reader.field("Max tokens").fill("300");
      await reader.write();
      const panel = page.getByRole("region", { name: "Token" });
      for (const n of [5, 150, 295]) {
        await reader.lookAt(n);
        await expect(panel).toContainText(`Token ${n + 1} of`);
        await expect
          .poll(async () => {
            const token = await reader.output.locator(".token").nth(n).boundingBox();
            const told = await panel.boundingBox();
            return token && told && token.y >= 0 && token.y + token.height <= told.y;
          }, `token ${n}`)
          .toBe(true);
      }
    });
  });
}
