// Proofs as the page sees them: epochs and their beacons (x/audit), what devices showed and failed to
// show (x/storage), and the reports of rewards (x/audit). Shapes are those of proto/cairn/*/v1.

import { walk, type Found } from "./chain.ts";
import { get, query } from "./http.ts";
import { enumWord, hexOfBase64, id, list, moment, object, small, text, wholeOr0 } from "./json.ts";

/** Service numbers of the chain (core/score). */
export const SERVICES = { storage: 1, wireless: 2, compute: 3, energy: 4 } as const;

export interface Epoch {
  number: number;
  startHeight: number;
  startedAt: number | undefined;
  beacon: string;
  /** Share of the voting power whose outputs are in the beacon, 0..1. */
  power: number;
  outputs: number;
  weak: boolean;
}

export interface CurrentEpoch extends Epoch {
  /** The first block that may start the next epoch. */
  nextHeight: number;
  /** Validators whose outputs for the next beacon are there. */
  collected: number;
}

export interface Contributor {
  validator: string;
  contributed: number;
  missed: number;
  invalid: number;
  lastContributed: number;
}

export interface Reporter {
  address: string;
  bond: bigint;
  state: string;
  finals: number;
  rejections: number;
}

export interface Report {
  id: string;
  epoch: number;
  status: string;
  reporters: string[];
  agreedAt: number;
  finalAt: number;
  demandsOpen: number;
  rejected: string;
  leaves: bigint;
  earned: bigint;
}

export interface FinalReport {
  id: string;
  epoch: number;
  height: number;
  leaves: bigint;
  earned: bigint;
  before: bigint;
}

export interface Standing {
  device: string;
  version: number;
  lastPassed: number;
  passed: number;
  faults: number;
  faultsInARow: number;
  openAudits: number;
}

export interface Fault {
  device: string;
  kind: string;
  subject: string;
  reporter: string;
  slashed: bigint;
  bounty: bigint;
  epoch: number;
  at: number | undefined;
  jailedUntil: number | undefined;
}

/** What the chain knows of a device's storage in one epoch. */
export interface Fact {
  device: string;
  epoch: number;
  challenged: boolean;
  passed: number;
  failed: number;
  proved: bigint;
  leased: bigint;
}

/** How an epoch went for a device, in one word. */
export type Outcome = "proved" | "failed" | "missed" | "idle";

export function outcome(fact: Fact): Outcome {
  if (fact.failed > 0) return "failed";
  if (fact.passed > 0) return "proved";
  return fact.challenged ? "missed" : "idle";
}

export function readEpoch(value: unknown): Epoch {
  const e = object(value);
  return {
    number: small(e["number"]) ?? 0,
    startHeight: small(e["start_height"]) ?? 0,
    startedAt: moment(e["start_time"]),
    beacon: hexOfBase64(e["beacon"]),
    power: (small(e["power_bps"]) ?? 0) / 10_000,
    outputs: small(e["outputs"]) ?? 0,
    weak: e["weak"] === true,
  };
}

export function readCurrentEpoch(value: unknown): CurrentEpoch {
  const answer = object(value);
  return {
    ...readEpoch(answer["epoch"]),
    nextHeight: small(answer["next_height"]) ?? 0,
    collected: list(answer["outputs"], object).length,
  };
}

export function readContributor(value: unknown): Contributor {
  const c = object(value);
  const record = object(c["record"]);
  return {
    validator: text(record["validator"]) || text(object(c["key"])["validator"]),
    contributed: small(record["contributed"]) ?? 0,
    missed: small(record["missed"]) ?? 0,
    invalid: small(record["invalid"]) ?? 0,
    lastContributed: small(record["last_contributed"]) ?? 0,
  };
}

export function readReporter(value: unknown): Reporter {
  const r = object(value);
  return {
    address: text(r["address"]),
    bond: wholeOr0(r["bond"]),
    state: enumWord(r["state"], "REPORTER_STATE"),
    finals: small(r["finals"]) ?? 0,
    rejections: small(r["rejections"]) ?? 0,
  };
}

export function readReport(value: unknown): Report {
  const r = object(value);
  const statement = object(r["statement"]);
  const output = object(statement["output"]);
  return {
    id: hexOfBase64(r["id"]),
    epoch: small(statement["epoch"]) ?? 0,
    status: enumWord(r["status"], "REPORT_STATUS"),
    reporters: list(r["posts"], (post) => text(object(post)["reporter"])),
    agreedAt: small(r["agreed_at"]) ?? 0,
    finalAt: small(r["final_at"]) ?? 0,
    demandsOpen: small(r["demands_open"]) ?? 0,
    rejected: text(r["rejected"]),
    leaves: wholeOr0(output["leaves"]),
    earned: wholeOr0(output["earned"]),
  };
}

