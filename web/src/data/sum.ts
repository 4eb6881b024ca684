// A lease's parts added up.

import { dryAt, escrowAt } from "../format/price.ts";
import type { Item } from "./chain.ts";

export interface Sum {
  units: bigint;
  /** What all escrows hold at that moment. */
  escrow: bigint;
  streamed: bigint;
  vouched: bigint;
  /** When the first of the open parts runs dry. */
  dryAt: number | undefined;
}

export function sumItems(items: Item[], now: number): Sum {
  const sum: Sum = { units: 0n, escrow: 0n, streamed: 0n, vouched: 0n, dryAt: undefined };
  for (const item of items) {
    sum.streamed += item.streamed;
    sum.vouched += item.vouched;
    sum.escrow += item.state === "open" ? escrowAt(item, now) : item.escrow;
    if (item.state !== "open") continue;
    sum.units += item.units;
    const dry = dryAt(item);
    if (dry !== undefined && (sum.dryAt === undefined || dry < sum.dryAt)) sum.dryAt = dry;
  }
  return sum;
}
