// Rewards as the page sees them (proto/cairn/reward/v1).

import { get } from "./http.ts";
import { object, small, wholeOr0 } from "./json.ts";

export interface Emission {
  /** Coins that exist, and the most that ever may. */
  supply: bigint;
  cap: bigint;
  /** Minted for devices by final reports, and issued to validators. */
  minted: bigint;
  validators: bigint;
}

/** One service's money. */
export interface Ledger {
  /** Smoothed average of what an epoch burns. */
  average: bigint;
  paid: bigint;
  claimed: bigint;
  finalEpoch: number;
}

export function readEmission(value: unknown): Emission {
  const answer = object(value);
  const e = object(answer["emission"]);
  return {
    supply: wholeOr0(answer["supply"]),
    cap: wholeOr0(e["cap"]),
    minted: wholeOr0(e["minted"]),
    validators: wholeOr0(e["validators"]),
  };
}

export function readLedger(value: unknown): Ledger {
  const l = object(object(value)["ledger"]);
  return {
    average: wholeOr0(l["average"]),
    paid: wholeOr0(l["paid"]),
    claimed: wholeOr0(l["claimed"]),
    finalEpoch: small(l["final_epoch"]) ?? 0,
  };
}

export async function emission(signal: AbortSignal): Promise<Emission> {
  return readEmission(await get("/api/chain/cairn/reward/v1/emission", signal));
}

export async function ledger(service: number, signal: AbortSignal): Promise<Ledger> {
  return readLedger(await get(`/api/chain/cairn/reward/v1/ledgers/${service}`, signal));
}

/** What has been claimed for a device. */
export async function claimed(service: number, device: string, signal: AbortSignal): Promise<bigint> {
  return wholeOr0(
    object(await get(`/api/chain/cairn/reward/v1/claimed/${service}/${device}`, signal))["amount"],
  );
}
