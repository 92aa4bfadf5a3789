/** Where a line chart's points and ticks lie, in the units of an SVG. */

export type Point = { x: number; y: number };
/** `at`: along the axis, 0 … 1. */
export type Tick = { value: number; at: number };

/** Up to about `count` round steps from 0 that go beyond `most`: 1, 2 or 5 times a power of ten. */
export function ticks(most: number, count: number): Tick[] {
  if (!(most > 0)) return [{ value: 0, at: 0 }];
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find(factor => factor * power >= rough) ?? 10);
  const steps = Math.ceil(most / step - 1e-9);
  return Array.from({ length: steps + 1 }, (_, nth) => ({
    // 3 · 0.1 is not 0.3.
    value: Number((nth * step).toPrecision(12)),
    at: nth / steps,
  }));
}

/** The points on a ground of `width` by `height`, whose axes end at these values; y grows downwards there. */
export function placed(points: readonly Point[], most: Point, width: number, height: number): Point[] {
  return points.map(({ x, y }) => ({ x: (x / most.x) * width, y: height - (y / most.y) * height }));
}
