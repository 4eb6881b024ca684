// All that views look at, with how often it is asked for.

import * as chain from "./chain.ts";
import * as network from "./network.ts";
import { keyed, Resource } from "./resource.svelte.ts";

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
export const feeBps = new Resource(chain.feeBps, RARE);

export const device = keyed(chain.device, CALM);
export const deviceOffers = keyed((id, signal) => chain.offers(signal, { device: id }), CALM);
export const deviceItems = keyed(chain.deviceItems, CALM);
export const reputation = keyed(chain.reputation, CALM);
export const lease = keyed(chain.lease, CALM);
export const balance = keyed(chain.balance, CALM);
export const owned = keyed((owner, signal) => chain.devices(signal, { owner }), CALM);
export const consumed = keyed((consumer, signal) => chain.leases(signal, { consumer }), CALM);
export const placement = keyed((bucket, signal) => network.placement(bucket, 64, signal), CALM);
/** A block does not change. */
export const block = keyed((height, signal) => chain.block(Number(height), signal), 3_600_000);
