// The explanation of one request: each rule that was tried, what came of it, and where it is written.

import { useEffect, useState } from "preact/hooks";
import { inWords, place, wholePlace } from "../../place";
import { href } from "../../router";
import type { Explanation, Step } from "../../shapes";
import { explain, isExplained } from "./explanation";
import { party, type Exchange } from "./record";

export function Why({ one }: { one: Exchange }) {
  const [headers, setHeaders] = useState<string[]>([]);
  const [said, setSaid] = useState<Explanation | null>(null);
  const [problem, setProblem] = useState("");
  const explained = isExplained(one);

  useEffect(() => {
    if (!explained) return;
    const asking = new AbortController();
    explain(one, headers, asking.signal).then(
      (answer) => {
        setSaid(answer);
        setProblem("");
      },
      (error: unknown) => {
        if (!asking.signal.aborted) setProblem(error instanceof Error ? error.message : String(error));
      },
    );
    return () => asking.abort();
  }, [one, headers]);

  return (
    <section class="why" aria-label="Explanation">
      <h3>Why it went there</h3>
      {!explained ? <p class="faint">A connection is led by its address and port alone: there are no rules to tell of.</p> : null}
      {problem ? <p class="is-bad">{problem}</p> : null}
      {said ? <Decision said={said} one={one} /> : null}
      {said ? (
        <ol class="why-steps">
          {stepsOf(said, one).map((step) => (
            <StepLine step={step} />
          ))}
        </ol>
      ) : null}
      {explained ? <Headers headers={headers} onChange={setHeaders} /> : null}
    </section>
  );
}

function Decision({ said, one }: { said: Explanation; one: Exchange }) {
  const { decision } = said;
  const differs = one.route !== "" && decision.route !== null && one.route !== decision.route;
  return (
    <>
      <p class="why-decision">
        <span title={inWords(decision.rule ?? "")}>
          {decision.rule?.split(" (")[0] ?? (decision.route ? "No rule speaks of it: it goes to the service" : "No rule matches")}
        </span>
        {decision.split.length > 0 ? (
          <span class="why-split">
            {decision.split.map((arm) => (
              <span class="chip">
                {arm.backend} {decision.split.length > 1 ? <b>{Math.round(arm.share * 100)} %</b> : null}
              </span>
            ))}
          </span>
        ) : null}
        {decision.actions.map((action) => (
          <span class="chip is-notice">{action}</span>
        ))}
      </p>
      {differs ? (
        <p class="why-note">
          It was decided by <b>{one.route}</b>: the rules have changed since, or a header mattered that is not recorded. Say it
          below.
        </p>
      ) : null}
    </>
  );
}

/** Whoever was failed on purpose got no further than that: what would have come then is not told. */
function stepsOf({ decision, steps }: Explanation, one: Exchange): Step[] {
  const fault = decision.actions.find((action) => action.startsWith("fault: "));
  if (!one.flags.includes("FI") || !fault) return steps;
  const [last] = steps.filter((step) => step.stage === "route" && step.matched).slice(-1);
  if (!last) return steps;
  const [candidate, because] = [fault.slice("fault: ".length), "the mesh answered itself: no instance was asked"];
  return [...steps.slice(0, steps.indexOf(last) + 1), { ...last, stage: "fault", candidate, because }];
}

function StepLine({ step }: { step: Step }) {
  const [kind, name] = (step.resource ?? "").split(" ");
  const at = { file: step.file ?? "", line: step.line };
  const link = kind && name && kind !== "x-mesh" ? href("config", [kind, name], { line: step.line ?? "" }) : "";
  return (
    <li class={step.matched ? "is-matched" : ""}>
      <span class="why-mark" aria-label={step.matched ? "matched" : "not matched"}>
        {step.matched ? "✓" : "✕"}
      </span>
      <span class="why-text">
        <span class="why-stage">{step.stage}</span> <b>{step.stage === "caller" ? party(step.candidate) : step.candidate}</b>
        <span class="why-because">{step.because}</span>
      </span>
      {at.file ? (
        link ? (
          <a class="why-place mono" href={link} title={wholePlace(at)}>
            {place(at)}
          </a>
        ) : (
          <span class="why-place mono faint" title={wholePlace(at)}>
            {place(at)}
          </span>
        )
      ) : null}
    </li>
  );
}

function Headers({ headers, onChange }: { headers: string[]; onChange: (headers: string[]) => void }) {
  const [text, setText] = useState("");
  const add = (event: Event) => {
    event.preventDefault();
    if (!/^[^\s:]+\s*:/.test(text)) return;
    onChange([...headers, text.trim()]);
    setText("");
  };
  return (
    <form class="why-headers" onSubmit={add}>
      {headers.map((header) => (
        <button type="button" class="chip" onClick={() => onChange(headers.filter((one) => one !== header))} title="Take it out">
          {header} ×
        </button>
      ))}
      <input
        type="text"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        placeholder="What if it had a header…  end-user: jason"
        aria-label="A header to explain with"
        spellcheck={false}
      />
    </form>
  );
}
