import { expect, test } from "vitest";
import { ACAIRN_PER_CAIRN } from "./amount.ts";
import { dryAt, escrowAt, perTerabyte, perTerabyteMonth, streamCost, type Stream } from "./price.ts";

const fourATerabyteMonth = { amount: 4n * ACAIRN_PER_CAIRN, per: 10n ** 12n * 2_592_000n };

test("prices in the units people compare", () => {
  expect(perTerabyteMonth(fourATerabyteMonth)).toBe(4n * ACAIRN_PER_CAIRN);
  expect(perTerabyte({ amount: 7_000_000n, per: 1n })).toBe(7n * ACAIRN_PER_CAIRN);
});

test("costs are cut, as the chain cuts them", () => {
  expect(streamCost({ amount: 10n, per: 3n }, 1n, 1n)).toBe(3n);
  expect(streamCost({ amount: 10n, per: 3n }, 1n, 3n)).toBe(10n);
  expect(streamCost({ amount: 10n, per: 3n }, 1n, -5n)).toBe(0n);
  expect(streamCost(fourATerabyteMonth, 10n ** 12n, 2_592_000n)).toBe(4n * ACAIRN_PER_CAIRN);
});

test("dryAt is the first second at which nothing is left", () => {
  for (const [amount, per, units, escrow] of [
    [10n, 3n, 1n, 100n],
    [1n, 7n, 3n, 1n],
    [1n, 1n, 1n, 0n],
    [fourATerabyteMonth.amount, fourATerabyteMonth.per, 20_000_000_000n, 3_436_519_283_746_510_293n],
  ] as const) {
    const item: Stream = { stream: { amount, per }, units, escrow, accruedAt: 1_000 };
    const dry = dryAt(item)!;
    expect(escrowAt(item, dry)).toBe(0n);
    if (dry > item.accruedAt) expect(escrowAt(item, dry - 1)).toBeGreaterThan(0n);
  }
});

test("what costs nothing never runs dry, and what would take longer than time neither", () => {
  const free: Stream = { stream: { amount: 0n, per: 1n }, units: 5n, escrow: 1n, accruedAt: 0 };
  expect(dryAt(free)).toBeUndefined();
  expect(escrowAt(free, 1e9)).toBe(1n);
  expect(dryAt({ ...free, stream: { amount: 1n, per: 10n ** 18n }, escrow: 10n ** 18n })).toBeUndefined();
});
