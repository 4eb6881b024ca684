// What is not on the chain: the network around this page, its storage nodes and its gateway.

import { get, query } from "./http.ts";
import { id, list, moment, object, small, text, wholeOr0 } from "./json.ts";

export interface Account {
  name: string;
  address: string;
  hex: string;
}

export interface Info {
  network: string;
  chainId: string;
  evmChainId: number | undefined;
  version: string;
  endpoints: Record<"s3" | "web" | "rpc" | "rest" | "grpc" | "jsonrpc", string>;
  region: string;
  accessKey: string;
  readyFile: string;
  accounts: Account[];
}

export function readInfo(value: unknown): Info {
  const i = object(value);
  const ends = object(i["endpoints"]);
  const s3 = object(i["s3"]);
  return {
    network: text(i["network"]),
    chainId: text(i["chain_id"]),
    evmChainId: small(i["evm_chain_id"]),
    version: text(i["version"]),
    endpoints: {
      s3: text(ends["s3"]),
      web: text(ends["web"]),
      rpc: text(ends["rpc"]),
      rest: text(ends["rest"]),
      grpc: text(ends["grpc"]),
      jsonrpc: text(ends["jsonrpc"]),
    },
    region: text(s3["region"]),
    accessKey: text(s3["access_key"]),
    readyFile: text(i["ready_file"]),
    accounts: list(i["accounts"], (entry) => {
      const a = object(entry);
      return { name: text(a["name"]), address: text(a["address"]), hex: text(a["hex"]) };
    }),
  };
}

export async function info(signal: AbortSignal): Promise<Info> {
  return readInfo(await get("/api/info", signal));
}

/** A storage node. The figures of one that is down are those of its last answer; undefined if it never answered. */
export interface Node {
  name: string;
  device: string;
  up: boolean;
  error: string;
  seenAt: number | undefined;
  latencyMs: number | undefined;
  figures: Figures | undefined;
}

export interface Figures {
  endpoint: string;
  used: bigint;
  /** 0 for no limit. */
  capacity: bigint;
  reserved: bigint;
  pieces: bigint;
  leases: bigint;
  earned: bigint;
  /** Owed by vouchers and by the stream, and not settled yet. */
  pending: bigint;
  egress: bigint;
  ingress: bigint;
  uptime: number | undefined;
  version: string;
  warnings: string[];
}

export function readNode(value: unknown): Node {
  const n = object(value);
  const s = n["status"] === undefined || n["status"] === null ? undefined : object(n["status"]);
  return {
    name: text(n["name"]) || text(s?.["name"]),
    device: id(n["device_id"]) || id(s?.["device_id"]),
    up: n["up"] === true,
    error: text(n["error"]),
    seenAt: moment(n["seen_at"]),
    latencyMs: small(n["latency_ms"]),
    figures: s && {
      endpoint: text(s["endpoint"]),
      used: wholeOr0(s["used_bytes"]),
      capacity: wholeOr0(s["capacity_bytes"]),
      reserved: wholeOr0(s["reserved"]),
      pieces: wholeOr0(s["pieces"]),
      leases: wholeOr0(s["leases"]),
      earned: wholeOr0(s["earned"]),
      pending: wholeOr0(s["pending_vouchers"]) + wholeOr0(s["pending_stream"]),
      egress: wholeOr0(s["egress_bytes"]),
      ingress: wholeOr0(s["ingress_bytes"]),
      uptime: small(s["uptime_s"]) ?? small(s["uptime"]),
      version: text(s["version"]),
      warnings: list(s["warnings"], warning).filter((w) => w !== ""),
    },
  };
}

/** A warning is a sentence, or an object with one. */
function warning(value: unknown): string {
  return text(value) || text(object(value)["message"]) || text(object(value)["text"]);
}

export async function nodes(signal: AbortSignal): Promise<Node[]> {
  return list(await get("/api/nodes", signal), readNode);
}

export interface Bucket {
  name: string;
  objects: bigint;
  bytes: bigint;
  class: string;
}

/** A storage node as the gateway sees it. */
export interface Peer {
  device: string;
  owner: string;
  endpoint: string;
  state: string;
  latencyMs: number | undefined;
  bytes: bigint;
  pieces: bigint;
  /** Share of requests that succeeded, 0..1. */
  success: number | undefined;
  /** Why it is given no new pieces; "" where it is. */
  excluded: string;
}

