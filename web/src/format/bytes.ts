// Sizes, in the decimal units in which disks are sold and storage is offered.

import { group } from "./amount.ts";

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"] as const;

/** A size with its unit apart: three digits that matter, cut. 1_234_567n -> ["1.23", "MB"]. */
export function bytesParts(size: bigint): [string, string] {
  let unit = 0;
  let scale = 1n;
  while (unit < UNITS.length - 1 && size >= scale * 1000n) {
    scale *= 1000n;
    unit++;
  }
  const whole = size / scale;
  if (unit === 0) return [whole.toString(), "B"];
  const digits = whole >= 100n ? 0 : whole >= 10n ? 1 : 2;
  const fraction = ((size % scale) * 10n ** BigInt(digits)) / scale;
  const shown = digits ? fraction.toString().padStart(digits, "0").replace(/0+$/, "") : "";
  return [group(whole.toString()) + (shown && "." + shown), UNITS[unit]!];
}

export function bytes(size: bigint): string {
  return bytesParts(size).join("\u00a0");
}

/** part/whole as a share of 0..1 for drawing; 0 where there is no whole. */
export function share(part: bigint, whole: bigint): number {
  if (whole <= 0n || part <= 0n) return 0;
  const thousandths = (part * 100_000n) / whole;
  return Math.min(1, Number(thousandths) / 100_000);
}

/** A share as a person reads it: "0 %", "<1 %", "42 %". */
export function percent(share: number): string {
  if (share <= 0) return "0\u00a0%";
  if (share < 0.01) return "<1\u00a0%";
  if (share > 0.99 && share < 1) return "99\u00a0%";
  return `${Math.round(share * 100)}\u00a0%`;
}

/** A count with thousands grouped. */
export function count(n: number | bigint): string {
  return group(n.toString());
}
