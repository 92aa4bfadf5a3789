/** The colours of styles/tokens.css keep the contrasts of WCAG 2.2: 4.5:1 for text, 3:1 for the edges of controls. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const CSS = readFileSync(new URL("../src/styles/tokens.css", import.meta.url), "utf8");
const COLOURS = new Map(
  [...CSS.matchAll(/--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(([, name, light, dark]) => [
    name,
    { light, dark },
  ]),
);

/** Relative luminance of "#rrggbb". Source: WCAG 2.2. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map(at => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

test("contrast is that of known pairs", () => {
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21, 5);
  expect(contrast("#777777", "#ffffff")).toBeCloseTo(4.48, 2);
});

const GROUNDS = ["desk", "sheet", "field"];
const PAIRS: [string, string, number][] = [
  ...GROUNDS.flatMap((ground): [string, string, number][] => [
    ["ink", ground, 4.5],
    ["ink-soft", ground, 4.5],
    ["accent", ground, 4.5],
    ["voice", ground, 4.5],
    ["rule-strong", ground, 3],
    ["good", ground, 3],
  ]),
  ["ink", "accent-soft", 4.5],
  ["rule-strong", "accent-soft", 3],
  ["accent-ink", "accent", 4.5],
  ["ink", "alarm-soft", 4.5],
  ["alarm", "alarm-soft", 4.5],
];

test.each(PAIRS)("%s on %s: at least %d : 1", (above, below, least) => {
  for (const theme of ["light", "dark"] as const) {
    const [first, second] = [COLOURS.get(above)?.[theme], COLOURS.get(below)?.[theme]];
    if (first === undefined || second === undefined) throw new Error(`tokens.css names no ${above} or no ${below}`);
    expect(contrast(first, second), theme).toBeGreaterThanOrEqual(least);
  }
});
