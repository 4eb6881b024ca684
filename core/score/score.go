// Package score turns what is known of a device in an epoch into points and money: the rules of
// rewards, the same in a reporter, in a watcher and on the chain that replays one leaf in a dispute.
//
// # Mental model
//
// A Fact is what the chain knows of one device, service and epoch. Rules are a version of a pure
// function: Score gives points with a Reason for every zero, Pay turns points into money out of the
// epoch's Pools, and Next gives the Account, the leaf of the epoch's report, from the Account of the
// report before it. Nothing else enters: no clock, no order of devices, no other device's fact beyond
// the sum of all points.
//
//	usage      what the device's consumers burned earns a share of the usage pool, never more than
//	           UsagePerMille of what was burned: buying from oneself loses money
//	bootstrap  points earn a share of the bootstrap pool, never more than the yearly yield on the
//	           device's bond: a device that does nothing but exist does not earn what its bond costs
//	boost      the device's share of what sponsors put on its cell, computed on chain
//
// # Held back
//
// A part of what low tiers earn is held back. It waits in two buckets: Young takes what is held, and
// with every period of Terms.ReleaseEpochs Old is paid out and Young becomes Old, so that every amount
// waits for one to two periods. A missed challenge costs a part of both buckets, a fault all of them.
// What is forfeited is never issued.
//
// # Invariants
//
// INV-SCORE-1: the earnings of all devices with distinct facts never exceed the epoch's pools.
//
// INV-SCORE-2: Paid + Young + Old <= Earned in every Account; Earned and Paid never fall.
//
// INV-SCORE-3: usage pay <= UsagePerMille/1000 of what was burned, bootstrap pay <= yield on bond.
//
// INV-SCORE-4: every function is total: no input panics, and none makes a sum wrap.
//
// Specification: docs/spec/score.md.
package score

import (
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
)

// Service is a vertical that rewards are paid in.
type Service uint8

// The services. Numbers are part of encodings and of the chain's state.
const (
	Storage  Service = 1
	Wireless Service = 2
	Compute  Service = 3
	Energy   Service = 4
)

// Services lists all services in ascending order.
var Services = []Service{Storage, Wireless, Compute, Energy}

var serviceNames = map[Service]string{Storage: "storage", Wireless: "wireless", Compute: "compute", Energy: "energy"}

// ErrService says that a number or name is no service's.
var ErrService = errors.New("no such service")

// Valid says whether the number is a service's.
func (s Service) Valid() bool { return s >= Storage && s <= Energy }

// String is the service's name, which is also the name of the market's resource.
func (s Service) String() string {
	if name, known := serviceNames[s]; known {
		return name
	}
	return fmt.Sprintf("service %d", uint8(s))
}

// ParseService reads a service's name; ErrService.
func ParseService(name string) (Service, error) {
	for _, s := range Services {
		if serviceNames[s] == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%w: %q", ErrService, name)
}

// Rules is a version of the rules. A report names the version it was computed by, and what a
// version says never changes.
type Rules uint32

// RulesV1 are the first rules.
const RulesV1 Rules = 1

// ErrRules says that this program does not know a version of the rules.
var ErrRules = errors.New("unknown version of the rules")

// Known says whether this program has the rules of that version.
func (r Rules) Known() bool { return r == RulesV1 }

// Standing says what else is to be known of a device in an epoch; several may hold.
type Standing uint8

// What a device may be.
const (
	// Jailed: at the beginning of the epoch, for an earlier fault.
	Jailed Standing = 1 << iota
	// Banned by governance or by whoever it lets ban, at any time of the epoch.
	Banned
	// New: it committed to its first data in this epoch; challenges begin with the next.
	New
	// Faulted: a fault of it was proved on chain in the epoch, beside what Failed counts.
	Faulted
	// Refused: the rules of its region ask for a credential that it does not have.
	Refused

	standings = Jailed | Banned | New | Faulted | Refused
)

// MaxTier is the highest trust tier.
const MaxTier = 3

// Bounds of the need weight, per mille.
const (
	MinNeed = 1000
	MaxNeed = 3000
)

// Fact is what the chain knows of one device, service and epoch once the epoch is over. It never
// changes from there.
type Fact struct {
	Device  uint64
	Epoch   uint64
	Service Service

	Standing Standing
	// Challenged says whether the device was to answer in this epoch.
	Challenged bool
	// Passed and Failed count its answers that were in time.
	Passed, Failed uint32

	// Proved is what its last passed challenge covers, in the service's units (storage: bytes).
	Proved uint64
	// Leased is what consumers reserved of it, in the same units.
	Leased uint64
	// Burned is what its settlements burned in the epoch, acairn.
	Burned price.Amount
	// Bond that answers for it, acairn.
	Bond price.Amount
	// Tier of trust, 0..MaxTier.
	Tier uint32
	// Cell that its need was read for; 0 where it says none.
	Cell geo.Cell
	// Need of its cell, per mille, MinNeed..MaxNeed.
	Need uint32
	// Boost is its share of what sponsors escrowed for its cell and this epoch, acairn.
	Boost price.Amount
}

// Faulty says whether the fact shows a provable fault, which forfeits what is held back.
func (f Fact) Faulty() bool { return f.Failed > 0 || f.Standing&Faulted != 0 }

// Missed says whether the device was challenged and gave no answer in time.
func (f Fact) Missed() bool { return f.Challenged && f.Passed == 0 && f.Failed == 0 }

// Terms are the governed numbers of the rules, as they were when the epoch ended.
type Terms struct {
	// Usage is the most that usage pays, per mille of what was burned for the device; never more
	// than UsagePerMille, whatever stands here.
	Usage uint32
	// Yield is the most that bootstrap pays, in 10^-12 of the device's bond, for this epoch.
	Yield uint64
	// Share is the most of the bootstrap pool that one device gets, per mille.
	Share uint32
	// Hold is how much of bootstrap and boosts is held back, per mille, by tier.
	Hold [MaxTier + 1]uint32
	// NeedHold is how much of what need beyond MinNeed and boosts add is held back at least, per mille.
	NeedHold uint32
	// ReleaseEpochs is the length of a period; 0 counts as 1.
	ReleaseEpochs uint64
	// Miss and Fault are how much of what is held back a missed challenge and a fault forfeit, per mille.
	Miss, Fault uint32
}

// Pools is what one service may pay out for one epoch.
type Pools struct {
	// Usage is shared by what was burned, Bootstrap by points.
	Usage, Bootstrap price.Amount
	// Boost is the sum of all that sponsors' escrows give in the epoch; facts carry each device's share.
	Boost price.Amount
	// TotalBurned is what all settlements of the service burned in the epoch.
	TotalBurned price.Amount
	Terms       Terms
}

// Budget is the most that all devices together can earn; true where it is above 2^128-1.
func (p Pools) Budget() (price.Amount, bool) {
	sum, over := p.Usage.Add(p.Bootstrap)
	all, overAll := sum.Add(p.Boost)
	return all, over || overAll
}
