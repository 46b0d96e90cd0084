// The graph, live: who calls whom in the last seconds or minutes, how often, how well and how fast.

import { useEffect, useMemo, useRef } from "preact/hooks";
import { isTyping } from "../../keys";
import { graph, lookBack, status } from "../../live";
import { Empty } from "../../parts/Empty";
import { Icon } from "../../parts/Icon";
import { ask, route } from "../../router";
import { WINDOWS } from "../../series";
import { Bar } from "./Bar";
import { Cards, fadedIn, Lines, type Chosen } from "./Drawing";
import { parse } from "./find";
import { Flow } from "./Flow";
import { layoutOf, type Layout } from "./layout";
import { LABELS, modelOf, without, type Label, type Model } from "./model";
import { Panel } from "./Panel";
import { useView } from "./view";
import "./graph.css";

const DEFAULT_WINDOW = "60s";

export function GraphPage() {
  const query = route.value.query;
  const window = WINDOWS.find((one) => one.value === query.get("window"))?.value ?? DEFAULT_WINDOW;
  const label: Label = LABELS.find((one) => one.value === query.get("label"))?.value ?? "rate";
  const [find, hide] = [query.get("find") ?? "", query.get("hide") ?? ""];
  const search = useRef<HTMLInputElement>(null);

  useEffect(() => {
    lookBack.value = window;
    return () => (lookBack.value = DEFAULT_WINDOW);
  }, [window]);

  const finding = useMemo(() => parse(find), [find]);
  const hiding = useMemo(() => parse(hide), [hide]);
  const shown = graph.value;
  const model = useMemo(
    () => (shown ? without(modelOf(shown, status.value), typeof hiding === "function" ? hiding : null) : null),
    [shown, status.value, hiding],
  );
  const found = useMemo(() => {
    if (!model || typeof finding !== "function") return null;
    const all = [...model.nodes.map((node) => ({ key: node.id, ...node })), ...model.edges];
    return new Set(all.filter((one) => finding(one.facts)).map((one) => one.key));
  }, [model, finding]);
  const wrong = { find: typeof finding === "string" ? finding : "", hide: typeof hiding === "string" ? hiding : "" };

  return (
    <div class="graph">
      <Bar window={window} label={label} find={find} hide={hide} wrong={wrong} found={found ? found.size : null} search={search} />
      {model ? (
        <Canvas model={model} label={label} window={window} found={found} search={search} />
      ) : (
        <div class="graph-canvas" aria-busy="true" />
      )}
    </div>
  );
}

interface CanvasProps {
  model: Model;
  label: Label;
  window: string;
  found: Set<string> | null;
  search: { current: HTMLInputElement | null };
}

function Canvas({ model, label, window, found, search }: CanvasProps) {
  const frame = useRef<HTMLDivElement>(null);
  // Nodes keep their places as long as the same ones are connected in the same way; rates alone move nothing.
  const shape = [...model.nodes.map((node) => node.id), ...model.edges.map((edge) => edge.key)].join("\n");
  const layout = useMemo(() => layoutOf(model.nodes, model.edges), [shape]);
  const { view, fit, zoom, pan, onPointerDown } = useView(frame, layout);
  const chosen = chosenIn(model, route.value.query);
  const choose = (next: Chosen) =>
    ask({ node: next && "node" in next ? next.node : undefined, edge: next && "edge" in next ? next.edge : undefined });

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (isTyping(event)) {
        if (event.key === "Escape") (document.activeElement as HTMLElement).blur();
        return;
      }
      if (event.key === "/") search.current?.focus();
      else if (event.key === "+" || event.key === "=") zoom(1.2);
      else if (event.key === "-") zoom(1 / 1.2);
      else if (event.key === "0" || event.key === "f") fit();
      else if (event.key === "Escape") choose(null);
      else if (event.key.startsWith("Arrow") && event.shiftKey) pan(...PANS[event.key]!);
      else if (event.key.startsWith("Arrow")) step(frame.current!, layout, event.key);
      else return;
      event.preventDefault();
    };
    globalThis.addEventListener("keydown", onKey);
    return () => globalThis.removeEventListener("keydown", onKey);
  });

  const faded = fadedIn(model, chosen, found);
  const layer = { model, layout, view, chosen, faded, onChoose: choose };
  const traffic = model.edges.length > 0;
  return (
    <div class="graph-body">
      <div class="graph-canvas" ref={frame} onPointerDown={onPointerDown} onClick={(event) => (event.target as Element).closest("[data-node], [data-edge], .edge-label, button") ?? choose(null)}>
        {model.nodes.length ? (
          <>
            <Lines {...layer} />
            <Flow layout={layout} edges={model.edges} view={view} faded={faded} />
            <Cards {...layer} label={label} />
            <div class="graph-buttons" role="group" aria-label="View">
              <button class="icon" onClick={() => zoom(1.2)} aria-label="Enlarge" title="Enlarge (+)">
                <Icon name="plus" />
              </button>
              <button class="icon" onClick={() => zoom(1 / 1.2)} aria-label="Reduce" title="Reduce (-)">
                <Icon name="minus" />
              </button>
              <button class="icon" onClick={fit} aria-label="Show all" title="Show all (0)">
                <Icon name="fit" />
              </button>
            </div>
            {traffic ? null : <p class="graph-quiet">No traffic in this window: as soon as one service calls another, it shows here.</p>}
          </>
        ) : (
          <Empty
            icon="graph"
            title="Nothing to draw yet"
            text={route.value.query.get("hide") ? "Everything is hidden: empty the Hide box." : "No service runs yet. Start the project, `docker compose up -d`, and it appears here."}
          />
        )}
      </div>
      <Panel model={model} chosen={chosen} window={window} onChoose={choose} />
    </div>
  );
}

const PANS: Record<string, [number, number]> = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

/** What the address says was chosen, if it is there: an id, or the name of a service, of which the first version. */
function chosenIn(model: Model, query: URLSearchParams): Chosen {
  const [node, edge] = [query.get("node"), query.get("edge")];
  if (edge && model.edges.some((one) => one.key === edge)) return { edge };
  const found = node ? (model.nodes.find((one) => one.id === node) ?? model.nodes.find((one) => one.service === node)) : undefined;
  return found ? { node: found.id } : null;
}

/** Moves the focus to the nearest node in the arrow's direction. */
function step(frame: HTMLElement, layout: Layout, key: string): void {
  const cards = [...frame.querySelectorAll<SVGGElement>("[data-node]")];
  const at = cards.find((card) => card === document.activeElement);
  const from = at && layout.nodes.get(at.dataset["node"]!);
  if (!at || !from) {
    (cards.find((card) => card.getAttribute("tabindex") === "0") ?? cards[0])?.focus();
    return;
  }
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] as [number, number];
  let best: SVGGElement | null = null;
  let least = Infinity;
  for (const card of cards) {
    const to = layout.nodes.get(card.dataset["node"]!);
    if (!to || card === at) continue;
    const along = (to.x - from.x) * dx + (to.y - from.y) * dy;
    const aside = Math.abs((to.x - from.x) * dy) + Math.abs((to.y - from.y) * dx);
    if (along > 1 && along + 2 * aside < least) [best, least] = [card, along + 2 * aside];
  }
  best?.focus();
}
