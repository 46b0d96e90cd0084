// The configuration as the admin API tells and changes it (docs/reference/admin-api.md, "resources").

import { ApiError, get, post } from "../../api";
import { nameOf } from "../../place";
import { href } from "../../router";
import type { Problem, Resource as Listed } from "../../shapes";

export interface Key {
  kind: string;
  name: string;
}

export type { Problem };
export type Resource = Omit<Listed, "document">;

/** One with its text, and the line of its file on which that begins. */
export interface Written extends Resource {
  text: string;
  text_line: number;
}

/** `x-mesh` of a Compose service; of the mesh itself where `service` is empty. */
export interface Block {
  file: string;
  line: number;
  service: string;
  text: string;
}

export interface Change {
  accepted: boolean;
  created: Key[];
  configured: Key[];
  unchanged: Key[];
  deleted: Key[];
  effects: string[];
  problems: Problem[];
}

export interface Difference extends Change {
  resources: (Key & { before: string; after: string; diff: string })[];
}

export interface Verdict {
  accepted: boolean;
  problems: Problem[];
  effects: string[];
  resources: (Key & { line: number })[];
  /** The `file` of those problems that are the text's own. */
  file: string;
}

export interface Step {
  id: string;
  time: string;
  created: Key[];
  configured: Key[];
  deleted: Key[];
}

export { place, wholePlace } from "../../place";

const files = (text: string) => [{ name: nameOf(text), text }];

export const list = () => get<{ resources: Resource[]; compose: Block[] }>("/api/v1/resources?brief=true");
export const history = () => get<{ steps: Step[] }>("/api/v1/history");
export const read = (key: Key & { api_version?: string }) => {
  const group = key.api_version?.split("/")[0];
  const asked = group ? `?group=${encodeURIComponent(group)}` : "";
  return get<Written>(`/api/v1/resources/${encodeURIComponent(key.kind)}/${encodeURIComponent(key.name)}${asked}`);
};
export const validate = async (text: string, signal: AbortSignal): Promise<Verdict> => ({
  ...(await post<Omit<Verdict, "file">>("/api/v1/validate", { files: files(text) }, signal)),
  file: nameOf(text),
});
export const difference = (text: string) => post<Difference>("/api/v1/diff", { files: files(text) });
export const apply = (text: string, expect: (Key & { version: string })[]) =>
  change("/api/v1/resources", { files: files(text), expect });
export const remove = (one: Resource) =>
  change("/api/v1/resources", { delete: [key(one)], expect: [{ ...key(one), version: one.version }] });
export const undo = (step: Step) => change("/api/v1/undo", { id: step.id });

/** A change that was refused for its documents' sake is an answer like any other: it has the problems. */
async function change(path: string, asked: unknown): Promise<Change> {
  try {
    return await post<Change>(path, asked);
  } catch (error) {
    if (error instanceof ApiError && error.status === 422) return { ...NO_CHANGE, ...(error.body as Change) };
    throw error;
  }
}

const NO_CHANGE: Change = { accepted: false, created: [], configured: [], unchanged: [], deleted: [], effects: [], problems: [] };

/** Where a resource, or something else of this page, is shown. */
export function address(...parts: string[]): string {
  return href("config", parts);
}

export function key({ kind, name }: Key): Key {
  return { kind, name };
}

export function title({ kind, name }: Key): string {
  return `${kind} ${name}`;
}

/** What a change did, in a sentence. */
export function told(change: Pick<Change, "created" | "configured" | "deleted">): string {
  const words = (["created", "configured", "deleted"] as const).flatMap((word) =>
    change[word].map((one) => `${title(one)} ${word}`),
  );
  return words.join(", ") || "nothing has changed";
}
