// Money. Every amount is a whole number of acairn, of which there are 10^18 in one CAIRN, and is
// held as a bigint: a double would round from 0.009 CAIRN on.

export const ACAIRN_PER_CAIRN = 10n ** 18n;

/** Reads a whole number of acairn: a decimal string, perhaps with the denomination, or a number that a double holds exactly. */
export function parseAmount(value: unknown): bigint | undefined {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value !== "string") return undefined;
  const match = /^\s*(-?\d{1,78})\s*(?:acairn)?\s*$/.exec(value);
  return match ? BigInt(match[1]!) : undefined;
}

/** Groups digits by thousands: 1234567 -> "1,234,567". */
export function group(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** The amount in CAIRN with every digit: "1234.5", for copying. */
export function exactCairn(amount: bigint): string {
  const sign = amount < 0n ? "-" : "";
  const size = amount < 0n ? -amount : amount;
  const fraction = (size % ACAIRN_PER_CAIRN).toString().padStart(18, "0").replace(/0+$/, "");
  return `${sign}${size / ACAIRN_PER_CAIRN}${fraction && "." + fraction}`;
}

/** Units from the largest, each with its count of acairn and the least amount that is shown in it. */
const UNITS: [string, bigint, bigint][] = [
  ["CAIRN", 10n ** 18n, 10n ** 15n],
  ["\u00b5CAIRN", 10n ** 12n, 10n ** 10n],
  ["nCAIRN", 10n ** 9n, 10n ** 7n],
  ["acairn", 1n, 1n],
];

/**
 * The amount as a person reads it, figure and unit: three or four digits that matter, cut and never
 * rounded up, so that nobody is shown money that is not there. ["12,345.67", "CAIRN"], ["1.5", "CAIRN"],
 * ["0.0123", "CAIRN"]; what is less than a thousandth of a CAIRN in millionths, billionths or acairn.
 */
export function amountParts(amount: bigint): [string, string] {
  const sign = amount < 0n ? "\u2212" : "";
  const size = amount < 0n ? -amount : amount;
  if (size === 0n) return ["0", "CAIRN"];
  const [name, one] = UNITS.find(([, , least]) => size >= least)!;
  const whole = size / one;
  const fraction = (size % one).toString().padStart(one.toString().length - 1, "0");
  let digits: number;
  if (whole >= 1_000_000n) digits = 0;
  else if (whole >= 10n) digits = 2;
  else if (whole >= 1n) digits = 3;
  else digits = Math.max(4, fraction.search(/[1-9]/) + 3);
  const shown = one === 1n ? "" : fraction.slice(0, digits).replace(/0+$/, "");
  return [`${sign}${group(whole.toString())}${shown && "." + shown}`, name];
}

export function amountText(amount: bigint): string {
  return amountParts(amount).join("\u00a0");
}

/** The sum of those that are known. */
export function total(amounts: Iterable<bigint | undefined>): bigint {
  let sum = 0n;
  for (const amount of amounts) sum += amount ?? 0n;
  return sum;
}
