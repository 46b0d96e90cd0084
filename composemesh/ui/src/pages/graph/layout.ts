// Where things stand: dagre puts the nodes into layers from left to right; versions of one service stand in one box.

import dagre from "@dagrejs/dagre";
import type { Edge, Node } from "./model";

export interface Point {
  x: number;
  y: number;
}

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Layout {
  /** By id; x and y are the middle. */
  nodes: Map<string, Box>;
  /** By key: the curve, and where its label stands. */
  edges: Map<string, { path: string; label: Point }>;
  /** By service: around its versions. */
  boxes: Map<string, Box>;
  width: number;
  height: number;
}

const NODE = { width: 164, height: 56 };
const VERSION = { width: 150, height: 46 };
export const LABEL = { width: 92, height: 22 };
export const HEAD = 30;
const PAD = 14;
const MARGIN = 28;

/** Services of which more than one version is shown. */
export function boxed(nodes: Node[]): Set<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const node of nodes) if (node.kind === "service") (seen.has(node.service) ? twice : seen).add(node.service);
  return twice;
}

export function layoutOf(nodes: Node[], edges: Edge[]): Layout {
  const graph = new dagre.graphlib.Graph({ multigraph: true, compound: true });
  graph.setGraph({ rankdir: "LR", nodesep: 40, ranksep: 34, edgesep: 22, marginx: MARGIN, marginy: MARGIN + HEAD });
  const grouped = boxed(nodes);
  const inBox = (node: Node) => node.kind === "service" && grouped.has(node.service);
  for (const service of grouped) graph.setNode(`box ${service}`, {});
  for (const node of nodes) {
    graph.setNode(node.id, { ...(inBox(node) ? VERSION : NODE) });
    if (inBox(node)) graph.setParent(node.id, `box ${node.service}`);
  }
  for (const edge of edges) graph.setEdge(edge.source, edge.destination, { ...LABEL, labelpos: "c" }, edge.key);
  dagre.layout(graph);

  const placed = new Map(nodes.map((node): [string, Box] => [node.id, boxOf(graph.node(node.id))]));
  const boxes = new Map<string, Box>();
  for (const service of grouped) {
    const members = nodes.filter((node) => inBox(node) && node.service === service).map((node) => placed.get(node.id)!);
    boxes.set(service, around(members));
  }
  const drawn = edges.map((edge): Routed => {
    const { points, x, y } = graph.edge({ v: edge.source, w: edge.destination, name: edge.key }) as { points: Point[]; x: number; y: number };
    return { edge, points, label: { x, y } };
  });
  attach(drawn, placed);
  const routed = new Map(drawn.map(({ edge, points, label }) => [edge.key, { path: curve(points), label }]));
  const { width = 0, height = 0 } = graph.graph();
  return { nodes: placed, edges: routed, boxes, width, height };
}

interface Routed {
  edge: Edge;
  points: Point[];
  label: Point;
}

/** Edges leave a node at its right side and come in at its left, in the order in which they stand, so that none cross there. */
function attach(drawn: Routed[], placed: Map<string, Box>): void {
  const forward = drawn.filter(({ edge }) => placed.get(edge.source)!.x < placed.get(edge.destination)!.x);
  for (const [end, side, at] of [["source", 1, 0], ["destination", -1, -1]] as const) {
    for (const [id, box] of placed) {
      const own = forward.filter(({ edge }) => edge[end] === id).sort((a, b) => a.label.y - b.label.y);
      const room = Math.min(12, (box.height - 20) / Math.max(1, own.length - 1));
      own.forEach((one, index) => {
        const y = box.y + (index - (own.length - 1) / 2) * room;
        one.points[at < 0 ? one.points.length - 1 : 0] = { x: box.x + (side * box.width) / 2, y };
      });
    }
  }
}

function boxOf(node: { x: number; y: number; width: number; height: number }): Box {
  return { x: node.x, y: node.y, width: node.width, height: node.height };
}

function around(members: Box[]): Box {
  const left = Math.min(...members.map((one) => one.x - one.width / 2)) - PAD;
  const right = Math.max(...members.map((one) => one.x + one.width / 2)) + PAD;
  const top = Math.min(...members.map((one) => one.y - one.height / 2)) - PAD - HEAD;
  const bottom = Math.max(...members.map((one) => one.y + one.height / 2)) + PAD;
  return { x: (left + right) / 2, y: (top + bottom) / 2, width: right - left, height: bottom - top };
}

/** Through all points, level at each: layers stand side by side, so that is the way the eye goes. */
function curve(points: Point[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  let path = `M${first.x.toFixed(1)} ${first.y.toFixed(1)}`;
  let before = first;
  for (const point of rest) {
    const half = (point.x - before.x) / 2;
    path += `C${(before.x + half).toFixed(1)} ${before.y.toFixed(1)} ${(point.x - half).toFixed(1)} ${point.y.toFixed(1)} `;
    path += `${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
    before = point;
  }
  return path;
}
