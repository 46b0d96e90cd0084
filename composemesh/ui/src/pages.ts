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
    name: "graph",
    title: "Graph",
    icon: "graph",
    load: async () => (await import("./pages/graph/GraphPage")).GraphPage,
    keys: [
      ["/", "find"],
      ["← ↑ → ↓", "move from node to node"],
      ["Enter", "choose one"],
      ["Esc", "choose nothing"],
      ["+ -", "enlarge, reduce"],
      ["0", "show all"],
      ["Shift ←", "move the drawing"],
    ],
  },
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
  {
    name: "requests",
    title: "Requests",
    icon: "requests",
    load: async () => (await import("./pages/requests/RequestsPage")).RequestsPage,
    keys: [
      ["/", "find"],
      ["Space", "pause and resume"],
      ["↑ ↓", "move from request to request"],
      ["Esc", "close the request"],
    ],
  },
  {
    name: "config",
    title: "Config",
    icon: "config",
    load: async () => (await import("./pages/config/ConfigPage")).ConfigPage,
    keys: [
      ["/", "find a resource"],
      ["Ctrl+S", "review and apply"],
      ["Ctrl+Space", "complete"],
      ["F8", "the next problem"],
    ],
  },
];
