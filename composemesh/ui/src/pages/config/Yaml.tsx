// The editor in the page. Its code is fetched when it is first shown.

import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../../api";
import { envelope, type Schema } from "./completion";
import type { Handle } from "./editor";
import type { Problem } from "./resources";

/** A text to show. Another object is another opening: what was typed since the last one goes. */
export interface Opening {
  text: string;
}

interface Props {
  opening: Opening;
  readOnly: boolean;
  problems: Problem[];
  /** A line to go to, from 1. */
  line?: number;
  onChange: (text: string) => void;
}

export function Yaml({ opening, readOnly, problems, line, onChange }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const [handle, setHandle] = useState<Handle | null>(null);
  const [failure, setFailure] = useState("");
  const latest = useRef(onChange);
  latest.current = onChange;

  useEffect(() => {
    let opened: Handle | null = null;
    let gone = false;
    import("./editor").then(
      ({ edit }) => {
        if (gone) return;
        opened = edit(frame.current!, { onChange: (now) => latest.current(now), schemaOf });
        setHandle(opened);
      },
      () => setFailure("The editor could not be loaded: reload the page."),
    );
    return () => {
      gone = true;
      opened?.close();
    };
  }, []);
  useEffect(() => {
    handle?.open(opening.text, readOnly);
  }, [handle, opening, readOnly]);
  useEffect(() => handle?.mark(problems), [handle, opening, problems]);
  useEffect(() => {
    if (handle && line) handle.reveal(line);
  }, [handle, line]);

  return failure ? <p class="is-bad">{failure}</p> : <div class="yaml" ref={frame} />;
}

const schemas = new Map<string, Promise<Schema | null>>();

function schemaOf(kind: string): Promise<Schema | null> {
  let found = schemas.get(kind);
  if (!found) {
    found = (kind ? ofKind(kind) : ofNoKind()).catch(() => null);
    schemas.set(kind, found);
  }
  return found;
}

type Kinds = { kinds: { kind: string; api_version: string }[] };

async function ofNoKind(): Promise<Schema> {
  return envelope((await get<Kinds>("/api/v1/schema")).kinds);
}

/** Asked for only where there is such a kind: half a word is none. */
async function ofKind(kind: string): Promise<Schema | null> {
  const { kinds } = await get<Kinds>("/api/v1/schema");
  return kinds.some((one) => one.kind === kind) ? get<Schema>(`/api/v1/schema/${encodeURIComponent(kind)}`) : schemaOf("");
}
