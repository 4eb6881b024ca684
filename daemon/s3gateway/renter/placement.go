package renter

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sort"
	"strings"
	"time"

	"github.com/cairn-network/cairn/core/erasure"
)

// ErrTooFewNodes is returned when a segment cannot be placed on as many independent nodes as its
// class demands. It is always wrapped by a *ShortageError that says who was left out and why.
var ErrTooFewNodes = errors.New("too few independent storage nodes")

// Reason says why a node cannot take a piece.
type Reason uint8

// Reasons, in the order in which they are checked and reported.
const (
	ReasonOffline      Reason = iota + 1 // did not answer lately
	ReasonJailed                         // the chain has jailed it
	ReasonRetiring                       // it is leaving the network
	ReasonNoOffer                        // sells nothing at the moment
	ReasonFaults                         // failed the chain's last challenge
	ReasonBond                           // has too small a bond for what it holds
	ReasonPrice                          // asks more than the configured limit
	ReasonRegion                         // not in a wanted region
	ReasonNoLease                        // no lease with it (yet)
	ReasonUnpaid                         // its escrow is dry
	ReasonFull                           // no room left, on its disk or in the lease
	ReasonFaulty                         // gave back bad data or a false receipt
	ReasonSameOperator                   // its owner holds another piece of the segment
	ReasonSameNetwork                    // its network holds another piece of the segment
	ReasonRegionCap                      // its region holds as many pieces as may be lost at once
	ReasonFailed                         // was tried for this segment and failed
)

var reasonText = map[Reason]string{
	ReasonOffline:      "offline",
	ReasonJailed:       "jailed",
	ReasonRetiring:     "retiring",
	ReasonNoOffer:      "without an open offer",
	ReasonFaults:       "that failed the chain's last challenge",
	ReasonBond:         "with too small a bond for what they hold",
	ReasonPrice:        "above the price limit",
	ReasonRegion:       "outside the wanted regions",
	ReasonNoLease:      "not in the lease",
	ReasonUnpaid:       "with a dry escrow",
	ReasonFull:         "full",
	ReasonFaulty:       "distrusted after bad data",
	ReasonSameOperator: "of an operator that holds a piece already",
	ReasonSameNetwork:  "in a network that holds a piece already",
	ReasonRegionCap:    "in a region that holds its share already",
	ReasonFailed:       "failed while storing",
}

func (r Reason) String() string { return reasonText[r] }

// ShortageError explains why a segment could not be placed. errors.Is(err, ErrTooFewNodes) holds.
type ShortageError struct {
	Class    erasure.Class
	Needed   int
	Found    int
	Excluded map[Reason][]uint64 // devices, ascending
}

func (e *ShortageError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: class %s needs %d, found %d", ErrTooFewNodes, e.Class.Name, e.Needed, e.Found)
	reasons := make([]Reason, 0, len(e.Excluded))
	for r := range e.Excluded {
		reasons = append(reasons, r)
	}
	sort.Slice(reasons, func(i, j int) bool { return reasons[i] < reasons[j] })
	for i, r := range reasons {
		sep := ", "
		if i == 0 {
			sep = "; left out: "
		}
		fmt.Fprintf(&b, "%s%d %s (%s)", sep, len(e.Excluded[r]), r, deviceList(e.Excluded[r]))
	}
	return b.String()
}

// Unwrap makes errors.Is(err, ErrTooFewNodes) hold.
func (e *ShortageError) Unwrap() error { return ErrTooFewNodes }

func (e *ShortageError) exclude(r Reason, device uint64) {
	if e.Excluded == nil {
		e.Excluded = make(map[Reason][]uint64)
	}
	e.Excluded[r] = append(e.Excluded[r], device)
}

// deviceList names at most eight devices.
func deviceList(ids []uint64) string {
	const most = 8
	sorted := append([]uint64(nil), ids...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	var b strings.Builder
	b.WriteString("device")
	if len(sorted) > 1 {
		b.WriteByte('s')
	}
	for i, id := range sorted {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(sorted)-most)
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %d", id)
	}
	return b.String()
}

// Candidate is a node as placement weighs it.
type Candidate struct {
	Node
	// Excluded is set where the node cannot take a piece whatever else is chosen.
	Excluded Reason
	// Success is the recent share of operations that went well, 0..1; 1 for a node without history.
	Success float64
	// Latency is the typical time of a small operation; zero for a node without history.
	Latency time.Duration
}

