// The configuration: what there is on the left, one of it on the right, to read or to change.

import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { BlockPane } from "./BlockPane";
import { connection, status } from "../../live";
import { route } from "../../router";
import { EditorPane } from "./EditorPane";
import { History } from "./History";
import { inForce, InForce, type Done } from "./InForce";
import { Problems } from "./Problems";
import { address, history, list, told, type Block, type Change, type Problem, type Resource } from "./resources";
import { Sidebar } from "./Sidebar";
import { Start } from "./Start";
import "./config.css";

export interface Known {
  resources: Resource[];
  blocks: Block[];
  problems: Problem[];
}

export function ConfigPage() {
  const [read, setRead] = useState<Omit<Known, "problems"> | null>(null);
  const [failure, setFailure] = useState("");
  const [done, setDone] = useState<Done | null>(null);
  const [what, name] = route.value.rest;
  const line = Number(route.value.query.get("line")) || 0;

  const refresh = useCallback(async (): Promise<Resource[]> => {
    try {
      const { resources, compose } = await list();
      setRead({ resources, blocks: compose });
      setFailure("");
      return resources;
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
      return [];
    }
  }, []);
  const changed = async (change: Change) => {
    const { steps } = await history();
    const resources = await refresh();
    setDone({ text: inForce(change), step: steps[0] ?? null });
    return resources;
  };
  const undone = async (change: Change) => {
    await refresh();
    setDone({ text: `Taken back: ${told(change)}.`, step: null });
  };
  // Others edit, too; and files are read again when somebody saves them.
  const revision = status.value?.revision;
  const reached = connection.value !== "lost";
  useEffect(() => {
    if (reached) void refresh();
  }, [revision, reached]);

  const problems = status.value?.problems;
  const known = useMemo(() => read && { ...read, problems: problems ?? [] }, [read, problems]);
  if (!known) return <div class="empty">{failure ? <p class="is-bad">{failure}</p> : <p class="faint">Reading…</p>}</div>;
  const pane = () => {
    if (what === "problems") return <Problems known={known} />;
    if (what === "history") return <History onChanged={refresh} />;
    if (what === "x-mesh") return <BlockPane block={known.blocks.find((one) => one.service === (name ?? ""))} />;
    if (what === "new" && name)
      return <EditorPane key={address("new", name)} template={name} known={known} onChanged={changed} />;
    if (what && name)
      return <EditorPane key={address(what, name)} of={{ kind: what, name }} line={line} known={known} onChanged={changed} />;
    return <Start known={known} />;
  };
  return (
    <div class="config">
      <Sidebar known={known} here={[what, name]} />
      <section class="config-pane">
        {failure ? <p class="config-banner is-bad">{failure}</p> : null}
        {done ? <InForce key={done.step?.id ?? done.text} done={done} onUndone={undone} onClose={() => setDone(null)} /> : null}
        {pane()}
      </section>
    </div>
  );
}
