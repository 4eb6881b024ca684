// The chain's state as the page sees it. Shapes are those of proto/cairn/*/v1, written by the SDK's
// gateway: original field names, 64-bit integers as strings, enums by name, bytes as base64.

import type { Price } from "../format/price.ts";
import { parseTime } from "../format/time.ts";
import { get, query } from "./http.ts";
import { enumWord, hexOfBase64, id, list, moment, object, small, text, wholeOr0, type Json } from "./json.ts";

export interface Coin {
  denom: string;
  amount: bigint;
}

export interface Device {
  id: string;
  owner: string;
  operator: string;
  key: string;
  keyType: string;
  kind: string;
  model: string;
  region: string;
  endpoint: string;
  deposit: Coin;
  bond: Coin;
  tier: number;
  state: string;
  jailedUntil: number | undefined;
  registeredAt: number | undefined;
  releaseAt: number | undefined;
  pendingOwner: string;
}

export interface Offer {
  id: string;
  device: string;
  resource: string;
  stream: Price;
  metered: Price;
  capacity: bigint;
  reserved: bigint;
  minSeconds: number;
  maxSeconds: number;
  state: string;
}

export interface Lease {
  id: string;
  consumer: string;
  sessionKey: string;
  resource: string;
  openedAt: number | undefined;
  expiresAt: number | undefined;
  state: string;
  openItems: number;
}

export interface Item {
  lease: string;
  device: string;
  offer: string;
  units: bigint;
  stream: Price;
  metered: Price;
  /** At accruedAt; what the stream has drawn since is not taken off. */
  escrow: bigint;
  streamed: bigint;
  vouched: bigint;
  vouchedUnits: bigint;
  accruedAt: number;
  state: string;
  closeAt: number | undefined;
}

export interface Reputation {
  completed: number;
  abandoned: number;
}

/** What has been settled since the chain began, in acairn. */
export interface Settled {
  /** Net, to owners. */
  paid: bigint;
  burned: bigint;
}

function coin(value: unknown): Coin {
  const c = object(value);
  return { denom: text(c["denom"]), amount: wholeOr0(c["amount"]) };
}

function price(value: unknown): Price {
  const p = object(value);
  const per = wholeOr0(p["per"]);
  return { amount: wholeOr0(p["amount"]), per: per > 0n ? per : 1n };
}

export function readDevice(value: unknown): Device {
  const d = object(value);
  const key = object(d["pubkey"]);
  return {
    id: id(d["id"]),
    owner: text(d["owner"]),
    operator: text(d["operator"]),
    key: hexOfBase64(key["key"]),
    keyType: enumWord(key["type"], "KEY_TYPE"),
    kind: text(d["kind"]),
    model: text(d["model"]),
    region: text(d["region"]),
    endpoint: text(d["endpoint"]),
    deposit: coin(d["deposit"]),
    bond: coin(d["bond"]),
    tier: small(d["tier"]) ?? 0,
    state: enumWord(d["state"], "DEVICE_STATE"),
    jailedUntil: moment(d["jailed_until"]),
    registeredAt: moment(d["registered_at"]),
    releaseAt: moment(d["release_at"]),
    pendingOwner: text(d["pending_owner"]),
  };
}

export function readOffer(value: unknown): Offer {
  const o = object(value);
  return {
    id: id(o["id"]),
    device: id(o["device"]),
    resource: text(o["resource"]),
    stream: price(o["stream"]),
    metered: price(o["metered"]),
    capacity: wholeOr0(o["capacity"]),
    reserved: wholeOr0(o["reserved"]),
    minSeconds: small(o["min_seconds"]) ?? 0,
    maxSeconds: small(o["max_seconds"]) ?? 0,
    state: enumWord(o["state"], "OFFER_STATE"),
  };
}

export function readLease(value: unknown): Lease {
  const l = object(value);
  return {
    id: id(l["id"]),
    consumer: text(l["consumer"]),
    sessionKey: hexOfBase64(l["session_key"]),
    resource: text(l["resource"]),
    openedAt: moment(l["opened_at"]),
    expiresAt: moment(l["expires_at"]),
    state: enumWord(l["state"], "LEASE_STATE"),
    openItems: small(l["open_items"]) ?? 0,
  };
}

