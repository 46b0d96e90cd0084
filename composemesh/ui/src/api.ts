// The admin API: one function that reads, one that changes. An error is an ApiError with the mesh's own words.

import { forgetToken, token } from "./token";
import type { Explanation, Graph, Problem, Resource, Series, Service, Status } from "./shapes";

export class ApiError extends Error {
  /** 0 where the mesh did not answer. */
  readonly status: number;
  /** What to do next. */
  readonly hint: string;
  /** The answer's body, where it was JSON. */
  readonly body: unknown;

  constructor(status: number, message: string, hint: string, body: unknown = null) {
    super(message);
    this.status = status;
    this.hint = hint;
    this.body = body;
  }
}

/** Asks for `/api/v1/…`. Throws ApiError. */
export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return ask<T>(path, signal ? { signal } : {});
}

/** Sends JSON, with the token where there is one. Throws ApiError; its `body` is what a refused change answers. */
export function post<T>(path: string, value: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (token.value) headers["authorization"] = `Bearer ${token.value}`;
  return ask<T>(path, { method: "POST", headers, body: JSON.stringify(value), ...(signal ? { signal } : {}) });
}

export const api = {
  status: (signal?: AbortSignal) => get<Status>("/api/v1/status", signal),
  services: (signal?: AbortSignal) => get<Service[]>("/api/v1/services", signal),
  graph: (window: string, signal?: AbortSignal) => get<Graph>(`/api/v1/graph?${new URLSearchParams({ window })}`, signal),
  problems: (signal?: AbortSignal) => get<{ problems: Problem[] }>("/api/v1/problems", signal),
  resources: (signal?: AbortSignal) => get<{ resources: Resource[] }>("/api/v1/resources", signal),
  explain: (query: Record<string, string>, signal?: AbortSignal) =>
    get<Explanation>(`/api/v1/explain?${new URLSearchParams(query)}`, signal),
  series: (query: Record<string, string>, signal?: AbortSignal) =>
    get<Series>(`/api/v1/series?${new URLSearchParams(query)}`, signal),
};

async function ask<T>(path: string, options: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { ...options, credentials: "omit", redirect: "error" });
  } catch (problem) {
    if (options.signal?.aborted) throw problem;
    throw new ApiError(0, "The mesh does not answer.", "Is it still running? `composemesh ls` lists those that are.");
  }
  let body: unknown = null;
  try {
    body = await response.json();
  } catch (problem) {
    if (options.signal?.aborted) throw problem;
    if (response.ok) throw new ApiError(response.status, "The mesh's answer broke off.", "Try it again.");
  }
  if (response.ok) return body as T;
  if (response.status === 401) forgetToken();
  const said = (body ?? {}) as { error?: string; hint?: string };
  throw new ApiError(response.status, said.error ?? `The mesh answered ${response.status}.`, said.hint ?? "", body);
}
