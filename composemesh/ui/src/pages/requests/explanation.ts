// Why a request went where it went, asked of the mesh with what its record says of it.

import { get } from "../../api";
import type { Explanation } from "../../shapes";
import type { Exchange } from "./record";

/** Whether there are rules to explain: those of HTTP, for callers that the mesh knows. */
export function isExplained(one: Exchange): boolean {
  return one.method !== "" && (one.authority || one.destination) !== "";
}

/** The name that was called. Whoever called an address meant the service behind it. */
function host(one: Exchange): string {
  const [, name = "", port = ""] = /^(.*?)(:\d+)?$/.exec(one.authority) ?? [];
  const isAddress = /^[\d.]+$/.test(name) || name.startsWith("[");
  return !name || (isAddress && one.destination_kind === "service") ? one.destination + port : name + port;
}

export function explain(one: Exchange, headers: string[], signal: AbortSignal): Promise<Explanation> {
  const path = one.path.startsWith("/") ? one.path : "/";
  const asked = new URLSearchParams({ caller: one.source_kind === "service" ? one.source_workload : one.source, url: `http://${host(one)}${path}`, method: one.method });
  if (one.authority) asked.append("header", `host: ${one.authority}`);
  if (one.source_kind === "gateway") asked.set("gateway", "true");
  for (const [name, value] of Object.entries(one.headers)) asked.append("header", `${name}: ${value}`);
  if (one.user_agent) asked.append("header", `user-agent: ${one.user_agent}`);
  for (const header of headers) asked.append("header", header);
  return get<Explanation>(`/api/v1/explain?${asked}`, signal);
}
