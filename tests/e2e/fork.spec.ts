/** A model is forked: two texts go different ways from one beginning, which is read once. */
import { join } from "node:path";
import type * as pocketlm from "pocketlm";
import { bundle, npmPackage } from "./environment";
import { expect, test } from "./fixtures";
import { Host } from "./host";

const FILES = {
  "/index.html": { text: "<!doctype html><title>Another page</title>" },
  "/pocketlm": { path: npmPackage() },
  "/model.bin": { path: join(bundle(), "model.bin") },
};

for (const device of ["cpu", "gpu"] as const) {
  test(`two forks go different ways from one prefix, ${device}`, async ({ page, complaints }) => {
    const host = new Host(FILES);
    await host.start();
    await page.goto(host.address);
    const found = await page.evaluate(
      async ({ address, device }) => {
        const { loadModel }: typeof pocketlm = await import(`${address}pocketlm/index.js`);
        const model = await loadModel(`${address}model.bin`, { device });
        const options = { maxTokens: 12, temperature: 1, seed: 7 };
        // More than two chunks of 64 tokens, whatever the model makes of a sentence.
        const sentence = "To be, or not to be, that is the question. ";
        const begun = sentence.repeat(Math.ceil(140 / (await model.tokenize(sentence)).length));
        const [left, right] = [`${begun}The king`, `${begun}My lady`];
        const alone = [await model.generate(left, options).result, await model.generate(right, options).result];
        await model.generate(begun, { ...options, maxTokens: 1 }).result;
        const other = await model.fork();
        const third = await other.fork();
        const [own, forked] = await Promise.all([
          model.generate(left, options).result,
          other.generate(right, options).result,
        ]);
        other.dispose();
        const again = await third.generate(right, options).result;
        const lost = await other.generate("x").result.catch((error: Error) => error.message);
        model.dispose();
        return { alone, own, forked, again, lost };
      },
      { address: host.address, device },
    );
    await host.stop();
    const { alone, own, forked, again, lost } = found;
    expect(own.text).toBe(alone[0]?.text);
    expect(forked.text).toBe(alone[1]?.text);
    expect(again.text).toBe(alone[1]?.text);
    expect(own.text).not.toBe(forked.text);
    for (const { prompt_tokens, read_tokens } of [own, forked, again]) {
      expect(prompt_tokens).toBeGreaterThan(128);
      expect(read_tokens).toBeLessThan(64 + 16);
    }
    expect(lost).toContain("The fork was disposed of");
    expect(complaints).toEqual([]);
  });
}
