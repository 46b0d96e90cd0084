// One resource while it is edited: what it was made from, its text, what the mesh says of it, and what is done with it.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../../api";
import { status } from "../../live";
import { draftOf, drop, keep } from "./drafts";
import {
  address,
  apply,
  difference,
  key,
  list,
  read,
  remove,
  title,
  validate,
  type Change,
  type Difference,
  type Key,
  type Resource,
  type Verdict,
  type Written,
} from "./resources";
import { TEMPLATES } from "./templates";
import type { Opening } from "./Yaml";

/** Milliseconds after the last key until the mesh is asked what is wrong. */
const TYPING = 250;

interface Options {
  /** The resource; without it, a new one from `template`. */
  of: Key | undefined;
  template: string | undefined;
  resources: Resource[];
  onChanged: (change: Change) => Promise<Resource[]>;
}

export interface Editing {
  /** What is in force; null for what is new. */
  base: Written | null;
  /** null until it is read. */
  text: string | null;
  opening: Opening;
  edited: boolean;
  /** null while the mesh is asked. */
  verdict: Verdict | null;
  /** What would change, once that was asked for. */
  review: Difference | null;
  /** What somebody else has made of it meanwhile. */
  conflict: Written | "gone" | null;
  failure: string;
  busy: boolean;
  write: (text: string) => void;
  compare: () => Promise<void>;
  leaveReview: () => void;
  carryOut: () => Promise<void>;
  takeOut: () => Promise<void>;
  discard: () => void;
  takeTheirs: () => void;
  keepMine: () => void;
}

export function useEditing({ of, template, resources, onChanged }: Options): Editing {
  const here = of ? address(of.kind, of.name) : address("new", template ?? "");
  const [base, setBase] = useState<Written | null>(null);
  const [text, setText] = useState<string | null>(null);
  const [opening, setOpening] = useState<Opening>({ text: "" });
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const [review, setReview] = useState<Difference | null>(null);
  const [conflict, setConflict] = useState<Written | "gone" | null>(null);
  const [failure, setFailure] = useState("");
  const [busy, setBusy] = useState(false);
  const current = of ? resources.find((one) => title(one) === title(of)) : undefined;
  const edited = text !== null && text !== (base?.text ?? "");
  const latest = useRef("");
  latest.current = text ?? "";

  const show = (shown: string) => {
    setText(shown);
    setOpening({ text: shown });
  };
  const open = async (one: Key & { api_version?: string }) => {
    const found = await read(one);
    setBase(found);
    show(found.text);
  };

  useEffect(() => {
    const draft = draftOf(here);
    if (draft) {
      setBase(draft.base);
      show(draft.text);
    } else if (of) {
      open(current ?? of).catch((error: unknown) => setFailure(words(error)));
    } else {
      const { service, versions } = example();
      show(TEMPLATES.find((one) => one.name === template)?.text(service, versions) ?? "");
    }
  }, []);

  // Others edit, too: what was not touched here follows.
  useEffect(() => {
    if (!base || edited || review || busy) return;
    if (!current) location.hash = address();
    else if (current.version !== base.version || current.applied !== base.applied) {
      open(current).catch((error: unknown) => setFailure(words(error)));
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
          if (trying.signal.aborted) return;
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
      setReview(null);
      if (error instanceof ApiError && error.status === 412) await meet();
      else setFailure(words(error));
    } finally {
      setBusy(false);
    }
  };

  /** Somebody else was faster. */
  const meet = async () => {
    if (!base) {
      setFailure("Somebody made a resource of this name meanwhile: look at it in the list, or choose another name.");
      return;
    }
    const found = (await list()).resources.find((one) => title(one) === title(base));
    setConflict(found ? await read(found) : "gone");
  };

  /** A change was carried out: go on with what is there now. */
  const settle = async (change: Change) => {
    drop(here);
    const now = await onChanged(change);
    const first = verdict?.resources[0];
    const shown = of && (!first || title(first) === title(of)) ? of : first;
    const found = shown && now.find((one) => title(one) === title(shown));
    if (!found) location.hash = address();
    else if (address(found.kind, found.name) !== here) location.hash = address(found.kind, found.name);
    else await open(found);
  };

  return {
    base,
    text,
    opening,
    edited,
    verdict,
    review,
    conflict,
    failure,
    busy,
    write: setText,
    compare: act(async () => {
      // The verdict is this text's: another one makes it null.
      if (edited && verdict?.accepted) setReview(await difference(latest.current));
    }),
    leaveReview: () => setReview(null),
    carryOut: act(async () => {
      const fresh = review!.created;
      const expect = fresh.map((one) => ({ ...key(one), version: "" }));
      if (base && !fresh.some((one) => title(one) === title(base))) expect.push({ ...key(base), version: base.version });
      const change = await apply(latest.current, expect);
      setReview(null);
      if (change.accepted) await settle(change);
      else setVerdict({ ...verdict!, accepted: false, problems: change.problems });
    }),
    takeOut: act(async () => {
      const change = await remove(base!);
      if (change.accepted) await settle(change);
      else setFailure(change.problems[0]?.message ?? "It can't be deleted.");
    }),
    discard: () => {
      drop(here);
      show(base!.text);
    },
    takeTheirs: () => {
      drop(here);
      setConflict(null);
      if (conflict === "gone" || !conflict) {
        location.hash = address();
      } else {
        setBase(conflict);
        show(conflict.text);
      }
    },
    keepMine: () => {
      setBase(conflict === "gone" ? null : conflict);
      setConflict(null);
    },
  };
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
