// `x-mesh` of the Compose file: shown here, changed there.

import { useMemo } from "preact/hooks";
import type { Block, Problem } from "./resources";
import { Yaml } from "./Yaml";

const NO_PROBLEMS: Problem[] = [];

export function BlockPane({ block }: { block: Block | undefined }) {
  const opening = useMemo(() => ({ text: block?.text ?? "" }), [block?.text]);
  if (!block) return <p class="empty faint">The Compose file has no such x-mesh any more.</p>;
  return (
    <>
      <header class="config-head">
        <div>
          <h2>{block.service ? `x-mesh of ${block.service}` : "x-mesh of the mesh"}</h2>
          <p class="faint">
            <span class="mono">
              {block.file}:{block.line}
            </span>{" "}
            — edit that file: it is read again as soon as it is saved
          </p>
        </div>
      </header>
      <div class="config-editor">
        <Yaml opening={opening} readOnly problems={NO_PROBLEMS} onChange={() => undefined} />
      </div>
    </>
  );
}
