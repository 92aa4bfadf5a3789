/** The site and the page, as the specs use them: by accessible names only. */
import { test as base, expect, type Locator, type Page } from "@playwright/test";
import { preset } from "./environment";
import { Site } from "./site";

export { expect };

/** PocketLM's page as a reader meets it. */
export class Reader {
  readonly prompt: Locator;
  readonly message: Locator;
  readonly generate: Locator;
  readonly stop: Locator;
  readonly output: Locator;
  /** What was said in a conversation, message by message. */
  readonly said: Locator;
  readonly engine: Locator;
  readonly storage: Locator;

  constructor(readonly page: Page) {
    this.prompt = page.getByRole("textbox", { name: "Prompt" });
    this.message = page.getByRole("textbox", { name: "Message" });
    this.generate = page.getByRole("button", { name: "Generate", exact: true });
    this.stop = page.getByRole("button", { name: "Stop" });
    this.output = page.getByRole("region", { name: "Output" });
    this.said = page.getByRole("region", { name: "Conversation" }).locator("li .said");
    this.engine = page.getByRole("status", { name: "Engine" });
    this.storage = page.getByRole("region", { name: "Storage" });
  }

  /** A sampling control by its name. */
  field(name: "Temperature" | "Top-k" | "Top-p" | "Min-p" | "Repetition penalty" | "Seed" | "Max tokens"): Locator {
    return this.page.getByLabel(name);
  }

  async open(address: string): Promise<void> {
    await this.page.goto(address);
    await expect(this.generate).toBeEnabled();
  }

  /** Open the page of a model with a chat template. */
  async openChat(address: string): Promise<void> {
    await this.page.goto(address);
    await expect(this.message).toBeVisible();
  }

  async ask(question: string): Promise<void> {
    await this.message.fill(question);
    await this.message.press("Enter");
  }

  /** Wait until so many messages were said, and the last is over. */
  async answered(messages: number): Promise<void> {
    await expect(this.said).toHaveCount(messages);
    await expect(this.page.getByRole("button", { name: "Edit: message 1" })).toBeEnabled();
  }

  /** Generate with what is set, wait for the end, and return the text. */
  async write(): Promise<string> {
    await this.generate.click();
    // A short run may be over before one can look: Stop was enabled by the click itself.
    await expect(this.stop).toBeDisabled();
    await expect(this.generate).toBeEnabled();
    return await this.text();
  }

  /** Look at the n-th token of the output, from 0. Told, not clicked: a line feed alone has no place on the screen. */
  async lookAt(n: number): Promise<void> {
    await this.output.locator(".token").nth(n).dispatchEvent("click");
  }

  async text(): Promise<string> {
    // Drawn ten times a second at most: what waits was put off before this is, and then its frame passes.
    await this.page.evaluate(
      () => new Promise(resolve => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(resolve)), 120)),
    );
    return (await this.output.textContent()) ?? "";
  }
}

/** Go back to the bundle's own model; with one model left there is no choice to see any more. */
export async function chooseOwn(page: Page): Promise<void> {
  const models = page.getByRole("region", { name: "Models" });
  await models.getByRole("radio", { name: new RegExp(`^${preset()} `) }).click();
}

type Fixtures = { site: Site; reader: Reader; complaints: string[] };

export const test = base.extend<Fixtures>({
  site: async ({ page: _ }, use) => {
    const site = new Site();
    await site.start();
    await use(site);
    await site.stop();
  },
  reader: async ({ page }, use) => {
    await use(new Reader(page));
  },
  /** What the browser complained about: uncaught errors, and errors on the console (a violated policy among them). */
  complaints: async ({ page }, use) => {
    const complaints: string[] = [];
    page.on("pageerror", error => complaints.push(String(error)));
    page.on("console", message => {
      if (message.type() === "error") complaints.push(message.text());
    });
    await use(complaints);
  },
});
