/** How the model was made: told by the files beside it, fetched only for who wants to know. */
import type { Locator, Page } from "@playwright/test";
import { violations } from "./axe";
import { expect, type Reader, test } from "./fixtures";
import type { Site } from "./site";

type Entry = { outputs: Record<string, { digest: string; size_bytes: number }> };
type Sample = { step: number; text: string };

/** A number as the page writes it. */
const count = (n: number) => new Intl.NumberFormat("en").format(n);

/** Open the page and the part of it that tells. */
async function open(site: Site, reader: Reader): Promise<void> {
  await reader.open(site.address("?device=cpu"));
  await reader.page.getByText("How this model was made").click();
  await expect(reader.page.getByRole("heading", { name: "Step by step" })).toBeVisible();
}

/** What the bundle has beside its model. */
async function told<T>(page: Page, site: Site, name: string): Promise<T> {
  return (await page.request.get(site.address(name))).json();
}

const graph = (page: Page) => page.getByRole("navigation", { name: "Build graph" });
const training = (page: Page) => page.getByRole("region", { name: "Training", exact: true });
const curve = (page: Page) => training(page).getByRole("img", { name: /^Bits per byte against the steps/ });
/** The picture as it is drawn: another one where a colour or a line is. */
const drawn = (chart: Locator) => chart.locator("canvas").evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());

async function overflow(page: Page): Promise<number> {
  return await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}

test("the chain is fetched when it is opened, and fits the screen", async ({ site, reader, page, complaints }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await reader.open(site.address("?device=cpu"));
  const asked = () => site.requests.filter(path => /(provenance|timings|training|samples)\.json$|Made|Plot/.test(path));
  expect(asked()).toEqual([]);
  await page.getByText("How this model was made").click();
  for (const stage of ["corpus", "tokenizer", "train", "report", "export", "wasm"]) {
    await expect(page.getByRole("heading", { name: stage, exact: true })).toBeVisible();
  }
  await expect(page.getByText(/SHA-256 is the same/)).toBeVisible();
  for (const summary of await page.getByText(/^Command/).all()) await summary.click();
  await expect(page.getByText("train.lr")).toBeVisible();
  await expect(curve(page).locator("canvas")).toBeVisible();
  expect(await overflow(page), "pixels wider than the screen").toBeLessThanOrEqual(0);
  expect(asked().length).toBeGreaterThan(4);
  expect(complaints).toEqual([]);
});

test("a bundle without provenance.json says so", async ({ site, reader, page }) => {
  await page.route("**/provenance.json", route => route.fulfill({ status: 404, body: "not found" }));
  await reader.open(site.address("?device=cpu"));
  await page.getByText("How this model was made").click();
  await expect(page.getByText("No provenance.json lies beside the model.")).toBeVisible();
});

for (const width of [1280, 390]) {
  test(`the build graph leads to each step, by keyboard too, ${width} pixels wide`, async ({ site, reader, page }) => {
    await page.setViewportSize({ width, height: 800 });
    await open(site, reader);
    const { stages } = await told<{ stages: Record<string, Entry> }>(page, site, "provenance.json");
    await expect(graph(page).getByRole("button")).toHaveCount(Object.keys(stages).length);
    for (const [stage, { outputs }] of Object.entries(stages)) {
      const [name, { digest }] = Object.entries(outputs).reduce((most, each) =>
        each[1].size_bytes > most[1].size_bytes ? each : most,
      );
      const begins = `SHA-256 of ${name} begins with ${digest.slice(0, 10)}`;
      const box = graph(page).getByRole("button", { name: new RegExp(`^${stage} ?, took .* ?, ${begins}$`) });
      await expect(box).toBeVisible();
    }
    await graph(page)
      .getByRole("button", { name: /^train/ })
      .focus();
    await page.keyboard.press("Enter");
    const heading = page.getByRole("heading", { name: "train", exact: true });
    await expect(heading).toBeFocused();
    await expect(heading).toBeInViewport();
    await graph(page)
      .getByRole("button", { name: /^tokenizer/ })
      .click();
    await expect(page.getByRole("heading", { name: "tokenizer", exact: true })).toBeFocused();

    // Downwards on a phone, to the right on a desk; and every box fits where it stands.
    const at = async (stage: string) =>
      (await graph(page)
        .getByRole("button", { name: new RegExp(`^${stage}`) })
        .boundingBox()) ?? { x: 0, y: 0, width: 0 };
    const [train, exported] = [await at("train"), await at("export")];
    if (width < 600) expect(exported.y).toBeGreaterThan(train.y);
    else expect(exported.x).toBeGreaterThan(train.x);
    for (const stage of Object.keys(stages)) {
      const box = await at(stage);
      expect(box.x + box.width, stage).toBeLessThanOrEqual(width);
    }
    expect(await overflow(page), "pixels wider than the screen").toBeLessThanOrEqual(0);
  });

  test(`axe finds nothing with all of it open, ${width} pixels wide`, async ({ site, reader, page }) => {
    await page.setViewportSize({ width, height: 800 });
    await open(site, reader);
    await expect(curve(page).locator("canvas")).toBeVisible();
    await training(page).getByText("These figures as a table").click();
    for (const summary of await page.getByText(/^Command/).all()) await summary.click();
    expect(await violations(page)).toEqual([]);
  });
}

