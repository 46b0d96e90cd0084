// The house: the bar on top, the page below it, and what the mesh as a whole has to say.

import { useEffect, useState } from "preact/hooks";
import type { ComponentType } from "preact";
import { helping } from "./keys";
import { connection, status } from "./live";
import { PAGES, type Page } from "./pages";
import { Empty } from "./parts/Empty";
import { KeyList } from "./parts/KeyList";
import { TopBar } from "./parts/TopBar";
import { route } from "./router";

export function App() {
  const page = PAGES.find((one) => one.name === route.value.page);
  useEffect(() => {
    const project = status.value?.project;
    document.title = [page?.title, project, "composemesh"].filter(Boolean).join(" · ");
  }, [page, status.value?.project]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the page
      </a>
      <TopBar page={page} />
      {connection.value === "lost" ? (
        <p class="notice is-bad" role="alert">
          The mesh does not answer. {status.value ? "What you see is the last it said." : ""} Trying again…
        </p>
      ) : null}
      <main id="main" tabIndex={-1}>
        {page ? <Loaded key={page.name} page={page} /> : <Empty title="No such page" text="The tabs above lead to those there are." />}
      </main>
      {helping.value ? <KeyList page={page} /> : null}
    </>
  );
}

/** The fragment is the router's: the link that leads over the bar moves the focus by itself. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

const loaded = new Map<string, ComponentType>();

function Loaded({ page }: { page: Page }) {
  const [Shown, show] = useState<ComponentType | undefined>(() => loaded.get(page.name));
  const [problem, say] = useState("");
  useEffect(() => {
    if (Shown) return;
    page.load().then(
      (component) => {
        loaded.set(page.name, component);
        show(() => component);
      },
      () => say("This page could not be loaded: the mesh has ended, or was updated. Load the page again."),
    );
  }, [page]);
  if (problem) return <Empty title="Not there" text={problem} />;
  return Shown ? <Shown /> : null;
}
