// The table: one line a service, sorted by whichever column was chosen, and filtered by what is typed.

import { useEffect, useRef, useState } from "preact/hooks";
import { milliseconds, percent, plural, rate } from "../../format";
import { healthOf, problemsOf, toneOfWorkload, type Tone, type Verdict } from "../../health";
import { isTyping } from "../../keys";
import { Icon } from "../../parts/Icon";
import { ask, go, href, route } from "../../router";
import type { Problem, Service, Status } from "../../shapes";

interface Row {
  service: Service;
  health: Verdict;
  problems: Problem[];
}

type Order = string | number;
const BADNESS: Record<Tone, number> = { bad: 0, warn: 1, good: 2, none: 3 };

const COLUMNS: { key: string; title: string; number?: boolean; order: (row: Row) => Order | null }[] = [
  { key: "service", title: "Service", order: (row) => row.service.name },
  { key: "health", title: "Health", order: (row) => BADNESS[row.health.tone] },
  { key: "versions", title: "Versions", order: (row) => row.service.versions.length },
  { key: "instances", title: "Instances", order: (row) => row.service.workloads.length },
  { key: "rps", title: "Requests / s", number: true, order: (row) => row.service.requests_per_second },
  { key: "success", title: "Success", number: true, order: (row) => row.service.success_rate },
  { key: "p50", title: "p50", number: true, order: (row) => row.service.p50_ms },
  { key: "p99", title: "p99", number: true, order: (row) => row.service.p99_ms },
  { key: "problems", title: "Problems", number: true, order: (row) => row.problems.length },
];

export function ServiceTable({ mesh }: { mesh: Status }) {
  const [text, write] = useState(route.value.query.get("find") ?? "");
  const search = useRef<HTMLInputElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const sort = route.value.query.get("sort") ?? "service";
  const column = COLUMNS.find((one) => one.key === sort.replace("-", "")) ?? COLUMNS[0]!;
  const downwards = sort.startsWith("-");

  const rows = mesh.services
    .map((service): Row => ({ service, health: healthOf(service), problems: problemsOf(service.name, mesh.problems) }))
    .filter((row) => fits(row, text))
    .sort((a, b) => compared(column.order(a), column.order(b), downwards) || compared(a.service.name, b.service.name, false));

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (isTyping(event)) {
        if (event.key === "Escape") search.current?.blur();
        else if (event.key === "ArrowDown" || event.key === "Enter") links(body.current)[0]?.focus();
        else return;
      } else if (event.key === "/") search.current?.focus();
      else if (event.key === "ArrowDown" || event.key === "j") step(body.current, 1);
      else if (event.key === "ArrowUp" || event.key === "k") step(body.current, -1);
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);

  const workloads = mesh.services.reduce((sum, service) => sum + service.workloads.length, 0);
  return (
    <div class="page services">
      <header class="page-head">
        <div>
          <h1>Services</h1>
          <p class="faint">
            {plural(mesh.services.length, "service")}, {plural(workloads, "instance")}; traffic of the last minute
          </p>
        </div>
        <label class="search">
          <Icon name="search" size={14} />
          <input
            ref={search}
            type="search"
            placeholder="Filter by name, version, health   /"
            aria-label="Filter"
            spellcheck={false}
            value={text}
            onInput={(event) => {
              write(event.currentTarget.value);
              ask({ find: event.currentTarget.value });
            }}
          />
        </label>
      </header>
      <div class="card table-frame">
        <table class="table">
          <thead>
            <tr>
              {COLUMNS.map((one) => (
                <th class={one.number ? "number" : ""} aria-sort={one === column ? (downwards ? "descending" : "ascending") : undefined}>
                  <button type="button" onClick={() => ask({ sort: one === column && !downwards ? `-${one.key}` : one.key })}>
                    {one.title}
                    {one === column ? <Icon name={downwards ? "down" : "up"} size={12} /> : null}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody ref={body}>
            {rows.map((row) => (
              <Line key={row.service.name} row={row} />
            ))}
          </tbody>
        </table>
        {rows.length ? null : <p class="table-nothing">No service fits “{text}”.</p>}
      </div>
    </div>
  );
}

function Line({ row: { service, health, problems } }: { row: Row }) {
  const failing = service.success_rate !== null && service.success_rate < 1;
  return (
    <tr data-service={service.name} onClick={(event) => event.target instanceof HTMLAnchorElement || go("services", [service.name])}>
      <td>
        <a class="service-name cut" href={href("services", [service.name])}>
          {service.name}
        </a>
      </td>
      <td>
        <span class={`dot is-${health.tone}`} title={health.why}>
          {health.word}
        </span>
      </td>
      <td>
        <span class="chips">
          {service.versions.slice(0, 4).map((version) => (
            <span class="chip cut">{version || "–"}</span>
          ))}
          {service.versions.length > 4 ? <span class="faint">+{service.versions.length - 4}</span> : null}
        </span>
      </td>
      <td>
        <Instances service={service} />
      </td>
      <td class="number">{rate(service.requests_per_second)}</td>
      <td class={`number ${failing ? `is-${health.tone}` : ""}`}>{percent(service.success_rate)}</td>
      <td class="number">{milliseconds(service.p50_ms)}</td>
      <td class="number">{milliseconds(service.p99_ms)}</td>
      <td class="number">
        {problems.length ? (
          <span class={`pill is-${problems.some((one) => one.severity === "error") ? "bad" : "warn"}`} title={problems[0]!.message}>
            {problems.length}
          </span>
        ) : (
          <span class="faint">–</span>
        )}
      </td>
    </tr>
  );
}

/** A bar an instance, in the colour of its health. */
function Instances({ service }: { service: Service }) {
  const shown = service.workloads.slice(0, 12);
  return (
    <span class="instances" title={service.workloads.map((one) => `${one.name}: ${one.health}`).join("\n")}>
      {shown.map((one) => (
        <i class={`is-${one.health === "none" && one.captured ? "good" : toneOfWorkload(one)}`} />
      ))}
      <span>{service.workloads.length}</span>
    </span>
  );
}

function fits({ service, health }: Row, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const said = [service.name, health.word, ...service.versions, ...service.workloads.map((one) => `${one.name} ${one.address}`)];
  const all = said.join("\n").toLowerCase();
  return words.every((word) => all.includes(word));
}

/** What is not known comes last, whichever way the others stand. */
function compared(a: Order | null, b: Order | null, downwards: boolean): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  return (downwards ? -1 : 1) * (typeof a === "string" ? a.localeCompare(String(b)) : a - Number(b));
}

function links(body: HTMLElement | null): HTMLAnchorElement[] {
  return [...(body?.querySelectorAll<HTMLAnchorElement>("a.service-name") ?? [])];
}

function step(body: HTMLElement | null, by: number): void {
  const all = links(body);
  const at = all.indexOf(document.activeElement as HTMLAnchorElement);
  all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))]?.focus();
}
