// Who calls a service, or whom it calls: one line an edge of the graph.

import { milliseconds } from "../../format";
import { versionOf } from "../../health";
import { graph } from "../../live";
import { href } from "../../router";
import type { GraphNode } from "../../shapes";
import { RateHeads, Rates } from "./Rates";

interface Props {
  title: string;
  service: string;
  /** The end at which the neighbour stands. */
  side: "source" | "destination";
}

export function Neighbours({ title, service, side }: Props) {
  const shown = graph.value;
  const nodes = new Map(shown?.nodes.map((node) => [node.id, node]));
  const own = side === "source" ? "destination" : "source";
  const isOwn = (id: string) => nodes.get(id)?.kind === "service" && nodes.get(id)?.service === service;
  const edges = (shown?.edges ?? []).filter((edge) => isOwn(edge[own])).sort((a, b) => b.requests - a.requests);
  const seconds = shown?.elapsed_seconds ?? 60;
  return (
    <section class="card" aria-label={title}>
      <h2>
        {title} <span class="count">{edges.length}</span>
      </h2>
      {edges.length ? (
        <table class="table">
          <thead>
            <tr>
              <th>{side === "source" ? "Who" : "Whom"}</th>
              <th>Here</th>
              <RateHeads />
            </tr>
          </thead>
          <tbody>
            {edges.map((edge) => (
              <tr>
                <td class="cut">
                  <Who node={nodes.get(edge[side])} id={edge[side]} />
                </td>
                <td>
                  <span class="chip cut">{versionOf(nodes.get(edge[own])!) || "–"}</span>
                </td>
                <Rates
                  requests={edge.requests}
                  errors={edge.errors}
                  seconds={seconds}
                  p99={edge.protocol === "tcp" ? <span class="faint">tcp</span> : milliseconds(edge.p99_ms)}
                />
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <p class="card-nothing">{side === "source" ? "Nobody called it in the last minute." : "It called nobody in the last minute."}</p>
      )}
    </section>
  );
}

function Who({ node, id }: { node: GraphNode | undefined; id: string }) {
  if (!node || node.kind === "unknown") return <span class="dim">outside the mesh</span>;
  if (node.kind !== "service") return <span>{id}</span>;
  return (
    <a href={href("services", [node.service])}>
      {node.service} <span class="faint">{versionOf(node)}</span>
    </a>
  );
}
