// Dark or light: as the system says, until somebody says otherwise here.

import { effect, signal } from "@preact/signals";

export type Theme = "system" | "dark" | "light";

const KEY = "composemesh-theme";
const ORDER: Theme[] = ["system", "dark", "light"];

export const theme = signal<Theme>(kept());

export function startTheme(): void {
  effect(() => {
    const root = document.documentElement;
    if (theme.value === "system") delete root.dataset["theme"];
    else root.dataset["theme"] = theme.value;
    try {
      localStorage.setItem(KEY, theme.value);
    } catch {
      // then it lasts until the page is loaded again
    }
  });
}

export function nextTheme(): void {
  theme.value = ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length]!;
}

function kept(): Theme {
  try {
    const said = localStorage.getItem(KEY) as Theme | null;
    return said && ORDER.includes(said) ? said : "system";
  } catch {
    return "system";
  }
}
