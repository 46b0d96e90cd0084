// The three charts of whatever has traffic: how much, how much of it failed, and how long it took.

import { bytes, milliseconds, percent, rate } from "../format";
import type { Point } from "../shapes";
import { Chart } from "./Chart";
import { useSeries } from "../series";

interface Props {
  source?: string;
  destination?: string;
  window: string;
  /** Connections, of which nobody knows how long a request took. */
  tcp?: boolean;
}

const perSecond = (count: number, point: Point) => (point.seconds > 0 ? count / point.seconds : null);

export function Charts({ source = "", destination = "", window, tcp = false }: Props) {
  const points = useSeries(source, destination, window);
  return (
    <div class="charts">
      <Chart
        title={tcp ? "Connections / s" : "Requests / s"}
        points={points}
        format={rate}
        lines={[
          { name: "all", tone: "accent", filled: true, value: (point) => perSecond(point.requests, point) },
          { name: "failed", tone: "bad", value: (point) => perSecond(point.errors, point) },
        ]}
      />
      <Chart
        title="Errors"
        points={points}
        format={percent}
        least={0.01}
        lines={[{ name: "errors", tone: "bad", filled: true, value: (point) => (point.requests ? point.errors / point.requests : null) }]}
      />
      {tcp ? (
        <Chart
          title="Bytes / s"
          points={points}
          format={(value) => bytes(value)}
          lines={[
            { name: "to the caller", tone: "accent", value: (point) => perSecond(point.bytes_sent, point) },
            { name: "from the caller", tone: "other", value: (point) => perSecond(point.bytes_received, point) },
          ]}
        />
      ) : (
        <Chart
          title="Latency"
          points={points}
          format={milliseconds}
          lines={[
            { name: "p50", tone: "accent", value: (point) => point.p50_ms },
            { name: "p99", tone: "other", value: (point) => point.p99_ms },
          ]}
        />
      )}
    </div>
  );
}
