// How something is, in one word and a colour. The worst thing that is known decides.

import type { Problem, Service, Workload } from "./shapes";

export type Tone = "good" | "warn" | "bad" | "none";

export interface Verdict {
  tone: Tone;
  word: string;
  /** A sentence, for whoever asks. */
  why: string;
}

/** Shares of failed requests from which on something is shown as degraded, and as failing. */
export const DEGRADED = 0.001;
export const FAILING = 0.05;

export function healthOf(service: Service): Verdict {
  const ill = service.workloads.filter((one) => one.health === "unhealthy" || one.health === "ejected");
  const free = service.workloads.filter((one) => !one.captured);
  const errors = 1 - (service.success_rate ?? 1);
  if (!service.workloads.length) return { tone: "bad", word: "absent", why: "No instance runs." };
  if (ill.length === service.workloads.length) return { tone: "bad", word: "unhealthy", why: "No instance is healthy." };
  if (errors >= FAILING) return { tone: "bad", word: "failing", why: "Five requests of a hundred fail, or more." };
  if (ill.length) return { tone: "warn", word: "degraded", why: `${ill[0]!.name} is ${ill[0]!.health}.` };
  if (errors >= DEGRADED) return { tone: "warn", word: "degraded", why: "Some requests fail." };
  if (free.length) return { tone: "warn", word: "not captured", why: `${free[0]!.name}: ${free[0]!.reason || "not captured"}` };
  if (!service.requests_per_second) return { tone: "none", word: "idle", why: "Nobody asked for anything in the last minute." };
  return { tone: "good", word: "healthy", why: "Every request of the last minute was answered." };
}

export function toneOfErrors(requests: number, errors: number): Tone {
  if (!requests) return "none";
  const share = errors / requests;
  return share >= FAILING ? "bad" : share >= DEGRADED ? "warn" : "good";
}

export function toneOfWorkload(one: Workload): Tone {
  if (one.health === "unhealthy") return "bad";
  if (one.health === "ejected" || one.health === "starting" || !one.captured) return "warn";
  return one.health === "healthy" ? "good" : "none";
}

/** The problems that name this service, or a document of its name. */
export function problemsOf(name: string, problems: Problem[]): Problem[] {
  return problems.filter((one) => one.resource.split(/[\s/]+/).includes(name));
}

/** A node's version, for people; `unknown` is what the mesh calls requests that reached none of its instances. */
export function versionOf(node: { kind: string; version: string }): string {
  return node.kind === "service" && node.version === "unknown" ? "not reached" : node.version;
}
