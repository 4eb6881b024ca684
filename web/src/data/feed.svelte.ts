// The live feed: new blocks, and whether the chain answers, pushed by the page's server.

import { readBlock, type Block } from "./chain.ts";
import { object, text } from "./json.ts";
import { refreshAll } from "./resource.svelte.ts";

const KEEP = 60;

/** connecting until the first word of the server; then up, syncing, down (the chain is away) or offline (the server is). */
export type Link = "connecting" | "up" | "syncing" | "down" | "offline";

class Feed {
  /** Ascending by height. */
  blocks = $state.raw<Block[]>([]);
  link = $state<Link>("connecting");
  chainId = $state("");
  reason = $state("");

  latest = $derived(this.blocks.at(-1));
  /** Seconds from block to block, the median of those known; undefined with fewer than three blocks. */
  pace = $derived.by(() => {
    const gaps = this.blocks.slice(1).map((block, i) => block.time - this.blocks[i]!.time);
    return gaps.length < 2 ? undefined : gaps.sort((a, b) => a - b)[gaps.length >> 1];
  });

  /** Opens the stream; the browser itself reconnects and says what it has seen. */
  open(source: EventSource): () => void {
    source.addEventListener("block", (event) => this.take(event.data));
    source.addEventListener("chain", (event) => this.turn(event.data));
    source.addEventListener("error", () => {
      this.link = "offline";
      this.reason = "";
    });
    return () => source.close();
  }

  take(data: unknown): void {
    const block = readBlock(parse(data));
    if (!block) return;
    const last = this.blocks.at(-1);
    if (block.height === last?.height && block.hash === last.hash) return;
    // A height not above the last is another chain at the same address, begun anew.
    const before = !last || block.height > last.height ? this.blocks : [];
    this.blocks = [...before, block].slice(-KEEP);
  }

  turn(data: unknown): void {
    const state = object(parse(data));
    const before = this.link;
    this.link = state["up"] === true ? (state["catching_up"] === true ? "syncing" : "up") : "down";
    this.reason = text(state["error"]);
    this.chainId = text(state["chain_id"]) || this.chainId;
    if (this.link === "up" && (before === "down" || before === "offline")) refreshAll();
  }
}

function parse(data: unknown): unknown {
  try {
    return JSON.parse(text(data));
  } catch {
    return undefined;
  }
}

export { Feed };
export const feed = new Feed();