export interface Gateway {
  buckets: Bucket[];
  peers: Peer[];
  lease:
    | {
        id: string;
        escrow: bigint;
        dryAt: number | undefined;
        expiresAt: number | undefined;
        spent: bigint;
        ratePerMonth: bigint;
      }
    | undefined;
  repair: { healthy: bigint; degraded: bigint; lost: bigint; queue: bigint; rebuilt: bigint } | undefined;
  snapshot: { version: string; ageS: number | undefined } | undefined;
  warnings: string[];
}

/** Seconds that have passed; undefined where the daemon says -1 for never. */
function elapsed(value: unknown): number | undefined {
  const seconds = small(value);
  return seconds === undefined || seconds < 0 ? undefined : seconds;
}

export function readGateway(value: unknown): Gateway {
  const g = object(value);
  const lease = object(g["lease"]);
  const repair = object(g["repair"]);
  const snapshot = object(g["snapshot"]);
  return {
    buckets: list(g["buckets"], (entry) => {
      const b = object(entry);
      return {
        name: text(b["name"]),
        objects: wholeOr0(b["objects"]),
        bytes: wholeOr0(b["bytes"]),
        class: text(b["class"]),
      };
    }),
    peers: list(g["nodes"], (entry) => {
      const p = object(entry);
      return {
        device: id(p["device"]),
        owner: text(p["owner"]),
        endpoint: text(p["endpoint"]),
        state: text(p["state"]),
        latencyMs: small(p["latency_ms"]),
        bytes: wholeOr0(p["bytes"]),
        pieces: wholeOr0(p["pieces"]),
        success: small(p["success"]),
        excluded: text(p["excluded"]),
      };
    }),
    lease: id(lease["id"])
      ? {
          id: id(lease["id"]),
          escrow: wholeOr0(lease["escrow"]),
          dryAt: moment(lease["dry_at"]),
          expiresAt: moment(lease["expires_at"]),
          spent: wholeOr0(lease["spent"]),
          ratePerMonth: wholeOr0(lease["rate_per_month"]),
        }
      : undefined,
    repair: g["repair"]
      ? {
          healthy: wholeOr0(repair["healthy"]),
          degraded: wholeOr0(repair["degraded"]),
          lost: wholeOr0(repair["lost"]),
          queue: wholeOr0(repair["queue"]),
          rebuilt: wholeOr0(repair["rebuilt"]),
        }
      : undefined,
    snapshot: text(snapshot["version"])
      ? { version: text(snapshot["version"]), ageS: elapsed(snapshot["age_s"]) }
      : undefined,
    warnings: list(g["warnings"], warning).filter((w) => w !== ""),
  };
}

export async function gateway(signal: AbortSignal): Promise<Gateway> {
  return readGateway(await get("/api/gateway/status", signal));
}

/** Numbers of pieces of a redundancy class: enough to read, too few to wait with repair, enough to acknowledge, most. */
export interface Class {
  name: string;
  k: number;
  repair: number;
  optimal: number;
  total: number;
}

export interface Placement {
  bucket: string;
  classes: Class[];
  /** Of the bucket; undefined where the gateway did not count them all. */
  segmentsTotal: number | undefined;
  /** Most at risk first; devices that hold a piece as far as the gateway knows. */
  segments: { id: string; size: bigint; class: string; devices: string[] }[];
}

export function readPlacement(value: unknown): Placement {
  const p = object(value);
  return {
    bucket: text(p["bucket"]),
    classes: list(p["classes"], (entry) => {
      const c = object(entry);
      const count = (field: string) => small(c[field]) ?? 0;
      return {
        name: text(c["name"]),
        k: count("k"),
        repair: count("repair"),
        optimal: count("optimal"),
        total: count("total"),
      };
    }),
    segmentsTotal: small(p["segments_total"]),
    segments: list(p["segments"], (entry) => {
      const s = object(entry);
      return {
        id: text(s["id"]),
        size: wholeOr0(s["size"]),
        class: text(s["class"]),
        devices: list(s["pieces"], id).filter((device) => device !== ""),
      };
    }),
  };
}

export async function placement(bucket: string, limit: number, signal: AbortSignal): Promise<Placement> {
  return readPlacement(await get("/api/gateway/placement" + query({ bucket, limit }), signal));
}
