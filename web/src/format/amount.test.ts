import { describe, expect, test } from "vitest";
import { ACAIRN_PER_CAIRN as ONE, amountText, exactCairn, group, parseAmount, total } from "./amount.ts";

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

describe("amountText", () => {
  test.each([
    [0n, "0 CAIRN"],
    [ONE, "1 CAIRN"],
    [ONE / 2n, "0.5 CAIRN"],
    [1_500_000_000_000_000_000n, "1.5 CAIRN"],
    [1_387_654_321_098_765_433n, "1.387 CAIRN"],
    [41_236_519_283_746_510_293n, "41.23 CAIRN"],
    [12_345n * ONE + ONE / 8n, "12,345.12 CAIRN"],
    [999_999_999n * ONE + 1n, "999,999,999 CAIRN"],
    [123_400_000_000_000_000n, "0.1234 CAIRN"],
    [1_234_567_890_123_456n, "0.00123 CAIRN"],
    [ONE / 1000n, "0.001 CAIRN"],
    [ONE / 1000n - 1n, "999.99 \u00b5CAIRN"],
    [9_760_000_000_000n, "9.76 \u00b5CAIRN"],
    [15_234_000_000n, "0.0152 \u00b5CAIRN"],
    [9_999_999_999n, "9.999 nCAIRN"],
    [10_000_000n, "0.01 nCAIRN"],
    [9_999_999n, "9,999,999 acairn"],
    [1n, "1 acairn"],
    [-ONE, "\u22121 CAIRN"],
  ])("%o reads %s", (amount, want) => expect(amountText(amount)).toBe(want.replace(/ (?=\S+$)/, "\u00a0")));

  test("is cut, never rounded up", () => {
    expect(amountText(ONE - 1n)).toBe("0.9999\u00a0CAIRN");
    expect(amountText(2n * ONE - 1n)).toBe("1.999\u00a0CAIRN");
    expect(amountText(1_000_000n * ONE - 1n)).toBe("999,999.99\u00a0CAIRN");
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
