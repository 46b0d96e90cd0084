// Three columns that tables of traffic share: how much of it there was, how much failed, and how long it took.

import type { ComponentChildren } from "preact";
import { percent, rate } from "../../format";
import { toneOfErrors } from "../../health";

export function RateHeads() {
  return (
    <>
      <th class="number">Requests / s</th>
      <th class="number">Errors</th>
      <th class="number">p99</th>
    </>
  );
}

interface Props {
  requests: number;
  errors: number;
  /** In which they came. */
  seconds: number;
  /** As it is shown. */
  p99: ComponentChildren;
}

export function Rates({ requests, errors, seconds, p99 }: Props) {
  return (
    <>
      <td class="number">{rate(requests / seconds)}</td>
      <td class={`number ${errors ? `is-${toneOfErrors(requests, errors)}` : ""}`}>{percent(requests ? errors / requests : null)}</td>
      <td class="number">{p99}</td>
    </>
  );
}
