// The pages, in the order of their tabs. Each is loaded when it is first opened: the editor's weight is the Config page's.

import type { ComponentType } from "preact";
import type { IconName } from "./parts/Icon";

export interface Page {
  /** As the address has it. */
  name: string;
  title: string;
  icon: IconName;
  load: () => Promise<ComponentType>;
  /** Keys of its own, for the list of keys. */
  keys: [string, string][];
}

export const PAGES: Page[] = [
  {
    name: "services",
    title: "Services",
    icon: "services",
    load: async () => (await import("./pages/services/ServicesPage")).ServicesPage,
    keys: [
      ["/", "filter the table"],
      ["↑ ↓", "move from service to service"],
      ["Enter", "open one"],
      ["Esc", "back to the table"],
    ],
  },
];
