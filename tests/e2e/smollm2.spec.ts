/**
 * SmolLM2, a real model of 135 M parameters, through what the page can do, on a desktop and on a phone.
 * `doit test e2e --slow`, where the preset smollm2 is built.
 */
import { readFileSync } from "node:fs";
import type { Page } from "@playwright/test";
import { violations } from "./axe";
import { realModel } from "./environment";
import { expect, type Reader, test } from "./fixtures";
import type { Site } from "./site";

const real = realModel();
const token = (page: Page) => page.getByRole("region", { name: "Token" });
const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });

async function open(site: Site, reader: Reader): Promise<void> {
  if (real === null) throw new Error("the tests are to be skipped");
  site.model = { kind: "file", path: real };
  await reader.openChat(site.address("?device=cpu"));
  await reader.field("Temperature").fill("0");
  await reader.field("Max tokens").fill("16");
}

/** axe finds nothing, and nothing is wider than the screen. */
async function expectSound(page: Page, about: string): Promise<void> {
  expect(await violations(page), about).toEqual([]);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, `${about}: pixels wider than the screen`).toBeLessThanOrEqual(0);
  await page.screenshot({ path: test.info().outputPath(`${about}.png`), fullPage: true });
}

for (const [screen, viewport] of [
  ["a desktop", { width: 1280, height: 900 }],
  ["a phone", { width: 390, height: 844 }],
] as const) {
  test.describe(`SmolLM2 on ${screen}`, () => {
    test.use({ viewport, reducedMotion: "reduce" });
    test.skip(real === null, "set E2E_SMOLLM2 to the model.bin of the preset smollm2");

    test("a conversation: answered, asked on, edited, walked through, stopped, saved", async ({
      site,
      reader,
      page,
      complaints,
    }) => {
      await open(site, reader);
      await page.getByLabel("Show surprise").check();
      await reader.ask("What is the capital of France?");
      await reader.answered(2);
      const answer = (await reader.said.nth(1).textContent()) ?? "";
      expect(answer).toContain("Paris");
      const levels = await reader.said
        .nth(1)
        .locator(".token")
        .evaluateAll(all => all.map(each => each.dataset["level"]));
      expect(levels).not.toContain(undefined);
      // It knows what was said before.
      await reader.ask("And of Italy?");
      await reader.answered(4);
      await expect(reader.said.nth(3)).toContainText("Rome");
      await button(page, "Edit: message 1").click();
      await page.getByRole("textbox", { name: "Your message, edited" }).fill("What is the capital of Germany?");
      await button(page, "Send edited").click();
      await reader.answered(2);
      await expect(reader.said.nth(1)).toContainText("Berlin");
      await button(page, "Previous version: message 1").click();
      await expect(reader.said.nth(1)).toHaveText(answer);
      await expect(reader.said).toHaveCount(4);
      await page.getByText("The template's text").click();
      await expect(page.getByRole("region", { name: "The prompt, to the letter" }).locator("mark").first()).toHaveText(
        "<|im_start|>",
      );
      await expectSound(page, "conversation");

      await reader.field("Max tokens").fill("100000");
      await reader.ask("Tell me a very long story.");
      await expect.poll(() => reader.text()).not.toBe("");
      await reader.stop.click();
      await reader.answered(6);
      const download = page.waitForEvent("download");
      await button(page, "Save as Markdown").click();
      const markdown = readFileSync(await (await download).path(), "utf8");
      expect(markdown).toContain("## You\n\n```text\nWhat is the capital of France?");
      expect(markdown).toContain("Paris");
      expect(complaints).toEqual([]);
    });

    test("a look inside: likeliest, attention, layers, merges; and another way from there", async ({
      site,
      reader,
      page,
      complaints,
    }) => {
      await open(site, reader);
      await reader.ask("What is the capital of France?");
      await reader.answered(2);
      const paris = reader.said.nth(1).locator(".token", { hasText: "Paris" }).first();
      await paris.dispatchEvent("click");
      const candidates = token(page).locator(".candidate");
      await expect(candidates).toHaveCount(5);
      await expect(candidates.first()).toContainText("Paris");
      await expect(candidates.first()).toContainText("as set: 100 %");
      const opened = async (title: string) => {
        const details = token(page)
          .locator("details")
          .filter({ has: page.locator("summary", { hasText: title }) });
        await details.locator("summary").click();
        return details;
      };
      await expect((await opened("Attention")).locator(".attended")).toContainText("France");
      const layers = (await opened("Layer by layer")).locator("tbody tr");
      await expect(layers).toHaveCount(30);
      await expect(layers.last().locator("code").first()).toContainText("Paris");
      await expect((await opened("Merge by merge")).getByRole("list", { name: "Merges" })).toContainText("Paris");
      await expectSound(page, "inside");

      const other = candidates.and(page.locator('[aria-current="false"]')).first();
      await other.click();
      await reader.answered(2);
      await expect(page.getByRole("region", { name: "Branches" })).toContainText("2 of 2");
      expect(complaints).toEqual([]);
    });

    test("as a document: written on, scored, branched, regenerated, undone", async ({
      site,
      reader,
      page,
      complaints,
    }) => {
      await open(site, reader);
      await page.getByRole("radio", { name: "Continue a text" }).check();
      await reader.prompt.fill("The capital of France is");
      const text = await reader.write();
      expect(text).toContain("Paris");
      await page.getByLabel("Score the text").check();
      const surprise = page.getByRole("region", { name: "Surprise" });
      await expect(surprise).toContainText("bits per byte");
      // A model that knows no English takes three bits and more.
      expect(Number.parseFloat((await surprise.textContent()) ?? "")).toBeLessThan(2);
      await expectSound(page, "scored");
      await page.getByLabel("Score the text").uncheck();
      await reader.lookAt(0);
      await expect(token(page)).toContainText(/tokens? can come here/);
      await token(page).getByLabel("Go on with your own words").fill(". The capital of Italy is");
      await page.keyboard.press("Enter");
      await expect(reader.generate).toBeEnabled();
      await expect(reader.output).toContainText("Rome");
      await button(page, "Undo").click();
      expect(await reader.text()).toBe(text);
      await reader.field("Temperature").fill("1");
      await button(page, "Regenerate").click();
      await expect(reader.generate).toBeEnabled();
      await expect(page.getByRole("region", { name: "Branches" })).toContainText("2 of 2");
      await expectSound(page, "document");
      expect(complaints).toEqual([]);
    });

    test("behind: the check, the benchmark, the card, what is stored", async ({ site, reader, page, complaints }) => {
      await open(site, reader);
      const about = page.getByRole("region", { name: "About this model" });
      await expect(about).toContainText("135 M (134,515,008)");
      await expect(reader.storage).toContainText("stored on this device");
      await page.getByText("Check and measure").click();
      await button(page, "Check the numbers").click();
      await expect(page.getByRole("region", { name: "Check", exact: true })).toContainText("Right: on the CPU");
      await button(page, "Measure the speed").click();
      await expect(page.getByRole("region", { name: "Speed" })).toContainText("tokens/s", { timeout: 300_000 });
      await expectSound(page, "measured");
      // At the next visit it comes from this device: the server is asked for its beginning alone.
      site.ranges.length = 0;
      await reader.openChat(site.address("?device=cpu"));
      expect(site.ranges).toHaveLength(1);
      await expect(reader.storage).toContainText("stored on this device");
      expect(complaints).toEqual([]);
    });

    test("two side by side on one prompt", async ({ site, reader, page, complaints }) => {
      if (real === null) return;
      const side = (name: string) => ({ name, key: name, url: `models/${name}.bin`, parameters: [], metrics: [] });
      site.beside.set("compare.json", {
        text: JSON.stringify({ format: 1, models: [side("smollm2"), side("trained")], also: "" }),
      });
      site.beside.set("models/smollm2.bin", { file: real });
      site.beside.set("models/trained.bin", { path: site.model_file });
      await reader.open(site.address("?compare&device=cpu"));
      await reader.prompt.fill("What is the capital of France?");
      await reader.field("Temperature").fill("0");
      await reader.field("Max tokens").fill("16");
      await reader.generate.click();
      await expect(reader.stop).toBeDisabled();
      await expect(page.getByRole("region", { name: /^smollm2/ }).locator(".output-text")).toContainText("Paris");
      await expect(page.getByRole("region", { name: /^trained/ }).locator(".output-text")).not.toHaveText("");
      await expectSound(page, "side by side");
      expect(complaints).toEqual([]);
    });
  });
}
