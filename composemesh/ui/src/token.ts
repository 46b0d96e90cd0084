// The token that changes need. `composemesh dashboard` opens the page with it in the fragment, which browsers keep to
// themselves: it reaches no server and no log. It is taken out of the address at once, and lives as long as the tab.

import { signal } from "@preact/signals";

const KEY = "composemesh-token";
const FORM = /^[A-Za-z0-9_-]{20,200}$/;

/** Empty: the page only shows. */
export const token = signal(kept());

/** Takes `#token=…` out of the address and keeps it for this tab. */
export function takeToken(): void {
  const said = new URLSearchParams(location.hash.slice(1)).get("token");
  if (said === null) return;
  if (FORM.test(said)) keep(said);
  history.replaceState(null, "", `${location.pathname}${location.search}`);
}

/** The mesh did not accept it: one of an earlier state folder. */
export function forgetToken(): void {
  token.value = "";
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // a browser that keeps nothing has nothing to forget
  }
}

function keep(said: string): void {
  token.value = said;
  try {
    sessionStorage.setItem(KEY, said);
  } catch {
    // private windows may refuse: then it lasts until the page is loaded again
  }
}

function kept(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
