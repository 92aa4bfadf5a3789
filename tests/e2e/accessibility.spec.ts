/** The page for everybody: axe finds nothing in any state; all by keyboard; what happens is said; zoom, motion, colours. */
import { violations } from "./axe";
import { chatModel } from "./environment";
import { stepWaits } from "./faults";
import { expect, test } from "./fixtures";

for (const viewport of [
  { width: 1280, height: 900 },
  { width: 360, height: 740 },
]) {
  test.describe(`axe, ${viewport.width} pixels wide`, () => {
    test.use({ viewport, reducedMotion: "reduce" });

    test("finds nothing before, while and after it writes, with all that can be opened open", async ({
      site,
      reader,
      page,
    }) => {
      site.inject(stepWaits(5));
      await reader.open(site.address("?device=cpu"));
      expect(await violations(page), "ready").toEqual([]);
      await page.getByText("Advanced").click();
      await page.getByText("How this model was made").click();
      await expect(page.getByRole("heading", { name: "train", exact: true })).toBeVisible();
      for (const summary of await page.getByText(/^Command/).all()) await summary.click();
      expect(await violations(page), "opened").toEqual([]);
      // It stays as it is, whatever the model writes: axe need not read all of it each time.
      await page.getByText("How this model was made").click();
      await reader.field("Max tokens").fill("40");
      await reader.generate.click();
      await site.gateReached();
      await expect(reader.stop).toBeEnabled();
      expect(await violations(page), "generating").toEqual([]);
      site.openGate();
      await expect(reader.stop).toBeDisabled();
      expect(await violations(page), "written").toEqual([]);
      await page.getByLabel("Show surprise").check();
      await reader.field("Seed").fill("77");
      await reader.write();
      await reader.output.locator(".token:visible").first().click();
      await expect(page.getByRole("region", { name: "Token" }).locator(".candidate")).toHaveCount(5);
      await expect(page.getByRole("region", { name: "Branches" })).toBeVisible();
      expect(await violations(page), "a token that is looked at, and branches").toEqual([]);
      await page.getByLabel("Score the text").check();
      await expect(page.getByRole("listbox", { name: "Tokens" })).toBeVisible();
      expect(await violations(page), "surprise").toEqual([]);
    });

    test("finds nothing in a failure, a refusal and a conversation", async ({ site, reader, page }) => {
      site.model = { kind: "missing" };
      await page.goto(site.address());
      await expect(page.getByRole("alert")).toBeVisible();
      expect(await violations(page), "failed").toEqual([]);

      site.model = { kind: "file", path: chatModel() };
      await reader.openChat(site.address("?device=cpu"));
      await reader.field("Max tokens").fill("6");
      await reader.ask("Who are you?");
      await expect(page.locator(".said")).toHaveCount(2);
      expect(await violations(page), "conversation").toEqual([]);
    });

    test("finds nothing in a check and a benchmark", async ({ site, reader, page }) => {
      await reader.open(site.address("?device=cpu"));
      await page.getByText("Check and measure").click();
      await page.getByRole("button", { name: "Check the numbers" }).click();
      await expect(page.getByRole("region", { name: "Check", exact: true })).toContainText("Right");
      expect(await violations(page), "checked").toEqual([]);
      await page.getByRole("button", { name: "Measure the speed" }).click();
      await expect(page.getByRole("region", { name: "Speed" })).toBeVisible();
      await page.getByText("These times as a table").click();
      expect(await violations(page), "measured").toEqual([]);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, "pixels wider than the screen").toBeLessThanOrEqual(0);
    });

    test("finds nothing while the model loads", async ({ site, page }) => {
      await page.route(/model\.bin$/, () => undefined); // never answered
      await page.goto(site.address("?device=cpu"));
      await expect(page.getByRole("progressbar", { name: "Loading" })).toBeVisible();
      expect(await violations(page), "loading").toEqual([]);
    });
  });
}

test("axe does find what is planted", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await page.evaluate(() => {
    const planted = document.createElement("button");
    planted.style.color = "#999999";
    planted.style.backgroundColor = "#aaaaaa";
    document.querySelector("main")?.append(planted);
    const faint = document.createElement("p");
    faint.textContent = "faint";
    faint.style.color = "#999999";
    faint.style.backgroundColor = "#aaaaaa";
    document.querySelector("main")?.append(faint);
  });
  const found = (await violations(page)).join("\n");
  expect(found).toContain("button-name");
  expect(found).toContain("color-contrast");
});

test("all of it can be done from the keyboard, and the focus is seen", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  const reached: string[] = [];
  await page.getByRole("heading", { level: 1 }).click();
  for (let press = 0; press < 40; press += 1) {
    await page.keyboard.press("Tab");
    const now = await page.evaluate(() => {
      const element = document.activeElement;
      if (!(element instanceof HTMLElement) || element === document.body) return null;
      const name = element.getAttribute("aria-label") ?? (element.id ? `#${element.id}` : element.textContent);
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      return { name: name?.trim() ?? "", seen: outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2 };
    });
    if (now === null) break;
    expect(now.seen, `${now.name} shows that it has the focus`).toBe(true);
    reached.push(now.name);
  }
  const wanted = ["Theme", "#prompt", "Generate", "Stop", "Regenerate", "#field-temperature", "New seed", "Advanced"];
  expect(reached).toEqual(expect.arrayContaining([...wanted, "How this model was made"]));
  expect(reached.indexOf("#prompt")).toBeLessThan(reached.indexOf("Generate"));
});