// cost orders candidates: expected time until an operation that takes transfer besides the latency
// has gone well. A node without history is as quick as the quickest, so that it is tried and gets one.
func (c Candidate) cost(transfer time.Duration) float64 {
	const floor = 0.05 // a node that always fails is still 20 times dearer, not infinitely
	success := max(c.Success, floor)
	return float64(c.Latency+transfer) / success
}

// uploadTime is about what the bytes of a piece take on an ordinary line. Beside it a few milliseconds
// of latency are nothing, and must decide nothing: the slowest of equals would get no piece ever.
const uploadTime = 50 * time.Millisecond

// before draws which of two candidates goes first: the quicker the likelier, in proportion.
func (c Candidate) before(d Candidate, rng *rand.Rand) bool {
	mine, others := c.cost(uploadTime), d.cost(uploadTime)
	return rng.Float64()*(mine+others) < others
}

// Policy bounds placement.
type Policy struct {
	// LoopbackIsDistinct counts every loopback address and port as a network of its own, which is
	// true of nothing but a network on one machine.
	LoopbackIsDistinct bool
}

// network is the place of n under the policy; empty when unknown, which never collides.
func (p Policy) network(n Node) string {
	if addr, err := netip.ParseAddrPort(n.Endpoint); err == nil && addr.Addr().IsLoopback() && p.LoopbackIsDistinct {
		return ""
	}
	return n.Network()
}

// IndependentGroups counts the usable candidates that share neither owner nor network with one
// another: the number of pieces of a segment that can be lost only one at a time.
func (p Policy) IndependentGroups(candidates []Candidate) int {
	usable := candidates[:0:0]
	for _, c := range candidates {
		if c.Excluded == 0 {
			usable = append(usable, c)
		}
	}
	groups := p.cluster(usable)
	n := 0
	for i, g := range groups {
		if g == i {
			n++
		}
	}
	return n
}

