// One exchange that has ended, as /api/v1/tap tells it, and how people read its fields.

export interface Exchange {
  /** Counts up as records arrive: ids of requests may come twice, with retries of the caller. */
  key: number;
  id: string;
  time: string;
  source: string;
  source_version: string;
  source_workload: string;
  source_kind: string;
  destination: string;
  destination_kind: string;
  version: string;
  workload: string;
  protocol: string;
  http_version: number | null;
  method: string;
  path: string;
  authority: string;
  status: number;
  grpc_status: number | null;
  flags: string[];
  failed: boolean;
  duration_ms: number | null;
  upstream_ms: number | null;
  address: string;
  bytes_sent: number;
  bytes_received: number;
  attempts: number;
  trace_id: string;
  route: string;
  /** Those that the rule that decided compares. */
  headers: Record<string, string>;
  user_agent: string;
  sni: string;
}

/** What the flags mean, in a few words. The table with every detail is docs/explanation/failures.md. */
export const FLAGS: Record<string, string> = {
  UH: "no healthy upstream: no instance of the service could be asked",
  UF: "no connection to an instance: refused, unreachable, or too slow",
  UC: "the instance closed the connection before its answer was complete",
  UO: "more is under way to the service than its limits allow",
  UT: "the rule's timeout was over",
  URX: "the rule's retries are used up, and the last try failed too",
  UPE: "what the instance sent is not HTTP",
  NR: "no rule matches, or nothing declares this host",
  NC: "a rule leads to a service or a subset that does not exist",
  DI: "a rule held the request back (fault injection)",
  FI: "a rule failed the request (fault injection)",
  DC: "the caller closed the connection before the answer was complete",
  DPE: "the caller's request is malformed or too large",
  OM: "the mesh was overloaded, or was ending",
  SI: "nothing passed for too long",
  DT: "the connection reached the longest duration that its service allows",
  RL: "more requests than the rate limit allows",
  UAEX: "an authorization service said no",
  RBAC: "an authorization policy said no",
};

const GRPC = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** good, notice (the caller's mistake, or told to go elsewhere), bad, or none (TCP, which has no status). */
export type Verdict = "good" | "notice" | "bad" | "none";

export function verdict(one: Exchange): Verdict {
  if (one.failed) return "bad";
  if (one.protocol === "tcp") return "none";
  if (one.status >= 400 || (one.grpc_status ?? 0) > 0) return "notice";
  return "good";
}

export function outcome(one: Exchange): string {
  if (one.grpc_status !== null) return GRPC[one.grpc_status] ?? `grpc ${one.grpc_status}`;
  if (one.protocol === "tcp") return one.failed ? "failed" : "closed";
  return one.status ? String(one.status) : "cut";
}

export function request(one: Exchange): string {
  if (one.protocol === "tcp") return one.sni ? `TLS to ${one.sni}` : `TCP connection to ${one.address || one.destination}`;
  return one.path;
}

/** A caller's or a service's name, for people: `unknown` is what the mesh calls whoever is not of it. */
export function party(name: string): string {
  return name === "unknown" ? "outside" : name;
}

/** A version that says something: whoever has one alone needs no name for it. */
export function version(name: string): string {
  return name === "unknown" || name === "latest" ? "" : name;
}

/** The hour of a record in local time, to the millisecond. */
export function clock(time: string): string {
  const date = new Date(time);
  const two = (value: number) => String(value).padStart(2, "0");
  const fine = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${fine}`;
}

/** How long the bar of a duration is, 0 to 1: a tenth of a millisecond is nothing, ten seconds are all of it. */
export function share(ms: number | null): number {
  if (!ms || ms <= 0.1) return 0.02;
  return Math.min(1, Math.max(0.02, (Math.log10(ms) + 1) / 5));
}
