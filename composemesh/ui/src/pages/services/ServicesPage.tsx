// Services: all of them in a table, or one of them in full.

import { status } from "../../live";
import { Empty } from "../../parts/Empty";
import { route } from "../../router";
import { ServiceDetail } from "./ServiceDetail";
import { ServiceTable } from "./ServiceTable";
import "./services.css";

export function ServicesPage() {
  const mesh = status.value;
  const name = route.value.rest[0];
  if (!mesh) return <div class="page" aria-busy="true" />;
  if (name !== undefined) return <ServiceDetail key={name} name={name} mesh={mesh} />;
  if (!mesh.services.length)
    return (
      <Empty
        icon="services"
        title="No service runs yet"
        text="As soon as a container of the project starts, its service stands here: `docker compose up -d`, or `composemesh up`."
      />
    );
  return <ServiceTable mesh={mesh} />;
}
