// The drawing, in two layers: boxes around versions and lines below, labels and nodes above.

import { plural, rate } from "../../format";
import { versionOf } from "../../health";
import { Icon } from "../../parts/Icon";
import { HEAD, type Box, type Layout } from "./layout";
import { labelOf, type Edge, type Label, type Model, type Node } from "./model";
import type { View } from "./view";

/** What was chosen: a node's id, or an edge's key. */
export type Chosen = { node: string } | { edge: string } | null;

interface LayerProps {
  model: Model;
  layout: Layout;
  view: View;
  chosen: Chosen;
  /** By a node's id or an edge's key. */
  faded: (key: string) => boolean;
  onChoose: (chosen: Chosen) => void;
}

const TONES = ["good", "warn", "bad", "none"];

/** What steps back: everything but what is looked for or, without that, what was chosen and what it touches. */
export function fadedIn(model: Model, chosen: Chosen, found: Set<string> | null): (key: string) => boolean {
  const kept = found ?? nearTo(model, chosen);
  return (key) => (kept ? !kept.has(key) : false);
}

/** The lower layer: boxes and lines. Traffic flows over it, and under the upper one. */
export function Lines({ model, layout, view, chosen, faded, onChoose }: LayerProps) {
  return (
    <svg class="drawing" aria-hidden="true">
      <defs>
        {TONES.map((tone) => (
          <marker id={`arrow-${tone}`} class={`arrow edge-${tone}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto">
            <path d="M0.500 0.500 7.500 4 0.500 7.500Z" />
          </marker>
        ))}
      </defs>
      <g transform={`translate(${view.x} ${view.y}) scale(${view.scale})`}>
        {[...layout.boxes].map(([service, box]) => (
          <ServiceBox key={service} service={service} box={box} model={model} />
        ))}
        {model.edges.map((edge) => (
          <Line
            key={edge.key}
            edge={edge}
            layout={layout}
            chosen={chosen !== null && "edge" in chosen && chosen.edge === edge.key}
            faded={faded(edge.key)}
            onChoose={() => onChoose({ edge: edge.key })}
          />
        ))}
      </g>
    </svg>
  );
}

/** The upper layer: what edges say, and the nodes. */
export function Cards({ model, layout, view, chosen, faded, onChoose, label }: LayerProps & { label: Label }) {
  return (
    <svg class="drawing drawing-over" role="group" aria-label="Graph of services">
      <g transform={`translate(${view.x} ${view.y}) scale(${view.scale})`}>
        {label === "none"
          ? null
          : model.edges.map((edge) => (
              <LineLabel
                key={edge.key}
                edge={edge}
                layout={layout}
                text={labelOf(edge, label, model.seconds)}
                faded={faded(edge.key)}
                onChoose={() => onChoose({ edge: edge.key })}
              />
            ))}
        {model.nodes.map((node, index) => (
          <Card
            key={node.id}
            node={node}
            box={layout.nodes.get(node.id)!}
            inBox={layout.boxes.has(node.service) && node.kind === "service"}
            first={index === 0}
            chosen={chosen !== null && "node" in chosen && chosen.node === node.id}
            faded={faded(node.id)}
            onChoose={() => onChoose({ node: node.id })}
          />
        ))}
      </g>
    </svg>
  );
}

/** What was chosen with what it touches. */
function nearTo(model: Model, chosen: Chosen): Set<string> | null {
  if (!chosen) return null;
  const near = new Set<string>();
  for (const edge of model.edges) {
    const touched = "edge" in chosen ? edge.key === chosen.edge : edge.source === chosen.node || edge.destination === chosen.node;
    if (touched) near.add(edge.key).add(edge.source).add(edge.destination);
  }
  if ("node" in chosen) near.add(chosen.node);
  return near.size ? near : null;
}

function ServiceBox({ service, box, model }: { service: string; box: Box; model: Model }) {
  const versions = model.nodes.filter((node) => node.kind === "service" && node.service === service);
  const all = versions.reduce((sum, node) => sum + node.rate, 0);
  const [left, top] = [box.x - box.width / 2, box.y - box.height / 2];
  return (
    <g class="service-box" transform={`translate(${left} ${top})`} data-box={service}>
      <rect width={box.width} height={box.height} rx={12} />
      <foreignObject x={14} y={6} width={box.width - 28} height={HEAD}>
        <p class="box-head">
          <b class="cut" title={service}>
            {service}
          </b>
          <span>{all ? `${rate(all)}/s` : "idle"}</span>
        </p>
      </foreignObject>
    </g>
  );
}

interface LineProps {
  edge: Edge;
  layout: Layout;
  chosen: boolean;
  faded: boolean;
  onChoose: () => void;
}

function Line({ edge, layout, chosen, faded, onChoose }: LineProps) {
  const { path } = layout.edges.get(edge.key)!;
  const width = 1.2 + Math.min(2.6, Math.log10(1 + edge.rate) * 1.1);
  return (
    <g
      class={`edge edge-${edge.tone} is-${edge.protocol}${chosen ? " is-chosen" : ""}${faded ? " is-faded" : ""}`}
      data-edge={edge.key}
      data-source={edge.source}
      data-destination={edge.destination}
      data-protocol={edge.protocol}
      onClick={onChoose}
    >
      <path class="edge-reach" d={path} />
      <path class="edge-line" d={path} stroke-width={width} marker-end={`url(#arrow-${edge.tone})`} />
    </g>
  );
}

interface LineLabelProps {
  edge: Edge;
  layout: Layout;
  text: string;
  faded: boolean;
  onChoose: () => void;
}

function LineLabel({ edge, layout, text, faded, onChoose }: LineLabelProps) {
  const { label } = layout.edges.get(edge.key)!;
  const width = Math.min(150, text.length * 6.3 + 14);
  return (
    <g class={`edge-label edge-${edge.tone}${faded ? " is-faded" : ""}`} transform={`translate(${label.x} ${label.y})`} onClick={onChoose}>
      <rect x={-width / 2} y={-10} width={width} height={20} rx={10} />
      <text text-anchor="middle" y={4}>
        {text}
      </text>
    </g>
  );
}

interface CardProps {
  node: Node;
  box: Box;
  inBox: boolean;
  first: boolean;
  chosen: boolean;
  faded: boolean;
  onChoose: () => void;
}

function Card({ node, box, inBox, first, chosen, faded, onChoose }: CardProps) {
  const many = node.workloads.length;
  const plain = node.kind !== "service" || node.version === "" || node.version === "latest";
  const said = [node.kind, node.service || node.id, plain ? "" : versionOf(node), node.note].filter(Boolean).join(", ");
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    onChoose();
  };
  return (
    <g
      class={`node node-${node.tone} is-${node.kind}${inBox ? " is-version" : ""}${node.idle ? " is-idle" : ""}${chosen ? " is-chosen" : ""}${faded ? " is-faded" : ""}`}
      transform={`translate(${box.x - box.width / 2} ${box.y - box.height / 2})`}
      data-node={node.id}
      data-kind={node.kind}
      role="button"
      tabindex={chosen || first ? 0 : -1} // as SVG spells it
      aria-label={said}
      aria-pressed={chosen}
      onClick={onChoose}
      onKeyDown={onKey}
    >
      <rect class="node-card" width={box.width} height={box.height} rx={10} />
      <foreignObject width={box.width} height={box.height}>
        <div class="node-inside">
          <span class={`node-icon is-${node.tone}`}>
            <Icon name={node.kind} size={inBox ? 15 : 17} />
          </span>
          <span class="node-text">
            <b class="cut" title={node.id}>
              {inBox ? versionOf(node) || "–" : node.title}
            </b>
            <span class="cut">
              {inBox || plain ? null : <em>{versionOf(node)}</em>}
              {node.note}
              {many > 1 ? ` · ${plural(many, "instance")}` : ""}
            </span>
          </span>
        </div>
      </foreignObject>
    </g>
  );
}
