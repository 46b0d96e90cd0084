// How a service's requests divide between its versions, as measured, and how each version does.

import { milliseconds, percent } from "../../format";
import { graph } from "../../live";
import type { Service } from "../../shapes";
import { RateHeads, Rates } from "./Rates";

const TONES = ["accent", "other", "good", "warn", "dim"];

export function Versions({ service }: { service: Service }) {
  const shares = service.versions.map((version, index) => ({ tone: TONES[index % TONES.length], ...measured(service.name, version) }));
  const all = shares.reduce((sum, share) => sum + share.requests, 0);
  const seconds = graph.value?.elapsed_seconds ?? 60;
  return (
    <section class="card" aria-label="Versions">
      <h2>
        Versions <span class="count">{shares.length}</span>
      </h2>
      <div class="split" role="img" aria-label={shares.map((one) => `${one.version}: ${percent(all ? one.requests / all : null)}`).join(", ")}>
        {shares.map((share) => (
          <i class={all ? `tone-${share.tone}` : "is-empty"} style={{ flexGrow: all ? share.requests / all : 1 }} />
        ))}
      </div>
      <table class="table">
        <thead>
          <tr>
            <th>Version</th>
            <th class="number">Share</th>
            <RateHeads />
          </tr>
        </thead>
        <tbody>
          {shares.map((share) => (
            <tr data-version={share.version}>
              <td class="cut">
                <span class={`key tone-${share.tone}`} /> {share.version || "–"}
              </td>
              <td class="number">{percent(all ? share.requests / all : null)}</td>
              <Rates requests={share.requests} errors={share.errors} seconds={seconds} p99={milliseconds(share.slowest)} />
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** What all callers together asked of one version, by the graph. The p99 is the one of the caller that waits longest. */
function measured(service: string, version: string) {
  const shown = graph.value;
  const id = shown?.nodes.find((node) => node.kind === "service" && node.service === service && node.version === version)?.id;
  const inbound = (shown?.edges ?? []).filter((edge) => edge.destination === id);
  return {
    version,
    requests: inbound.reduce((sum, edge) => sum + edge.requests, 0),
    errors: inbound.reduce((sum, edge) => sum + edge.errors, 0),
    slowest: inbound.reduce<number | null>((most, { p99_ms: p99 }) => (p99 !== null && p99 > (most ?? 0) ? p99 : most), null),
  };
}
