// Where something is written, in a few words.

export interface Place {
  file: string;
  line: number | null;
}

/** The `name` under which the editor's text goes to the mesh: problems with this file are the editor's own. */
export const EDITOR = "editor";

/** The last part of a path; the whole of it belongs into a tooltip. What was applied in the editor is in no file. */
export function place({ file, line }: Place): string {
  if (file === EDITOR) return line ? `applied, line ${line}` : "applied";
  const name = file.split("/").at(-1) ?? "";
  return line ? `${name}:${line}` : name;
}

/** The same with the whole path. */
export function wholePlace(one: Place): string {
  return one.file === EDITOR || !one.line ? place(one) : `${one.file}:${one.line}`;
}

/** The mesh's words for a rule, whose place is one of their parts. */
export function inWords(rule: string): string {
  return rule.replace(/\beditor:(\d+)/g, (_, line) => place({ file: EDITOR, line: Number(line) }));
}
