/** A browser without a WebGPU adapter: the CPU takes over and the page says so; asked for WebGPU it says what to do. */
import { expect, test } from "./fixtures";

test("falls back to the CPU and says so", async ({ site, reader, page, complaints }) => {
  await reader.open(site.address());
  await expect(reader.engine).toHaveText("CPU");
  await expect(page.getByText(/offers no WebGPU that the model can use, so it runs on the CPU/)).toBeVisible();
  await reader.field("Max tokens").fill("16");
  expect(await reader.write()).not.toBe("");
  expect(complaints).toEqual([]);
});

test("asked for the CPU, it does not speak of a fallback", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await expect(reader.engine).toHaveText("CPU");
  await expect(page.getByText(/offers no WebGPU/)).toHaveCount(0);
});

test("asked for WebGPU, it says that there is none and offers the CPU", async ({ site, reader, page }) => {
  await page.goto(site.address("?device=gpu"));
  await expect(page.getByRole("alert")).toContainText("The engine cannot run in this browser");
  await expect(reader.engine).toHaveText("Not running");
  await expect(reader.generate).toBeDisabled();
  await page.getByRole("link", { name: "Run on the CPU instead" }).click();
  await expect(reader.engine).toHaveText("CPU");
});
