package renter

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/risk"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/internal/clock"
)

// State is what the gateway itself knows of a node.
type State uint8

// States of a node.
const (
	StateUnknown State = iota // not tried since it was listed
	StateOnline
	StateOffline // did not answer the last time
	StateLost    // offline for so long, or gone from the chain, that its pieces count as lost
)

var stateText = [...]string{"unknown", "online", "offline", "lost"}

func (s State) String() string { return stateText[s] }

// PoolConfig says when the pool gives up on nodes.
type PoolConfig struct {
	Policy Policy
	// LostAfter is how long a node may be offline before its pieces count as lost.
	LostAfter time.Duration
	// Distrust is how long a node that gave bad data or a false receipt takes no new pieces.
	Distrust time.Duration
}

// Pool knows the storage nodes: what the chain says of them, what the lease reserves on them and
// what this gateway has seen of them. It is safe for concurrent use.
type Pool struct {
	config PoolConfig
	accept func(Node) Reason
	clock  clock.Clock

	mu         sync.RWMutex // guards what follows
	nodes      map[uint64]*member
	lease      *Lease
	candidates atomic.Pointer[candidateList] // cache; nil when stale
}

// candidateList is what follows from the members.
type candidateList struct {
	all    []Candidate
	groups int
}

// member is a node and what has been seen of it. Its counters have no lock of their own: the
// pool's guards them.
type member struct {
	node       Node
	listed     bool // the chain still lists it
	state      State
	since      time.Time // of the state
	distrusted time.Time // until when
	fullUntil  time.Time // it said that it had no room
	success    float64   // moving share of operations that went well
	latency    float64   // moving nanoseconds of a small operation; 0 for none yet
	bytes      uint64    // of pieces stored there, as the metabase counts
	pieces     uint64
	vacant     bool   // nothing of ours is there, nor will be
	bad        uint64 // corrupt pieces and false receipts
	trouble    string // why it was unreachable last; empty while it is not
}

// successWeight is the weight of the newest outcome in the moving averages.
const successWeight = 1.0 / 32

// NewPool makes an empty pool. accept judges a node's offer for new data (LeaseConfig.Accepts).
func NewPool(config PoolConfig, accept func(Node) Reason, clk clock.Clock) *Pool {
	return &Pool{config: config, accept: accept, clock: clk, nodes: make(map[uint64]*member)}
}

// SetNodes takes the chain's list. Nodes that are no longer listed stay known, as they may hold
// pieces, and get no new ones.
func (p *Pool) SetNodes(nodes []Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.nodes {
		m.listed = false
	}
	for _, n := range nodes {
		m := p.nodes[n.Device]
		if m == nil {
			m = &member{success: 1, since: p.clock.Now()}
			p.nodes[n.Device] = m
		}
		m.node, m.listed = n, true
	}
	p.stale()
}

// SetLease takes the lease as last read.
func (p *Pool) SetLease(lease *Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lease = lease
	p.stale()
}

// Lease is the lease that new pieces go under; nil for none.
func (p *Pool) Lease() *Lease {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.lease
}

func (p *Pool) stale() { p.candidates.Store(nil) }

// Node returns what is known of a device.
func (p *Pool) Node(device uint64) (Node, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	m := p.nodes[device]
	if m == nil {
		return Node{}, false
	}
	return m.node, true
}

// Online reports whether a device is worth asking now: everything but offline and lost.
func (p *Pool) Online(device uint64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	m := p.nodes[device]
	return m != nil && m.state < StateOffline
}

// StateOf returns the state of a device; a device never listed is lost.
func (p *Pool) StateOf(device uint64) State {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.nodes[device]; m != nil {
		return m.state
	}
	return StateLost
}

// ChainStanding is what the chain says of a device; one that it does not list is retiring, or gone.
func (p *Pool) ChainStanding(device uint64) Standing {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.nodes[device]; m != nil && m.listed {
		return m.node.Standing
	}
	return StandingRetiring
}

// Cost orders devices for reading: the expected time until a small request has gone well.
func (p *Pool) Cost(device uint64) float64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	m := p.nodes[device]
	if m == nil || m.state >= StateOffline {
		return math.Inf(1)
	}
	return Candidate{Success: m.success, Latency: time.Duration(m.latency)}.cost(time.Millisecond)
}

// Candidates lists all nodes as placement sees them. The slice is shared: do not change it.
func (p *Pool) Candidates() []Candidate { return p.list().all }

// Groups counts the groups of nodes that can take a piece now and fail independently.
func (p *Pool) Groups() int { return p.list().groups }

