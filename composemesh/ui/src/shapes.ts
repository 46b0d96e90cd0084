// The admin API's shapes: docs/reference/admin-api.md says what the fields mean.

export type State = "starting" | "serving" | "degraded";
export type Health = "none" | "starting" | "healthy" | "unhealthy" | "ejected" | "paused" | "stopping";
export type Severity = "error" | "warning" | "info";
export type NodeKind = "service" | "gateway" | "external" | "unknown";

export interface Workload {
  name: string;
  version: string;
  address: string;
  health: Health;
  captured: boolean;
  reason: string;
}

export interface Service {
  name: string;
  versions: string[];
  workloads: Workload[];
  /** Ports that its workloads listen on, as far as the mesh has seen. */
  ports: number[];
  requests_per_second: number;
  success_rate: number | null;
  p50_ms: number | null;
  p99_ms: number | null;
}

export interface Problem {
  severity: Severity;
  code: string;
  message: string;
  hint: string;
  file: string;
  line: number;
  column: number;
  resource: string;
}

export interface Status {
  project: string;
  pid: number;
  version: string;
  state: State;
  admin_url: string;
  xds_url: string;
  mtls: string;
  capture: string;
  services: Service[];
  problems: Problem[];
  /** Goes up with every change of the configuration. */
  revision: number;
}

export interface GraphNode {
  id: string;
  service: string;
  version: string;
  kind: NodeKind;
}

/** What is counted of any traffic. */
export interface Counted {
  requests: number;
  errors: number;
  p50_ms: number | null;
  p99_ms: number | null;
  bytes_sent: number;
  bytes_received: number;
}

export interface GraphEdge extends Counted {
  source: string;
  destination: string;
  protocol: string;
  mtls: boolean;
  /** Connections that are open now; TCP only. */
  open?: number;
}

export interface Graph {
  window_seconds: number;
  /** How much of it the mesh has lived through: what rates are reckoned by. */
  elapsed_seconds: number;
  nodes: GraphNode[];
  edges: GraphEdge[];
}

/** What happened in one stretch of time. */
export interface Point extends Counted {
  /** Seconds between this stretch's beginning and now. */
  ago: number;
  /** How long it is; the last one is not over yet. */
  seconds: number;
}

export interface Series {
  window_seconds: number;
  step_seconds: number;
  points: Point[];
}

export interface Step {
  stage: string;
  candidate: string;
  matched: boolean;
  because: string;
  file: string | null;
  line: number | null;
  resource: string | null;
}

export interface Explanation {
  decision: {
    route: string | null;
    rule: string | null;
    backend: string | null;
    endpoints: { workload: string; version: string; address: string; health: string }[];
    policies: string[];
    split: { backend: string; share: number }[];
    actions: string[];
    filters: { name: string; service: string | null; fail: "open" | "closed"; file: string | null; line: number | null }[];
  };
  steps: Step[];
}

export interface Resource {
  kind: string;
  name: string;
  api_version: string;
  applied: boolean;
  file: string;
  line: number;
  version: string;
  overrides: { file: string; line: number } | null;
  document: { spec?: Record<string, unknown> } & Record<string, unknown>;
}
