// The last changes, and the way back: the newest first, one at a time.

import { useEffect, useState } from "preact/hooks";
import { status } from "../../live";
import { token } from "../../token";
import { Confirm } from "./Confirm";
import { ReadOnly } from "./ReadOnly";
import { address, history, title, told, undo, type Key, type Step } from "./resources";

export function History({ onChanged }: { onChanged: () => Promise<unknown> }) {
  const [steps, setSteps] = useState<Step[] | null>(null);
  const [failure, setFailure] = useState("");
  const [done, setDone] = useState("");
  const [asking, setAsking] = useState(false);

  const refresh = () => history().then(({ steps: found }) => setSteps(found));
  const revision = status.value?.revision;
  useEffect(() => {
    refresh().catch((error: unknown) => setFailure(String(error)));
  }, [revision]);

  const back = async () => {
    setAsking(false);
    try {
      const change = await undo(steps![0]!);
      setDone(change.accepted ? told(change) : "");
      setFailure(change.accepted ? "" : (change.problems[0]?.message ?? "It can't be taken back."));
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
    await Promise.all([refresh(), onChanged()]);
  };

  if (!steps) return <div class="empty">{failure ? <p class="is-bad">{failure}</p> : <p class="faint">Reading…</p>}</div>;
  return (
    <>
      <header class="config-head">
        <div>
          <h2>Changes</h2>
          <p class="faint">What was applied and deleted here and by the command line, the newest first. The last 20 are kept.</p>
        </div>
      </header>
      {token.value ? null : <ReadOnly />}
      {failure ? <p class="config-banner is-bad">{failure}</p> : null}
      {done ? (
        <p class="config-banner is-good" role="status">
          <span>
            <b>Taken back</b> — {done}
          </span>
        </p>
      ) : null}
      {steps.length === 0 ? <p class="empty faint">No change to take back.</p> : null}
      <ol class="steps">
        {steps.map((step, index) => (
          <li>
            <time dateTime={step.time}>{new Date(step.time).toLocaleString()}</time>
            <span class="steps-what">
              <Word word="created" keys={step.created} />
              <Word word="configured" keys={step.configured} />
              <Word word="deleted" keys={step.deleted} />
            </span>
            {index === 0 && token.value ? <button onClick={() => setAsking(true)}>Undo…</button> : null}
          </li>
        ))}
      </ol>
      {asking ? (
        <Confirm
          title="Take the last change back?"
          text={`${told(steps[0]!)}: it will be as it was before, from the next request on.`}
          action="Undo"
          onYes={back}
          onNo={() => setAsking(false)}
        />
      ) : null}
    </>
  );
}

function Word({ word, keys }: { word: string; keys: Key[] }) {
  return (
    <>
      {keys.map((one) => (
        <span>
          <b class={`steps-word is-${word}`}>{word}</b>{" "}
          {word === "deleted" ? title(one) : <a href={address(one.kind, one.name)}>{title(one)}</a>}
        </span>
      ))}
    </>
  );
}