// cluster gives each candidate the index of the first candidate that it is connected to by owner
// or network.
func (p Policy) cluster(candidates []Candidate) []int {
	parent := make([]int, len(candidates))
	for i := range parent {
		parent[i] = i
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	union := func(a, b int) {
		a, b = find(a), find(b)
		if a > b {
			a, b = b, a
		}
		parent[b] = a
	}
	owners, networks := make(map[string]int), make(map[string]int)
	for i, c := range candidates {
		if j, ok := owners[c.Owner]; ok {
			union(i, j)
		} else {
			owners[c.Owner] = i
		}
		if network := p.network(c.Node); network != "" {
			if j, ok := networks[network]; ok {
				union(i, j)
			} else {
				networks[network] = i
			}
		}
	}
	for i := range parent {
		parent[i] = find(i)
	}
	return parent
}

// Placement hands out nodes for the pieces of one segment, best first, and holds
// INV-PLACE-1: no two pieces that it has handed out and not taken back share an owner or a network.
// INV-PLACE-2: no declared region holds more pieces than a segment at its repair threshold can lose
// at once (Class.MaxPerGroup), unless the pool has too few regions to place Optimal pieces at all;
// the cap then rises just as far as needed, and Regions says so.
//
// A Placement is not safe for concurrent use.
type Placement struct {
	class     erasure.Class
	policy    Policy
	regionCap int
	relaxed   bool

	queue    []Candidate // not handed out, best first
	held     occupancy
	shortage ShortageError
}

// occupancy counts the pieces of a segment by owner, network and declared region.
type occupancy struct {
	owners, networks, regions map[string]int
}

func newOccupancy() occupancy {
	return occupancy{owners: make(map[string]int), networks: make(map[string]int), regions: make(map[string]int)}
}

func (o occupancy) add(n Node, network string, delta int) {
	o.owners[n.Owner] += delta
	if network != "" {
		o.networks[network] += delta
	}
	if n.Region != "" {
		o.regions[n.Region] += delta
	}
}

// conflict says which cap a piece on n would break; 0 for none.
func (o occupancy) conflict(n Node, network string, regionCap int) Reason {
	switch {
	case o.owners[n.Owner] > 0:
		return ReasonSameOperator
	case network != "" && o.networks[network] > 0:
		return ReasonSameNetwork
	case n.Region != "" && o.regions[n.Region] >= regionCap:
		return ReasonRegionCap
	}
	return 0
}

func (o occupancy) clone() occupancy {
	return occupancy{owners: maps.Clone(o.owners), networks: maps.Clone(o.networks), regions: maps.Clone(o.regions)}
}

// NewPlacement orders candidates for a segment of the class. kept are the nodes that hold pieces
// of it already; they count against the caps and are not handed out.
//
// The order is drawn by power of two choices: of two random candidates the better one mostly goes
// first (before). That keeps load off slow nodes without herding every writer onto the same few best
// ones, and gives equal nodes equal shares.
func NewPlacement(class erasure.Class, policy Policy, candidates []Candidate, kept []Node, rng *rand.Rand) *Placement {
	p := &Placement{
		class:    class,
		policy:   policy,
		held:     newOccupancy(),
		shortage: ShortageError{Class: class, Needed: class.Optimal},
	}
	holds := make(map[uint64]struct{}, len(kept))
	for _, n := range kept {
		holds[n.Device] = struct{}{}
		p.held.add(n, policy.network(n), 1)
	}
	for _, c := range candidates {
		if _, ok := holds[c.Device]; ok {
			continue
		}
		if c.Excluded != 0 {
			p.shortage.exclude(c.Excluded, c.Device)
			continue
		}
		p.queue = append(p.queue, c)
	}
	rng.Shuffle(len(p.queue), func(i, j int) { p.queue[i], p.queue[j] = p.queue[j], p.queue[i] })
	for i := 0; i+1 < len(p.queue); i++ {
		j := i + 1 + rng.IntN(len(p.queue)-i-1)
		if p.queue[j].before(p.queue[i], rng) {
			p.queue[i], p.queue[j] = p.queue[j], p.queue[i]
		}
	}
	// Relaxing is for pools with few regions; it does not help where owners are few.
	needed := class.Optimal - len(kept)
	p.regionCap = class.MaxPerGroup()
	if !p.reaches(needed, p.regionCap) && p.reaches(needed, class.Total) {
		p.relaxed = true
		for !p.reaches(needed, p.regionCap) {
			p.regionCap++
		}
	}
	return p
}

// reaches reports whether handing out in order would place needed pieces under a region cap.
func (p *Placement) reaches(needed, regionCap int) bool {
	if needed <= 0 {
		return true
	}
	held := p.held.clone()
	for _, c := range p.queue {
		network := p.policy.network(c.Node)
		if held.conflict(c.Node, network, regionCap) != 0 {
			continue
		}
		held.add(c.Node, network, 1)
		if needed--; needed == 0 {
			return true
		}
	}
	return false
}

// Regions reports whether a region may hold more pieces than the class can lose at once, because
// the pool has too few regions.
func (p *Placement) Regions() Regions {
	if p.relaxed {
		return RegionsTooFew
	}
	return RegionsBind
}

// Exhausted reports whether Next would hand out nothing.
func (p *Placement) Exhausted() bool { return !p.reaches(1, p.regionCap) }

// Next hands out the best node that keeps the caps; false when there is none.
func (p *Placement) Next() (Node, bool) {
	for i, c := range p.queue {
		network := p.policy.network(c.Node)
		if p.held.conflict(c.Node, network, p.regionCap) != 0 {
			continue
		}
		p.queue = append(p.queue[:i], p.queue[i+1:]...)
		p.held.add(c.Node, network, 1)
		return c.Node, true
	}
	return Node{}, false
}

// Fail takes a node back: its piece is not there, and it is not handed out again.
func (p *Placement) Fail(n Node, why Reason) {
	p.held.add(n, p.policy.network(n), -1)
	p.shortage.exclude(why, n.Device)
}

// Shortage describes that only found nodes took a piece.
func (p *Placement) Shortage(found int) *ShortageError {
	e := &ShortageError{Class: p.class, Needed: p.class.Optimal, Found: found, Excluded: make(map[Reason][]uint64)}
	for r, ids := range p.shortage.Excluded {
		e.Excluded[r] = append([]uint64(nil), ids...)
	}
	for _, c := range p.queue {
		if why := p.held.conflict(c.Node, p.policy.network(c.Node), p.regionCap); why != 0 {
			e.exclude(why, c.Device)
		}
	}
	return e
}
