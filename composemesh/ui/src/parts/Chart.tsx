// A small chart over time: lines that share one scale, the newest value beside the title, and under the pointer what was.

import { useState } from "preact/hooks";
import type { Point } from "../shapes";
import { NOTHING } from "../format";

export interface Line {
  name: string;
  tone: "accent" | "bad" | "good" | "warn" | "other" | "dim";
  value: (point: Point) => number | null;
  filled?: boolean;
}

interface Props {
  title: string;
  points: Point[];
  lines: Line[];
  format: (value: number | null) => string;
  /** The scale's end, where the values do not reach it. */
  least?: number;
}

const WIDTH = 300;
const HEIGHT = 56;

export function Chart({ title, points, lines, format, least = 0 }: Props) {
  const [under, look] = useState<number | null>(null);
  const values = lines.map((line) => points.map(line.value));
  const most = Math.max(least, ...values.flat().map((value) => value ?? 0)) || 1;
  const x = (index: number) => (points.length > 1 ? (index / (points.length - 1)) * WIDTH : WIDTH);
  const y = (value: number) => HEIGHT - 1 - (value / (most * 1.32)) * (HEIGHT - 2);
  const shown = under ?? points.length - 1;
  const move = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const at = Math.round(((event.clientX - box.left) / box.width) * (points.length - 1));
    look(Math.min(points.length - 1, Math.max(0, at)));
  };
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <span class="chart-values">
          <i>{under === null ? "now" : since(points[under])}</i>
          {lines.map((line, index) => (
            <span class={`tone-${line.tone === "bad" && !values[index]?.[shown] ? "dim" : line.tone}`}>
              {lines.length > 1 ? <i>{line.name}</i> : null}
              <b>{format(values[index]?.[shown] ?? null)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div class="chart-frame" onPointerMove={move} onPointerLeave={() => look(null)}>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          <line class="chart-floor" x1={0} x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
          {lines.map((line, index) => (
            <g class={`tone-${line.tone}`}>
              {line.filled ? <path class="chart-area" d={area(values[index]!, x, y)} /> : null}
              {values[index]!.some(Boolean) ? <path class="chart-line" d={path(values[index]!, x, y)} /> : null}
            </g>
          ))}
          {under === null ? null : <line class="chart-under" x1={x(under)} x2={x(under)} y1={0} y2={HEIGHT} />}
        </svg>
        <span class="chart-most">{format(most)}</span>
      </div>
      <p class="chart-when">
        <span>{under === null ? since(points[0]) : since(points[under])}</span>
        <span>now</span>
      </p>
    </figure>
  );
}

function since(point: Point | undefined): string {
  if (!point) return NOTHING;
  return point.ago < 90 ? `${Math.round(point.ago)} s ago` : `${Math.round(point.ago / 60)} min ago`;
}

type Scale = (value: number) => number;

/** Gaps where there is no value; a value alone is a short stroke. */
function path(values: (number | null)[], x: Scale, y: Scale): string {
  let drawn = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const first = (values[index - 1] ?? null) === null;
    const alone = first && (values[index + 1] ?? null) === null;
    drawn += `${first ? "M" : "L"}${x(index).toFixed(1)} ${y(value).toFixed(1)}${alone ? "h2" : ""}`;
  });
  return drawn;
}

function area(values: (number | null)[], x: Scale, y: Scale): string {
  if (!values.length) return "";
  const line = values.map((value, index) => `L${x(index).toFixed(1)} ${y(value ?? 0).toFixed(1)}`).join("");
  return `M${x(0)} ${HEIGHT}${line}L${x(values.length - 1)} ${HEIGHT}Z`;
}
