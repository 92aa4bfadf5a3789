/** How the model was made: told by provenance.json beside it, fetched only for who wants to know. */
import { expect, test } from "./fixtures";

test("the chain is fetched when it is opened, and fits the screen", async ({ site, reader, page, complaints }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await reader.open(site.address("?device=cpu"));
  expect(site.requests.filter(path => path.endsWith("provenance.json"))).toEqual([]);
  await page.getByText("How this model was made").click();
  for (const stage of ["corpus", "tokenizer", "train", "export", "wasm"]) {
    await expect(page.getByRole("heading", { name: stage, exact: true })).toBeVisible();
  }
  await expect(page.getByText(/SHA-256 is the same/)).toBeVisible();
  for (const summary of await page.getByText(/^Command/).all()) await summary.click();
  await expect(page.getByText("train.lr")).toBeVisible();
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, "pixels wider than the screen").toBeLessThanOrEqual(0);
  expect(complaints).toEqual([]);
});

test("a bundle without provenance.json says so", async ({ site, reader, page }) => {
  await page.route("**/provenance.json", route => route.fulfill({ status: 404, body: "not found" }));
  await reader.open(site.address("?device=cpu"));
  await page.getByText("How this model was made").click();
  await expect(page.getByText("No provenance.json lies beside the model.")).toBeVisible();
});
