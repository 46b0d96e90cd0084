// Over the graph: how far back it looks, what its edges say, and what is found or hidden.

import type { RefObject } from "preact";
import { Choice } from "../../parts/Choice";
import { Icon } from "../../parts/Icon";
import { ask } from "../../router";
import { WINDOWS } from "../../series";
import { LABELS, type Label } from "./model";

interface Props {
  window: string;
  label: Label;
  find: string;
  hide: string;
  /** Sentences about what was typed; empty where all is well. */
  wrong: { find: string; hide: string };
  found: number | null;
  search: RefObject<HTMLInputElement | null>;
}

export function Bar({ window, label, find, hide, wrong, found, search }: Props) {
  return (
    <header class="graph-bar">
      <Choice name="Window" value={window} choices={WINDOWS} onChange={(value) => ask({ window: value })} />
      <Choice name="Edge labels" value={label} choices={LABELS} onChange={(value) => ask({ label: value })} />
      <span class="graph-words">
        <Words name="find" title="Find" value={find} wrong={wrong.find} input={search} hint="/" note={found === null ? "" : String(found)} />
        <Words name="hide" title="Hide" value={hide} wrong={wrong.hide} />
      </span>
    </header>
  );
}

interface WordsProps {
  name: "find" | "hide";
  title: string;
  value: string;
  wrong: string;
  hint?: string;
  note?: string;
  input?: RefObject<HTMLInputElement | null>;
}

const EXAMPLES = "Examples: reviews · %error > 5 · rate > 10 and !healthy · idle or external · p99 > 200";

function Words({ name, title, value, wrong, hint = "", note = "", input }: WordsProps) {
  return (
    <label class={`words${wrong ? " is-wrong" : ""}`} title={wrong || EXAMPLES}>
      <Icon name={name === "find" ? "search" : "eye"} size={14} />
      <input
        {...(input ? { ref: input } : {})}
        type="search"
        aria-label={title}
        aria-invalid={wrong ? true : undefined}
        placeholder={`${title}   ${hint}`}
        spellcheck={false}
        value={value}
        onInput={(event) => ask({ [name]: event.currentTarget.value })}
      />
      {wrong ? (
        <span class="words-wrong" role="alert">
          {wrong}
        </span>
      ) : note ? (
        <span class="words-note">{note}</span>
      ) : null}
    </label>
  );
}
