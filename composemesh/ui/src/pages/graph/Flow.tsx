// Traffic that moves: dots along the edges, as many as the rate says, and those that fail as red diamonds.
// On a canvas over the drawing, so that a hundred dots cost no element; still where motion is not wanted.

import { useEffect, useRef } from "preact/hooks";
import type { Layout } from "./layout";
import type { Edge } from "./model";
import type { View } from "./view";

interface Props {
  layout: Layout;
  edges: Edge[];
  view: View;
  faded: (key: string) => boolean;
}

interface Track {
  points: { x: number; y: number }[];
  length: number;
}

interface Dot {
  track: Track;
  edge: string;
  /** Pixels from the beginning. */
  at: number;
  failed: boolean;
  tcp: boolean;
}

/** Pixels between two points of a track. */
const STEP = 4;
/** Pixels a second, at any rate: what differs is how many there are. */
const SPEED = 90;
/** Milliseconds between two pictures: half of what screens can, and enough. */
const FRAME = 33;
const MOST_DOTS = 400;

export function Flow({ layout, edges, view, faded }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const seen = useRef({ edges, view, faded });
  seen.current = { edges, view, faded };

  useEffect(() => {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const element = canvas.current!;
    const context = element.getContext("2d")!;
    const tracks = new Map([...layout.edges].map(([key, { path }]) => [key, trackOf(path)]));
    const due = new Map<string, number>();
    let dots: Dot[] = [];
    let before = performance.now();
    let asked = 0;

    const draw = (now: number) => {
      asked = requestAnimationFrame(draw);
      if (now - before < FRAME) return;
      const passed = Math.min(now - before, 200) / 1000;
      before = now;
      for (const edge of seen.current.edges) {
        const track = tracks.get(edge.key);
        if (!track || !edge.rate) continue;
        const wait = (due.get(edge.key) ?? Math.random() / density(edge.rate)) - passed;
        due.set(edge.key, wait > 0 ? wait : (0.7 + 0.6 * Math.random()) / density(edge.rate));
        if (wait <= 0 && dots.length < MOST_DOTS)
          dots.push({ track, edge: edge.key, at: 0, failed: Math.random() < edge.errors, tcp: edge.protocol === "tcp" });
      }
      for (const dot of dots) dot.at += SPEED * passed;
      dots = dots.filter((dot) => dot.at < dot.track.length);
      paint(context, element, dots, seen.current);
    };
    asked = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(asked);
  }, [layout]);

  return <canvas ref={canvas} class="flow" aria-hidden="true" />;
}

/** Dots a second: with every tenfold rate about as many more. */
function density(rate: number): number {
  return Math.min(9, 0.35 + 1.7 * Math.log10(1 + rate) + Math.min(rate, 1) * 0.4);
}

function paint(context: CanvasRenderingContext2D, element: HTMLCanvasElement, dots: Dot[], { view, faded }: Pick<Props, "view" | "faded">): void {
  const ratio = devicePixelRatio;
  const [width, height] = [Math.round(element.clientWidth * ratio), Math.round(element.clientHeight * ratio)];
  if (element.width !== width || element.height !== height) [element.width, element.height] = [width, height];
  const style = getComputedStyle(element);
  const colours = { good: style.getPropertyValue("outline-color"), bad: style.getPropertyValue("color"), tcp: style.getPropertyValue("border-color") };
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, element.clientWidth, element.clientHeight);
  context.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y);
  for (const dot of dots) {
    const { x, y } = dot.track.points[Math.min(dot.track.points.length - 1, Math.floor(dot.at / STEP))]!;
    context.fillStyle = dot.failed ? colours.bad : dot.tcp ? colours.tcp : colours.good;
    context.globalAlpha = faded(dot.edge) ? 0.12 : 1;
    context.beginPath();
    if (dot.failed) {
      context.moveTo(x, y - 5);
      context.lineTo(x + 5, y);
      context.lineTo(x, y + 5);
      context.lineTo(x - 5, y);
    } else context.arc(x, y, 3, 0, 7);
    context.fill();
  }
}

function trackOf(path: string): Track {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  const length = line.getTotalLength();
  const points = Array.from({ length: Math.max(1, Math.ceil(length / STEP)) }, (_, index) => {
    const { x, y } = line.getPointAtLength(index * STEP);
    return { x, y };
  });
  return { points, length };
}
