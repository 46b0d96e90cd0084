// Requests as they end: one stream from the mesh, a bounded list, and how much of all there was is in it.

import { fits, query, type Filter } from "./filter";
import type { Exchange } from "./record";

/** Requests that the list remembers: an hour of a quiet mesh, twenty seconds of a busy one. */
export const MOST = 2000;
/** Milliseconds between two looks at what has come: the list moves in steps that eyes can follow. */
const PACE = 250;
/** Milliseconds until a mesh that went away is asked again. */
const RETRY = 1000;
/** Seconds over which rates are reckoned. */
const SPAN = 5;

export interface Rates {
  /** Requests a second, all that the filter lets through. */
  all: number;
  /** Of these, those that were told. */
  told: number;
}

export type State = "connecting" | "open" | "lost" | "full";

interface Second {
  at: number;
  all: number;
  told: number;
}

export class Feed {
  /** Newest last. A new array whenever it changes. */
  records: Exchange[] = [];
  /** Those that came while the list stands still. */
  held: Exchange[] = [];
  state: State = "connecting";
  paused = false;

  #next = 0;
  #came: Exchange[] = [];
  #seconds: Second[] = [];
  #source: EventSource | null = null;
  #timer: number | undefined;
  #retry: number | undefined;
  #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Listen to the mesh; what was listened to before is let go. */
  listen(filter: Filter): void {
    this.#source?.close();
    window.clearTimeout(this.#retry);
    if (this.state !== "lost") this.state = "connecting";
    this.#seconds = [];
    const wanted = fits(filter);
    this.records = this.records.filter(wanted);
    this.held = this.held.filter(wanted);
    const source = new EventSource(`/api/v1/tap?${query(filter)}`);
    this.#source = source;
    source.onopen = () => this.#turn("open");
    source.onerror = () => {
      source.close();
      this.#turn("lost");
      this.#retry = window.setTimeout(() => this.listen(filter), RETRY);
    };
    source.addEventListener("record", (event) => {
      this.#came.push({ ...(JSON.parse(event.data) as Exchange), key: this.#next++ });
      this.#count(1, 1);
      this.#soon();
    });
    source.addEventListener("sampled", (event) => {
      const said = JSON.parse(event.data) as { records: number; told: number };
      this.#count(said.records - said.told, 0);
    });
    source.addEventListener("lost", (event) => this.#count((JSON.parse(event.data) as { records: number }).records, 0));
    source.addEventListener("refused", () => {
      source.close();
      this.#turn("full");
    });
    this.#changed();
  }

  close(): void {
    this.#source?.close();
    window.clearTimeout(this.#timer);
    window.clearTimeout(this.#retry);
    this.#timer = undefined;
  }

  pause(): void {
    this.paused = true;
    this.#changed();
  }

  resume(): void {
    this.paused = false;
    this.#take(this.held);
    this.held = [];
    this.#changed();
  }

  clear(): void {
    this.records = [];
    this.held = [];
    this.#changed();
  }

  rates(): Rates {
    const now = Math.floor(Date.now() / 1000);
    const recent = this.#seconds.filter((second) => second.at >= now - SPAN && second.at < now);
    const over = (pick: (second: Second) => number) => recent.reduce((sum, second) => sum + pick(second), 0) / SPAN;
    return { all: over((second) => second.all), told: over((second) => second.told) };
  }

  #turn(state: State): void {
    this.state = state;
    this.#changed();
  }

  #count(all: number, told: number): void {
    const at = Math.floor(Date.now() / 1000);
    let second = this.#seconds.at(-1);
    if (second?.at !== at) {
      second = { at, all: 0, told: 0 };
      this.#seconds = [...this.#seconds.slice(-SPAN), second];
    }
    second.all += all;
    second.told += told;
  }

  #soon(): void {
    this.#timer ??= window.setTimeout(() => {
      this.#timer = undefined;
      if (this.paused) this.held = [...this.held, ...this.#came].slice(-MOST);
      else this.#take(this.#came);
      this.#came = [];
      this.#changed();
    }, PACE);
  }

  #take(more: Exchange[]): void {
    this.records = [...this.records, ...more].slice(-MOST);
  }
}