test("the stream is no live region: a run is told when it begins and when it is over", async ({
  site,
  reader,
  page,
}) => {
  site.inject(stepWaits(5));
  await reader.open(site.address("?device=cpu"));
  const announcement = page.getByRole("status", { name: "Announcement" });
  await expect(announcement).toHaveText("");
  await reader.field("Max tokens").fill("12");
  await reader.generate.click();
  await site.gateReached();
  await expect(reader.output).not.toHaveText("");
  await expect(announcement).toHaveText("Writing");
  const live = await reader.output.evaluate(node => node.closest("[aria-live], [role=status], [role=log]") !== null);
  expect(live).toBe(false);
  site.openGate();
  await expect(announcement).toContainText("after 12 tokens.");
  await expect(announcement).toContainText((await reader.text()).trim().replaceAll(/\s+/g, " "));
});

test("copying tells that it has worked, or why it has not", async ({ site, reader, page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await reader.open(site.address("?device=cpu"));
  await reader.prompt.fill("To be");
  await reader.field("Max tokens").fill("6");
  const text = await reader.write();
  const told = page.locator(".told");
  await expect(told).toHaveCount(0);
  await page.getByRole("button", { name: "Copy" }).click();
  await expect(told).toHaveText("Copied: the prompt and the text.");
  await expect(page.getByRole("status", { name: "Announcement" })).toHaveText("Copied: the prompt and the text.");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(`To be${text}`);
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new Error("refused"));
  });
  await page.getByRole("button", { name: "Copy" }).click();
  await expect(told).toContainText("did not allow copying");
});

for (const [about, viewport] of [
  ["at 200 % of 1280 pixels", { width: 640, height: 450 }],
  ["at 400 % of 1280 pixels", { width: 320, height: 256 }],
] as const) {
  test(`nothing is cut off ${about}`, async ({ site, reader, page }) => {
    await page.setViewportSize(viewport);
    await reader.open(site.address("?device=cpu"));
    await page.getByText("Advanced").click();
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow, "pixels wider than the screen").toBeLessThanOrEqual(0);
    await reader.field("Max tokens").fill("5");
    expect(await reader.write()).not.toBe("");
  });
}

test("in forced colours surprise is told by lines, and a button is one by its border", async ({
  site,
  reader,
  page,
}) => {
  await page.emulateMedia({ forcedColors: "active" });
  await reader.open(site.address("?device=cpu"));
  await page.getByLabel("Show surprise").check();
  await reader.field("Max tokens").fill("30");
  await reader.field("Seed").fill("3");
  await reader.write();
  const lines = await reader.output
    .locator(".token")
    .evaluateAll(all => all.map(each => [each.dataset["level"], getComputedStyle(each).borderBottomWidth].join()));
  const widths = new Map(lines.map(line => line.split(",") as [string, string]));
  expect(widths.size).toBeGreaterThan(2);
  expect(new Set(widths.values()).size, "each level has a line of its own").toBe(widths.size);
  const border = await reader.generate.evaluate(each => getComputedStyle(each).borderTopWidth);
  expect(border).not.toBe("0px");
});

test("the focus stays in the page where a panel goes", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("6");
  await reader.write();
  const panel = page.getByRole("region", { name: "Token" });
  const look = page.getByRole("button", { name: "Look at a token" });
  await look.press("Enter");
  await panel.getByRole("button", { name: "Close" }).press("Enter");
  await expect(panel).toHaveCount(0);
  await expect(look).toBeFocused();
  await look.press("Enter");
  await panel.locator(".candidate").last().press("Enter");
  await expect(panel).toHaveCount(0);
  await expect(look).toBeFocused();
});

test("who wants no motion gets none", async ({ site, reader, page }) => {
  const running = () =>
    page.evaluate(() => document.getAnimations().filter(each => each.playState === "running").length);
  site.inject(stepWaits(5));
  await page.emulateMedia({ reducedMotion: "no-preference" });
  await reader.open(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("1000");
  await reader.generate.click();
  await site.gateReached();
  await expect(reader.output).not.toHaveText("");
  expect(await running()).toBeGreaterThan(0); // the caret blinks
  await page.emulateMedia({ reducedMotion: "reduce" });
  expect(await running()).toBe(0);
  site.openGate();
  await page.keyboard.press("Escape");
});

test("nothing is told by a title alone", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await page.getByText("How this model was made").click();
  await expect(page.getByRole("heading", { name: "train", exact: true })).toBeVisible();
  expect(await page.locator("body [title]").count()).toBe(0);
});
