// One service: how it is, who runs it, who calls it and whom it calls, and what is configured for it.

import { useEffect } from "preact/hooks";
import { milliseconds, percent, rate } from "../../format";
import { healthOf, problemsOf } from "../../health";
import { isTyping } from "../../keys";
import { Charts } from "../../parts/Charts";
import { Choice } from "../../parts/Choice";
import { Empty } from "../../parts/Empty";
import { Icon } from "../../parts/Icon";
import { ask, go, href, route } from "../../router";
import { WINDOWS } from "../../series";
import type { Service, Status } from "../../shapes";
import { Instances } from "./Instances";
import { Neighbours } from "./Neighbours";
import { Routes } from "./Routes";
import { Versions } from "./Versions";

export function ServiceDetail({ name, mesh }: { name: string; mesh: Status }) {
  const service = mesh.services.find((one) => one.name === name);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const elsewhere = isTyping(event) || event.defaultPrevented || document.querySelector("dialog[open]");
      if (event.key === "Escape" && !elsewhere) go("services");
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  if (!service)
    return (
      <Empty icon="service" title={`No service named ${name} runs`} text="It may have stopped, or never have been there.">
        <a class="button" href={href("services")}>
          All services
        </a>
      </Empty>
    );
  return (
    <div class="page detail" data-service={service.name}>
      <Head service={service} />
      {problemsOf(service.name, mesh.problems).map((problem) => (
        <p class={`notice notice-card is-${problem.severity === "error" ? "bad" : "warn"}`}>
          {problem.message} <span class="dim">{problem.hint}</span>
        </p>
      ))}
      <Traffic service={service} />
      <div class="columns">
        <Versions service={service} />
        <Routes service={service} />
      </div>
      <Instances service={service} />
      <div class="columns">
        <Neighbours title="Callers" service={service.name} side="source" />
        <Neighbours title="Calls" service={service.name} side="destination" />
      </div>
    </div>
  );
}

function Head({ service }: { service: Service }) {
  const health = healthOf(service);
  return (
    <header class="page-head">
      <div class="detail-name">
        <a class="button icon-button" href={href("services")} aria-label="All services" title="All services (Esc)">
          <Icon name="back" />
        </a>
        <h1 class="cut" title={service.name}>
          {service.name}
        </h1>
        <span class={`pill is-${health.tone}`} title={health.why}>
          {health.word}
        </span>
        {service.ports.length ? <span class="faint">port {service.ports.join(", ")}</span> : null}
      </div>
      <div class="detail-links">
        <a class="button" href={href("graph", [], { node: service.name })}>
          <Icon name="graph" /> In the graph
        </a>
        <a class="button" href={href("requests", [], { service: service.name })}>
          <Icon name="requests" /> Its requests
        </a>
      </div>
    </header>
  );
}

function Traffic({ service }: { service: Service }) {
  const window = route.value.query.get("window") ?? "5m";
  const failing = service.success_rate !== null && service.success_rate < 1;
  return (
    <section class="card traffic" aria-label="Traffic">
      <div class="figures">
        <Figure name="Requests / s" value={rate(service.requests_per_second)} mean />
        <Figure name="Success" value={percent(service.success_rate)} tone={failing ? healthOf(service).tone : ""} mean />
        <Figure name="p50" value={milliseconds(service.p50_ms)} />
        <Figure name="p99" value={milliseconds(service.p99_ms)} />
        <Choice name="Window" value={window} choices={WINDOWS.slice(1)} onChange={(value) => ask({ window: value })} />
      </div>
      <Charts destination={service.name} window={window} />
    </section>
  );
}

function Figure({ name, value, tone = "", mean = false }: { name: string; value: string; tone?: string; mean?: boolean }) {
  return (
    <div class="figure">
      <h3>{name}</h3>
      <b class={tone ? `is-${tone}` : ""}>{value}</b>
      {mean ? (
        <small class="faint" title="Over the last minute">
          mean
        </small>
      ) : null}
    </div>
  );
}
