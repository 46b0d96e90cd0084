// What is configured for a service: what becomes of a plain request to it, and the documents that speak of it.

import { useEffect, useState } from "preact/hooks";
import { api, ApiError } from "../../api";
import { percent } from "../../format";
import { graph, status } from "../../live";
import { Icon } from "../../parts/Icon";
import { inWords, place } from "../../place";
import { href } from "../../router";
import type { Explanation, Resource, Service } from "../../shapes";

export function Routes({ service }: { service: Service }) {
  const [documents, set] = useState<Resource[] | null>(null);
  const [said, say] = useState<Explanation | null>(null);
  const [problem, complain] = useState("");
  const caller = callerOf(service.name);
  const port = service.ports[0];
  useEffect(() => {
    const asking = new AbortController();
    const look = async () => {
      const url = `http://${service.name}${port ? `:${port}` : ""}/`;
      try {
        const [all, explained] = await Promise.all([api.resources(asking.signal), api.explain({ caller, url }, asking.signal)]);
        set(all.resources.filter((one) => speaksOf(one, service.name)));
        say(explained);
        complain("");
      } catch (error) {
        if (!asking.signal.aborted) complain(error instanceof ApiError ? error.message : String(error));
      }
    };
    void look();
    const timer = window.setInterval(() => document.hidden || void look(), 5000);
    return () => {
      asking.abort();
      window.clearInterval(timer);
    };
  }, [service.name, caller, port, status.value?.problems]);

  return (
    <section class="card" aria-label="Routes">
      <h2>Routes</h2>
      {problem ? <p class="card-nothing is-bad">{problem}</p> : null}
      {said ? <Decision said={said} caller={caller} /> : null}
      {documents?.length ? (
        <ul class="documents">
          {documents.map((one) => (
            <li>
              <a href={href("config", [one.kind, one.name])}>
                <Icon name="config" size={14} />
                <span class="cut">
                  {one.kind} <b>{one.name}</b>
                </span>
                <span class="faint cut">{place(one)}</span>
              </a>
            </li>
          ))}
        </ul>
      ) : documents ? (
        <p class="card-nothing">No document speaks of {service.name}.</p>
      ) : null}
    </section>
  );
}

function Decision({ said: { decision }, caller }: { said: Explanation; caller: string }) {
  return (
    <div class="route">
      <p class="dim">
        <b class="method">GET /</b> from <b>{caller}</b>
      </p>
      <p>{decision.rule ? inWords(decision.rule) : "No rule speaks of it: it goes to all instances alike."}</p>
      {decision.split.length > 1 ? (
        <ul class="arms">
          {decision.split.map((arm) => (
            <li>
              <span class="cut">{arm.backend}</span>
              <span class="arm-bar">
                <i style={{ width: `${arm.share * 100}%` }} />
              </span>
              <b>{percent(arm.share)}</b>
            </li>
          ))}
        </ul>
      ) : null}
      <span class="chips">
        {[...decision.actions, ...decision.policies].map((one) => (
          <span class="chip">{one}</span>
        ))}
      </span>
    </div>
  );
}

/** Somebody who calls it, else itself: rules may depend on who asks. */
function callerOf(name: string): string {
  const shown = graph.value;
  const service = (id: string) => shown?.nodes.find((node) => node.id === id && node.kind === "service")?.service;
  const edge = shown?.edges.find((one) => service(one.destination) === name && service(one.source) !== undefined);
  return (edge && service(edge.source)) ?? name;
}

function speaksOf(one: Resource, service: string): boolean {
  const spec = (one.document.spec ?? {}) as { hosts?: unknown; host?: unknown; parentRefs?: unknown; targetRefs?: unknown };
  const refs = [spec.parentRefs, spec.targetRefs].flat() as ({ name?: unknown } | undefined)[];
  const hosts = [spec.hosts, spec.host, refs.map((ref) => ref?.name)].flat(2);
  return hosts.some((host) => typeof host === "string" && host.split(".")[0] === service);
}
