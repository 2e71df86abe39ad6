/** A line chart as SVG, for a report that opens in any browser. @module */

export interface Series {
  readonly name: string;
  /** x and y, x ascending. */
  readonly points: readonly (readonly [number, number])[];
  /** Lines of single measurements are thin and pale, so that what matters stands out. @default false */
  readonly isPale?: boolean;
}

export interface LineChart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
}

const WIDTH = 800, HEIGHT = 450;
const LEFT = 80, RIGHT = 20, TOP = 40, BOTTOM = 50;
const COLOURS = ["#1f6fb4", "#d1495b", "#2e8b57", "#8a5cb8", "#c77b16"];
const TICKS = 5;

export function lineChart({ title, xLabel, yLabel, series }: LineChart): string {
  const points = series.flatMap(({ points }) => points);
  const xTicks = ticks(points.map(([x]) => x));
  const yTicks = ticks(points.map(([, y]) => y));
  const x = scale(xTicks, LEFT, WIDTH - RIGHT);
  const y = scale(yTicks, HEIGHT - BOTTOM, TOP);
  const parts = [
    text(WIDTH / 2, 24, title, "middle", 16),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, xLabel, "middle"),
    `<text transform="translate(16 ${
      (TOP + HEIGHT - BOTTOM) / 2
    }) rotate(-90)" text-anchor="middle">${escape(yLabel)}</text>`,
    ...xTicks.map((value) => text(x(value), HEIGHT - BOTTOM + 18, label(value), "middle")),
    ...yTicks.map((value) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>${
        text(LEFT - 8, y(value) + 4, label(value), "end")
      }`
    ),
    ...series.map(({ points, isPale = false }, i) => {
      const path = points.map(([px, py]) => `${round(x(px))},${round(y(py))}`).join(" ");
      const style = isPale ? `stroke-opacity="0.35" stroke-width="1"` : `stroke-width="2"`;
      return `<polyline fill="none" stroke="${colour(i)}" ${style} points="${path}"/>`;
    }),
    ...series.map(({ name }, i) => {
      const at = TOP + 8 + 18 * i;
      return `<line x1="${WIDTH - 190}" x2="${WIDTH - 166}" y1="${at}" y2="${at}" stroke="${
        colour(i)
      }" stroke-width="3"/>${text(WIDTH - 160, at + 4, name, "start")}`;
    }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>
${parts.join("\n")}
</svg>
`;
}

const colour = (i: number) => COLOURS[i % COLOURS.length]!;

/** Round numbers from at or below the least value to at or above the greatest. */
export function ticks(values: readonly number[]): number[] {
  const finite = values.filter(Number.isFinite);
  const low = finite.reduce((least, value) => Math.min(least, value), Infinity);
  const high = finite.reduce((most, value) => Math.max(most, value), -Infinity);
  if (low > high) return [0, 1];
  const span = high - low || Math.abs(high) || 1;
  const magnitude = 10 ** Math.floor(Math.log10(span / TICKS));
  const step = [1, 2, 5, 10].map((m) => m * magnitude).find((s) => span / s <= TICKS)!;
  const [first, last] = [Math.floor(low / step), Math.ceil(high / step)];
  const count = Math.max(1, last - first) + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function scale(ticks: readonly number[], from: number, to: number): (value: number) => number {
  const [low, high] = [ticks[0]!, ticks.at(-1)!];
  return (value) => from + (value - low) / (high - low) * (to - from);
}

function text(x: number, y: number, content: string, anchor: string, size?: number): string {
  const font = size === undefined ? "" : ` font-size="${size}"`;
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${font}>${
    escape(content)
  }</text>`;
}

const round = (value: number) => Math.round(value * 10) / 10;
const label = (value: number) => String(value);

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