func (p *Pool) list() *candidateList {
	if c := p.candidates.Load(); c != nil {
		return c
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	list := make([]Candidate, 0, len(p.nodes))
	for _, m := range p.nodes {
		list = append(list, Candidate{
			Node: m.node, Excluded: p.exclusion(m, now),
			Success: m.success, Latency: time.Duration(m.latency),
		})
	}
	slices.SortFunc(list, func(a, b Candidate) int {
		switch {
		case a.Device < b.Device:
			return -1
		case a.Device > b.Device:
			return 1
		}
		return 0
	})
	c := &candidateList{all: list, groups: p.config.Policy.IndependentGroups(list)}
	p.candidates.Store(c)
	return c
}

// Regions says whether regions bound where pieces of a class may lie (INV-PLACE-2).
type Regions uint8

// Regions bind, or there are too few of them to.
const (
	RegionsBind Regions = iota
	RegionsTooFew
)

// Regions judges the pool as it is for a class.
func (p *Pool) Regions(class erasure.Class) Regions {
	return NewPlacement(class, p.config.Policy, p.Candidates(), nil, rand.New(rand.NewPCG(1, 1))).Regions()
}

// riskPieces tells core/risk how the nodes of pieces stand. Where regions do not bind a region is no
// group: every segment would look clumped.
func (p *Pool) riskPieces(pieces []metabase.Piece, regions Regions) []risk.Piece {
	p.mu.RLock()
	defer p.mu.RUnlock()
	list := make([]risk.Piece, len(pieces))
	for i, piece := range pieces {
		m := p.nodes[piece.Device]
		if m == nil {
			continue // lost
		}
		list[i].State = riskState(m)
		group := m.node.Region
		if group == "" || regions == RegionsTooFew {
			group = "owner " + m.node.Owner
		}
		h := fnv.New64a()
		h.Write([]byte(group))
		list[i].Group = h.Sum64()
	}
	return list
}

// Risk scores a segment's pieces for metabase.Segment.Risk, where smaller is more urgent: up to
// RepairNow it is at its class's repair threshold or below; from there it rises to RiskNone, where
// Optimal healthy pieces are. Between the two it is a share of the way, so that classes compare.
func (p *Pool) Risk(class erasure.Class, pieces []metabase.Piece, regions Regions) uint64 {
	const piece = 1000
	score := risk.Of(class, p.riskPieces(pieces, regions))
	above := int64(score) - int64(class.Repair-class.K)*piece
	if above > 0 {
		above = max(1, above/int64(max(1, class.Optimal-class.Repair)))
	}
	return RepairNow + uint64(above)
}

// Marks on the scale of risk.
const (
	RepairNow uint64 = 1 << 63
	RiskNone         = RepairNow + 1000
)

func riskState(m *member) risk.State {
	switch {
	case m.state == StateLost || !m.listed && m.state == StateOffline:
		return risk.Lost
	case m.state == StateOffline:
		return risk.Away
	case m.node.Standing != StandingActive:
		return risk.Leaving
	}
	return risk.Healthy
}

// spareUnits is the part of a reservation, 1/spareUnits, that is kept free so that segments under
// way find room.
const spareUnits = 32

func (p *Pool) exclusion(m *member, now time.Time) Reason {
	if !m.listed {
		return ReasonNoOffer
	}
	if why := standing(m.node); why != 0 {
		return why
	}
	if m.state >= StateOffline {
		return ReasonOffline
	}
	if now.Before(m.distrusted) {
		return ReasonFaulty
	}
	if now.Before(m.fullUntil) {
		return ReasonFull
	}
	if p.lease == nil {
		if why := p.accept(m.node); why != 0 {
			return why
		}
		return ReasonNoLease
	}
	item, ok := p.lease.Items[m.node.Device]
	switch {
	case !ok:
		if why := p.accept(m.node); why != 0 {
			return why
		}
		return ReasonNoLease
	case !item.Open:
		return ReasonNoLease
	case item.Escrow.Cmp(item.accrued(now)) <= 0 && !item.Stream.Amount.IsZero():
		return ReasonUnpaid
	case m.bytes+item.Units/spareUnits >= item.Units:
		return ReasonFull
	}
	return 0
}

// standing is the reason for which the chain keeps a node from new data.
func standing(n Node) Reason {
	switch n.Standing {
	case StandingJailed:
		return ReasonJailed
	case StandingRetiring:
		return ReasonRetiring
	}
	if n.Faults > 0 {
		return ReasonFaults
	}
	return 0
}

// Succeeded counts a small operation that went well; took is zero where its time says nothing
// about the node (large transfers).
func (p *Pool) Succeeded(device uint64, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.nodes[device]
	if m == nil {
		return
	}
	m.success += (1 - m.success) * successWeight
	if took > 0 {
		if m.latency == 0 {
			m.latency = float64(took)
		}
		m.latency += (float64(took) - m.latency) * successWeight
	}
	m.trouble = ""
	if m.state != StateOnline {
		m.state, m.since = StateOnline, p.clock.Now()
		p.stale()
	}
}

// Failed counts an operation that went wrong though the node may be there.
func (p *Pool) Failed(device uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.nodes[device]; m != nil {
		m.success -= m.success * successWeight
	}
}

// Unreachable takes a node as offline until an operation on it succeeds; why is for the status page.
func (p *Pool) Unreachable(device uint64, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.nodes[device]
	if m == nil {
		return
	}
	m.success -= m.success * successWeight
	m.trouble = why.Error()
	if m.state < StateOffline {
		m.state, m.since = StateOffline, p.clock.Now()
		p.stale()
	}
}

// Age moves nodes that have been offline for LostAfter, or are gone from the chain, to lost. It
// returns the devices that it moved.
func (p *Pool) Age() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	var lost []uint64
	for device, m := range p.nodes {
		if m.state == StateOffline && now.Sub(m.since) >= p.config.LostAfter {
			m.state, m.since = StateLost, now
			lost = append(lost, device)
		}
	}
	p.stale() // reasons that depend on time are judged afresh
	slices.Sort(lost)
	return lost
}

