// What the mesh says of a text: in a word beside the title, and in full below the text.

import { place, type Problem, type Verdict } from "./resources";

const TONES: Record<Problem["severity"], string> = { error: "is-bad", warning: "is-notice", info: "is-none" };

interface Props {
  /** null while the mesh is asked. */
  verdict: Verdict | null;
  edited: boolean;
}

export function State({ verdict, edited }: Props) {
  if (!verdict) return <span class="config-state faint">trying…</span>;
  const errors = verdict.problems.filter((one) => one.severity === "error").length;
  if (errors) return <span class="config-state is-bad">{errors === 1 ? "1 error" : `${errors} errors`}</span>;
  return <span class={`config-state ${edited ? "is-good" : "faint"}`}>{edited ? "valid" : "in force"}</span>;
}

/** Every problem, those of the text first; or what traffic would notice. */
export function Findings({ verdict, edited }: Props) {
  if (!verdict || (verdict.problems.length === 0 && !edited)) return null;
  if (verdict.problems.length === 0) {
    const effects = verdict.effects.join(", ");
    return <p class="config-foot faint">{effects ? `Changes ${effects}.` : "Traffic will not notice a difference."}</p>;
  }
  const own = verdict.problems.filter((one) => one.file === verdict.file);
  const others = verdict.problems.filter((one) => one.file !== verdict.file);
  return (
    <ul class="config-foot config-findings" aria-label="Problems of this text">
      {[...own, ...others].map((one) => (
        <li>
          <i class={`spot ${TONES[one.severity]}`} />
          <span class="mono faint">{one.file === verdict.file ? [one.line, one.column].filter(Boolean).join(":") : place(one)}</span>
          <span>
            {one.message} <b>{one.hint}</b>
          </span>
        </li>
      ))}
    </ul>
  );
}
