// Nothing is chosen: what a new resource may begin as.

import { token } from "../../token";
import type { Known } from "./ConfigPage";
import { address } from "./resources";
import { ReadOnly } from "./ReadOnly";
import { TEMPLATES } from "./templates";

export function Start({ known }: { known: Known }) {
  return (
    <div class="config-start">
      {token.value ? null : <ReadOnly />}
      <h2>{known.resources.length ? "Choose a resource, or begin a new one" : "Begin with a resource"}</h2>
      <p class="faint">It is tried while you write, shown as a difference before it counts, and can be taken back.</p>
      <div class="config-templates">
        {TEMPLATES.map((one) => (
          <a class="card" href={address("new", one.name)}>
            <b>{one.title}</b>
            <span class="faint">{one.about}</span>
          </a>
        ))}
      </div>
    </div>
  );
}
