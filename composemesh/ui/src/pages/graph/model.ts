// What is drawn: the API's graph with what the status knows of it, made ready to be looked at, found and hidden.

import { bytes, milliseconds, percent, rate } from "../../format";
import { DEGRADED, FAILING, healthOf, toneOfErrors, type Tone } from "../../health";
import { edgeKey } from "../../live";
import type { Graph, GraphEdge, GraphNode, NodeKind, Status, Workload } from "../../shapes";
import type { Facts, Test } from "./find";

export interface Node {
  id: string;
  service: string;
  version: string;
  kind: NodeKind;
  title: string;
  /** Under the title. */
  note: string;
  tone: Tone;
  idle: boolean;
  /** Requests a second that it is asked, and of those that it asks where nobody asks it. */
  rate: number;
  errors: number;
  workloads: Workload[];
  facts: Facts;
}

export interface Edge {
  key: string;
  source: string;
  destination: string;
  protocol: string;
  tone: Tone;
  rate: number;
  /** Share of requests that failed. */
  errors: number;
  /** Of all that its source asks for. */
  share: number;
  data: GraphEdge;
  facts: Facts;
}

export interface Model {
  nodes: Node[];
  edges: Edge[];
  seconds: number;
}

export const LABELS = [
  { value: "rate", title: "Rate" },
  { value: "errors", title: "Errors" },
  { value: "latency", title: "Latency" },
  { value: "share", title: "Share" },
  { value: "bytes", title: "Bytes" },
  { value: "none", title: "None" },
] as const;
export type Label = (typeof LABELS)[number]["value"];

export function modelOf(graph: Graph, status: Status | null): Model {
  const seconds = graph.elapsed_seconds;
  const sent = new Map<string, number>();
  for (const edge of graph.edges) sent.set(edge.source, (sent.get(edge.source) ?? 0) + edge.requests);
  const edges = graph.edges.map((edge) => edgeOf(edge, seconds, sent.get(edge.source) ?? 0));
  const nodes = graph.nodes.map((node) => nodeOf(node, edges, status));
  return { nodes, edges, seconds };
}

/** Without what `hidden` holds for, and without edges that would lead to nowhere. */
export function without(model: Model, hidden: Test | null): Model {
  if (!hidden) return model;
  const nodes = model.nodes.filter((node) => !hidden(node.facts));
  const left = new Set(nodes.map((node) => node.id));
  const edges = model.edges.filter((edge) => left.has(edge.source) && left.has(edge.destination) && !hidden(edge.facts));
  return { ...model, nodes, edges };
}

export function labelOf(edge: Edge, label: Label, seconds: number): string {
  const { data } = edge;
  switch (label) {
    case "rate":
      return data.open ? `${rate(edge.rate)}/s · ${data.open} open` : `${rate(edge.rate)}/s`;
    case "errors":
      return percent(edge.errors);
    case "latency":
      return data.p50_ms === null ? data.protocol : `${milliseconds(data.p50_ms)} · ${milliseconds(data.p99_ms)}`;
    case "share":
      return percent(edge.share);
    case "bytes":
      return `${bytes((data.bytes_sent + data.bytes_received) / seconds)}/s`;
    case "none":
      return "";
  }
}

function edgeOf(edge: GraphEdge, seconds: number, sent: number): Edge {
  const tone = edge.requests ? toneOfErrors(edge.requests, edge.errors) : "none";
  const errors = edge.requests ? edge.errors / edge.requests : 0;
  const perSecond = edge.requests / seconds;
  return {
    key: edgeKey(edge),
    source: edge.source,
    destination: edge.destination,
    protocol: edge.protocol,
    tone,
    rate: perSecond,
    errors,
    share: sent ? edge.requests / sent : 0,
    data: edge,
    facts: {
      text: `${edge.source} ${edge.destination}`,
      name: `${edge.source} ${edge.destination}`,
      service: "",
      version: "",
      protocol: edge.protocol,
      rate: perSecond,
      error: errors * 100,
      p50: edge.p50_ms ?? NaN,
      p99: edge.p99_ms ?? NaN,
      words: new Set([edge.protocol, ...wordsOf(tone)]),
    },
  };
}

function nodeOf(node: GraphNode, edges: Edge[], status: Status | null): Node {
  const inbound = edges.filter((edge) => edge.destination === node.id);
  const own = inbound.length ? inbound : edges.filter((edge) => edge.source === node.id);
  const requests = own.reduce((sum, edge) => sum + edge.data.requests, 0);
  const failed = inbound.reduce((sum, edge) => sum + edge.data.errors, 0);
  const perSecond = own.reduce((sum, edge) => sum + edge.rate, 0);
  const service = node.kind === "service" ? status?.services.find((one) => one.name === node.service) : undefined;
  const workloads = service?.workloads.filter((one) => one.version === node.version || (!one.version && node.version === "latest")) ?? [];
  const errors = requests ? failed / requests : 0;
  const idle = !own.length;
  const ill = service && workloads.length ? healthOf({ ...service, workloads, success_rate: 1 - errors, requests_per_second: perSecond }) : null;
  const tone: Tone = ill ? ill.tone : idle ? "none" : errors >= FAILING ? "bad" : errors >= DEGRADED ? "warn" : "good";
  const title = node.kind === "unknown" ? "outside" : node.service;
  return {
    ...node,
    title,
    note: idle ? "idle" : `${rate(perSecond)}/s${inbound.length ? "" : " out"}`,
    tone,
    idle,
    rate: perSecond,
    errors,
    workloads,
    facts: {
      text: `${node.id} ${title} ${workloads.map((one) => one.name).join(" ")}`,
      name: node.id,
      service: node.service,
      version: node.version,
      protocol: "",
      rate: perSecond,
      error: errors * 100,
      p50: NaN,
      p99: NaN,
      words: new Set([node.kind, ...(idle ? ["idle"] : []), ...wordsOf(tone)]),
    },
  };
}

function wordsOf(tone: Tone): string[] {
  return { good: ["healthy"], warn: ["degraded"], bad: ["failing"], none: [] as string[] }[tone];
}
