// The YAML editor: CodeMirror 6, loaded when the first document is opened.
//
// It stands in a shadow root. There CodeMirror takes constructed style sheets, and not <style> elements, which the
// page's Content-Security-Policy forbids; colours come through as custom properties.

import { autocompletion, closeBrackets, completionKeymap, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { Compartment, EditorState, StateEffect, StateField, type Extension } from "@codemirror/state";
import {
  Decoration,
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  WidgetType,
  type DecorationSet,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { kindAt, offersAt, type Schema } from "./completion";
import type { Problem } from "./resources";

export interface Handle {
  text(): string;
  /** Another document: what was undone in the old one is forgotten. */
  open(text: string, readOnly: boolean): void;
  mark(problems: Problem[]): void;
  reveal(line: number): void;
  focus(): void;
  close(): void;
}

interface Options {
  onChange: (text: string) => void;
  schemaOf: (kind: string) => Promise<Schema | null>;
}

export function edit(parent: HTMLElement, { onChange, schemaOf }: Options): Handle {
  const root = parent.shadowRoot ?? parent.attachShadow({ mode: "open" });
  const extensions = (readOnly: boolean): Extension => [
    lineNumbers(),
    lintGutter(),
    highlightActiveLineGutter(),
    highlightActiveLine(),
    history(),
    drawSelection(),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    indentUnit.of("  "),
    yaml(),
    syntaxHighlighting(HIGHLIGHT),
    THEME,
    inPlace,
    autocompletion({ override: [completing(schemaOf)], icons: false }),
    keymap.of([
      ...completionKeymap,
      ...lintKeymap,
      ...defaultKeymap,
      ...historyKeymap,
      indentWithTab,
    ]),
    guard.of([EditorState.readOnly.of(readOnly), EditorView.editable.of(!readOnly)]),
    EditorView.contentAttributes.of({ "aria-label": "YAML", spellcheck: "false", autocapitalize: "off", tabindex: "0" }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) onChange(update.state.doc.toString());
    }),
  ];
  const view = new EditorView({ parent: root, root, state: EditorState.create({ extensions: extensions(true) }) });
  return {
    text: () => view.state.doc.toString(),
    open: (text, readOnly) => view.setState(EditorState.create({ doc: text, extensions: extensions(readOnly) })),
    mark: (problems) => {
      const marks = problems.map((one) => diagnostic(view.state, one));
      view.dispatch(setDiagnostics(view.state, marks));
      view.dispatch({ effects: found.of(problems) });
    },
    reveal: (line) => {
      const at = view.state.doc.line(Math.min(Math.max(1, line), view.state.doc.lines)).from;
      view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
      view.focus();
    },
    focus: () => view.focus(),
    close: () => view.destroy(),
  };
}

const guard = new Compartment();

// --- problems at their places ---

function diagnostic(state: EditorState, one: Problem): Diagnostic {
  const line = state.doc.line(Math.min(Math.max(1, one.line), state.doc.lines));
  const column = one.column ? one.column - 1 : /^ */.exec(line.text)![0].length;
  const from = Math.min(line.from + column, line.to);
  const word = /^[\w./-]+|^\S/.exec(state.doc.sliceString(from, line.to))?.[0].length ?? 0;
  return { from, to: Math.max(from, Math.min(line.to, from + word)), severity: one.severity, message: `${one.message} ${one.hint}`.trim() };
}

/** The message of a line's worst problem, after its text: nobody has to point at a mark to read it. */
class Message extends WidgetType {
  constructor(
    readonly severity: string,
    readonly text: string,
  ) {
    super();
  }

  override eq(other: Message): boolean {
    return other.severity === this.severity && other.text === this.text;
  }

  toDOM(): HTMLElement {
    const element = document.createElement("span");
    element.className = `cm-message is-${this.severity}`;
    element.textContent = this.text;
    return element;
  }
}

/** Letters that fit beside a line; what is longer stands below the editor in full. */
const SHORT = 90;
const found = StateEffect.define<Problem[]>();
const SEVERITIES = ["error", "warning", "info"];

const inPlace = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(value, transaction) {
    let marks = value.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (effect.is(found)) marks = messages(transaction.state, effect.value);
    }
    return marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function messages(state: EditorState, problems: Problem[]): DecorationSet {
  const worst = new Map<number, Problem>();
  for (const one of problems) {
    const line = Math.min(Math.max(1, one.line), state.doc.lines);
    const other = worst.get(line);
    if (!other || SEVERITIES.indexOf(one.severity) < SEVERITIES.indexOf(other.severity)) worst.set(line, one);
  }
  return Decoration.set(
    [...worst]
      .sort(([one], [other]) => one - other)
      .map(([line, one]) => {
        // The editor shows one resource: its name at the front of each message says nothing here.
        const message = one.message.startsWith(`${one.resource}: `) ? one.message.slice(one.resource.length + 2) : one.message;
        const both = `${message} ${one.hint}`.trim();
        const text = both.length <= SHORT ? both : message;
        return Decoration.widget({ widget: new Message(one.severity, text), side: 1 }).range(state.doc.line(line).to);
      }),
  );
}

// --- completion ---

function completing(schemaOf: Options["schemaOf"]): (context: CompletionContext) => Promise<CompletionResult | null> {
  return async (context) => {
    const text = context.state.doc.toString();
    const schema = await schemaOf(kindAt(text, context.pos));
    const offered = offersAt(text, context.pos, schema);
    if (!offered || (!context.explicit && offered.from === context.pos && !/[:-] $/.test(text.slice(0, context.pos)))) return null;
    return {
      from: offered.from,
      options: offered.offers.map((one) => ({ label: one.label, info: one.info || undefined, apply: one.insert })),
      validFor: /^[\w./-]*$/,
    };
  };
}

// --- looks: the page's own colours ---

const HIGHLIGHT = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--code-key)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-text)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--code-value)" },
  { tag: tags.comment, color: "var(--code-comment)", fontStyle: "italic" },
  { tag: [tags.meta, tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: "var(--code-mark)" },
]);

const THEME = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "transparent", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.65", overflow: "auto" },
  ".cm-content": { padding: "12px 0", caretColor: "var(--accent)" },
  ".cm-cursor": { borderLeftColor: "var(--accent)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--text-faint)", border: "none", paddingLeft: "4px" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    backgroundColor: "var(--selection) !important",
  },
  ".cm-matchingBracket": { backgroundColor: "var(--selection)", outline: "none" },
  ".cm-message": { marginLeft: "2.5em", padding: "1px 8px", borderRadius: "5px", fontFamily: "var(--sans)", fontSize: "12px" },
  ".cm-message.is-error": { color: "var(--bad)", backgroundColor: "var(--bad-soft)" },
  ".cm-message.is-warning": { color: "var(--warn)", backgroundColor: "var(--warn-soft)" },
  ".cm-message.is-info": { color: "var(--text-dim)", backgroundColor: "var(--hover)" },
  ".cm-tooltip": {
    backgroundColor: "var(--surface)",
    color: "var(--text)",
    border: "1px solid var(--line)",
    borderRadius: "8px",
    boxShadow: "var(--shadow)",
    overflow: "hidden",
  },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16em" },
  ".cm-tooltip-autocomplete > ul > li": { padding: "3px 10px !important" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionInfo": { padding: "8px 10px", maxWidth: "320px", fontSize: "12.5px" },
  ".cm-diagnostic": { padding: "6px 10px", fontFamily: "var(--sans)" },
});
