// Package auction holds the two auctions of the network. Chain and tools call the same functions.
//
// # Reverse auction
//
// One consumer asks, devices bid, the lowest price wins (Rank).
//
// INV-AUCTION-1: the order is total and depends on the bids alone, so that every node and every
// order of arrival gives the same ranking.
//
// # Double auction on a grid
//
// In each slot a community's members sell and buy energy at one price a node (Market.Clear). The nodes
// form a tree (core/grid) whose edges have a fee, a loss and a capacity, and whose root meets a utility
// that sells at one posted price and buys at a lower one. The result maximises
//
//	what the filled bids offered - what the filled asks asked - fees - what the utility is owed
//
// and, of all results that do, trades most. It is found without a solver, because on a tree the answer
// of a whole subtree to any price is one staircase:
//
//   - T(p) is what a subtree would export at price p, negative for imports: its asks below p less its
//     bids above it. A staircase rises with p, one step an order's price.
//   - Seen through an edge with fee f, an export at p needs p - f below the edge, an import p + f above
//     it. Between the two nothing flows, beyond the capacity no more flows: a staircase again. A loss
//     makes both prices and quantities differ by the part lost.
//   - A node's staircase is the sum of its children's, seen through their edges, and its own orders'.
//
// Upwards, staircases are merged; at the root the price is where supply meets demand, or the utility's;
// downwards, each node is told its flow and looks up its price in its own staircase. Where a price
// leaves a choice it is shared pro rata by quantity with the largest remainders rounded up.
//
// A tick has two steps, first its asks, then its bids: between an ask and a bid at one price a trade
// gains nothing, and so counts as gaining half a tick, less than any that gains something. This is what
// makes the volume the largest.
//
// Cost is O(orders x depth + nodes x ticks), memory O(orders x depth).
//
//   - INV-ENERGY-1 (order): the result depends on the set of orders and the tree alone.
//   - INV-ENERGY-2 (limits): no bid pays above its limit, no ask gets below its own, none is filled
//     beyond its quantity, and one strictly inside its node's price is filled whole.
//   - INV-ENERGY-3 (energy): at each node what is sold and flows in is what is bought and flows out, and
//     what an edge sends is what it delivers and its loss, to the last watt-hour.
//   - INV-ENERGY-4 (money): what buyers and the utility pay is what sellers, edges and the utility get
//     and the rounding, to the last base unit; no edge's fee is unpaid, no rent and no rounding negative.
//   - INV-ENERGY-5 (spread): the prices of an edge's ends differ by its fee and its loss where it carries
//     energy below its capacity, and by no more where it carries none.
//   - INV-ENERGY-6 (optimum): without losses no other trade on this tree is worth more; with losses, no
//     other is by more than the ticks and watt-hours that roundings cost (Market.Clear).
//
// A book is made of what meters counted in a slot that is over (SettleMetered: the default, without
// forecasts), or of curves and batteries for a slot to come (Curve, Battery, CheckGate), whose promises
// are settled against the meters afterwards (SettleImbalance, TrueUp).
//
//   - INV-ENERGY-7 (metered): nobody pays more for a deficit than the utility's retail price, nor gets
//     less for a surplus than its feed-in price.
//   - INV-ENERGY-8 (imbalance): its money sums to zero; nobody pays more than their escrow.
//
// What a uniform price does not prevent: whoever is at the margin moves the price by asking for more
// than they would take. The gain is bounded by the gap to the next order, and the price is the middle of
// the range that clears, so that neither side has all of it.
package auction