export function readFinal(value: unknown): FinalReport {
  const f = object(value);
  const statement = object(f["statement"]);
  const output = object(statement["output"]);
  return {
    id: hexOfBase64(f["id"]),
    epoch: small(statement["epoch"]) ?? 0,
    height: small(f["height"]) ?? 0,
    leaves: wholeOr0(output["leaves"]),
    earned: wholeOr0(output["earned"]),
    before: wholeOr0(object(f["before"])["earned"]),
  };
}

export function readStanding(value: unknown): Standing {
  const s = object(value);
  return {
    device: id(s["device"]),
    version: small(s["version"]) ?? 0,
    lastPassed: small(s["last_passed"]) ?? 0,
    passed: small(s["passed"]) ?? 0,
    faults: small(s["faults"]) ?? 0,
    faultsInARow: small(s["consecutive_faults"]) ?? 0,
    openAudits: small(s["open_audits"]) ?? 0,
  };
}

export function readFault(value: unknown): Fault {
  const f = object(value);
  return {
    device: id(f["device"]),
    kind: enumWord(f["kind"], "FAULT_KIND"),
    subject: id(f["subject"]),
    reporter: text(f["reporter"]),
    slashed: wholeOr0(object(f["slashed"])["amount"]),
    bounty: wholeOr0(object(f["bounty"])["amount"]),
    epoch: small(f["recorded_in"]) ?? 0,
    at: moment(f["recorded_at"]),
    jailedUntil: moment(f["jailed_until"]),
  };
}

export function readFact(value: unknown): Fact {
  const f = object(value);
  return {
    device: id(f["device"]),
    epoch: small(f["epoch"]) ?? 0,
    challenged: f["challenged"] === true,
    passed: small(f["passed"]) ?? 0,
    failed: small(f["failed"]) ?? 0,
    proved: wholeOr0(f["proved"]),
    leased: wholeOr0(f["leased"]),
  };
}

const AUDIT = "/api/chain/cairn/audit/v1";
const STORAGE = "/api/chain/cairn/storage/v1";

export async function epoch(signal: AbortSignal): Promise<CurrentEpoch> {
  return readCurrentEpoch(await get(`${AUDIT}/epoch`, signal));
}

/** The latest epochs that are kept, newest first. */
export async function epochs(signal: AbortSignal): Promise<Epoch[]> {
  const page = { "pagination.limit": 24, "pagination.reverse": true };
  return list(object(await get(`${AUDIT}/epochs` + query(page), signal))["epochs"], readEpoch);
}

export function contributors(signal: AbortSignal): Promise<Found<Contributor>> {
  return walk("cairn/audit/v1/contributors", "contributors", readContributor, {}, signal);
}

export function reporters(signal: AbortSignal): Promise<Found<Reporter>> {
  return walk("cairn/audit/v1/reporters", "reporters", readReporter, {}, signal);
}

/** Reports of a service that are not final yet, by epoch. */
export async function openReports(service: number, signal: AbortSignal): Promise<Report[]> {
  const rounds = object(await get(`${AUDIT}/rounds/${service}`, signal));
  const numbers = list(rounds["rounds"], (round) => small(object(round)["epoch"]) ?? 0);
  const answers = await Promise.all(numbers.map((n) => get(`${AUDIT}/rounds/${service}/${n}`, signal)));
  return answers.flatMap((answer) => list(object(answer)["reports"], readReport));
}

export async function final(service: number, signal: AbortSignal): Promise<FinalReport> {
  return readFinal(object(await get(`${AUDIT}/finals/${service}`, signal))["final"]);
}

export function standings(signal: AbortSignal): Promise<Found<Standing>> {
  return walk("cairn/storage/v1/standings", "standings", readStanding, {}, signal);
}

export async function standing(device: string, signal: AbortSignal): Promise<Standing> {
  return readStanding(object(await get(`${STORAGE}/standings/${device}`, signal))["standing"]);
}

/** Faults of a device, or of all. */
export function faults(device: string | undefined, signal: AbortSignal): Promise<Found<Fault>> {
  return walk("cairn/storage/v1/faults", "faults", readFault, { device }, signal);
}

/** Epochs of a device's history that the page shows. */
export const HISTORY = 16;

/**
 * How the latest epochs went for a device, oldest first, the running one last. An epoch of which the
 * chain has no record of the device is left out.
 */
export async function history(device: string, signal: AbortSignal): Promise<Fact[]> {
  const now = (await epoch(signal)).number;
  const numbers = Array.from({ length: HISTORY }, (_, i) => now - HISTORY + 1 + i).filter((n) => n > 0);
  const answers = await Promise.allSettled(
    numbers.map((n) => get(`${STORAGE}/facts/${n}/${device}`, signal)),
  );
  return answers.flatMap((a) => (a.status === "fulfilled" ? [readFact(object(a.value)["fact"])] : []));
}
