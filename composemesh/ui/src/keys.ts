// Keys that work on every page. A page's own keys listen for themselves and leave these alone.

import { signal } from "@preact/signals";
import { PAGES } from "./pages";
import { go } from "./router";
import { nextTheme } from "./theme";

/** Whether the list of keys is shown. */
export const helping = signal(false);

/** Whether the keys belong to a field in which somebody writes. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) || target.isContentEditable);
}

export function listenForKeys(): void {
  window.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
    const page = PAGES[Number(event.key) - 1];
    if (page) go(page.name);
    else if (event.key === "?") helping.value = !helping.value;
    else if (event.key === "t") nextTheme();
    else if (event.key === "Escape" && helping.value) helping.value = false;
    else return;
    event.preventDefault();
  });
}
