/**
 * The fine-tuned assistant in its page: it answers questions that it has not seen, word for word, and the model that it
 * was made from does not. `pytest tests/finetune/test_persona.py --slow` makes both and runs this.
 */
import { finetuned } from "./environment";
import { expect, test } from "./fixtures";

/** 135 million parameters on the CPU of a busy machine. */
const ANSWER_MS = 9 * 60_000;

/** How many of the questions are answered word for word at temperature 0, each in a conversation of its own. */
for (const [name, at_least, at_most] of [
  ["tuned", 0.9, 1],
  ["base", 0, 0.05],
] as const) {
  test(`the ${name} model on the questions held out`, async ({ site, reader, page }) => {
    const given = finetuned();
    test.skip(given === null, "set E2E_FINETUNED to the file that tests/finetune/test_persona.py writes");
    if (given === null) return;
    test.setTimeout(given.questions.length * ANSWER_MS);
    site.model = { kind: "file", path: given[name] };
    await page.goto(site.address("?device=cpu"));
    await expect(reader.message).toBeVisible({ timeout: ANSWER_MS });
    await reader.field("Temperature").fill("0");
    await reader.field("Max tokens").fill("40");
    const said = page.getByRole("region", { name: "Conversation" }).locator("li .said");
    const again = page.getByRole("button", { name: "Answer again: answer 1", exact: true });
    let exact = 0;
    for (const [question, answer] of given.questions) {
      await reader.ask(question);
      await expect(again).toBeEnabled({ timeout: ANSWER_MS });
      exact += Number((await said.nth(1).textContent())?.trim() === answer);
      await page.getByRole("button", { name: "New chat" }).click();
      await expect(said).toHaveCount(0);
    }
    process.stdout.write(
      `the ${name} model in the page: ${exact} of ${given.questions.length} answers word for word\n`,
    );
    expect(exact).toBeGreaterThanOrEqual(at_least * given.questions.length);
    expect(exact).toBeLessThanOrEqual(at_most * given.questions.length);
  });
}
