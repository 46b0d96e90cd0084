// Who runs a service: each instance, where it is, how it is, and whether its traffic comes to the mesh.

import { toneOfWorkload } from "../../health";
import type { Service } from "../../shapes";

export function Instances({ service }: { service: Service }) {
  return (
    <section class="card" aria-label="Instances">
      <h2>
        Instances <span class="count">{service.workloads.length}</span>
      </h2>
      <table class="table">
        <thead>
          <tr>
            <th>Instance</th>
            <th>Version</th>
            <th>Address</th>
            <th>Health</th>
            <th>Captured</th>
          </tr>
        </thead>
        <tbody>
          {service.workloads.map((one) => (
            <tr data-instance={one.name}>
              <td class="cut">{one.name}</td>
              <td>
                <span class="chip cut">{one.version || "–"}</span>
              </td>
              <td class="mono">{one.address || "–"}</td>
              <td>
                {one.health === "none" ? (
                  <span class="faint" title="The image declares no health check.">
                    not checked
                  </span>
                ) : (
                  <span class={`dot is-${toneOfWorkload(one)}`}>{one.health}</span>
                )}
              </td>
              <td>
                {one.captured ? <span class="dot is-good">yes</span> : <span class="is-warn">{one.reason || "no"}</span>}
                {one.captured && one.reason ? <span class="faint"> {one.reason}</span> : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
