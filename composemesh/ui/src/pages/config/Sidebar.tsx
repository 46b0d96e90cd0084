// What there is, by kind: to search, to choose from, and to add to.

import { useEffect, useRef, useState } from "preact/hooks";
import { isTyping } from "../../keys";
import type { Known } from "./ConfigPage";
import { isDraft } from "./drafts";
import { address, place, title, wholePlace, type Resource } from "./resources";

export function Sidebar({ known, here }: { known: Known; here: (string | undefined)[] }) {
  const [text, setText] = useState("");
  const search = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "/" || isTyping(event) || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      search.current?.focus();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  const wanted = text.trim().toLowerCase();
  const found = known.resources.filter((one) => `${one.kind} ${one.name} ${one.file}`.toLowerCase().includes(wanted));
  const blocks = known.blocks.filter((one) => `x-mesh ${one.service} ${one.file}`.toLowerCase().includes(wanted));
  const kinds = [...new Set(found.map((one) => one.kind))].sort();
  const errors = known.problems.filter((one) => one.severity === "error").length;
  const warnings = known.problems.length - errors;
  const at = (...parts: string[]) => parts.every((part, index) => here[index] === part);
  return (
    <nav class="config-side" aria-label="Resources">
      <div class="config-side-top">
        <input
          type="search"
          ref={search}
          placeholder="Find a resource"
          aria-label="Find a resource"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          spellcheck={false}
        />
        <a class="button" href={address()} title="A new resource">
          + New
        </a>
      </div>
      <div class="config-side-links">
        <a class={`config-item${at("problems") ? " is-here" : ""}`} href={address("problems")}>
          <span>Problems</span>
          {errors ? <b class="tally is-bad">{errors}</b> : null}
          {warnings ? <b class="tally is-notice">{warnings}</b> : null}
          {known.problems.length ? null : <b class="tally is-good">none</b>}
        </a>
        <a class={`config-item${at("history") ? " is-here" : ""}`} href={address("history")}>
          <span>Changes</span>
        </a>
      </div>
      <div class="config-side-list">
        {kinds.map((kind) => (
          <div role="group" aria-label={kind}>
            <h4>{kind}</h4>
            {found
              .filter((one) => one.kind === kind)
              .sort((one, other) => one.name.localeCompare(other.name))
              .map((one) => (
                <Item one={one} known={known} here={at(one.kind, one.name)} />
              ))}
          </div>
        ))}
        {blocks.length ? (
          <div role="group" aria-label="x-mesh">
            <h4>x-mesh in the Compose file</h4>
            {blocks.map((one) => (
              <a
                class={`config-item${at("x-mesh", one.service) ? " is-here" : ""}`}
                href={address("x-mesh", one.service)}
                title={wholePlace(one)}
              >
                <span class="cut">{one.service || "the mesh"}</span>
                <small class="faint">{place(one)}</small>
              </a>
            ))}
          </div>
        ) : null}
        {found.length + blocks.length === 0 ? (
          <p class="faint config-side-none">{wanted ? "Nothing like this." : "No resource yet: everything is as Compose has it."}</p>
        ) : null}
      </div>
    </nav>
  );
}

function Item({ one, known, here }: { one: Resource; known: Known; here: boolean }) {
  const own = known.problems.filter((problem) => problem.resource === title(one));
  const worst = own.some((problem) => problem.severity === "error") ? "bad" : own.some((problem) => problem.severity === "warning") ? "notice" : "";
  return (
    <a class={`config-item${here ? " is-here" : ""}`} href={address(one.kind, one.name)} title={wholePlace(one)}>
      {worst ? <i class={`spot is-${worst}`} title={own.map((problem) => problem.message).join("\n")} /> : null}
      <span class="cut">{one.name}</span>
      {isDraft(address(one.kind, one.name)) ? <i class="config-edited" title="edited, not applied" /> : null}
      <small class={one.applied ? "config-live" : "faint"}>{one.applied ? "live" : place(one)}</small>
    </a>
  );
}
