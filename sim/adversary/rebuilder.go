package adversary

import (
	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/price"
)

// Rebuilder holds nothing, or less than it should, and rebuilds what it is asked for: for every
// position it fetches as many other pieces of the segment as the class has data pieces, until the epoch
// ends.
//
// Bandwidth and deadline do not stop it: four positions are 64 MiB, and an epoch is an hour. What does
// is that nodes serve a piece to the session key of its lease and to nobody else, so that it can fetch
// from itself only.
type Rebuilder struct {
	// Accomplices says that it runs its devices under as many names and networks, so that no placement
	// cap binds it, and fetches from those: it keeps as many pieces of a segment as restore it, and
	// throws away the rest.
	Accomplices bool
	// Served says that all nodes serve whoever asks at a price, as none does; for comparison.
	Served bool
	// Read is how much of what it holds its customers read in a month, per mille, where it is served.
	Read uint64
}

// What a rebuilder works with.
const (
	rebuildPiece  = 1 << 20     // bytes
	linkPerSecond = 125_000_000 // bytes: 1 Gbit/s
	// Prices of a TB, thousandths of CAIRN: between two places of the same player, and of others.
	transit = 500
	egress  = 2000
)

// rebuildClass is that of a network of hundreds of nodes.
var rebuildClass = erasure.Standard

// Name of the attack.
func (a Rebuilder) Name() string {
	switch {
	case a.Accomplices:
		return "rebuild on demand, own fleet"
	case a.Served:
		return "rebuild on demand, if it were served"
	}
	return "rebuild on demand"
}

// Claims of the attack.
func (a Rebuilder) Claims() string {
	if a.Accomplices {
		return "keeps k pieces of a segment, drops those beyond: bounded by how seldom a fleet is given more than k"
	}
	return "holds nothing and fetches what it is asked for: nodes serve the lease's session key only"
}

// Play runs the attack. The share is that of all bytes in the network that the rebuilder took on.
func (a Rebuilder) Play(seed uint64, share int) Outcome {
	w := NewWorld(seed)
	w.Crowd(6)
	attacker := w.Sit("rebuilder", Rent)
	w.Fleet(attacker, share)
	twin := w.Twin(attacker)
	gone, spent := 1.0, Zero()
	out := Outcome{Must: 1000, Bound: Zero()}
	if a.Accomplices {
		gone, out.Must = w.spare(rebuildClass, share), 0
	}
	for _, d := range attacker.Devices {
		thrown := uint64(gone * float64(d.Held))
		d.Disk -= thrown
		if a.Accomplices { // the disks that it saves, and nothing else
			out.Bound.Add(perTB(w.Costs.Disk, month*EpochSeconds, thrown))
		}
		d.Show = func(w *World, d *Device, positions []uint64) bool {
			fetched := uint64(0)
			for range positions {
				if w.Random.Float64() < gone {
					fetched += uint64(rebuildClass.K) * rebuildPiece
				}
			}
			if fetched == 0 {
				return true
			}
			if !a.Accomplices && !a.Served {
				return false // refused by all it asks
			}
			cost := perTB(CAIRN(a.priceOfTB()), monthSeconds, fetched)
			d.Seat.Purse.Sub(cost)
			spent.Sub(cost)
			return fetched <= linkPerSecond*EpochSeconds
		}
		if a.Served { // each byte that is read costs it as many as restore it
			read := d.Promised / 1000 * a.Read * uint64(rebuildClass.K)
			attacker.Purse.Sub(perTB(CAIRN(egress), monthSeconds, read))
		}
	}
	if a.Served {
		out.Must = 0
	}
	w.Run(month)
	out.Profit, out.Twin = beyond(attacker.Purse, twin.Purse), twin.Purse
	if a.Accomplices { // what it saves is less than what luck makes of two fleets, so it is counted alone
		out.Profit = Zero()
		out.Profit.Int.Add(out.Bound.Int, spent.Int)
	}
	out.Detected, out.FalsePositives = attacker.Caught, falsePositives(w, attacker)
	return out
}

func (a Rebuilder) priceOfTB() int64 {
	if a.Accomplices {
		return transit
	}
	return egress
}

// spare is the part of its pieces that a fleet with a share of all nodes, in percent, can throw away
// and rebuild from its own: of each segment what it was given beyond the class's data pieces.
func (w *World) spare(c erasure.Class, share int) float64 {
	const segments = 2000
	given, thrown := 0, 0
	for range segments {
		pieces := 0
		for range c.Optimal {
			if w.Random.IntN(100) < share {
				pieces++
			}
		}
		given, thrown = given+pieces, thrown+max(0, pieces-c.K)
	}
	return float64(thrown) / float64(max(given, 1))
}

// perTB is what a price for a TB and month is for so many bytes in so many seconds.
func perTB(of price.Amount, seconds, bytes uint64) price.Amount {
	cost, err := price.Rate{Amount: of, Per: TB * monthSeconds}.StreamCost(bytes, seconds)
	if err != nil {
		panic(err) // far from any bound
	}
	return cost
}
