import { describe, expect, test } from "vitest";
import { ACAIRN_PER_CAIRN as ONE, cairn, exactCairn, group, parseAmount, total } from "./amount.ts";

describe("parseAmount", () => {
  test.each([
    ["0", 0n],
    ["123", 123n],
    ["-5", -5n],
    [" 42acairn ", 42n],
    ["41236519283746510293", 41236519283746510293n],
    [9007199254740991, 9007199254740991n],
    [12n, 12n],
  ])("%o is read exactly", (value, want) => expect(parseAmount(value)).toBe(want));

  test.each([
    [9007199254740992],
    [1.5],
    [NaN],
    ["1.5"],
    ["1e18"],
    ["0x10"],
    ["CAIRN"],
    [""],
    [null],
    [undefined],
    [{}],
    [true],
    ["9".repeat(79)],
  ])("%o is no amount", (value) => expect(parseAmount(value)).toBeUndefined());
});

describe("cairn", () => {
  test.each([
    [0n, "0"],
    [ONE, "1"],
    [ONE / 2n, "0.5"],
    [1_500_000_000_000_000_000n, "1.5"],
    [1_387_654_321_098_765_433n, "1.387"],
    [41_236_519_283_746_510_293n, "41.23"],
    [12_345n * ONE + ONE / 8n, "12,345.12"],
    [999_999_999n * ONE + 1n, "999,999,999"],
    [1_234_567_890_123_456n, "0.00123"],
    [123_400_000_000_000_000n, "0.1234"],
    [1_000_000_000n, "0.000000001"],
    [999_999_999n, "<0.000000001"],
    [1n, "<0.000000001"],
    [-ONE, "\u22121"],
  ])("%o reads %s", (amount, want) => expect(cairn(amount)).toBe(want));

  test("is cut, never rounded up", () => {
    expect(cairn(ONE - 1n)).toBe("0.9999");
    expect(cairn(2n * ONE - 1n)).toBe("1.999");
    expect(cairn(1_000_000n * ONE - 1n)).toBe("999,999.99");
  });
});

test("exactCairn has every digit and reads back", () => {
  for (const amount of [0n, 1n, ONE, ONE + 1n, 41_236_519_283_746_510_293n, -7n * ONE - 1n]) {
    const [whole, fraction = ""] = exactCairn(amount).replace("-", "").split(".");
    const back = BigInt(whole!) * ONE + BigInt(fraction.padEnd(18, "0"));
    expect(exactCairn(amount).startsWith("-") ? -back : back).toBe(amount);
  }
  expect(exactCairn(ONE + 1n)).toBe("1.000000000000000001");
});

test("total leaves out what is not known", () => expect(total([1n, undefined, 2n])).toBe(3n));

test("group", () =>
  expect(["1", "999", "1000", "1234567"].map(group)).toEqual(["1", "999", "1,000", "1,234,567"]));
