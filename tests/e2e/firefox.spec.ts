/**
 * Debian's Firefox on the CPU: the page writes, stops, branches and answers as it does in Chromium. Playwright drives no Firefox but one that it
 * has changed; puppeteer speaks WebDriver BiDi to any. Skipped where none is installed: `doit` does not fetch it.
 */
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { chatModel, firefox } from "./environment";
import { expect, test } from "./fixtures";

/** As long as the other specs wait. */
const WAIT_MS = 180_000;

const named = (role: string, name: string) => `::-p-aria([name="${name}"][role="${role}"])`;

let browser: Browser;

test.beforeAll(async () => {
  const executablePath = firefox();
  if (executablePath === null) return;
  browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true, timeout: WAIT_MS });
});

test.afterAll(async () => {
  await browser?.close();
});

/** A page, and what the browser complained about. */
async function open(address: string): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const complaints: string[] = [];
  page.on("pageerror", error => complaints.push(String(error)));
  page.on("console", message => {
    if (message.type() === "error") complaints.push(message.text());
  });
  await page.goto(address);
  return { page, complaints };
}

async function fill(page: Page, role: string, name: string, text: string): Promise<void> {
  await page.locator(named(role, name)).fill(text);
}

async function press(page: Page, name: string): Promise<void> {
  const button = await page.waitForSelector(named("button", name));
  // Puppeteer does not know of buttons that are there and cannot be used.
  await poll(async () => button?.evaluate(each => each.getAttribute("aria-disabled"))).not.toBe("true");
  await button?.click();
}

const textOf = (page: Page, selector: string) => page.$$eval(selector, found => found.map(each => each.textContent));

/** Wait for what a poll finds. */
function poll<T>(read: () => Promise<T>) {
  return expect.poll(read, { timeout: WAIT_MS });
}

test.beforeEach(() => {
  test.skip(firefox() === null, "no firefox-esr on PATH: Debian has it as the package firefox-esr");
});

test("Firefox writes, writes the same again, and branches", async ({ site }) => {
  const { page, complaints } = await open(site.address());
  await poll(() => textOf(page, ".engine")).toEqual(["CPU"]);
  await fill(page, "textbox", "Prompt", "The king");
  await fill(page, "spinbutton", "Max tokens", "12");
  await fill(page, "spinbutton", "Seed", "4");
  const tokens = () => textOf(page, ".output .token");
  await press(page, "Generate");
  await poll(async () => (await tokens()).length).toBe(12);
  const first = await tokens();
  await press(page, "Regenerate");
  await poll(() => textOf(page, ".branches .walker span")).toEqual(["2 of 2"]);
  await press(page, "Previous branch");
  await poll(tokens).toEqual(first);
  await page.$eval(".output .token:nth-of-type(6)", token => (token as HTMLElement).click());
  await poll(() => textOf(page, ".inspector .heading span")).toEqual(["Token 6 of 12"]);
  await poll(async () => (await textOf(page, ".candidate")).length).toBe(5);
  expect(complaints).toEqual([]);
  await page.close();
});

test("Firefox holds a conversation, and a question of it is asked otherwise", async ({ site }) => {
  site.model = { kind: "file", path: chatModel() };
  const { page, complaints } = await open(site.address("?device=cpu"));
  await page.waitForSelector(named("textbox", "Message"));
  await fill(page, "spinbutton", "Max tokens", "8");
  await fill(page, "textbox", "Message", "Who are you?");
  await page.keyboard.press("Enter");
  const said = () => textOf(page, ".chat .said");
  await poll(async () => (await said()).length).toBe(2);
  const first = await said();
  await press(page, "Edit: message 1");
  await fill(page, "textbox", "Your message, edited", "Who am I?");
  await press(page, "Send edited");
  await poll(async () => [(await said()).length, (await said())[0]]).toEqual([2, "Who am I?"]);
  await press(page, "Previous version: message 1");
  await poll(said).toEqual(first);
  expect(complaints).toEqual([]);
  await page.close();
});
