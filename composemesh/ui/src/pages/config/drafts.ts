// Texts that were edited and not applied. They outlive a change of page; leaving the browser's tab asks first.

import type { Written } from "./resources";

export interface Draft {
  /** What it was made from; null for a new resource. */
  base: Written | null;
  text: string;
}

const drafts = new Map<string, Draft>();

export function draftOf(address: string): Draft | undefined {
  return drafts.get(address);
}

export function keep(address: string, draft: Draft): void {
  if (draft.text === (draft.base?.text ?? "")) drafts.delete(address);
  else drafts.set(address, draft);
  guard();
}

export function drop(address: string): void {
  drafts.delete(address);
  guard();
}

export function isDraft(address: string): boolean {
  return drafts.has(address);
}

function ask(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

function guard(): void {
  // A page with this listener is kept out of the browser's cache of pages: only while it is needed.
  if (drafts.size > 0) window.addEventListener("beforeunload", ask);
  else window.removeEventListener("beforeunload", ask);
}
