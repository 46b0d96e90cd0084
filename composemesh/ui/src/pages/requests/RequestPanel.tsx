// One request: what became of it and why, how its time was spent, why it went where it went, and every field.

import type { ComponentChildren } from "preact";
import { bytes, milliseconds } from "../../format";
import { Icon } from "../../parts/Icon";
import { clock, FLAGS, outcome, party, request, verdict, version, type Exchange } from "./record";
import { Why } from "./Why";

interface Props {
  one: Exchange;
  onClose: () => void;
}

export function RequestPanel({ one, onClose }: Props) {
  return (
    <aside class="panel requests-panel" aria-label="Request">
      <header class="requests-panel-head">
        <div>
          <p class="requests-what mono">
            {one.method ? <b class="method">{one.method}</b> : null} {request(one)}
          </p>
          <p class="faint">
            {party(one.source)} → {party(one.destination)}
            {version(one.version) ? ` ${one.version}` : ""} at {clock(one.time)}
          </p>
        </div>
        <button class="icon" onClick={onClose} aria-label="Close" title="Close (Esc)">
          <Icon name="close" />
        </button>
      </header>
      <Outcome one={one} />
      <Timeline one={one} />
      <Why key={one.key} one={one} />
      <Fields one={one} />
    </aside>
  );
}

function Outcome({ one }: { one: Exchange }) {
  const flag = one.flags[0];
  return (
    <p class={`requests-outcome${one.failed ? " has-failed" : ""}`}>
      <i class={`pill is-${verdict(one)}`}>{outcome(one)}</i>
      {flag ? (
        <span>
          <b class="flag">{flag}</b> {FLAGS[flag] ?? "ended by the mesh"}
        </span>
      ) : (
        <span>{one.failed ? "the application's own answer: an error of the service" : "the application's answer, passed on as it is"}</span>
      )}
    </p>
  );
}

function Timeline({ one }: { one: Exchange }) {
  const whole = one.duration_ms ?? 0;
  const waiting = Math.min(one.upstream_ms ?? 0, whole);
  const width = (ms: number) => ({ width: `${whole ? Math.max(0.5, (ms / whole) * 100) : 0}%` });
  return (
    <section>
      <div class="requests-section">
        <h3>Time</h3>
        <span class="mono">{milliseconds(one.duration_ms)}</span>
      </div>
      <div class="timeline" role="img" aria-label={`${milliseconds(waiting)} until the answer began, ${milliseconds(whole)} in all`}>
        {waiting ? <i class="timeline-wait" style={width(waiting)} /> : null}
        <i class={waiting ? "timeline-rest" : "timeline-own"} style={width(whole - waiting)} />
      </div>
      <ul class="timeline-legend">
        {waiting ? (
          <>
            <li>
              <i class="timeline-wait" /> {milliseconds(waiting)} waiting for {one.workload}
            </li>
            <li>
              <i class="timeline-rest" /> {milliseconds(whole - waiting)} for everything else
            </li>
          </>
        ) : (
          <li>
            <i class="timeline-own" /> {one.attempts ? "no instance answered" : "no instance was asked"}: {milliseconds(whole)} in the mesh
          </li>
        )}
        {one.attempts ? <li>{one.attempts === 1 ? "one try" : `${one.attempts} tries`}</li> : null}
      </ul>
    </section>
  );
}

function Fields({ one }: { one: Exchange }) {
  const spaced = (text: string) => (version(text) ? ` ${text}` : "");
  const kind = (text: string) => (text && text !== "service" && text !== "unknown" ? ` (${text})` : "");
  const fields: [string, ComponentChildren][] = [
    ["from", `${party(one.source)}${spaced(one.source_version)}${kind(one.source_kind)}`],
    ["from workload", one.source_workload],
    ["to", `${party(one.destination)}${spaced(one.version)}${kind(one.destination_kind)}`],
    ["to workload", one.workload],
    ["at", one.address],
    ["route", one.route],
    ["host", one.authority],
    ...Object.entries(one.headers),
    ["server name", one.sni],
    ["protocol", `${one.protocol}${one.http_version ? ` over HTTP/${one.http_version.toFixed(one.http_version < 2 ? 1 : 0)}` : ""}`],
    ["status", one.status || "no answer"],
    ["grpc-status", one.grpc_status],
    ["received", bytes(one.bytes_received)],
    ["sent", bytes(one.bytes_sent)],
    ["user agent", one.user_agent],
    ["request id", one.id],
    ["trace id", one.trace_id],
    ["time", one.time],
  ];
  return (
    <section>
      <h3>Everything recorded</h3>
      <dl class="requests-fields">
        {fields
          .filter(([, value]) => value !== "" && value !== null && value !== "unknown")
          .map(([name, value]) => (
            <>
              <dt>{name}</dt>
              <dd class="mono">{value}</dd>
            </>
          ))}
      </dl>
    </section>
  );
}
