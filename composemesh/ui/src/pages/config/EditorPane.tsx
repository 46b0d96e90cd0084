// One resource: its text in the editor, or what would change, and what can be done with it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { token } from "../../token";
import type { Known } from "./ConfigPage";
import { Confirm } from "./Confirm";
import { useEditing, type Editing } from "./editing";
import { Findings, State } from "./Findings";
import { ReadOnly } from "./ReadOnly";
import { place, title, type Change, type Key, type Resource, type Written } from "./resources";
import { Review } from "./Review";
import { TEMPLATES } from "./templates";
import { Yaml } from "./Yaml";

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
  const editing = useEditing({ of, template, resources: known.resources, onChanged });
  const { base, text, verdict, review, failure } = editing;
  const changing = token.value !== "";
  const own = useMemo(() => (verdict?.problems ?? []).filter((one) => one.file === verdict?.file), [verdict]);
  const named = useRef<Key[]>([]);
  if (verdict) named.current = verdict.resources; // while the mesh is asked again, its last answer stands
  const replaced = base ? undefined : known.resources.find((one) => named.current.some((key) => title(key) === title(one)));
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "s" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
      event.preventDefault(); // nobody wants to save this page as a file
      if (changing && !review) void editing.compare();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });
  if (text === null) return <div class="empty">{failure ? <p class="is-bad">{failure}</p> : <p class="faint">Reading…</p>}</div>;
  return (
    <>
      <header class="config-head">
        <div>
          <h2>{of ? title(of) : (TEMPLATES.find((one) => one.name === template)?.title ?? "New resource")}</h2>
          <Origin base={base} replaced={replaced} />
        </div>
        {review ? null : <Actions editing={editing} changing={changing} />}
      </header>
      {changing ? null : <ReadOnly />}
      {failure ? <p class="config-banner is-bad">{failure}</p> : null}
      {editing.conflict ? <Conflict editing={editing} /> : null}
      {review ? (
        <Review review={review} busy={editing.busy} onApply={editing.carryOut} onBack={editing.leaveReview} />
      ) : null}
      {/* Hidden and not gone: whoever comes back finds the cursor, and what Ctrl+Z takes back, as before. */}
      <div class="config-editor" hidden={review !== null}>
        <Yaml
          opening={editing.opening}
          readOnly={!changing}
          problems={own}
          line={line && base ? line - base.text_line + 1 : 0}
          onChange={editing.write}
        />
      </div>
      {review ? null : <Findings verdict={verdict} edited={editing.edited} />}
    </>
  );
}

function Actions({ editing, changing }: { editing: Editing; changing: boolean }) {
  const [asking, setAsking] = useState<"" | "delete" | "discard">("");
  const { base, busy, edited, verdict } = editing;
  const after = (what: () => void) => () => {
    setAsking("");
    what();
  };
  return (
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
        <button class="primary" disabled={busy || !edited || !verdict?.accepted} onClick={editing.compare} title="Ctrl+S">
          Review and apply
        </button>
      ) : null}
      {asking === "delete" ? (
        <Confirm
          title={`Delete ${title(base!)}?`}
          text={
            base!.overrides
              ? `What stands in ${place(base!.overrides)} comes into force again.`
              : "Traffic goes as if it had never been there, from the next request on."
          }
          action="Delete"
          onYes={after(editing.takeOut)}
          onNo={() => setAsking("")}
        />
      ) : null}
      {asking === "discard" ? (
        <Confirm
          title="Discard your edit?"
          text="The text goes back to what is in force."
          action="Discard"
          onYes={after(editing.discard)}
          onNo={() => setAsking("")}
        />
      ) : null}
    </div>
  );
}

function Conflict({ editing }: { editing: Editing }) {
  return (
    <p class="config-banner is-notice" role="alert">
      <span>
        <b>Somebody else was faster:</b> {editing.conflict === "gone" ? "it was deleted" : "it has changed"} since you began.
      </span>
      <button onClick={editing.takeTheirs}>Take theirs</button>
      <button onClick={editing.keepMine}>Keep mine, compare with theirs</button>
    </p>
  );
}

function Origin({ base, replaced }: { base: Written | null; replaced: Resource | undefined }) {
  if (replaced) {
    return (
      <p class="faint">
        Replaces <b>{title(replaced)}</b>,{" "}
        {replaced.applied ? (
          "which is live"
        ) : (
          <>
            which stands in <span class="mono">{place(replaced)}</span>
          </>
        )}
      </p>
    );
  }
  if (!base) return <p class="faint">New: it is kept by the mesh until it is deleted, also over a restart.</p>;
  if (base.applied) {
    return (
      <p class="faint">
        <b class="config-live">live</b> applied to the running mesh
        {base.overrides ? (
          <>
            , in the place of{" "}
            <span class="mono" title={base.overrides.file}>
              {place(base.overrides)}
            </span>
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
