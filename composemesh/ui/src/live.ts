// What the mesh tells by itself: status and graph, over one stream that all pages share. It is closed while nobody
// looks at the page, and opened again, ever more patiently, when the mesh goes away.

import { batch, signal } from "@preact/signals";
import type { Graph, GraphEdge, Service, Status } from "./shapes";

export type Connection = "connecting" | "open" | "lost";

export const connection = signal<Connection>("connecting");
export const status = signal<Status | null>(null);
export const graph = signal<Graph | null>(null);
/** How far back the graph looks, as the API takes it. */
export const lookBack = signal("60s");

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;

let source: EventSource | null = null;
let pause = FIRST_PAUSE;
let timer: number | undefined;

export function listen(): void {
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  let before = lookBack.value;
  lookBack.subscribe((asked) => {
    if (asked === before) return;
    before = asked;
    graph.value = null;
    open();
  });
  open();
}

function open(): void {
  close();
  if (document.hidden) return;
  const asked = new URLSearchParams({ window: lookBack.value, changes: "true" });
  source = new EventSource(`/api/v1/events?${asked}`);
  source.onopen = () => (pause = FIRST_PAUSE);
  source.onerror = () => {
    close();
    connection.value = "lost";
    timer = window.setTimeout(open, pause);
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  };
  hear<Status>("status", (said) => (status.value = said));
  hear<Graph>("graph", (said) => (graph.value = said));
  hear<StatusChanges>("status-changes", (said) => (status.value = status.value && changedStatus(status.value, said)));
  hear<GraphChanges>("graph-changes", (said) => (graph.value = graph.value && changedGraph(graph.value, said)));
}

function close(): void {
  window.clearTimeout(timer);
  source?.close();
  source = null;
}

function hear<T>(name: string, take: (said: T) => void): void {
  source!.addEventListener(name, (event) => {
    const said = JSON.parse((event as MessageEvent<string>).data) as T;
    batch(() => {
      connection.value = "open";
      take(said);
    });
  });
}

interface StatusChanges extends Partial<Status> {
  gone: { services: string[] };
}

interface GraphChanges extends Graph {
  gone: { nodes: string[]; edges: string[] };
}

function changedStatus(before: Status, { gone, services, ...rest }: StatusChanges): Status {
  return { ...before, ...rest, services: merged(before.services, services ?? [], gone.services, (one: Service) => one.name) };
}

function changedGraph(before: Graph, said: GraphChanges): Graph {
  return {
    window_seconds: said.window_seconds,
    elapsed_seconds: said.elapsed_seconds,
    nodes: merged(before.nodes, said.nodes, said.gone.nodes, (node) => node.id),
    edges: merged(before.edges, said.edges, said.gone.edges, edgeKey),
  };
}

/** As the mesh names an edge among those that are gone. */
export function edgeKey(edge: GraphEdge): string {
  return `${edge.source} ${edge.destination} ${edge.protocol}`;
}

function merged<T>(before: T[], changed: T[], gone: string[], key: (one: T) => string): T[] {
  const all = new Map(before.map((one) => [key(one), one]));
  for (const name of gone) all.delete(name);
  for (const one of changed) all.set(key(one), one);
  return [...all.keys()].sort().map((name) => all.get(name)!);
}
