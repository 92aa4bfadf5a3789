/** The GPU process dies under a loaded model, as after a driver's reset: the page says so and can load again. */
import { expect, test } from "./fixtures";

test("a lost device is named, and loading again works", async ({ site, reader, page, browser }) => {
  await reader.open(site.address());
  await expect(reader.engine).toHaveText("WebGPU");
  await reader.field("Max tokens").fill("100000");
  await reader.field("Temperature").fill("0");
  await reader.generate.click();
  await expect(reader.output).not.toHaveText("");
  const session = await browser.newBrowserCDPSession();
  await session.send("Browser.crashGpuProcess");
  await expect(page.getByRole("alert")).toContainText("The graphics device went away");
  await expect(reader.engine).toHaveText("Not running");

  await page.getByRole("button", { name: "Load again" }).click();
  await expect(reader.generate).toBeEnabled();
  await reader.field("Max tokens").fill("5");
  await reader.write();
  await expect(page.getByText("+ 5")).toBeVisible();
});