test("how long it took is told, and what of it was the training", async ({ site, reader, page }) => {
  await open(site, reader);
  await expect(page.getByText(/^All commands together took .+, of which training .+ %/)).toBeVisible();
  const timings = await told<Record<string, unknown>>(page, site, "timings.json");
  await expect(page.getByText("Took", { exact: true })).toHaveCount(Object.keys(timings).length);
});

test("a bundle that does not tell times shows none", async ({ site, reader, page }) => {
  site.changes.push({ file: /^timings\.json$/, to: () => null });
  await open(site, reader);
  await expect(graph(page).getByRole("button", { name: /^train/ })).toBeVisible();
  await expect(page.getByText("All commands together")).toHaveCount(0);
  await expect(page.getByText("Took", { exact: true })).toHaveCount(0);
  await expect(graph(page).getByText("took")).toHaveCount(0);
});

test("what the model wrote at each checkpoint can be read, by slider and by click", async ({ site, reader, page }) => {
  await open(site, reader);
  const { samples } = await told<{ samples: Sample[] }>(page, site, "samples.json");
  expect(samples.length).toBeGreaterThan(2);
  const slider = training(page).getByRole("slider", { name: "Checkpoint" });
  const written = training(page).getByRole("blockquote");
  const expectSample = async (nth: number) => {
    const { step, text } = samples.at(nth) ?? { step: -1, text: "" };
    expect(await written.textContent()).toBe(text);
    const said = `Step ${count(step)},`;
    await expect(slider).toHaveAttribute("aria-valuetext", new RegExp(`^${said} [0-9.]+ bits per byte$`));
    await expect(training(page).getByText(new RegExp(`^${said} .* What the model wrote then:$`))).toBeVisible();
  };
  await expect(written).toBeVisible();
  await expectSample(-1);
  await slider.focus();
  await page.keyboard.press("ArrowLeft");
  await expectSample(-2);
  await page.keyboard.press("Home");
  await expectSample(0);

  await expect(curve(page).locator("canvas")).toBeVisible();
  const before = await drawn(curve(page));
  const over = curve(page).locator(".u-over");
  const box = await over.boundingBox();
  await over.click({ position: { x: (box?.width ?? 0) - 2, y: 20 } });
  await expectSample(-1);
  await expect.poll(async () => (await drawn(curve(page))) !== before, "the mark has moved").toBe(true);
  await over.click({ position: { x: 2, y: 20 } });
  await expectSample(0);
});

test("the curve's numbers stand in a table", async ({ site, reader, page }) => {
  await open(site, reader);
  const { val } = await told<{ val: [number, number][] }>(page, site, "training.json");
  await training(page).getByText("These figures as a table").click();
  const rows = training(page).getByRole("row");
  await expect(rows).toHaveCount(val.length + 1);
  const [step, bpb] = val.at(-1) ?? [-1, -1];
  await expect(rows.last().getByRole("rowheader", { name: count(step), exact: true })).toBeVisible();
  await expect(rows.last().getByRole("cell").last()).toHaveText(bpb.toFixed(3));
  const label = await curve(page).getAttribute("aria-label");
  expect(label).toContain(`${bpb.toFixed(3)} at step ${count(step)}`);
});

