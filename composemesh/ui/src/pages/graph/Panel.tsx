// Beside the graph: what was chosen, in numbers and over time; with nothing chosen, the mesh as a whole.

import type { ComponentChildren } from "preact";
import { bytes, milliseconds, percent, plural, rate } from "../../format";
import { toneOfErrors, toneOfWorkload, versionOf } from "../../health";
import { Charts } from "../../parts/Charts";
import { Icon } from "../../parts/Icon";
import { href } from "../../router";
import type { Chosen } from "./Drawing";
import type { Edge, Model, Node } from "./model";

interface Props {
  model: Model;
  chosen: Chosen;
  window: string;
  onChoose: (chosen: Chosen) => void;
}

export function Panel({ model, chosen, window, onChoose }: Props) {
  const node = chosen && "node" in chosen ? model.nodes.find((one) => one.id === chosen.node) : undefined;
  const edge = chosen && "edge" in chosen ? model.edges.find((one) => one.key === chosen.edge) : undefined;
  return (
    <aside class="panel graph-panel" aria-label={node || edge ? "Details" : "Summary"}>
      {node ? (
        <NodePanel key={node.id} node={node} model={model} window={window} onChoose={onChoose} />
      ) : edge ? (
        <EdgePanel key={edge.key} edge={edge} model={model} window={window} onChoose={onChoose} />
      ) : (
        <Summary model={model} window={window} onChoose={onChoose} />
      )}
    </aside>
  );
}

type PartProps<T> = Omit<Props, "chosen"> & T;

