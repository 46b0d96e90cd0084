// The keys, listed over the page.

import { useEffect, useRef } from "preact/hooks";
import { helping } from "../keys";
import { PAGES, type Page } from "../pages";

const EVERYWHERE: [string, string][] = [
  ["?", "this list"],
  ["t", "dark, light, or as the system says"],
];

export function KeyList({ page }: { page: Page | undefined }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current!;
    element.showModal();
    return () => element.close();
  }, []);
  const close = () => (helping.value = false);
  return (
    <dialog ref={dialog} class="keys" aria-label="Keys" onClose={close} onClick={(event) => event.target === dialog.current && close()}>
      <div class="keys-lists">
        <List title="Everywhere" keys={[...PAGES.map((one, index): [string, string] => [String(index + 1), one.title]), ...EVERYWHERE]} />
        {page ? <List title={page.title} keys={page.keys} /> : null}
      </div>
    </dialog>
  );
}

function List({ title, keys }: { title: string; keys: [string, string][] }) {
  return (
    <section>
      <h2>{title}</h2>
      <dl>
        {keys.map(([key, text]) => (
          <div>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
