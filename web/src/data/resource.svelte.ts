// A resource is one answer of the network that views look at. It is asked for while at least one
// view retains it and the page is visible, keeps its last data when the network is away, and is
// shared, so that going back to a view shows it at once.

import { untrack } from "svelte";
import { Failure } from "./http.ts";

/** Time between attempts after a failure, doubling from the first to the last. */
const RETRY_MS = [1000, 8000] as const;

export type Load<T> = (signal: AbortSignal) => Promise<T>;

export class Resource<T> {
  /** The last answer. */
  data = $state.raw<T | undefined>(undefined);
  /** Why the last attempt failed; undefined after a good one. With data, the data is stale. */
  failure = $state.raw<Failure | undefined>(undefined);
  /** Unix seconds of the last answer. */
  at = $state(0);

  readonly #load: Load<T>;
  readonly #everyMs: number;
  #holders = 0;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking: AbortController | undefined;

  /** everyMs is the time between a good answer and the next question. */
  constructor(load: Load<T>, everyMs: number) {
    this.#load = load;
    this.#everyMs = everyMs;
  }

  /** Starts asking, or joins those for whom it is asked already; the returned function lets go. */
  retain(): () => void {
    if (this.#holders++ === 0) {
      untrack(() => {
        live.add(this);
        this.refresh();
      });
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#holders === 0) {
        live.delete(this);
        clearTimeout(this.#timer);
        this.#asking?.abort();
        this.#asking = undefined;
      }
    };
  }

  /** Asks now unless a question is under way or nobody looks. */
  refresh(): void {
    clearTimeout(this.#timer);
    if (this.#holders === 0 || this.#asking || hidden()) return;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const data = await this.#load(asking.signal);
      if (this.#asking !== asking) return;
      this.data = data;
      this.failure = undefined;
      this.at = Date.now() / 1000;
      this.#failures = 0;
    } catch (cause) {
      if (this.#asking !== asking) return;
      this.failure = cause instanceof Failure ? cause : new Failure("other", String(cause));
      // What is not there any more must not be shown as if it were.
      if (this.failure.kind === "missing" || this.failure.kind === "absent") this.data = undefined;
      this.#failures++;
    }
    this.#asking = undefined;
    this.#timer = setTimeout(() => this.refresh(), this.#pause());
  }

  #pause(): number {
    if (this.#failures === 0) return this.#everyMs;
    const backoff = Math.min(RETRY_MS[0] * 2 ** (this.#failures - 1), RETRY_MS[1]);
    // A part that is not there will hardly appear; it need not be asked for often.
    return this.failure?.kind === "absent" ? Math.max(this.#everyMs, RETRY_MS[1]) : backoff;
  }
}

const live = new Set<Resource<unknown>>();

/** Asks for everything that is looked at, as when the chain is back or the page is shown again. */
export function refreshAll(): void {
  for (const resource of live) resource.refresh();
}

function hidden(): boolean {
  return typeof document !== "undefined" && document.visibilityState === "hidden";
}

if (typeof document !== "undefined") {
  document.addEventListener("visibilitychange", () => {
    if (!hidden()) refreshAll();
  });
}

/** A resource for each key, made at first use; the oldest are forgotten beyond a bound. */
export function keyed<T>(
  load: (key: string, signal: AbortSignal) => Promise<T>,
  everyMs: number,
): (key: string) => Resource<T> {
  const most = 200;
  const known = new Map<string, Resource<T>>();
  return (key) => {
    let resource = known.get(key);
    if (!resource) {
      resource = new Resource((signal) => load(key, signal), everyMs);
      known.set(key, resource);
      for (const oldest of known.keys()) {
        if (known.size <= most) break;
        known.delete(oldest);
      }
    }
    return resource;
  };
}