function NodePanel({ node, model, window, onChoose }: PartProps<{ node: Node }>) {
  const inbound = model.edges.filter((edge) => edge.destination === node.id);
  const outbound = model.edges.filter((edge) => edge.source === node.id);
  const own = inbound.length ? inbound : outbound;
  const slowest = Math.max(0, ...own.map((edge) => edge.data.p99_ms ?? 0)) || null;
  const ends = inbound.length ? { destination: node.id } : { source: node.id };
  return (
    <>
      <Head icon={<Icon name={node.kind} />} title={node.title} note={node.kind === "service" ? versionOf(node) : kindOf(node)} onClose={() => onChoose(null)} />
      <Figures
        figures={[
          [inbound.length ? "Requests / s" : "Sends / s", rate(node.rate), ""],
          ["Errors", percent(own.length ? node.errors : null), node.errors ? node.tone : ""],
          ["p99", milliseconds(slowest), ""],
        ]}
      />
      {node.kind === "service" ? (
        <p class="panel-links">
          <a class="button" href={href("services", [node.service])}>
            <Icon name="services" /> Service
          </a>
          <a class="button" href={href("requests", [], { service: node.service })}>
            <Icon name="requests" /> Requests
          </a>
        </p>
      ) : null}
      <Charts {...ends} window={window} tcp={own.length > 0 && own.every((edge) => edge.protocol === "tcp")} />
      <Lines title="Called by" edges={inbound} end="source" model={model} onChoose={onChoose} nothing="Nobody, in this window." />
      <Lines title="Calls" edges={outbound} end="destination" model={model} onChoose={onChoose} nothing="Nobody, in this window." />
      {node.workloads.length ? (
        <section>
          <h3>{plural(node.workloads.length, "instance")}</h3>
          <ul class="panel-list">
            {node.workloads.map((one) => (
              <li>
                <span class={`dot is-${one.health === "none" && one.captured ? "good" : toneOfWorkload(one)}`} title={`${one.health}${one.reason ? `: ${one.reason}` : ""}`} />
                <span class="cut" title={one.name}>
                  {one.name}
                </span>
                <span class="mono faint">{one.address}</span>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
    </>
  );
}

function EdgePanel({ edge, model, window, onChoose }: PartProps<{ edge: Edge }>) {
  const { data } = edge;
  const tcp = edge.protocol === "tcp";
  const [source, destination] = [edge.source, edge.destination].map((id) => model.nodes.find((node) => node.id === id));
  const asked = { source: source?.service, service: destination?.kind === "service" ? destination.service : undefined };
  return (
    <>
      <Head
        title={
          <>
            {titleOf(source, edge.source)} <span class="faint">→</span> {titleOf(destination, edge.destination)}
          </>
        }
        note={[edge.protocol.toUpperCase(), data.mtls ? "mTLS" : "in clear"].join(" · ")}
        onClose={() => onChoose(null)}
      />
      <Figures
        figures={[
          [tcp ? "Connections / s" : "Requests / s", rate(edge.rate), ""],
          ["Errors", percent(data.requests ? edge.errors : null), edge.errors ? edge.tone : ""],
          tcp ? ["Open", String(data.open ?? 0), ""] : ["p99", milliseconds(data.p99_ms), ""],
        ]}
      />
      <p class="panel-links">
        <a class="button" href={href("requests", [], asked)}>
          <Icon name="requests" /> Requests
        </a>
        {destination?.kind === "service" ? (
          <a class="button" href={href("services", [destination.service])}>
            <Icon name="services" /> {destination.service}
          </a>
        ) : null}
      </p>
      <Charts source={edge.source} destination={edge.destination} window={window} tcp={tcp} />
      <section>
        <h3>In this window</h3>
        <dl class="panel-facts">
          <Fact name={tcp ? "Connections" : "Requests"} value={String(data.requests)} />
          <Fact name="Failed" value={String(data.errors)} />
          <Fact name="Share of what the caller asks for" value={percent(edge.share)} />
          {tcp ? null : <Fact name="p50" value={milliseconds(data.p50_ms)} />}
          <Fact name="Sent to the caller" value={bytes(data.bytes_sent)} />
          <Fact name="Received from the caller" value={bytes(data.bytes_received)} />
        </dl>
      </section>
    </>
  );
}

function Summary({ model, window, onChoose }: PartProps<object>) {
  const services = new Set(model.nodes.filter((node) => node.kind === "service").map((node) => node.service));
  const requests = model.edges.reduce((sum, edge) => sum + edge.data.requests, 0);
  const errors = model.edges.reduce((sum, edge) => sum + edge.data.errors, 0);
  const worst = [...model.edges].filter((edge) => edge.errors).sort((a, b) => b.errors - a.errors);
  const slowest = [...model.edges].filter((edge) => edge.data.p99_ms).sort((a, b) => b.data.p99_ms! - a.data.p99_ms!);
  return (
    <>
      <Head title="All traffic" note={`${plural(services.size, "service")}, ${plural(model.edges.length, "call path")}`} />
      <Figures
        figures={[
          ["Requests / s", rate(requests / model.seconds), ""],
          ["Errors", percent(requests ? errors / requests : null), errors ? toneOfErrors(requests, errors) : ""],
          ["Max p99", milliseconds(slowest[0]?.data.p99_ms ?? null), ""],
        ]}
      />
      <Charts window={window} />
      {worst.length ? <Lines title="Fail most" edges={worst.slice(0, 4)} end="both" model={model} onChoose={onChoose} /> : null}
      {slowest.length ? <Lines title="Take longest" edges={slowest.slice(0, 4)} end="both" model={model} onChoose={onChoose} by="p99" /> : null}
      <Legend />
    </>
  );
}

function Head({ icon, title, note, onClose }: { icon?: ComponentChildren; title: ComponentChildren; note: string; onClose?: () => void }) {
  return (
    <header class="panel-head">
      {icon}
      <div>
        <h2>{title}</h2>
        <p class="faint">{note}</p>
      </div>
      {onClose ? (
        <button class="icon" onClick={onClose} aria-label="Close" title="Close (Esc)">
          <Icon name="close" />
        </button>
      ) : null}
    </header>
  );
}

function Figures({ figures }: { figures: [string, string, string][] }) {
  return (
    <div class="panel-figures">
      {figures.map(([name, value, tone]) => (
        <div class="figure">
          <h3>{name}</h3>
          <b class={tone ? `is-${tone}` : ""}>{value}</b>
          {isMean(name) ? <small class="faint">mean</small> : null}
        </div>
      ))}
    </div>
  );
}

/** Rates and shares are those of the whole window; a percentile is none of these. */
function isMean(name: string): boolean {
  return name.endsWith("/ s") || name === "Errors";
}

interface LinesProps {
  title: string;
  edges: Edge[];
  end: "source" | "destination" | "both";
  model: Model;
  onChoose: (chosen: Chosen) => void;
  by?: "p99";
  nothing?: string;
}

function Lines({ title, edges, end, model, onChoose, by, nothing }: LinesProps) {
  const named = (id: string) => titleOf(model.nodes.find((node) => node.id === id), id);
  return (
    <section>
      <h3>{title}</h3>
      {edges.length ? (
        <ul class="panel-list">
          {edges.map((edge) => (
            <li>
              <button type="button" onClick={() => onChoose({ edge: edge.key })}>
                <span class="cut">{end === "both" ? `${named(edge.source)} → ${named(edge.destination)}` : named(edge[end])}</span>
                {edge.errors && by !== "p99" ? <span class={`is-${edge.tone}`}>{percent(edge.errors)}</span> : null}
                <span class="faint">{by === "p99" ? milliseconds(edge.data.p99_ms) : `${rate(edge.rate)}/s`}</span>
              </button>
            </li>
          ))}
        </ul>
      ) : (
        <p class="faint">{nothing}</p>
      )}
    </section>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Legend() {
  return (
    <section>
      <h3>Legend</h3>
      <ul class="legend">
        <li class="is-good">Healthy</li>
        <li class="is-warn">Degraded</li>
        <li class="is-bad">Failing</li>
        <li class="is-none">Idle</li>
      </ul>
    </section>
  );
}

function titleOf(node: Node | undefined, id: string): string {
  if (!node) return id;
  const plain = node.kind !== "service" || ["", "latest", "unknown"].includes(node.version);
  return plain ? node.title : `${node.title} ${node.version}`;
}

function kindOf(node: Node): string {
  return { gateway: "gateway", external: "outside the project", unknown: "callers outside the mesh", service: "service" }[node.kind];
}
