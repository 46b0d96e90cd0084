// Where we are: `#/services/reviews?window=5m`. In the fragment, so that the server has one page and every address on
// it survives a reload and the Back button.

import { signal } from "@preact/signals";

export interface Route {
  /** The first part: which page. */
  page: string;
  /** The other parts, decoded. */
  rest: string[];
  query: URLSearchParams;
}

export const HOME = "graph";
export const route = signal<Route>(read());

export function startRouting(): void {
  window.addEventListener("hashchange", () => (route.value = read()));
  route.value = read();
}

type Query = Record<string, string | number | undefined>;

/** The address of a page; empty values of the query are left out. */
export function href(page: string, rest: string[] = [], query: Query = {}): string {
  const path = [page, ...rest].map(encodeURIComponent).join("/");
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") asked.set(name, String(value));
  return `#/${path}${asked.size ? `?${asked}` : ""}`;
}

export function go(page: string, rest: string[] = [], query: Query = {}): void {
  location.hash = href(page, rest, query);
}

/** Say something else in the query of the page we are on, without a step in the history. */
export function ask(query: Query): void {
  const { page, rest, query: before } = route.value;
  const asked = { ...Object.fromEntries(before), ...query };
  history.replaceState(null, "", href(page, rest, asked));
  route.value = read();
}

function read(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [page, ...rest] = path.split("/").filter(Boolean).map(decoded);
  return { page: page ?? HOME, rest, query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // somebody typed a lone %
  }
}
