import { expect, test } from "vitest";
import { bytes, bytesParts, count, percent, share } from "./bytes.ts";

test.each([
  [0n, ["0", "B"]],
  [999n, ["999", "B"]],
  [1000n, ["1", "kB"]],
  [1_234_567n, ["1.23", "MB"]],
  [12_345_678n, ["12.3", "MB"]],
  [999_999_999n, ["999", "MB"]],
  [500_000_000_000n, ["500", "GB"]],
  [9_007_199_254_740_993n, ["9", "PB"]],
  [123_456_000_000_000_000_000_000n, ["123,456", "EB"]],
])("%o bytes", (size, want) => expect(bytesParts(size as bigint)).toEqual(want));

test("bytes does not break between figure and unit", () => expect(bytes(1500n)).toBe("1.5\u00a0kB"));

test("share stays within 0 and 1, whatever is claimed", () => {
  expect(share(1n, 4n)).toBe(0.25);
  expect(share(5n, 0n)).toBe(0);
  expect(share(-5n, 10n)).toBe(0);
  expect(share(50n, 10n)).toBe(1);
  expect(share(10n ** 30n, 3n * 10n ** 30n)).toBeCloseTo(1 / 3, 4);
});

test("percent never says none or all of what is some", () => {
  expect([0, 0.0001, 0.5, 0.999, 1].map(percent)).toEqual([
    "0\u00a0%",
    "<1\u00a0%",
    "50\u00a0%",
    "99\u00a0%",
    "100\u00a0%",
  ]);
});

test("count", () =>
  expect([count(0), count(1_234), count(10n ** 20n)]).toEqual(["0", "1,234", "100,000,000,000,000,000,000"]));
