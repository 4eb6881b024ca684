package score

import (
	"math/bits"

	"github.com/cairn-network/cairn/core/price"
)

const (
	// UsagePerMille is the most of what was burned that usage gives back, whatever governance says.
	UsagePerMille = 900
	// PointBytes is how much storage, at tier 0 and need 1000, is one point an epoch.
	PointBytes = 64 << 10
	// MaxPoints bounds one device's points, so that the sum over 2^24 devices fits into 64 bits.
	MaxPoints = 1 << 40

	// NeedTier is the least tier whose points are weighted by the need of its cell: a place that pays
	// more draws those who only say that they are there.
	NeedTier = 2

	perMille = 1000
	trillion = 1_000_000_000_000
)

// tierWeight is what a unit counts by trust tier, per mille: hardware that cannot be copied makes
// fakes dearer, and so is worth more.
var tierWeight = [MaxTier + 1]uint64{1000, 1100, 1300, 1500}

// need of a fact, per mille: beyond MinNeed only from the tier at which need is paid.
func (f Fact) need() uint64 {
	if f.Tier < NeedTier {
		return MinNeed
	}
	return uint64(min(max(f.Need, MinNeed), MaxNeed))
}

// Score gives a fact's points and, where they are none, the reason. Rules that this program does not
// know give no points: check Known first.
func (r Rules) Score(f Fact) (points uint64, reason Reason) {
	switch {
	case !r.Known():
		return 0, NoFact
	case f.Standing&Banned != 0:
		return 0, DeviceBanned
	case f.Standing&Refused != 0:
		return 0, NotPermitted
	case f.Standing&Jailed != 0:
		return 0, DeviceJailed
	case f.Failed > 0:
		return 0, FailedProof
	case f.Standing&Faulted != 0:
		return 0, ProvenFault
	case f.Missed():
		return 0, MissedChallenge
	case f.Standing&New != 0:
		return 0, TooNew
	case f.Proved == 0:
		return 0, NothingProved
	case f.Leased == 0:
		return 0, NotLeased
	}
	units := price.FromUint64(min(f.Proved, f.Leased))
	weight := tierWeight[min(f.Tier, MaxTier)] * f.need()
	scored, _ := units.MulDiv(weight, PointBytes*perMille*perMille) // below 2^64 * 5 / 2^16
	if scored.IsZero() {
		return 0, TooSmall
	}
	return min(scored.Lo, MaxPoints), Paid
}

// Pay gives what a device earns for an epoch: paid at once, and held back. points is Score's, and
// totalPoints the sum over all devices of the service.
func (r Rules) Pay(f Fact, points, totalPoints uint64, pools Pools) (paid, held price.Amount) {
	if points == 0 || points > totalPoints || !r.Known() {
		return price.Amount{}, price.Amount{}
	}
	t := pools.Terms
	usage := smaller(
		pools.Usage.Share(f.Burned, pools.TotalBurned),
		part(f.Burned, min(t.Usage, UsagePerMille)),
	)
	bootstrap := smaller(
		smaller(pools.Bootstrap.Share(price.FromUint64(points), price.FromUint64(totalPoints)), part(pools.Bootstrap, t.Share)),
		yield(f.Bond, t.Yield),
	)
	boost := smaller(f.Boost, pools.Boost)
	// What need adds to the bootstrap share: all of it beyond what the same points at MinNeed earn.
	need := f.need()
	plain := bootstrap.Share(price.FromUint64(MinNeed), price.FromUint64(need))
	added := saturatingAdd(minus(bootstrap, plain), boost)

	hold := min(t.Hold[min(f.Tier, MaxTier)], perMille)
	held = saturatingAdd(part(plain, hold), part(added, max(hold, min(t.NeedHold, perMille))))
	earned := saturatingAdd(saturatingAdd(usage, bootstrap), boost)
	return minus(earned, held), held
}

// part is floor(a*n/1000), n taken as at most 1000.
func part(a price.Amount, n uint32) price.Amount {
	return a.Share(price.FromUint64(uint64(min(n, perMille))), price.FromUint64(perMille))
}

// yield is floor(bond*y/10^12), or all there can be where that is above 2^128-1.
func yield(bond price.Amount, y uint64) price.Amount {
	most, over := bond.MulDiv(y, trillion)
	if over {
		return price.Amount{Hi: ^uint64(0), Lo: ^uint64(0)}
	}
	return most
}

func smaller(a, b price.Amount) price.Amount {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// minus is a-b, or zero.
func minus(a, b price.Amount) price.Amount {
	if d, under := a.Sub(b); !under {
		return d
	}
	return price.Amount{}
}

// saturatingAdd is a+b, or 2^128-1.
func saturatingAdd(a, b price.Amount) price.Amount {
	if sum, over := a.Add(b); !over {
		return sum
	}
	return price.Amount{Hi: ^uint64(0), Lo: ^uint64(0)}
}

// AddPoints adds a device's points to a total; true where the sum does not fit, which no total of
// fewer than 2^24 devices does.
func AddPoints(total, points uint64) (sum uint64, overflow bool) {
	sum, carry := bits.Add64(total, points, 0)
	return sum, carry != 0
}