test("the curve takes the theme's colours, and forced ones", async ({ site, reader, page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await open(site, reader);
  await expect(curve(page).locator("canvas")).toBeVisible();
  const seen = [await drawn(curve(page))];
  const expectAnother = async (what: string) => {
    await expect.poll(async () => seen.includes(await drawn(curve(page))), what).toBe(false);
    seen.push(await drawn(curve(page)));
  };
  await page.getByLabel("Theme").selectOption("Dark theme");
  await expectAnother("dark, as the reader chose");
  await page.getByLabel("Theme").selectOption("Light theme");
  await expect.poll(async () => (await drawn(curve(page))) === seen[0], "light again").toBe(true);
  await page.emulateMedia({ colorScheme: "light", forcedColors: "active" });
  await expectAnother("forced colours");
});

test("the curve is as wide as there is room", async ({ site, reader, page }) => {
  await page.setViewportSize({ width: 1280, height: 800 });
  await open(site, reader);
  const canvas = curve(page).locator("canvas");
  await expect(canvas).toBeVisible();
  const wide = (await canvas.boundingBox())?.width ?? 0;
  await page.setViewportSize({ width: 390, height: 800 });
  await expect.poll(async () => (await canvas.boundingBox())?.width ?? 0).toBeLessThan(wide);
  expect(await overflow(page), "pixels wider than the screen").toBeLessThanOrEqual(0);
});

test("a model that was trained elsewhere has no curve, and none is asked for", async ({
  site,
  reader,
  page,
  complaints,
}) => {
  site.changes.push({
    file: /^provenance\.json$/,
    to: content => {
      const made = JSON.parse(content.toString("utf8"));
      delete made.stages.report;
      return { content: Buffer.from(JSON.stringify(made)) };
    },
  });
  await open(site, reader);
  await expect(graph(page)).toBeVisible();
  await expect(training(page)).toHaveCount(0);
  expect(site.requests.filter(path => /(training|samples)\.json$/.test(path))).toEqual([]);
  expect(complaints).toEqual([]);
});

test("without the part that draws, the table and the texts are there", async ({ site, reader, page }) => {
  await page.route(/Plot-.*\.js$/, route => route.abort());
  await open(site, reader);
  await expect(training(page).getByText("The picture could not be loaded")).toBeVisible();
  await training(page).getByText("These figures as a table").click();
  await expect(training(page).getByRole("rowheader").first()).toBeVisible();
  await expect(training(page).getByRole("blockquote")).toBeVisible();
});

test("files that are no such files, and markup in them, are shown as text or not at all", async ({
  site,
  reader,
  page,
  complaints,
}) => {
  const markup = '<img src=x onerror="document.title=1">\u202e<script>document.title=2</script>';
  const json = (value: unknown) => () => ({ content: Buffer.from(JSON.stringify(value)) });
  site.changes.push(
    { file: /^timings\.json$/, to: json({ train: { duration_s: "<b>1</b>" }, [markup]: { duration_s: 1e300 } }) },
    {
      file: /^training\.json$/,
      to: json({
        tokens: markup,
        train: [[1, markup]],
        val: [
          [0, 5],
          [0, 4],
          [markup, 1],
          [9, 3],
        ],
        kept: {},
      }),
    },
    {
      file: /^samples\.json$/,
      to: json({ samples: [{ step: 0, text: markup }, markup, { step: 9, text: { a: 1 } }] }),
    },
    {
      file: /^provenance\.json$/,
      to: content => {
        const made = JSON.parse(content.toString("utf8"));
        made.stages[markup] = { ...made.stages.export, command: [markup] };
        return { content: Buffer.from(JSON.stringify(made)) };
      },
    },
  );
  await open(site, reader);
  await expect(training(page).getByRole("blockquote")).toHaveText(markup);
  await expect(training(page).getByRole("slider")).toHaveCount(0);
  await expect(page.getByRole("heading", { name: markup })).toBeVisible();
  await expect(graph(page).getByText(markup)).toBeVisible();
  await expect(page.getByText("Took", { exact: true })).toHaveCount(0);
  await expect(curve(page).locator("canvas")).toBeVisible();
  expect(await page.locator("main img, section img, section script").count()).toBe(0);
  expect(await page.title()).toBe("PocketLM");
  expect(await overflow(page), "pixels wider than the screen").toBeLessThanOrEqual(0);
  expect(complaints).toEqual([]);
});

test("all of it works under the policy as a header", async ({ site, reader, page, complaints }) => {
  site.headers = { "content-security-policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" };
  await open(site, reader);
  await expect(curve(page).locator("canvas")).toBeVisible();
  const place = await graph(page)
    .getByRole("listitem")
    .last()
    .evaluate(item => getComputedStyle(item).left);
  expect(Number.parseFloat(place), "boxes stand where they were put").toBeGreaterThan(100);
  expect(complaints).toEqual([]);
});
