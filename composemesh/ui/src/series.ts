// Traffic over time, asked for as long as a chart of it is in sight: the mesh keeps an hour of it anyway.

import { useEffect, useState } from "preact/hooks";
import { api } from "./api";
import { connection } from "./live";
import type { Point } from "./shapes";

/** Windows that charts and the graph can look through, and how often a chart of one changes. */
export const WINDOWS: { value: string; title: string; every: number }[] = [
  { value: "10s", title: "10 s", every: 2000 },
  { value: "60s", title: "1 min", every: 2000 },
  { value: "5m", title: "5 min", every: 5000 },
  { value: "1h", title: "1 h", every: 30_000 },
];

/** Empty until the mesh has answered. An end is as in `/api/v1/series`. */
export function useSeries(source: string, destination: string, window: string): Point[] {
  const [points, set] = useState<Point[]>([]);
  useEffect(() => {
    set([]);
    const asking = new AbortController();
    const look = async () => {
      if (document.hidden || connection.value === "lost") return;
      try {
        const said = await api.series({ source, destination, window }, asking.signal);
        set(settled(said.points));
      } catch {
        // the bar on top says that the mesh does not answer
      }
    };
    void look();
    const every = WINDOWS.find((one) => one.value === window)?.every ?? 5000;
    const timer = globalThis.setInterval(() => void look(), every);
    return () => {
      asking.abort();
      globalThis.clearInterval(timer);
    };
  }, [source, destination, window]);
  return points;
}

/** Without the last step as long as it is less than half over: its rates jump. */
function settled(points: Point[]): Point[] {
  const last = points.at(-1);
  const before = points.at(-2);
  return last && before && last.seconds < before.seconds / 2 ? points.slice(0, -1) : points;
}
