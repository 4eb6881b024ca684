// All that views look at, with how often it is asked for.

import * as audit from "./audit.ts";
import * as chain from "./chain.ts";
import * as network from "./network.ts";
import { keyed, Resource } from "./resource.svelte.ts";
import * as reward from "./reward.ts";
import * as vote from "./vote.ts";

const LIVE = 3000;
const CALM = 8000;
const RARE = 60_000;

export const info = new Resource(network.info, RARE);
export const nodes = new Resource(network.nodes, LIVE);
export const gateway = new Resource(network.gateway, LIVE);

export const devices = new Resource((signal) => chain.devices(signal), CALM);
export const offers = new Resource((signal) => chain.offers(signal, { only_open: true }), CALM);
export const leases = new Resource((signal) => chain.leases(signal), CALM);
export const escrow = new Resource(chain.escrow, CALM);
export const settled = new Resource((signal) => chain.settled(undefined, signal), CALM);

export const epoch = new Resource(audit.epoch, LIVE);
export const epochs = new Resource(audit.epochs, CALM);
export const contributors = new Resource(audit.contributors, CALM);
export const reporters = new Resource(audit.reporters, CALM);
export const openReports = new Resource((signal) => audit.openReports(audit.SERVICES.storage, signal), LIVE);
export const finalReport = new Resource((signal) => audit.final(audit.SERVICES.storage, signal), CALM);
export const standings = new Resource(audit.standings, CALM);
export const faults = new Resource((signal) => audit.faults(undefined, signal), CALM);
export const emission = new Resource(reward.emission, CALM);
export const ledger = new Resource((signal) => reward.ledger(audit.SERVICES.storage, signal), CALM);
export const proposals = new Resource(vote.proposals, CALM);
export const bonded = new Resource(vote.bonded, RARE);

export const device = keyed(chain.device, CALM);
export const standing = keyed(audit.standing, CALM);
export const history = keyed(audit.history, CALM);
export const deviceFaults = keyed(audit.faults, CALM);
export const claimed = keyed(
  (of: string, signal) => reward.claimed(audit.SERVICES.storage, of, signal),
  CALM,
);
export const deviceOffers = keyed((id, signal) => chain.offers(signal, { device: id }), CALM);
export const deviceItems = keyed(chain.deviceItems, CALM);
export const reputation = keyed(chain.reputation, CALM);
export const deviceSettled = keyed(chain.settled, CALM);
export const lease = keyed(chain.lease, CALM);
export const balance = keyed(chain.balance, CALM);
export const owned = keyed((owner, signal) => chain.devices(signal, { owner }), CALM);
export const consumed = keyed((consumer, signal) => chain.leases(signal, { consumer }), CALM);
export const placement = keyed((bucket, signal) => network.placement(bucket, 64, signal), CALM);
/** A block does not change. */
export const block = keyed((height, signal) => chain.block(Number(height), signal), 3_600_000);
