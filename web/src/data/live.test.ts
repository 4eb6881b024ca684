// Resources and the feed, with time and answers under the test's hand.

import { flushSync } from "svelte";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Feed } from "./feed.svelte.ts";
import { Failure } from "./http.ts";
import { keyed, refreshAll, Resource } from "./resource.svelte.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Lets promises settle and timers up to ms run. */
const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

describe("a resource", () => {
  test("is asked for while somebody holds it, once for all", async () => {
    const load = vi.fn(async () => "x");
    const resource = new Resource(load, 1000);
    await pass(5000);
    expect(load).not.toHaveBeenCalled();
    const [one, two] = [resource.retain(), resource.retain()];
    await pass();
    expect(resource.data).toBe("x");
    expect(load).toHaveBeenCalledTimes(1);
    await pass(1000);
    expect(load).toHaveBeenCalledTimes(2);
    one();
    one(); // letting go twice is letting go once
    await pass(1000);
    expect(load).toHaveBeenCalledTimes(3);
    two();
    await pass(60_000);
    expect(load).toHaveBeenCalledTimes(3);
    expect(resource.data).toBe("x");
  });

  test("keeps its data through failures, says so, and asks again ever more slowly", async () => {
    let up = true;
    const load = vi.fn(async () => {
      if (!up) throw new Failure("down", "away");
      return load.mock.calls.length;
    });
    const resource = new Resource(load, 1000);
    const release = resource.retain();
    await pass();
    up = false;
    await pass(1000);
    expect(resource.data).toBe(1);
    expect(resource.failure?.kind).toBe("down");
    const asked: number[] = [];
    for (let s = 0; s < 24; s++) {
      const before = load.mock.calls.length;
      await pass(1000);
      asked.push(load.mock.calls.length - before);
    }
    expect(asked.reduce((a, b) => a + b)).toBeLessThanOrEqual(6);
    up = true;
    await pass(8000);
    expect(resource.failure).toBeUndefined();
    release();
  });

  test("what is gone is not shown as if it were there", async () => {
    let there = true;
    const resource = new Resource(async () => {
      if (!there) throw new Failure("missing", "no such lease");
      return "lease";
    }, 1000);
    const release = resource.retain();
    await pass();
    there = false;
    await pass(1000);
    expect(resource.data).toBeUndefined();
    expect(resource.failure?.kind).toBe("missing");
    release();
  });

  test("an answer that comes after all have let go changes nothing", async () => {
    let answer: (value: string) => void = () => {};
    const seen: AbortSignal[] = [];
    const resource = new Resource<string>((signal) => {
      seen.push(signal);
      return new Promise((resolve) => (answer = resolve));
    }, 1000);
    const release = resource.retain();
    release();
    expect(seen[0]!.aborted).toBe(true);
    answer("late");
    await pass(5000);
    expect(resource.data).toBeUndefined();
    expect(seen).toHaveLength(1);
  });

  test("refreshAll asks for what is held, and only once at a time", async () => {
    const load = vi.fn(async () => 1);
    const resource = new Resource(load, 60_000);
    const release = resource.retain();
    refreshAll();
    await pass();
    expect(load).toHaveBeenCalledTimes(1);
    refreshAll();
    await pass();
    expect(load).toHaveBeenCalledTimes(2);
    release();
    refreshAll();
    await pass();
    expect(load).toHaveBeenCalledTimes(2);
  });

  test("keyed gives the same resource for the same key, within a bound", () => {
    const of = keyed(async (key) => key, 1000);
    const first = of("1");
    expect(of("1")).toBe(first);
    for (let i = 2; i <= 300; i++) of(String(i));
    expect(of("1")).not.toBe(first);
  });
});

describe("the feed", () => {
  const block = (height: number) =>
    JSON.stringify({
      height: String(height),
      time: new Date(height * 1000).toISOString(),
      hash: "AB",
      txs: 2,
      proposer: "CD",
    });

  test("keeps the newest sixty blocks in order", () => {
    const feed = new Feed();
    for (let h = 1; h <= 70; h++) feed.take(block(h));
    flushSync();
    expect(feed.blocks).toHaveLength(60);
    expect(feed.latest?.height).toBe(70);
    expect(feed.pace).toBe(1);
  });

  test("a pause of the chain does not change its pace", () => {
    const feed = new Feed();
    for (const h of [1, 2, 3, 1000, 1001, 1002]) feed.take(block(h));
    expect(feed.pace).toBe(1);
  });

  test("a block that comes again is not taken, one of a chain begun anew starts over", () => {
    const feed = new Feed();
    for (let h = 5; h <= 9; h++) feed.take(block(h));
    feed.take(block(9));
    expect(feed.blocks).toHaveLength(5);
    feed.take(block(1));
    expect(feed.blocks.map((b) => b.height)).toEqual([1]);
  });

  test("rubbish changes nothing", () => {
    const feed = new Feed();
    for (const data of [undefined, "", "{", "null", '{"height":"x"}', '{"height":"1","time":"never"}'])
      feed.take(data);
    expect(feed.blocks).toEqual([]);
    feed.turn("{");
    expect(feed.link).toBe("down");
  });

  test("follows the chain through a restart and asks for everything when it is back", async () => {
    const feed = new Feed();
    const load = vi.fn(async () => 1);
    const resource = new Resource(load, 600_000);
    const release = resource.retain();
    await pass();
    feed.turn('{"up":true,"catching_up":false,"chain_id":"c-1"}');
    expect([feed.link, feed.chainId]).toEqual(["up", "c-1"]);
    feed.turn('{"up":false,"error":"the chain does not answer"}');
    expect([feed.link, feed.reason, feed.chainId]).toEqual(["down", "the chain does not answer", "c-1"]);
    feed.turn('{"up":true,"catching_up":true,"chain_id":"c-1"}');
    expect(feed.link).toBe("syncing");
    feed.turn('{"up":false}');
    feed.turn('{"up":true,"chain_id":"c-1"}');
    await pass();
    expect(load).toHaveBeenCalledTimes(2);
    release();
  });
});
