// One resource: read, edited, tried while it is typed, compared, applied, deleted.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError } from "../../api";
import { status } from "../../live";
import { token } from "../../token";
import type { Known } from "./ConfigPage";
import { Confirm } from "./Confirm";
import { draftOf, drop, keep } from "./drafts";
import { ReadOnly } from "./ReadOnly";
import {
  EDITOR,
  address,
  apply,
  difference,
  history,
  key,
  list,
  place,
  read,
  remove,
  title,
  told,
  undo,
  validate,
  type Change,
  type Difference,
  type Key,
  type Problem,
  type Resource,
  type Step,
  type Verdict,
  type Written,
} from "./resources";
import { Review } from "./Review";
import { TEMPLATES } from "./templates";
import { Yaml, type Opening } from "./Yaml";

/** Milliseconds after the last key until the mesh is asked what is wrong. */
const TYPING = 250;

interface Props {
  of?: Key;
  template?: string;
  /** A line of the resource's file to go to. */
  line?: number;
  known: Known;
  /** Tells the page what has changed; returns what there is now. */
  onChanged: (change: Change) => Promise<Resource[]>;
}

export function EditorPane({ of, template, line, known, onChanged }: Props) {
  const here = of ? address(of.kind, of.name) : address("new", template ?? "");
  const [base, setBase] = useState<Written | null>(null);
  const [text, setText] = useState<string | null>(null);
  const [opening, setOpening] = useState<Opening>({ text: "" });
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const [review, setReview] = useState<Difference | null>(null);
  const [failure, setFailure] = useState("");
  const [conflict, setConflict] = useState<Written | "gone" | null>(null);
  const [asking, setAsking] = useState<"" | "delete" | "discard">("");
  const [busy, setBusy] = useState(false);
  const changing = token.value !== "";
  const current = of ? known.resources.find((one) => one.kind === of.kind && one.name === of.name) : undefined;
  const edited = text !== null && text !== (base?.text ?? "");
  const latest = useRef("");
  latest.current = text ?? "";
  const show = (shown: string) => {
    setText(shown);
    setOpening({ text: shown });
  };

  const start = async () => {
    const draft = draftOf(here);
    if (draft) {
      setBase(draft.base);
      show(draft.text);
    } else if (of) {
      const found = await read({ ...of, ...(current ? { api_version: current.api_version } : {}) });
      setBase(found);
      show(found.text);
    } else {
      const { service, versions } = example();
      show(TEMPLATES.find((one) => one.name === template)?.text(service, versions) ?? "");
    }
  };
  useEffect(() => {
    start().catch((error: unknown) => setFailure(words(error)));
  }, []);

  // Others edit, too: what was not touched here follows.
  useEffect(() => {
    if (base && !current && !edited && !busy) location.hash = address();
    if (base && current && (current.version !== base.version || current.applied !== base.applied) && !edited && !review) {
      void read(current).then((found) => {
        setBase(found);
        show(found.text);
      });
    }
  }, [current?.version, current?.applied]);

  useEffect(() => {
    if (text === null) return;
    keep(here, { base, text });
    setVerdict(null);
    const trying = new AbortController();
    const timer = window.setTimeout(() => {
      validate(text, trying.signal).then(
        (answer) => {
          setVerdict(answer);
          setFailure("");
        },
        (error: unknown) => {
          if (!trying.signal.aborted) setFailure(words(error));
        },
      );
    }, TYPING);
    return () => {
      window.clearTimeout(timer);
      trying.abort();
    };
  }, [text, base]);

  const act = (what: () => Promise<void>) => async () => {
    setBusy(true);
    setFailure("");
    try {
      await what();
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) await meet();
      else setFailure(words(error));
    } finally {
      setBusy(false);
    }
  };
  const compare = act(async () => {
    if (!verdict?.accepted || !edited) return;
    setReview(await difference(latest.current));
  });
  const carryOut = act(async () => {
    const expect = review!.created.map((one) => ({ ...key(one), version: "" }));
    if (base && !review!.created.some((one) => title(one) === title(base))) expect.push({ ...key(base), version: base.version });
    const change = await apply(latest.current, expect);
    setReview(null);
    if (!change.accepted) {
      setVerdict({ ...verdict!, accepted: false, problems: change.problems });
      return;
    }
    await changed(change);
  });
  const meet = async () => {
    setReview(null);
    if (!base) {
      setFailure("Somebody made a resource of this name meanwhile: look at it in the list, or choose another name.");
      return;
    }
    const found = (await list()).resources.find((one) => title(one) === title(base));
    setConflict(found ? await read(found) : "gone");
  };
  const changed = async (change: Change) => {
    drop(here);
    const resources = await onChanged(change);
    const main = verdict?.resources[0];
    if (main && (!of || main.name !== of.name || main.kind !== of.kind)) {
      location.hash = address(main.kind, main.name);
    } else if (of) {
      const found = resources.find((one) => title(one) === title(of));
      if (found) {
        const now = await read(found);
        setBase(now);
        show(now.text);
      } else location.hash = address();
    }
  };
  const takeOut = act(async () => {
    setAsking("");
    const change = await remove(base!);
    if (!change.accepted) setFailure(change.problems[0]?.message ?? "It can't be deleted.");
    else await changed(change);
  });

  const own = useMemo(() => (verdict?.problems ?? []).filter((one) => one.file === EDITOR), [verdict]);
  const others = (verdict?.problems ?? []).filter((one) => one.file !== EDITOR);
  if (text === null) return <div class="empty">{failure ? <p class="is-bad">{failure}</p> : <p class="faint">Reading…</p>}</div>;

  return (
    <>
      <header class="config-head">
        <div>
          <h2>{of ? title(of) : (TEMPLATES.find((one) => one.name === template)?.title ?? "New resource")}</h2>
          <Origin base={base} />
        </div>
        {review ? null : (
          <div class="config-actions">
            <State verdict={verdict} edited={edited} />
            {base?.applied && changing ? (
              <button class="quiet is-bad" disabled={busy} onClick={() => setAsking("delete")}>
                Delete…
              </button>
            ) : null}
            {edited && base ? (
              <button class="quiet" disabled={busy} onClick={() => setAsking("discard")}>
                Discard…
              </button>
            ) : null}
            {changing ? (
              <button class="primary" disabled={busy || !edited || !verdict?.accepted} onClick={compare} title="Ctrl+S">
                Review and apply
              </button>
            ) : null}
          </div>
        )}
      </header>
      {changing ? null : <ReadOnly />}
      {failure ? <p class="config-banner is-bad">{failure}</p> : null}
      {conflict ? (
        <p class="config-banner is-notice" role="alert">
          <span>
            <b>Somebody else was faster:</b> {conflict === "gone" ? "it was deleted" : "it has changed"} since you began.
          </span>
          <button
            onClick={() => {
              drop(here);
              if (conflict === "gone") location.hash = address();
              else {
                setBase(conflict);
                show(conflict.text);
              }
              setConflict(null);
            }}
          >
            Take theirs
          </button>
          <button
            onClick={() => {
              setBase(conflict === "gone" ? null : conflict);
              setConflict(null);
            }}
          >
            Keep mine, compare with theirs
          </button>
        </p>
      ) : null}
      {review ? (
        <Review review={review} busy={busy} onApply={carryOut} onBack={() => setReview(null)} />
      ) : (
        <div class="config-editor">
          <Yaml
            opening={opening}
            readOnly={!changing}
            problems={own}
            line={line && base ? line - base.text_line + 1 : 0}
            onChange={setText}
            onSave={compare}
          />
        </div>
      )}
      {review ? null : <Findings own={own} others={others} verdict={verdict} edited={edited} />}
      {asking === "delete" ? (
        <Confirm
          title={`Delete ${title(base!)}?`}
          text={
            base!.overrides
              ? `What stands in ${place(base!.overrides)} comes into force again.`
              : "Traffic goes as if it had never been there, from the next request on."
          }
          action="Delete"
          onYes={takeOut}
          onNo={() => setAsking("")}
        />
      ) : null}
      {asking === "discard" ? (
        <Confirm
          title="Discard your edit?"
          text="The text goes back to what is in force."
          action="Discard"
          onYes={() => {
            setAsking("");
            drop(here);
            show(base!.text);
          }}
          onNo={() => setAsking("")}
        />
      ) : null}
    </>
  );
}

