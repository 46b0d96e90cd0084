// The bar on top: which mesh this is and how it is, the pages, and the few switches of the page itself.

import { helping } from "../keys";
import { connection, status } from "../live";
import { PAGES, type Page } from "../pages";
import { href } from "../router";
import { nextTheme, theme } from "../theme";
import { token } from "../token";
import { plural } from "../format";
import { Icon } from "./Icon";

const STATES = { serving: "good", starting: "warn", degraded: "bad" } as const;
const THEMES = { system: "system", dark: "moon", light: "sun" } as const;

export function TopBar({ page }: { page: Page | undefined }) {
  const mesh = status.value;
  return (
    <header class="top">
      <a class="brand" href={href("graph")} aria-label="composemesh">
        <Brand />
        <span class="brand-name">composemesh</span>
      </a>
      {mesh ? (
        <span class="mesh">
          <b class="cut" title={mesh.project}>
            {mesh.project}
          </b>
          <span class={`state is-${STATES[mesh.state] ?? "warn"}`}>{connection.value === "lost" ? "lost" : mesh.state}</span>
        </span>
      ) : null}
      <nav aria-label="Pages">
        {PAGES.map((one) => (
          <a class="tab" href={href(one.name)} aria-current={one === page ? "page" : undefined}>
            <Icon name={one.icon} />
            {one.title}
          </a>
        ))}
      </nav>
      <span class="top-end">
        <Problems />
        {token.value ? null : (
          <span class="chip is-quiet" title="This page has no token, so it only shows. `composemesh dashboard` opens one that may change things.">
            <Icon name="eye" size={14} /> Read-only
          </span>
        )}
        <button class="icon" onClick={nextTheme} aria-label={`Colours: ${theme.value}`} title={`Colours: ${theme.value} (t)`}>
          <Icon name={THEMES[theme.value]} />
        </button>
        <button class="icon" onClick={() => (helping.value = true)} aria-label="Keys" title="Keys (?)">
          <Icon name="keys" />
        </button>
      </span>
    </header>
  );
}

function Problems() {
  const problems = status.value?.problems ?? [];
  const worst = problems.some((one) => one.severity === "error") ? "bad" : "warn";
  if (!problems.length) return null;
  return (
    <a class={`chip is-${worst}`} href={href("config", [], { show: "problems" })} title={problems[0]!.message}>
      <Icon name="warning" size={14} /> {plural(problems.length, "problem")}
    </a>
  );
}

function Brand() {
  return (
    <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" class="brand-mark">
      <rect width="32" height="32" rx="8" />
      <path d="M9 16 16 9l7 7-7 7z" />
      <circle cx="9" cy="16" r="3" />
      <circle cx="16" cy="9" r="3" />
      <circle cx="23" cy="16" r="3" />
      <circle cx="16" cy="23" r="3" />
    </svg>
  );
}
