// Everything wrong with the configuration, the worst first, each with its place and what to do.

import { href } from "../../router";
import type { Known } from "./ConfigPage";
import { address, place, title, type Problem } from "./resources";

const SEVERITIES = ["error", "warning", "info"] as const;
const NAMES = { error: "Errors", warning: "Warnings", info: "Notes" };

export function Problems({ known }: { known: Known }) {
  return (
    <>
      <header class="config-head">
        <div>
          <h2>Problems</h2>
          <p class="faint">Of the configuration and of the mesh, as it is now. With an error, the last good configuration stays in force.</p>
        </div>
      </header>
      {known.problems.length === 0 ? (
        <div class="empty">
          <p>Nothing is wrong.</p>
        </div>
      ) : null}
      <div class="problems">
        {SEVERITIES.map((severity) => {
          const found = known.problems.filter((one) => one.severity === severity);
          return found.length ? (
            <section>
              <h4>
                {NAMES[severity]} <b class={`tally is-${severity === "error" ? "bad" : "notice"}`}>{found.length}</b>
              </h4>
              {found.map((one) => (
                <Card one={one} known={known} />
              ))}
            </section>
          ) : null;
        })}
      </div>
    </>
  );
}

function Card({ one, known }: { one: Problem; known: Known }) {
  const resource = known.resources.find((each) => title(each) === one.resource && each.file === one.file);
  const where = one.file ? `${place(one)}${one.column ? `:${one.column}` : ""}` : one.resource;
  return (
    <article class={`problem is-${one.severity}`}>
      <p>{one.message}</p>
      {one.hint ? <p class="problem-hint">{one.hint}</p> : null}
      <p class="problem-foot">
        {resource ? (
          <a class="mono" href={href("config", [resource.kind, resource.name], { line: one.line })} title={one.file}>
            {where}
          </a>
        ) : (
          <span class="mono" title={one.file}>
            {where}
          </span>
        )}
        <span class="faint">{one.code}</span>
      </p>
    </article>
  );
}