// Full keeps new pieces off a node for a while: it said that it has no room.
func (p *Pool) Full(device uint64) {
	const pause = time.Minute
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.nodes[device]; m != nil {
		m.fullUntil = p.clock.Now().Add(pause)
		p.stale()
	}
}

// Caught counts bad data or a false receipt and distrusts the node.
func (p *Pool) Caught(device uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.nodes[device]
	if m == nil {
		return
	}
	m.bad++
	m.success -= m.success * successWeight
	m.distrusted = p.clock.Now().Add(p.config.Distrust)
	p.stale()
}

// AddBytes books pieces that were stored on or deleted from a device.
func (p *Pool) AddBytes(device uint64, bytes, pieces int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.nodes[device]
	if m == nil {
		m = &member{node: Node{Device: device}, success: 1, since: p.clock.Now()}
		p.nodes[device] = m
	}
	m.vacant = false
	m.bytes = uint64(max(0, int64(m.bytes)+bytes))
	m.pieces = uint64(max(0, int64(m.pieces)+pieces))
	if p.lease != nil {
		if item, ok := p.lease.Items[device]; ok && m.bytes+item.Units/spareUnits >= item.Units {
			p.stale()
		}
	}
}

// DeviceBytes tells how many bytes of pieces lie on each device.
func (p *Pool) DeviceBytes() map[uint64]uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	used := make(map[uint64]uint64, len(p.nodes))
	for device, m := range p.nodes {
		used[device] = m.bytes
	}
	return used
}

// SetBytes replaces what is booked on a device by what was counted.
func (p *Pool) SetBytes(device, bytes, pieces uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.nodes[device]; m != nil {
		m.bytes, m.pieces = bytes, pieces
		p.stale()
	}
}

// Vacate says that nothing of this renter is left on a device that takes no more; what the lease
// reserves there can go.
func (p *Pool) Vacate(device uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.nodes[device]; m != nil {
		m.vacant, m.bytes, m.pieces = true, 0, 0
	}
}

// Vacant lists the devices that were vacated and that the chain still keeps from new data, ascending.
func (p *Pool) Vacant() (list []uint64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for device, m := range p.nodes {
		if m.vacant && m.node.Standing != StandingActive {
			list = append(list, device)
		}
	}
	slices.Sort(list)
	return list
}

// Devices lists all devices known, ascending.
func (p *Pool) Devices() []uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Sorted(maps.Keys(p.nodes))
}

// PieceStanding says how a piece's device stands for repair.
func (p *Pool) PieceStanding(device uint64) risk.State {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.nodes[device]; m != nil {
		return riskState(m)
	}
	return risk.Lost
}

// NodeStatus is one line of the status page.
type NodeStatus struct {
	Device   uint64        `json:"device"`
	Owner    string        `json:"owner"`
	Endpoint string        `json:"endpoint"`
	Region   string        `json:"region,omitempty"`
	State    string        `json:"state"`
	Latency  time.Duration `json:"-"`
	Millis   float64       `json:"latency_ms"`
	Bytes    uint64        `json:"bytes"`
	Pieces   uint64        `json:"pieces"`
	Success  float64       `json:"success"`
	Bad      uint64        `json:"bad"`
	Excluded string        `json:"excluded,omitempty"` // why it gets no new pieces
	Trouble  string        `json:"trouble,omitempty"`  // why it cannot be reached
}

// Status lists all nodes by device.
func (p *Pool) Status() []NodeStatus {
	excluded := make(map[uint64]Reason)
	for _, c := range p.Candidates() {
		excluded[c.Device] = c.Excluded
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	list := make([]NodeStatus, 0, len(p.nodes))
	for device, m := range p.nodes {
		list = append(list, NodeStatus{
			Device: device, Owner: m.node.Owner, Endpoint: m.node.Endpoint, Region: m.node.Region,
			State: m.state.String(), Latency: time.Duration(m.latency), Millis: m.latency / 1e6,
			Bytes: m.bytes, Pieces: m.pieces, Success: m.success, Bad: m.bad,
			Excluded: excluded[device].String(), Trouble: m.trouble,
		})
	}
	slices.SortFunc(list, func(a, b NodeStatus) int {
		if a.Device < b.Device {
			return -1
		}
		return 1
	})
	return list
}

// Refresh reads the list of nodes from the chain.
func (p *Pool) Refresh(ctx context.Context, chain Chain) error {
	nodes, err := chain.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("listing storage nodes: %w", err)
	}
	p.SetNodes(nodes)
	return nil
}

// ErrUnknownNode means that a device is not (or no longer) registered.
var ErrUnknownNode = errors.New("unknown storage node")
