/** Two tabs at once, and a tab that the browser puts to sleep in the middle of a generation. */
import { stepWaits } from "./faults";
import { expect, Reader, test } from "./fixtures";

for (const device of ["gpu", "cpu"] as const) {
  test(`two tabs write at the same time, ${device}`, async ({ site, context }) => {
    const readers = [new Reader(await context.newPage()), new Reader(await context.newPage())];
    await Promise.all(readers.map(reader => reader.open(site.address(`?device=${device}`))));
    for (const reader of readers) {
      await reader.field("Seed").fill("3");
      await reader.field("Max tokens").fill("80");
    }
    const [first, second] = await Promise.all(readers.map(reader => reader.write()));
    expect(first).not.toBe("");
    expect(second).toBe(first);
  });
}

test("a tab that sleeps in the middle loses no text", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await reader.field("Seed").fill("3");
  await reader.field("Max tokens").fill("3000");
  const awake = await reader.write();

  site.inject(stepWaits(12));
  await reader.open(site.address("?device=cpu"));
  await reader.field("Seed").fill("3");
  await reader.field("Max tokens").fill("3000");
  await reader.generate.click();
  await site.gateReached();
  await expect(reader.output).not.toHaveText("");
  const session = await page.context().newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  site.openGate();
  await new Promise(resolve => setTimeout(resolve, 1500)); // asleep: nothing is awaited
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await expect(reader.generate).toBeEnabled();
  expect(await reader.text()).toBe(awake);
});