export function readItem(value: unknown): Item {
  const i = object(value);
  return {
    lease: id(i["lease"]),
    device: id(i["device"]),
    offer: id(i["offer"]),
    units: wholeOr0(i["units"]),
    stream: price(i["stream"]),
    metered: price(i["metered"]),
    escrow: wholeOr0(i["escrow"]),
    streamed: wholeOr0(i["streamed"]),
    vouched: wholeOr0(i["vouched"]),
    vouchedUnits: wholeOr0(i["vouched_units"]),
    accruedAt: moment(i["accrued_at"]) ?? 0,
    state: enumWord(i["state"], "ITEM_STATE"),
    closeAt: moment(i["close_at"]),
  };
}

/** What a list query found; `more` when it stopped at the page's bound. */
export interface Found<T> {
  entries: T[];
  more: boolean;
}

const PAGE = 200;
const MOST_PAGES = 5;

/** Walks a list query to its end or to 1,000 entries. */
export async function walk<T>(
  path: string,
  field: string,
  read: (value: unknown) => T,
  params: Record<string, string | boolean | undefined>,
  signal: AbortSignal,
): Promise<Found<T>> {
  const entries: T[] = [];
  let key: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const answer = object(
      await get(
        `/api/chain/${path}` + query({ ...params, "pagination.limit": PAGE, "pagination.key": key }),
        signal,
      ),
    );
    entries.push(...list(answer[field], read));
    key = text(object(answer["pagination"])["next_key"]) || undefined;
    if (key === undefined) return { entries, more: false };
  }
  return { entries, more: true };
}

export function devices(signal: AbortSignal, filter: { owner?: string } = {}): Promise<Found<Device>> {
  return walk("cairn/device/v1/devices", "devices", readDevice, filter, signal);
}

export async function device(of: string, signal: AbortSignal): Promise<Device> {
  return readDevice(object(await get(`/api/chain/cairn/device/v1/devices/${of}`, signal))["device"]);
}

export function offers(
  signal: AbortSignal,
  filter: { device?: string; only_open?: boolean } = {},
): Promise<Found<Offer>> {
  return walk("cairn/market/v1/offers", "offers", readOffer, filter, signal);
}

export function leases(signal: AbortSignal, filter: { consumer?: string } = {}): Promise<Found<Lease>> {
  return walk("cairn/market/v1/leases", "leases", readLease, filter, signal);
}

export async function lease(of: string, signal: AbortSignal): Promise<{ lease: Lease; items: Item[] }> {
  const answer = object(await get(`/api/chain/cairn/market/v1/leases/${of}`, signal));
  return { lease: readLease(answer["lease"]), items: list(answer["items"], readItem) };
}

export function deviceItems(of: string, signal: AbortSignal): Promise<Found<Item>> {
  return walk(`cairn/market/v1/devices/${of}/items`, "items", readItem, {}, signal);
}

export async function reputation(of: string, signal: AbortSignal): Promise<Reputation> {
  const answer = object(await get(`/api/chain/cairn/market/v1/devices/${of}/reputation`, signal));
  const r = object(answer["reputation"]);
  return {
    completed: small(r["completed"]) ?? 0,
    abandoned: small(r["abandoned"]) ?? 0,
  };
}

/** What all devices have been paid, or one of them. */
export async function settled(device: string | undefined, signal: AbortSignal): Promise<Settled> {
  return readSettled(await get("/api/chain/cairn/market/v1/totals" + query({ device }), signal));
}

/** A list of totals by denomination, of which the page shows CAIRN's; nothing settled yet is 0. */
export function readSettled(value: unknown): Settled {
  const total = object(list(object(value)["totals"], object).find((t) => text(t["denom"]) === "acairn"));
  return { paid: wholeOr0(total["paid"]), burned: wholeOr0(total["burned"]) };
}

/** The balance of an account in acairn. */
export async function balance(address: string, signal: AbortSignal): Promise<bigint> {
  const answer = object(
    await get(
      `/api/chain/cosmos/bank/v1beta1/balances/${address}/by_denom` + query({ denom: "acairn" }),
      signal,
    ),
  );
  return coin(answer["balance"]).amount;
}

