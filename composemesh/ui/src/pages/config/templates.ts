// What a new resource may begin as: small documents that do one thing, for a service of this mesh.

export interface Template {
  name: string;
  title: string;
  about: string;
  text: (service: string, versions: string[]) => string;
}

export const TEMPLATES: Template[] = [
  {
    name: "split",
    title: "Split traffic",
    about: "VirtualService: a service's requests, divided between its versions",
    text: (service, versions) => {
      const two = versions.length > 1 ? versions.slice(0, 2) : ["v1", "v2"];
      const arms = two.map((version, index) => `    - destination: {host: ${service}, subset: ${version}}\n      weight: ${index ? 10 : 90}`);
      const subsets = two.map((version) => `  - name: ${version}\n    labels: {version: ${version}}`);
      return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ${service}
spec:
  hosts: [${service}]
  http:
  - route:
${arms.join("\n")}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: ${service}
spec:
  host: ${service}
  subsets:
${subsets.join("\n")}
`;
    },
  },
  {
    name: "fault",
    title: "Inject a fault",
    about: "VirtualService: hold requests back, or fail them",
    text: (service) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ${service}
spec:
  hosts: [${service}]
  http:
  - fault:
      delay:
        percentage: {value: 50}
        fixedDelay: 2s
      abort:
        percentage: {value: 10}
        httpStatus: 503
    route:
    - destination: {host: ${service}}
`,
  },
  {
    name: "limits",
    title: "Protect a service",
    about: "DestinationRule: limits, outlier detection and load balancing",
    text: (service) => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: ${service}
spec:
  host: ${service}
  trafficPolicy:
    loadBalancer: {simple: LEAST_REQUEST}
    connectionPool:
      http: {http1MaxPendingRequests: 100}
    outlierDetection:
      consecutive5xxErrors: 5
      baseEjectionTime: 30s
`,
  },
  {
    name: "outside",
    title: "Name something outside",
    about: "ServiceEntry: a host outside the project, for rules and for the graph",
    text: () => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: example
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports:
  - {number: 443, name: tls, protocol: TLS}
`,
  },
];
