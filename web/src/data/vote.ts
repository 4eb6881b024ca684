// Votes as the page sees them (cosmos.gov.v1).

import { get, query } from "./http.ts";
import { enumWord, id, list, moment, object, text, wholeOr0 } from "./json.ts";

export interface Tally {
  yes: bigint;
  no: bigint;
  veto: bigint;
  abstain: bigint;
}

export interface Proposal {
  id: string;
  title: string;
  summary: string;
  proposer: string;
  status: string;
  /** What it would do: the messages' names, such as "market UpdateParams". */
  does: string[];
  submittedAt: number | undefined;
  depositEndsAt: number | undefined;
  votingEndsAt: number | undefined;
  tally: Tally;
  failure: string;
}

export function readTally(value: unknown): Tally {
  const t = object(value);
  return {
    yes: wholeOr0(t["yes_count"]),
    no: wholeOr0(t["no_count"]),
    veto: wholeOr0(t["no_with_veto_count"]),
    abstain: wholeOr0(t["abstain_count"]),
  };
}

/** "/cairn.market.v1.MsgUpdateParams" -> "market: update params". */
export function messageWords(typeUrl: string): string {
  const match = /^\/(?:[a-z]+\.)*?([a-z]+)\.v\d\w*\.Msg(\w+)$/.exec(typeUrl);
  if (!match) return typeUrl;
  return `${match[1]}: ${match[2]!.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase()}`;
}

export function readProposal(value: unknown): Proposal {
  const p = object(value);
  return {
    id: id(p["id"]),
    title: text(p["title"]),
    summary: text(p["summary"]),
    proposer: text(p["proposer"]),
    status: enumWord(p["status"], "PROPOSAL_STATUS").replaceAll("_", " "),
    does: list(p["messages"], (message) => messageWords(text(object(message)["@type"]))),
    submittedAt: moment(p["submit_time"]),
    depositEndsAt: moment(p["deposit_end_time"]),
    votingEndsAt: moment(p["voting_end_time"]),
    tally: readTally(p["final_tally_result"]),
    failure: text(p["failed_reason"]),
  };
}

/** The latest proposals, newest first; those being voted on with the votes until now. */
export async function proposals(signal: AbortSignal): Promise<Proposal[]> {
  const page = { "pagination.limit": 50, "pagination.reverse": true };
  const answer = object(await get("/api/chain/cosmos/gov/v1/proposals" + query(page), signal));
  return Promise.all(
    list(answer["proposals"], readProposal).map(async (proposal) => {
      if (proposal.status !== "voting period") return proposal;
      const now = object(await get(`/api/chain/cosmos/gov/v1/proposals/${proposal.id}/tally`, signal));
      return { ...proposal, tally: readTally(now["tally"]) };
    }),
  );
}

/** All tokens that may vote. */
export async function bonded(signal: AbortSignal): Promise<bigint> {
  const answer = object(await get("/api/chain/cosmos/staking/v1beta1/pool", signal));
  return wholeOr0(object(answer["pool"])["bonded_tokens"]);
}
