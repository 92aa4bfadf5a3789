/** What the model says is text, what the page may do is little, and nothing leaves for another host. */
import { readFileSync } from "node:fs";
import { hostileModel } from "./environment";
import { expect, test } from "./fixtures";
import type { Site } from "./site";

/** The page's own policy as a header, as `doit preview` sends it: so it holds in the worker, too. */
function policyHeader(site: Site): string {
  const page = readFileSync(site.page_file, "utf8");
  const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(page)?.[1];
  if (policy === undefined) throw new Error("index.html sets no Content-Security-Policy");
  return `${policy.replaceAll("&#39;", "'")}; frame-ancestors 'none'`;
}

test("markup that a model says, or that its file brings, stays text", async ({ site, reader, page, complaints }) => {
  site.model = { kind: "bytes", bytes: new Uint8Array(readFileSync(hostileModel())) };
  const requests: string[] = [];
  page.on("request", request => requests.push(new URL(request.url()).pathname));
  await reader.open(site.address("?device=cpu"));
  // A text in tokens, as it is shown, makes a span of each.
  const beside = () => page.locator(":not(.output-text *)").count();
  const before = await beside();
  const asked = requests.length;
  await reader.field("Temperature").fill("1");
  await reader.field("Max tokens").fill("64");
  const said = await reader.write();
  for (const tag of [
    "<img src=x onerror=",
    "<script>",
    "<iframe srcdoc=",
    "</div></section>",
    '<a href="javascript:',
  ]) {
    expect(said).toContain(tag);
  }
  // The openings, the prompt and what is told about the model come from the file.
  await expect(reader.prompt).toHaveValue(/^<img src=x/);
  await expect(page.getByRole("button", { name: /^<script>/ })).toBeVisible();
  await expect(page.getByRole("region", { name: "About this model" })).toContainText("<img src=x onerror=");

  expect(await page.locator("img, script:not([src]), iframe, .sheet a, .sheet h1").count()).toBe(0);
  expect(await beside()).toBe(before);
  const shown = await page.locator(".output-text *").evaluateAll(all => all.map(({ tagName }) => tagName));
  expect(new Set(shown)).toEqual(new Set(["DIV", "SPAN"]));
  expect(await page.title()).toBe("PocketLM");
  // The icon is looked for anew where the address behind the # changes.
  expect(requests.slice(asked).filter(path => !path.endsWith("/icon.svg"))).toEqual([]);
  expect(complaints).toEqual([]);
});

test("what turns the direction of writing, or commands a terminal, is told by its code and turns nothing beside it", async ({
  site,
  reader,
  page,
}) => {
  site.model = { kind: "bytes", bytes: new Uint8Array(readFileSync(hostileModel())) };
  await reader.open(site.address("?device=cpu"));
  await reader.field("Temperature").fill("1");
  await reader.field("Max tokens").fill("64");
  await reader.field("Seed").fill("1");
  await reader.write();
  const tokens = await reader.output.locator(".token").allTextContents();
  const panel = page.getByRole("region", { name: "Token" });
  for (const [character, code] of [
    ["\u202e", "[U+202E]"],
    ["\u001b", "[U+001B]"],
  ] as const) {
    const at = tokens.findIndex(text => text.includes(character));
    expect(at, code).toBeGreaterThan(-1);
    await reader.lookAt(at);
    await expect(panel.locator(".heading code")).toContainText(code);
    expect(await panel.textContent()).not.toContain(character);
  }
  // Another text that parts from this one: what stands before that place is shown in a piece of its own.
  await reader.field("Seed").fill("2");
  await reader.write();
  const before = page.getByRole("region", { name: "Branches" }).locator("bdi");
  await expect(before).not.toHaveCount(0);
  expect(await before.first().evaluate(each => getComputedStyle(each).unicodeBidi)).toBe("isolate");
});

for (const device of ["cpu", "gpu"] as const) {
  test(`works under its policy as a header, and asks for its own files only, ${device}`, async ({
    site,
    reader,
    page,
    complaints,
  }) => {
    site.headers = { "content-security-policy": policyHeader(site), "x-content-type-options": "nosniff" };
    const hosts = new Set<string>();
    page.on("request", request => hosts.add(new URL(request.url()).host));
    await reader.open(site.address(`?device=${device}`));
    await reader.field("Max tokens").fill("5");
    expect(await reader.write()).not.toBe("");
    await page.getByLabel("Theme").selectOption("dark");
    expect([...hosts]).toEqual([new URL(site.address()).host]);
    expect(site.requests.filter(path => !path.startsWith("/somewhere/below/"))).toEqual([]);
    expect(complaints).toEqual([]);
  });
}

/** What is blocked of all that the test below tries. */
const BLOCKED = [
  "base-uri",
  "connect-src",
  "form-action",
  "frame-src",
  "img-src",
  "object-src",
  "script-src",
  "script-src-attr",
  "script-src-elem",
  "style-src-elem",
  "worker-src",
];

test("the page's policy forbids scripts of others, evaluation, and every other host", async ({
  site,
  reader,
  page,
}) => {
  await reader.open(site.address("?device=cpu"));
  const blocked = new Set<string>();
  await page.exposeFunction("report", (directive: string) => blocked.add(directive));
  const { evaluated, title } = await page.evaluate(async () => {
    const { report } = globalThis as typeof globalThis & { report: (directive: string) => void };
    document.addEventListener("securitypolicyviolation", event => report(event.effectiveDirective));
    const add = (tag: string, attributes: Record<string, string>, text = "") => {
      const element = document.createElement(tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      element.textContent = text;
      document.body.append(element);
      return element;
    };
    const elsewhere = "https://elsewhere.invalid/";
    add("script", {}, "document.title = 'taken'");
    add("script", { src: `${elsewhere}a.js` });
    add("style", {}, "body { display: none }");
    add("img", { src: `${elsewhere}a.png` });
    add("iframe", { src: elsewhere });
    add("object", { data: elsewhere });
    add("base", { href: elsewhere });
    add("p", { onclick: "document.title = 'taken'" }).click();
    const form = add("form", { action: elsewhere });
    if (form instanceof HTMLFormElement) form.submit();
    await fetch(elsewhere).catch(() => undefined);
    try {
      new Worker(URL.createObjectURL(new Blob(["1"])));
    } catch {
      // Browsers may refuse at once, or report it.
    }
    // In a task of its own: what a debugger asks directly is exempt.
    const evaluated = await new Promise<string>(resolve =>
      setTimeout(() => {
        try {
          resolve(String(new Function("return 'something'")()));
        } catch (error) {
          resolve(error instanceof EvalError ? "nothing" : String(error));
        }
      }),
    );
    return { evaluated, title: document.title };
  });
  expect(title).toBe("PocketLM");
  expect(evaluated).toBe("nothing");
  // Violations are reported in their own time.
  await expect(async () => expect([...blocked].sort()).toEqual(BLOCKED)).toPass({ timeout: 180_000 });
});