/** What the market holds in escrow for leases and orders: the balance of its module account. */
export async function escrow(signal: AbortSignal): Promise<bigint> {
  const answer = object(await get("/api/chain/cosmos/auth/v1beta1/module_accounts/market", signal));
  return balance(moduleAddress(answer["account"]), signal);
}

/** The address in a module account packed as Any, which gateways unpack in one of two ways. */
export function moduleAddress(account: unknown): string {
  const a = object(account);
  return text(object(a["base_account"])["address"]) || text(object(a["value"])["address"]);
}

// Blocks, from CometBFT's RPC.

export interface Block {
  height: number;
  /** Unix seconds with fraction. */
  time: number;
  hash: string;
  txs: number;
  proposer: string;
}

/** A block as /api/events and, under other names, the RPC writes it; undefined for what is none. */
export function readBlock(value: unknown): Block | undefined {
  const b = object(value);
  const height = small(b["height"]);
  const time = parseTime(b["time"]);
  if (height === undefined || time === undefined) return undefined;
  return { height, time, hash: text(b["hash"]), txs: small(b["txs"]) ?? 0, proposer: text(b["proposer"]) };
}

function readMeta(value: unknown): Block | undefined {
  const meta = object(value);
  const header = object(meta["header"]);
  return readBlock({
    height: header["height"],
    time: header["time"],
    hash: object(meta["block_id"])["hash"],
    txs: meta["num_txs"],
    proposer: header["proposer_address"],
  });
}

/** The blocks from low to high, newest first; the RPC gives at most twenty. */
export async function blocks(low: number, high: number, signal: AbortSignal): Promise<Block[]> {
  const answer = object(
    await get("/api/rpc/blockchain" + query({ minHeight: Math.max(1, low), maxHeight: high }), signal),
  );
  return list(object(answer["result"])["block_metas"], readMeta).filter((b) => b !== undefined);
}

export interface Event {
  type: string;
  attributes: Json;
}

export interface TxResult {
  code: number;
  log: string;
  gasUsed: bigint;
  gasWanted: bigint;
  events: Event[];
}

export interface BlockDetail extends Block {
  appHash: string;
  chainId: string;
  bytes: bigint;
  results: TxResult[];
  /** Of the block itself: payments that fell due, releases. */
  events: Event[];
}

/** An event's attributes; typed events carry each value as JSON, older ones as plain text. */
export function readEvent(value: unknown): Event {
  const e = object(value);
  const attributes: Json = {};
  for (const entry of list(e["attributes"], object)) {
    const raw = text(entry["value"]);
    try {
      attributes[text(entry["key"])] = JSON.parse(raw);
    } catch {
      attributes[text(entry["key"])] = raw;
    }
  }
  return { type: text(e["type"]), attributes };
}

export async function block(height: number, signal: AbortSignal): Promise<BlockDetail> {
  const [whole, results] = await Promise.all([
    get("/api/rpc/block" + query({ height }), signal),
    get("/api/rpc/block_results" + query({ height }), signal),
  ]);
  const result = object(object(whole)["result"]);
  const body = object(result["block"]);
  const header = object(body["header"]);
  const txs = list(object(body["data"])["txs"], text);
  const outcome = object(object(results)["result"]);
  const base = readBlock({
    height: header["height"],
    time: header["time"],
    hash: object(result["block_id"])["hash"],
    txs: txs.length,
    proposer: header["proposer_address"],
  });
  if (!base) throw new Error(`block ${height} cannot be read`);
  return {
    ...base,
    appHash: text(header["app_hash"]),
    chainId: text(header["chain_id"]),
    bytes: txs.reduce((sum, tx) => sum + BigInt(Math.floor((tx.length * 3) / 4)), 0n),
    results: list(outcome["txs_results"], (value) => {
      const r = object(value);
      return {
        code: small(r["code"]) ?? 0,
        log: text(r["log"]),
        gasUsed: wholeOr0(r["gas_used"]),
        gasWanted: wholeOr0(r["gas_wanted"]),
        events: list(r["events"], readEvent),
      };
    }),
    events: list(outcome["finalize_block_events"], readEvent),
  };
}
