// Icons: strokes on a 16 by 16 grid, in the colour of the text around them.

const PATHS = {
  graph: "M4.5 4.5 8 8m0 0 3.5-3.5M8 8v3.5M3 5.5A1.5 1.5 0 1 0 3 2.5a1.5 1.5 0 0 0 0 3Zm10 0a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM8 14a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z",
  services: "M2.5 3.5h11v3.5h-11zM2.5 9h11v3.5h-11zM4.8 5.2h.01M4.8 10.8h.01",
  requests: "M2 4.5h9.5M9 2l2.5 2.5L9 7M14 11.5H4.5M7 9l-2.5 2.5L7 14",
  config: "M5.5 3 2 8l3.5 5M10.5 3 14 8l-3.5 5",
  sun: "M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  moon: "M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1Z",
  system: "M2 3h12v8H2zM6 13.5h4M8 11v2.5",
  keys: "M1.5 4h13v8.5h-13zM4 6.7h.01M6.7 6.7h.01M9.3 6.7h.01M12 6.7h.01M4.5 10h7",
  lock: "M4 7.2h8v6H4zM5.7 7.2V5a2.3 2.3 0 0 1 4.6 0v2.2",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8Zm6.5 1.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6Z",
  gateway: "M2.5 14V6.5a5.5 5.5 0 0 1 11 0V14M8 14V5.5M5.2 14V7.6M10.8 14V7.6",
  external: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM2.2 8h11.6M8 2c1.7 1.7 2.5 3.6 2.5 6S9.700 12.300 8 14C6.300 12.300 5.500 10.400 5.500 8S6.300 3.700 8 2Z",
  unknown: "M6 6.2a2 2 0 1 1 2.9 1.8c-.6.3-.9.7-.9 1.4M8 11.6h.01M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z",
  service: "M8 1.8 13.4 4.900v6.200L8 14.200 2.600 11.100V4.900ZM2.700 5 8 8l5.300-3M8 8v6",
  warning: "M8 2.200 14.300 13.200H1.700ZM8 6.300v3.200M8 11.400h.01",
  close: "M4 4l8 8M12 4l-8 8",
  up: "M8 12.500V3.500M4.500 7 8 3.500 11.500 7",
  down: "M8 3.500v9M4.500 9 8 12.500 11.500 9",
  back: "M12.500 8h-9M7 4.500 3.500 8 7 11.500",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.500 6V2.500H6M10 2.500h3.500V6M13.500 10v3.500H10M6 13.500H2.500V10",
  search: "M7 11.500A4.500 4.500 0 1 0 7 2.500a4.500 4.500 0 0 0 0 9ZM10.300 10.300 13.700 13.700",
};

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="glyph" viewBox="0 0 16 16" width={size} height={size} aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
