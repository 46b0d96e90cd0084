// What applying would change: the texts line by line, and what traffic notices of it.

import type { Difference } from "./resources";
import { title } from "./resources";

interface Props {
  review: Difference;
  busy: boolean;
  onApply: () => void;
  onBack: () => void;
}

export function Review({ review, busy, onApply, onBack }: Props) {
  const nothing = review.resources.length === 0;
  return (
    <div class="review" role="region" aria-label="What would change">
      <div class="review-bar">
        <p>
          {nothing ? (
            "Only comments or blanks differ: nothing would change."
          ) : (
            <>
              <b>{review.effects.length ? `Changes ${review.effects.join(", ")}` : "Traffic will not notice a difference"}</b>
              <span class="faint"> from the next request on</span>
            </>
          )}
        </p>
        <button onClick={onBack} disabled={busy}>
          Back to the text
        </button>
        <button class="primary" onClick={onApply} disabled={busy || !review.accepted} autoFocus>
          Apply
        </button>
      </div>
      <div class="review-all">
        {review.resources.map((one) => (
          <article class="diff">
            <h4>
              {title(one)} <span class="faint">{one.before ? (one.after ? "changed" : "deleted") : "new"}</span>
            </h4>
            <pre>{lines(one.diff)}</pre>
          </article>
        ))}
      </div>
    </div>
  );
}

function lines(diff: string) {
  let old = 0;
  let fresh = 0;
  return diff
    .split("\n")
    .slice(2)
    .map((line) => {
      const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)/.exec(line);
      if (hunk) {
        old = Number(hunk[1]);
        fresh = Number(hunk[2]);
        return old <= 1 ? null : <span class="diff-hunk">⋯</span>;
      }
      const sign = line[0];
      const numbers = sign === "+" ? ["", fresh++] : sign === "-" ? [old++, ""] : [old++, fresh++];
      const kind = sign === "+" ? " is-added" : sign === "-" ? " is-removed" : "";
      return (
        <span class={`diff-line${kind}`}>
          <i>{numbers[0]}</i>
          <i>{numbers[1]}</i>
          <b>{sign}</b>
          {line.slice(1)}
        </span>
      );
    });
}
