// Which requests are shown. The mesh is asked for those alone, so that a rare one is found among thousands; what is
// in the list already is looked through here.

import { outcome, party, type Exchange } from "./record";

export interface Filter {
  text: string;
  source: string;
  destination: string;
  /** empty, `failed`, or a class such as `5xx`. */
  status: string;
  flag: string;
}

export const EVERYTHING: Filter = { text: "", source: "", destination: "", status: "", flag: "" };

/** Records a second that the list takes. */
export const LIMIT = 100;

export function query(filter: Filter): string {
  const asked = new URLSearchParams({ limit: String(LIMIT) });
  if (filter.text.trim()) asked.set("text", filter.text.trim());
  if (filter.source) asked.set("source", filter.source);
  if (filter.destination) asked.set("service", filter.destination);
  if (filter.status === "failed") asked.set("failed", "true");
  else if (filter.status) asked.set("status", filter.status);
  if (filter.flag) asked.set("flag", filter.flag);
  return asked.toString();
}

export function fits(filter: Filter): (one: Exchange) => boolean {
  const text = filter.text.trim().toLowerCase();
  return (one) => {
    if (filter.source && one.source !== filter.source) return false;
    if (filter.destination && one.destination !== filter.destination) return false;
    if (filter.status === "failed" && !one.failed) return false;
    if (/^[1-5]xx$/.test(filter.status) && Math.floor(one.status / 100) !== Number(filter.status[0])) return false;
    if (filter.flag && !(filter.flag === "-" ? one.flags.length === 0 : one.flags.includes(filter.flag))) return false;
    return !text || seen(one).includes(text);
  };
}

export function isEverything(filter: Filter): boolean {
  return Object.values(filter).every((value) => !value.trim());
}

function seen(one: Exchange): string {
  const names = [one.source, party(one.source), one.destination, party(one.destination), one.workload, one.method, one.path, one.authority, one.route];
  return [...names, one.id, one.trace_id, outcome(one)].join("\n").toLowerCase();
}
