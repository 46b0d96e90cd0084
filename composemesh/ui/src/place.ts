// Where something is written, in a few words.

export interface Place {
  file: string;
  line: number | null;
}

const DASHBOARD = "dashboard/";

/** The name under which the editor's text goes to the mesh, and by which `status` and the log name its lines:
 * `dashboard/VirtualService/reviews`, after the first document in it. */
export function nameOf(text: string): string {
  const kind = /^kind:[ \t]*["']?([\w]+)/m.exec(text)?.[1];
  const within = /^metadata:(.*(?:\n[ \t]+.*)*)/m.exec(text)?.[1] ?? "";
  const name = /(?:^|[\s{,])name:[ \t]*["']?([\w.-]+)/.exec(within)?.[1];
  return DASHBOARD + ([kind, name].filter(Boolean).join("/") || "new");
}

/** The last part of a path; the whole of it belongs into a tooltip. What was applied in the editor is in no file. */
export function place({ file, line }: Place): string {
  if (file.startsWith(DASHBOARD)) return line ? `applied, line ${line}` : "applied";
  const name = file.split("/").at(-1) ?? "";
  return line ? `${name}:${line}` : name;
}

/** The same with the whole path. */
export function wholePlace(one: Place): string {
  return one.file.startsWith(DASHBOARD) || !one.line ? place(one) : `${one.file}:${one.line}`;
}

/** The mesh's words for a rule, whose place is one of their parts. */
export function inWords(rule: string): string {
  return rule.replace(/\bdashboard\/[\w./-]+:(\d+)/g, (_, line) => place({ file: DASHBOARD, line: Number(line) }));
}
