// Prices are exact rationals, amount for every `per` units, and stream prices are for one unit held
// for one second. The chain cuts (floors) every cost; so does this.

export interface Price {
  amount: bigint;
  per: bigint;
}

const TERABYTE = 10n ** 12n;
export const MONTH = 30n * 86_400n;

/** acairn for a terabyte held for thirty days. */
export function perTerabyteMonth(stream: Price): bigint {
  return (stream.amount * TERABYTE * MONTH) / stream.per;
}

/** acairn for a terabyte served. */
export function perTerabyte(metered: Price): bigint {
  return (metered.amount * TERABYTE) / metered.per;
}

/** floor(units * seconds * amount / per). */
export function streamCost(stream: Price, units: bigint, seconds: bigint): bigint {
  return seconds <= 0n ? 0n : (units * seconds * stream.amount) / stream.per;
}

export interface Stream {
  stream: Price;
  units: bigint;
  escrow: bigint;
  /** Unix seconds up to which the escrow has been charged. */
  accruedAt: number;
}

/** What the escrow still holds at a moment, when nothing but the stream draws on it. */
export function escrowAt(item: Stream, now: number): bigint {
  const owed = streamCost(item.stream, item.units, BigInt(Math.trunc(now - item.accruedAt)));
  return owed >= item.escrow ? 0n : item.escrow - owed;
}

/** Unix seconds at which the stream alone has emptied the escrow; undefined where it never will. */
export function dryAt(item: Stream): number | undefined {
  const rate = item.units * item.stream.amount;
  if (rate === 0n) return undefined;
  // The first second at which the cost reaches the escrow: the least s with s*rate >= escrow*per.
  const seconds = (item.escrow * item.stream.per + rate - 1n) / rate;
  const at = BigInt(item.accruedAt) + seconds;
  return at > 8_640_000_000_000n ? undefined : Number(at);
}
