// Where we look: how far the drawing is moved and enlarged, by wheel, drag, keys and buttons.

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { RefObject } from "preact";
import type { Layout } from "./layout";

export interface View {
  x: number;
  y: number;
  scale: number;
}

const LEAST = 0.25;
const MOST = 2.5;
/** Larger than life a graph is shown by fitting only so far: four nodes need not fill a wall. */
const FIT_MOST = 1.25;

export function useView(frame: RefObject<HTMLDivElement | null>, layout: Layout | null) {
  const [view, set] = useState<View>({ x: 0, y: 0, scale: 1 });
  // Once somebody has moved it, it stays where it is; until then it follows the graph and the window.
  const moved = useRef(false);
  const size = layout ? `${layout.width} ${layout.height}` : "";

  const fit = useCallback(() => {
    const element = frame.current;
    if (!element || !layout || !layout.width) return;
    moved.current = false;
    const scale = Math.min(FIT_MOST, element.clientWidth / layout.width, element.clientHeight / layout.height);
    const kept = Math.max(LEAST, scale);
    set({
      scale: kept,
      x: (element.clientWidth - layout.width * kept) / 2,
      y: (element.clientHeight - layout.height * kept) / 2,
    });
  }, [size]);

  const zoom = useCallback((factor: number, at?: { x: number; y: number }) => {
    const element = frame.current!;
    const { x, y } = at ?? { x: element.clientWidth / 2, y: element.clientHeight / 2 };
    moved.current = true;
    set((before) => {
      const scale = Math.min(MOST, Math.max(LEAST, before.scale * factor));
      const grown = scale / before.scale;
      return { scale, x: x - (x - before.x) * grown, y: y - (y - before.y) * grown };
    });
  }, []);

  const pan = useCallback((x: number, y: number) => {
    moved.current = true;
    set((before) => ({ ...before, x: before.x + x, y: before.y + y }));
  }, []);

  useLayoutEffect(() => {
    if (!moved.current) fit();
    const watcher = new ResizeObserver(() => moved.current || fit());
    watcher.observe(frame.current!);
    return () => watcher.disconnect();
  }, [size]);

  useEffect(() => {
    const element = frame.current!;
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      if (event.ctrlKey || !event.shiftKey) zoom(Math.exp(-event.deltaY * 0.0015), { x: event.clientX - box.left, y: event.clientY - box.top });
      else pan(-event.deltaX - event.deltaY, 0);
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, []);

  const onPointerDown = (event: PointerEvent) => {
    if (event.button !== 0 || (event.target as Element).closest("[data-node], [data-edge], button")) return;
    const element = frame.current!;
    element.setPointerCapture(event.pointerId);
    let last = { x: event.clientX, y: event.clientY };
    const move = (next: PointerEvent) => {
      pan(next.clientX - last.x, next.clientY - last.y);
      last = { x: next.clientX, y: next.clientY };
    };
    const end = () => {
      element.removeEventListener("pointermove", move);
      element.removeEventListener("pointerup", end);
      element.removeEventListener("pointercancel", end);
    };
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", end);
    element.addEventListener("pointercancel", end);
  };

  return { view, fit, zoom, pan, onPointerDown };
}
