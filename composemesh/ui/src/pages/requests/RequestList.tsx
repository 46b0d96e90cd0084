// The list: only the rows in sight are in the document, so that two thousand requests cost as much as forty.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { milliseconds } from "../../format";
import { clock, FLAGS, outcome, party, request, share, verdict, version, type Exchange } from "./record";

const ROW = 34;
const BEYOND = 8;

interface Props {
  /** Newest first. */
  shown: Exchange[];
  selected: Exchange | null;
  onSelect: (one: Exchange) => void;
}

export function RequestList({ shown, selected, onSelect }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const newest = useRef<number>(-1);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);

  useLayoutEffect(() => {
    const element = frame.current!;
    const watcher = new ResizeObserver(() => setHeight(element.clientHeight));
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);

  // Whoever has scrolled down reads: new rows above must not push away what is being read.
  useLayoutEffect(() => {
    const element = frame.current!;
    const before = newest.current;
    newest.current = shown[0]?.key ?? -1;
    if (element.scrollTop > 0 && before >= 0) {
      const fresh = shown.findIndex((one) => one.key <= before);
      if (fresh > 0) element.scrollTop += fresh * ROW;
    }
  }, [shown]);

  useLayoutEffect(() => {
    const index = selected ? shown.findIndex((one) => one.key === selected.key) : -1;
    const element = frame.current!;
    if (index < 0) return;
    if (index * ROW < element.scrollTop) element.scrollTop = index * ROW;
    else if ((index + 1) * ROW > element.scrollTop + element.clientHeight)
      element.scrollTop = (index + 1) * ROW - element.clientHeight;
  }, [selected]);

  const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
  const last = Math.min(shown.length, Math.ceil((top + height) / ROW) + BEYOND);
  return (
    <div class="requests-list" role="table" aria-label="Requests" aria-rowcount={shown.length}>
      <div class="requests-head requests-row" role="row">
        {["Began", "From", "To", "Request", "Status", "Took"].map((name) => (
          <span role="columnheader">{name}</span>
        ))}
      </div>
      <div class="requests-frame" ref={frame} onScroll={(event) => setTop(event.currentTarget.scrollTop)} tabIndex={-1}>
        <div class="requests-all" style={{ height: `${shown.length * ROW}px` }}>
          {shown.slice(first, last).map((one, index) => (
            <Row
              key={one.key}
              one={one}
              top={(first + index) * ROW}
              selected={one.key === selected?.key}
              onSelect={onSelect}
            />
          ))}
        </div>
      </div>
    </div>
  );
}

function Row({ one, top, selected, onSelect }: { one: Exchange; top: number; selected: boolean; onSelect: (one: Exchange) => void }) {
  const flag = one.flags[0];
  return (
    <div
      class={`requests-row${one.failed ? " has-failed" : ""}${selected ? " is-selected" : ""}`}
      role="row"
      aria-selected={selected}
      data-id={one.id}
      style={{ transform: `translateY(${top}px)` }}
      // On pressing, not on releasing: by then the row may have moved on.
      onPointerDown={(event) => event.button === 0 && onSelect(one)}
    >
      <span role="cell" class="mono faint">{clock(one.time)}</span>
      <span role="cell" class="cut">{party(one.source)}</span>
      <span role="cell" class="cut">
        {party(one.destination)}
        {version(one.version) ? <em class="version">{one.version}</em> : null}
      </span>
      <span role="cell" class="cut mono" title={request(one)}>
        {one.method ? <b class="method">{one.method}</b> : null}
        {request(one)}
      </span>
      <span role="cell" class="requests-status">
        <i class={`pill is-${verdict(one)}`}>{outcome(one)}</i>
        {flag ? (
          <i class="flag" title={FLAGS[flag] ?? flag}>
            {flag}
          </i>
        ) : null}
      </span>
      <span role="cell" class="requests-took">
        <i class="bar">
          <i style={{ width: `${share(one.duration_ms) * 100}%` }} />
        </i>
        <span class="mono">{milliseconds(one.duration_ms)}</span>
      </span>
    </div>
  );
}
