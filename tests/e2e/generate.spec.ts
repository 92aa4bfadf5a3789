/** The way through: load, generate, stop, change the sampling; on WebGPU and on the CPU. */
import { stepWaits } from "./faults";
import { expect, test } from "./fixtures";

for (const [device, name] of [
  ["gpu", "WebGPU"],
  ["cpu", "CPU"],
] as const) {
  test.describe(name, () => {
    test("loads, says where it runs, and writes", async ({ site, reader, complaints, page }) => {
      await reader.open(site.address(`?device=${device}`));
      await expect(reader.engine).toHaveText(name);
      await reader.prompt.fill("The ");
      await reader.field("Max tokens").fill("24");
      const text = await reader.write();
      expect(text.length).toBeGreaterThan(10);
      await expect(page.getByText("tokens/s")).toBeVisible();
      await expect(page.getByText("+ 24")).toBeVisible();
      expect(complaints).toEqual([]);
    });

    test("the same seed gives the same text, another seed another", async ({ site, reader }) => {
      await reader.open(site.address(`?device=${device}`));
      await reader.field("Max tokens").fill("40");
      await reader.field("Temperature").fill("1");
      await reader.field("Top-k").fill("0");
      await reader.field("Top-p").fill("1");
      await reader.field("Seed").fill("7");
      const text = await reader.write();
      expect(await reader.write()).toBe(text);
      await reader.field("Seed").fill("8");
      expect(await reader.write()).not.toBe(text);
      await reader.field("Seed").fill("7");
      expect(await reader.write()).toBe(text);

      // At temperature 0 it does not matter.
      await reader.field("Temperature").fill("0");
      const greedy = await reader.write();
      await reader.field("Seed").fill("9");
      expect(await reader.write()).toBe(greedy);
    });

    test("a repetition penalty and min-p, among the advanced controls, change the text", async ({
      site,
      reader,
      complaints,
      page,
    }) => {
      await reader.open(site.address(`?device=${device}`));
      await expect(reader.field("Repetition penalty")).toBeHidden();
      await page.getByText("Advanced").click();
      await reader.field("Max tokens").fill("60");
      await reader.field("Temperature").fill("0");
      const greedy = await reader.write();
      await reader.field("Repetition penalty").fill("1.5");
      const penalised = await reader.write();
      expect(penalised).not.toBe(greedy);
      expect(await reader.write()).toBe(penalised);

      // Nothing is as likely as the likeliest.
      await reader.field("Repetition penalty").fill("1");
      await reader.field("Temperature").fill("1.5");
      expect(await reader.write()).not.toBe(greedy);
      await reader.field("Min-p").fill("1");
      expect(await reader.write()).toBe(greedy);
      expect(complaints).toEqual([]);
    });

    test("stops at once, and can go on to another run", async ({ site, reader, page }) => {
      site.inject(stepWaits(12));
      await reader.open(site.address(`?device=${device}`));
      await reader.field("Max tokens").fill("100000");
      // Greedy text runs in circles, so it does not end by itself.
      await reader.field("Temperature").fill("0");
      await reader.generate.click();
      await site.gateReached();
      const written = await reader.text();
      expect(written).not.toBe("");
      await reader.stop.click();
      await expect(reader.stop).toBeDisabled();
      // Neither the step that the stop came in, nor another one, adds anything.
      site.openGate();
      await expect(page.locator(".figures").getByText("stopped")).toBeVisible();
      await expect(reader.generate).toBeEnabled();
      expect(await reader.text()).toBe(written);
      await reader.field("Max tokens").fill("8");
      expect(await reader.write()).not.toBe("");
    });

    test("writes on past the end of the context", async ({ site, reader, page }) => {
      await reader.open(site.address(`?device=${device}`));
      await reader.field("Max tokens").fill("450");
      // Greedy text runs in circles, so it does not end by itself.
      await reader.field("Temperature").fill("0");
      await reader.generate.click();
      await expect(page.getByText(/\+ 450$/)).toBeVisible();
      await expect(page.locator(".figures")).toContainText("reached the limit");
    });
  });
}

test("the same seed gives the same text on WebGPU and on the CPU", async ({ site, reader }) => {
  const texts: string[] = [];
  for (const device of ["gpu", "cpu"]) {
    await reader.open(site.address(`?device=${device}`));
    await reader.prompt.fill("Once");
    await reader.field("Seed").fill("11");
    await reader.field("Max tokens").fill("48");
    texts.push(await reader.write());
  }
  expect(texts[0]).toBe(texts[1]);
});
