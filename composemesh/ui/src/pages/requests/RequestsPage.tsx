// Requests, live: what is asked for on the left, one of them in full on the right.

import { useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { rate } from "../../format";
import { isTyping } from "../../keys";
import { Empty } from "../../parts/Empty";
import { route } from "../../router";
import { Feed, type State } from "./feed";
import { EVERYTHING, fits, isEverything, LIMIT, type Filter } from "./filter";
import { RequestList } from "./RequestList";
import { RequestPanel } from "./RequestPanel";
import { FLAGS, party, type Exchange } from "./record";
import "./requests.css";

/** Milliseconds after the last key until the mesh is asked for something else. */
const TYPING = 300;

/** What a link from the graph or a service asks for: `#/requests?source=productpage&service=reviews`. */
function asked(): Filter {
  const query = route.value.query;
  return { ...EVERYTHING, source: query.get("source") ?? "", destination: query.get("service") ?? "" };
}

export function RequestsPage() {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const feed = useMemo(() => new Feed(() => redraw(undefined)), []);
  const [filter, setFilter] = useState<Filter>(asked);
  const [selected, setSelected] = useState<Exchange | null>(null);
  const search = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const timer = window.setTimeout(() => feed.listen(filter), isEverything(filter) ? 0 : TYPING);
    return () => window.clearTimeout(timer);
  }, [filter]);
  useEffect(() => {
    // Rates fall although nothing comes.
    const timer = window.setInterval(() => redraw(undefined), 1000);
    return () => {
      window.clearInterval(timer);
      feed.close();
    };
  }, []);

  const shown = useMemo(() => feed.records.filter(fits(filter)).reverse(), [feed.records, filter]);

  const open = (one: Exchange) => {
    setSelected(one);
    if (!feed.paused) feed.pause(); // whoever reads one request wants the others to stand still
  };
  const close = () => setSelected(null);
  const toggle = () => (feed.paused ? feed.resume() : feed.pause());
  const move = (by: number) => {
    const index = shown.findIndex((one) => one.key === selected?.key);
    const next = shown[Math.min(shown.length - 1, Math.max(0, index + by))];
    if (next) open(next);
  };

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") isTyping(event) ? (event.target as HTMLElement).blur() : close();
      else if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      else if (event.key === "/") search.current?.focus();
      else if (event.key === " " && !(event.target instanceof HTMLButtonElement)) toggle();
      else if (event.key === "ArrowDown" || event.key === "j") move(1);
      else if (event.key === "ArrowUp" || event.key === "k") move(-1);
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });

  return (
    <div class={`requests${selected ? " has-panel" : ""}`}>
      <Bar
        feed={feed}
        filter={filter}
        onFilter={setFilter}
        onToggle={toggle}
        onClear={() => {
          feed.clear();
          close();
        }}
        search={search}
        shown={shown.length}
      />
      <div class="requests-main">
        <RequestList shown={shown} selected={selected} onSelect={open} />
        {shown.length === 0 ? <Nothing filter={filter} state={feed.state} /> : null}
      </div>
      {selected ? <RequestPanel one={selected} onClose={close} /> : null}
    </div>
  );
}

interface BarProps {
  feed: Feed;
  filter: Filter;
  onFilter: (filter: Filter) => void;
  onToggle: () => void;
  onClear: () => void;
  search: { current: HTMLInputElement | null };
  shown: number;
}

function Bar({ feed, filter, onFilter, onToggle, onClear, search, shown }: BarProps) {
  const say = (word: keyof Filter) => (event: { currentTarget: HTMLInputElement | HTMLSelectElement }) =>
    onFilter({ ...filter, [word]: event.currentTarget.value });
  return (
    <header class="requests-bar">
      <div class="requests-filters">
        <input
          type="search"
          ref={search}
          class="requests-search"
          placeholder="Find in path, host, names, ids   /"
          aria-label="Find"
          value={filter.text}
          onInput={say("text")}
          spellcheck={false}
        />
        <Choice name="From" value={filter.source} onChange={say("source")} choices={seen(feed, filter.source, "source")} />
        <Choice name="To" value={filter.destination} onChange={say("destination")} choices={seen(feed, filter.destination, "destination")} />
        <Choice
          name="Status"
          value={filter.status}
          onChange={say("status")}
          choices={[["failed", "failed"], ...["2xx", "3xx", "4xx", "5xx"].map((one): [string, string] => [one, one])]}
        />
        <Choice
          name="Flag"
          value={filter.flag}
          onChange={say("flag")}
          choices={[["-", "none"], ...Object.entries(FLAGS).map(([flag, text]): [string, string] => [flag, `${flag}  ${text}`])]}
        />
        {isEverything(filter) ? null : (
          <button class="quiet" onClick={() => onFilter(EVERYTHING)}>
            Show all
          </button>
        )}
      </div>
      <div class="requests-state">
        <Pace feed={feed} shown={shown} />
        <button class="quiet" onClick={onClear}>
          Clear
        </button>
        <button class={feed.paused ? "primary" : ""} onClick={onToggle} title="Space" aria-pressed={feed.paused}>
          {feed.paused ? `Resume${feed.held.length ? ` · ${feed.held.length} new` : ""}` : "Pause"}
        </button>
      </div>
    </header>
  );
}

const TONES: Record<State, string> = { connecting: "is-none", open: "is-good", lost: "is-bad", full: "is-bad" };

/** How much comes, and how much of it is shown, in words. */
function Pace({ feed, shown }: { feed: Feed; shown: number }) {
  const { all, told } = feed.rates();
  const words: Record<State, string> = {
    connecting: "Connecting…",
    lost: "The mesh does not answer: trying again…",
    full: "Too many are watching already: close another page.",
    open: all > told * 1.05 ? `${rate(all)} requests/s, ${rate(told)} of them shown: all that failed, and an even choice` : `${rate(all)} requests/s, all shown`,
  };
  return (
    <p class={`requests-pace is-${feed.state}`} role="status" title={`At most ${LIMIT} a second are shown; ${shown} in the list.`}>
      <i class={`spot ${feed.paused ? "is-warn" : TONES[feed.state]}`} /> {words[feed.state]}
    </p>
  );
}

function Nothing({ filter, state }: { filter: Filter; state: State }) {
  if (state === "lost") return null;
  return isEverything(filter) ? (
    <Empty icon="requests" title="No request yet" text="Each one appears here as it ends." />
  ) : (
    <Empty icon="requests" title="No request like this yet" text="Those that fit appear here as they end." />
  );
}

interface ChoiceProps {
  name: string;
  value: string;
  choices: [string, string][];
  onChange: (event: { currentTarget: HTMLSelectElement }) => void;
}

function Choice({ name, value, choices, onChange }: ChoiceProps) {
  return (
    <label class={`pick${value ? " is-set" : ""}`}>
      <span>{name}</span>
      <select value={value} onChange={onChange} aria-label={name}>
        <option value="">any</option>
        {choices.map(([word, text]) => (
          <option value={word}>{text}</option>
        ))}
      </select>
    </label>
  );
}

/** The names that are in the list, and the one that is asked for. */
function seen(feed: Feed, now: string, end: "source" | "destination"): [string, string][] {
  const names = new Set(feed.records.map((one) => one[end]));
  if (now) names.add(now);
  return [...names].sort().map((name) => [name, party(name)]);
}
