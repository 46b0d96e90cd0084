// Numbers as people read them: three digits that count, a unit, and a dash for what is not known.

export const NOTHING = "–";

export function rate(perSecond: number | null | undefined): string {
  if (perSecond === null || perSecond === undefined) return NOTHING;
  if (perSecond === 0) return "0";
  if (perSecond < 0.01) return "<0.01";
  return short(perSecond);
}

export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return NOTHING;
  const said = share * 100;
  if (said === 100 || said === 0) return `${said}%`;
  if (said > 99.9) return ">99.9%"; // never a round hundred while something failed
  return said < 0.1 ? "<0.1%" : `${said < 10 || said > 99 ? said.toFixed(1) : Math.round(said)}%`;
}

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NOTHING;
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = count;
  let unit = 0;
  for (; size >= 1024 && unit < units.length - 1; unit++) size /= 1024;
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** `1.2k`, `45`, `3.4`, `0.25`. */
export function short(value: number): string {
  if (value >= 1_000_000) return `${(value / 1_000_000).toFixed(1)}M`;
  if (value >= 10_000) return `${Math.round(value / 1000)}k`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)}k`;
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value >= 10 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2);
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
