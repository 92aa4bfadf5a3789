import { type Point, placed, ticks } from "../lib/chart";

const WIDTH = 320;
const HEIGHT = 140;
/** Room for the numbers at the axes. */
const LEFT = 56;
const BELOW = 20;
const TOP = 8;
const RIGHT = 14;

type Props = { name: string; points: readonly Point[]; formatX: (x: number) => string; formatY: (y: number) => string };

/** A line over its axes, which begin at 0. A picture: whoever shows it has the numbers in a table beside it. */
export function LineChart({ name, points, formatX, formatY }: Props) {
  const across = ticks(Math.max(...points.map(({ x }) => x)), 4);
  const up = ticks(Math.max(...points.map(({ y }) => y)), 3);
  const most = { x: across.at(-1)?.value || 1, y: up.at(-1)?.value || 1 };
  const places = placed(points, most, WIDTH, HEIGHT);
  return (
    <svg
      className="chart"
      role="img"
      aria-label={name}
      viewBox={`${-LEFT} ${-TOP} ${LEFT + WIDTH + RIGHT} ${TOP + HEIGHT + BELOW}`}
    >
      {up.map(({ value, at }) => (
        <g key={value}>
          <line className="grid" x1={0} x2={WIDTH} y1={HEIGHT * (1 - at)} y2={HEIGHT * (1 - at)} />
          <text x={-6} y={HEIGHT * (1 - at) + 4} textAnchor="end">
            {formatY(value)}
          </text>
        </g>
      ))}
      {across.map(({ value, at }) => (
        <text key={value} x={WIDTH * at} y={HEIGHT + 16} textAnchor="middle">
          {formatX(value)}
        </text>
      ))}
      <polyline className="line" points={places.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")} />
      {places.map(({ x, y }) => (
        <circle key={x} className="point" cx={x} cy={y} r={3} />
      ))}
    </svg>
  );
}
