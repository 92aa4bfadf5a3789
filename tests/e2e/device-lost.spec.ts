/** The graphics device goes away in the middle of a generation: the page builds it anew and the text goes on by itself. */
import { FAST_GPU, losesDevices, readingWaits } from "./faults";
import { expect, type Reader, test } from "./fixtures";

/** A run with a seed of its own. */
async function setUp(reader: Reader, max_tokens: number): Promise<void> {
  await reader.prompt.fill("The ");
  await reader.field("Seed").fill("5");
  await reader.field("Temperature").fill("1");
  await reader.field("Max tokens").fill(`${max_tokens}`);
}

test("a lost device is built anew, and the text is what it would have been", async ({
  site,
  reader,
  page,
  browser,
}) => {
  await reader.open(site.address("?device=gpu"));
  // Past the end of the context.
  await setUp(reader, 1000);
  const undisturbed = await reader.write();

  // The run stands still while the GPU process dies under it, as after a driver's reset.
  site.inject(readingWaits(20));
  await reader.open(site.address("?device=gpu"));
  await setUp(reader, 1000);
  const session = await browser.newBrowserCDPSession();
  await reader.generate.click();
  await site.gateReached();
  await expect(reader.output).not.toHaveText("");
  await session.send("Browser.crashGpuProcess");
  site.openGate();
  const interruption = page.getByRole("status", { name: "Interruption" });
  await expect(interruption).toContainText("The graphics device was lost");
  await expect(reader.generate).toBeEnabled();
  expect(await reader.text()).toBe(undisturbed);
  await expect(interruption).toContainText("the text went on where it had stopped");
  await expect(reader.engine).toHaveText("WebGPU");
  await expect(page.getByRole("alert")).toHaveCount(0);

  await reader.field("Max tokens").fill("5");
  expect(undisturbed).toContain(await reader.write());
  await expect(interruption).toHaveCount(0);
});

test("a device that is lost again and again gives way to the CPU, in the same text", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await setUp(reader, 200);
  const undisturbed = await reader.write();

  // Loading takes 8 submissions, the comparison with the CPU up to 13: some tokens come from each device.
  site.inject(FAST_GPU);
  site.inject(losesDevices(24, 12));
  await reader.open(site.address());
  await expect(reader.engine).toHaveText("WebGPU");
  await setUp(reader, 200);
  expect(await reader.write()).toBe(undisturbed);
  await expect(reader.engine).toHaveText("CPU");
  await expect(
    page.getByText("The graphics device was lost more than once, so the model runs on the CPU"),
  ).toBeVisible();
});

test("where WebGPU was asked for, a device that does not stay is a failure with two ways on", async ({
  site,
  reader,
  page,
}) => {
  site.inject(losesDevices(12, 12));
  await reader.open(site.address("?device=gpu"));
  await setUp(reader, 200);
  await reader.generate.click();
  await expect(page.getByRole("alert")).toContainText("The graphics device was lost");
  await expect(reader.engine).toHaveText("Not running");
  await expect(page.getByRole("button", { name: "Load again" })).toBeVisible();
  await page.getByRole("link", { name: "Run on the CPU instead" }).click();
  await expect(reader.engine).toHaveText("CPU");
});