function Origin({ base }: { base: Written | null }) {
  if (!base) return <p class="faint">New: it is kept by the mesh until it is deleted, also over a restart.</p>;
  if (base.applied) {
    return (
      <p class="faint">
        <b class="config-live">live</b> applied to the running mesh
        {base.overrides ? (
          <>
            , in the place of <span class="mono" title={base.overrides.file}>{place(base.overrides)}</span>
          </>
        ) : null}
      </p>
    );
  }
  return (
    <p class="faint">
      <span class="mono" title={base.file}>
        {place(base)}
      </span>{" "}
      — an edit here goes before it while the file stays as it is
    </p>
  );
}

function State({ verdict, edited }: { verdict: Verdict | null; edited: boolean }) {
  if (!verdict) return <span class="config-state faint">trying…</span>;
  const errors = verdict.problems.filter((one) => one.severity === "error").length;
  if (errors) return <span class="config-state is-bad">{errors === 1 ? "1 error" : `${errors} errors`}</span>;
  return <span class={`config-state ${edited ? "is-good" : "faint"}`}>{edited ? "valid" : "in force"}</span>;
}

interface FindingsProps {
  own: Problem[];
  others: Problem[];
  verdict: Verdict | null;
  edited: boolean;
}

/** What is wrong, below the text; or what traffic would notice. */
function Findings({ own, others, verdict, edited }: FindingsProps) {
  const every = [...own, ...others];
  if (!verdict || (every.length === 0 && !edited)) return null;
  if (every.length === 0) {
    const effects = verdict.effects.join(", ");
    return <p class="config-foot faint">{effects ? `Changes ${effects}.` : "Traffic will not notice a difference."}</p>;
  }
  return (
    <ul class="config-foot config-findings" aria-label="Problems of this text">
      {every.map((one) => (
        <li class={`is-${one.severity}`}>
          <i class={`spot is-${one.severity === "error" ? "bad" : one.severity === "warning" ? "notice" : "faint"}`} />
          <span class="mono faint">{one.file === EDITOR ? `${one.line}:${one.column}` : place(one)}</span>
          <span>
            {one.message} <b>{one.hint}</b>
          </span>
        </li>
      ))}
    </ul>
  );
}

/** A service of the mesh with its versions, for a template: one that has several, if there is one. */
function example(): { service: string; versions: string[] } {
  const services = status.value?.services ?? [];
  const chosen = services.find((one) => one.versions.length > 1) ?? services[0];
  return { service: chosen?.name ?? "reviews", versions: chosen?.versions ?? [] };
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
