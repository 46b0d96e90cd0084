// What may stand at a place of a document, by the JSON Schema of its kind. Of YAML it takes what the editor's own
// documents look like: block mappings and lists, told apart by their indentation.

export interface Schema {
  type?: string;
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
}

export interface Offer {
  label: string;
  info: string;
  /** What is written, with what must follow. */
  insert: string;
}

export interface Offers {
  /** Offset of the word that is being written. */
  from: number;
  offers: Offer[];
}

/** Of a document whose kind is not known yet: `kinds` as the mesh lists them. */
export function envelope(kinds: { kind: string; api_version: string }[]): Schema {
  const versions = [...new Set(kinds.map((one) => one.api_version))];
  return {
    properties: {
      apiVersion: { type: "string", enum: versions, description: "Whose kind it is, and in which version." },
      kind: { type: "string", enum: kinds.map((one) => one.kind), description: "What the document configures." },
      metadata: { type: "object", properties: { name: { type: "string" } } },
      spec: { type: "object" },
    },
  };
}

/** The kind of the document around an offset; empty where it does not say. */
export function kindAt(text: string, offset: number): string {
  return /^kind:[ \t]*([A-Za-z]+)/m.exec(documentAt(text, offset).text)?.[1] ?? "";
}

export function offersAt(text: string, offset: number, schema: Schema | null): Offers | null {
  const { text: whole, start } = documentAt(text, offset);
  const lines = whole.slice(0, offset - start).split("\n");
  const line = lines.at(-1) ?? "";
  const value = /^([ ]*(?:- +)*)([\w./-]+):[ \t]+([\w./-]*)$/.exec(line);
  if (value) {
    const [, lead, name, word] = value as unknown as [string, string, string, string];
    const node = walk(schema ?? undefined, [...pathOf(lines, lead.length), name]);
    const offers = values(node).map((one) => ({ label: one, info: "", insert: one }));
    return offers.length ? { from: offset - word.length, offers } : null;
  }
  const key = /^([ ]*(?:- +)*)([\w-]*)$/.exec(line);
  if (!key) return null;
  const [, lead, word] = key as unknown as [string, string, string];
  const node = walk(schema ?? undefined, pathOf(lines, lead.length));
  const there = siblings(whole.split("\n"), lines.length - 1, lead.length);
  const offers = Object.entries(node?.properties ?? {})
    .filter(([name]) => !there.has(name) || name === word)
    .map(([name, inner]) => ({ label: name, info: inner.description ?? "", insert: written(name, inner, lead.length) }));
  return offers.length ? { from: offset - word.length, offers } : null;
}

function documentAt(text: string, offset: number): { text: string; start: number } {
  let start = 0;
  for (const border of text.matchAll(/^---.*$\n?/gm)) {
    const end = border.index + border[0].length;
    if (end > offset) return { text: text.slice(start, border.index), start };
    start = end;
  }
  return { text: text.slice(start), start };
}

/** The keys that lead to what stands `indent` deep on the last line; `[]` for an item of a list. */
function pathOf(lines: string[], indent: number): string[] {
  const path: string[] = [];
  const last = lines.at(-1) ?? "";
  let column = indent;
  // Dashes on the line itself: `  - ma|` is an item of what stands above.
  for (let dash = last.lastIndexOf("- ", indent - 1); dash >= 0 && /^[ -]*$/.test(last.slice(0, dash)); dash = last.lastIndexOf("- ", dash - 1)) {
    path.unshift("[]");
    column = dash;
    if (dash === 0) break;
  }
  for (let number = lines.length - 2; number >= 0 && (column > 0 || path[0] === "[]"); number -= 1) {
    const found = /^([ ]*)((?:- +)*)([\w./-]+):(?:[ \t]|$)/.exec(lines[number]!);
    if (!found) continue;
    const [, spaces, dashes, name] = found as unknown as [string, string, string, string];
    const own = spaces.length + dashes.length;
    // A list may stand as deep as its key: `http:` and below it `- match:`.
    const above = path[0] === "[]" ? own <= column && !(dashes && own > column) : own < column;
    if (above && !(path[0] === "[]" && dashes && spaces.length >= column)) {
      path.unshift(name);
      column = own;
    }
    if (dashes && spaces.length < column + (above ? 0 : 1) && own <= column) {
      path.unshift("[]");
      column = spaces.length;
    }
  }
  return path;
}

function walk(schema: Schema | undefined, path: string[]): Schema | undefined {
  let node = schema;
  for (const step of path) {
    if (!node) return undefined;
    const choices: Schema[] = [node, ...(node.anyOf ?? []), ...(node.oneOf ?? [])];
    const next: (Schema | undefined)[] = choices.map((one) =>
      step === "[]"
        ? one.items
        : (one.properties?.[step] ?? (typeof one.additionalProperties === "object" ? one.additionalProperties : undefined)),
    );
    node = next.find((one) => one !== undefined);
  }
  return node;
}

function values(node: Schema | undefined): string[] {
  if (!node) return [];
  const own = node.enum ?? (node.const !== undefined ? [node.const] : node.type === "boolean" ? [true, false] : []);
  return [...own.map(String), ...[...(node.anyOf ?? []), ...(node.oneOf ?? [])].flatMap(values)];
}

/** The keys beside the one that is being written. */
function siblings(lines: string[], at: number, indent: number): Set<string> {
  const found = new Set<string>();
  for (const by of [-1, 1]) {
    for (let number = at + (by > 0 ? 1 : 0); number >= 0 && number < lines.length; number += by) {
      const match = /^([ ]*(?:- +)*)([\w./-]+):/.exec(lines[number]!);
      if (!match) continue;
      const depth = match[1]!.length;
      if (depth < indent) break;
      if (depth > indent) continue;
      if (by > 0 && match[1]!.includes("-")) break; // the next item of a list
      found.add(match[2]!);
      if (by < 0 && match[1]!.includes("-")) break; // the first line of this item
    }
  }
  return found;
}

function written(name: string, node: Schema, indent: number): string {
  const deeper = " ".repeat(indent + 2);
  if (node.properties && !node.anyOf && !node.oneOf) return `${name}:\n${deeper}`;
  if (node.items?.properties) return `${name}:\n${" ".repeat(indent)}- `;
  return `${name}: `;
}
