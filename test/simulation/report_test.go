package simulation

import (
	"bytes"
	"errors"
	"math/bits"
	"slices"

	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/audit"
)

var reportOperations = []operation{
	{"audit: announce beacon key", 1, func(h *history) (move, bool) {
		s := h.council[h.random.IntN(seats)]
		key := s.beacon.Public()
		proof := s.beacon.ProveOwner(chainID, [beacon.ValidatorSize]byte(s.operator.address))
		return say1(s.operator, &auditv1.MsgAnnounceBeaconKey{Operator: s.operator.text, Key: key[:], Proof: proof[:]})
	}},
	{"audit: bond reporter", 4, func(h *history) (move, bool) {
		by := h.reporter()
		for _, r := range h.state.audit.Reports.Reporters {
			if r.Address == by.text && r.State != auditv1.REPORTER_STATE_BONDED && h.random.IntN(10) != 0 {
				return move{}, false // it leaves
			}
		}
		return say1(by, &auditv1.MsgBondReporter{Reporter: by.text, Amount: cairn(h.between(0, 150)).Amount, Data: "http://127.0.0.1:1"})
	}},
	{"audit: unbond reporter", 1, func(h *history) (move, bool) {
		by := h.reporter()
		return move{by: by, messages: msgs(&auditv1.MsgUnbondReporter{Reporter: by.text})}, h.random.IntN(5) == 0
	}},
	{"audit: withdraw bond", 2, func(h *history) (move, bool) {
		r, some := pick(h, where(h, h.state.audit.Reports.Reporters, func(r auditv1.Reporter) bool { return r.State != auditv1.REPORTER_STATE_BONDED }))
		by := h.mostly(r.Address)
		return move{by: by, messages: msgs(&auditv1.MsgWithdrawBond{Reporter: by.text})}, some
	}},
	{"audit: post report", 16, func(h *history) (move, bool) { return h.post(nil) }},
	{"audit: post a lie", 3, func(h *history) (move, bool) { return h.post(lies[h.random.IntN(len(lies))]) }},
	{"audit: finalize", 4, func(h *history) (move, bool) {
		by := h.person()
		return say1(by, &auditv1.MsgFinalize{Sender: by.text, Service: uint32(score.Storage)})
	}},
	{"audit: dispute leaf", 2, (*history).disputeLeaf},
	{"audit: dispute missing", 2, (*history).disputeMissing},
	{"audit: dispute tree", 2, (*history).disputeTree},
	{"audit: dispute input", 2, (*history).disputeInput},
	{"audit: demand data", 3, func(h *history) (move, bool) {
		s, some := h.opened()
		by := h.person()
		if !some {
			return move{}, false
		}
		return say1(by, &auditv1.MsgDemandData{Demander: by.text, Report: s.id(), Tree: auditv1.DATA_TREE_OUTPUT, Index: h.random.Uint64N(s.Output.Leaves + 2)})
	}},
	{"audit: serve data", 2, func(h *history) (move, bool) {
		d, some := pick(h, h.state.audit.Reports.Demands)
		s := h.said[string(d.Report)]
		if !some || s == nil {
			return move{}, false
		}
		by := h.person()
		part, err := s.output.Part(d.Index, uint8(d.Depth))
		require.NoError(h.tb, err)
		return say1(by, &auditv1.MsgServeData{Sender: by.text, Report: d.Report, Demander: d.Demander, Part: h.bytesOf(part)})
	}},
	{"audit: report withheld", 2, func(h *history) (move, bool) {
		d, some := pick(h, h.state.audit.Reports.Demands)
		by := h.person()
		return move{by: by, messages: msgs(&auditv1.MsgReportWithheld{Sender: by.text, Report: d.Report, Demander: d.Demander})}, some
	}},
}

// reporter draws one of the few who report.
func (h *history) reporter() person { return h.people[h.random.IntN(reporters)] }

// said is a statement with the trees behind it.
type said struct {
	report.Statement
	inputs   *report.Tree[report.Input]
	output   *report.Tree[score.Account]
	previous *report.Tree[score.Account]
	lie      *lie
	device   uint64 // that it lies about
}

func (s *said) id() []byte {
	id := s.ID()
	return id[:]
}

func (s *said) encode() auditv1.Statement {
	out := auditv1.Statement{
		Service: uint32(s.Service), Epoch: s.Epoch, Rules: uint32(s.Rules), Inputs: s.Inputs.Leaves,
		Output: auditv1.TreeRoot{Leaves: s.Output.Leaves, Points: s.Output.Points, Earned: math.NewIntFromBigInt(s.Output.Earned.Big())},
	}
	if s.Inputs.Leaves > 0 {
		out.InputHash = s.Inputs.Hash[:]
	}
	if s.Output.Leaves > 0 {
		out.Output.Hash = s.Output.Hash[:]
	}
	if s.Previous != [32]byte{} {
		out.Previous = s.Previous[:]
	}
	return out
}

// A lie changes a statement that is true. It gives the device that it is about, false where it cannot.
type lie struct {
	name string
	tell func(h *history, s *said, facts []score.Fact) (device uint64, told bool)
}

var lies = []*lie{
	{"a leaf that is not what the rules give", func(h *history, s *said, facts []score.Fact) (uint64, bool) {
		f, some := pick(h, facts)
		leaves := slices.Clone(s.output.Leaves())
		i, found := s.output.Find(f.Device)
		if !some || !found {
			return 0, false
		}
		leaves[i].Points++
		return f.Device, h.rebuild(s, leaves)
	}},
	{"a device left out", func(h *history, s *said, facts []score.Fact) (uint64, bool) {
		f, some := pick(h, facts)
		i, found := s.output.Find(f.Device)
		if _, before := s.previous.Find(f.Device); !some || !found || before {
			return 0, false
		}
		return f.Device, h.rebuild(s, slices.Delete(slices.Clone(s.output.Leaves()), i, i+1))
	}},
	{"sums that do not add up", func(_ *history, s *said, _ []score.Fact) (uint64, bool) {
		s.Output.Points += 5
		return 0, s.Output.Leaves > 1
	}},
	{"inputs that are not the facts", func(h *history, s *said, facts []score.Fact) (uint64, bool) {
		if len(facts) == 0 {
			return 0, false
		}
		others := slices.Clone(facts)
		i := h.random.IntN(len(others))
		others[i].Proved++
		var err error
		s.inputs, err = report.InputTree(others)
		require.NoError(h.tb, err)
		s.Inputs = s.inputs.Root()
		return others[i].Device, true
	}},
}

func (h *history) rebuild(s *said, leaves []score.Account) bool {
	var err error
	s.output, err = report.Build(leaves)
	require.NoError(h.tb, err)
	s.Output = s.output.Root()
	return true
}

// factsOf gives what the chain knows of an epoch that is over. It must not change as long as it is kept.
func (h *history) factsOf(epoch uint64) []score.Fact {
	var facts []score.Fact
	for _, d := range h.state.device.Devices {
		f, err := h.app.Storage.Fact(h.ctx(), epoch, d.Id)
		if errors.Is(err, audit.ErrNoFact) {
			continue
		}
		require.NoError(h.tb, err, "fact of device %d in epoch %d", d.Id, epoch)
		facts = append(facts, f)
	}
	if known, seen := h.facts[epoch]; seen {
		require.Equal(h.tb, known, facts, "facts of epoch %d have changed in epoch %d", epoch, h.state.epoch.Number)
	}
	h.facts[epoch] = facts
	return facts
}

// base gives a statement of an epoch to build on: what is final, or waits to be.
func (h *history) base(epoch uint64) *said {
	r := h.state.audit.Reports
	for _, f := range r.Finals {
		if f.Statement.Epoch == epoch {
			return h.said[string(f.Id)]
		}
	}
	for _, o := range r.Reports {
		if s := h.said[string(o.Id)]; o.Statement.Epoch == epoch && o.Status == auditv1.REPORT_STATUS_OPEN && s != nil && (s.lie == nil || h.rarely()) {
			return s
		}
	}
	return nil
}

// compute gives what is true of an epoch on top of a statement, nil for the first.
func (h *history) compute(epoch uint64, on *said) *said {
	facts := h.factsOf(epoch)
	pools, err := h.app.Reward.Pools(h.ctx(), score.Storage, epoch)
	require.NoError(h.tb, err)
	s := &said{Statement: report.Statement{ChainID: chainID, Service: score.Storage, Epoch: epoch, Rules: score.RulesV1}}
	if s.previous, err = report.Build[score.Account](nil); on != nil {
		s.previous, s.Previous = on.output, on.ID()
	}
	require.NoError(h.tb, err)
	plan := report.Plan{Service: score.Storage, Epoch: epoch, Rules: score.RulesV1, Pools: pools}
	s.output, err = plan.Compute(facts, s.previous.Leaves())
	require.NoError(h.tb, err)
	s.inputs, err = report.InputTree(facts)
	require.NoError(h.tb, err)
	s.Inputs, s.Output = s.inputs.Root(), s.output.Root()
	return s
}

func (h *history) post(l *lie) (move, bool) {
	r := h.state.audit.Reports
	var on *said
	next, half := uint64(1), uint64(h.state.audit.Params.Beacon.RetainEpochs)/2
	for _, f := range r.Finals {
		on, next = h.said[string(f.Id)], f.Statement.Epoch+1
	}
	// What nobody reported until it was too old is skipped.
	epoch := max(next, h.state.epoch.Number-min(half, h.state.epoch.Number))
	// Mostly the next is reported, at times one further on.
	for h.random.IntN(3) == 0 && epoch+1 < h.state.epoch.Number {
		open := h.base(epoch)
		if open == nil {
			break
		}
		on, epoch = open, epoch+1
	}
	if epoch >= h.state.epoch.Number {
		return move{}, false
	}
	by := h.reporter()
	for _, o := range r.Reports {
		said := func(p auditv1.ReportPost) bool { return p.Reporter == by.text }
		if o.Statement.Epoch == epoch && o.Status == auditv1.REPORT_STATUS_OPEN && slices.ContainsFunc(o.Posts, said) && !h.rarely() {
			return move{}, false
		}
	}
	s := h.compute(epoch, on)
	if l != nil {
		var told bool
		if s.device, told = l.tell(h, s, h.facts[epoch]); !told {
			return move{}, false
		}
		s.lie = l
	}
	return move{by: by, messages: msgs(&auditv1.MsgPostReport{Reporter: by.text, Statement: s.encode()}), then: func(r *abci.ExecTxResult) {
		if r.Code == 0 {
			h.said[string(s.id())] = s
		}
	}}, true
}

// opened draws a report that can be disputed.
func (h *history) opened() (*said, bool) {
	suspect := h.random.IntN(2) == 0
	o, some := pick(h, where(h, h.state.audit.Reports.Reports, func(o auditv1.Report) bool {
		s := h.said[string(o.Id)]
		return o.Status == auditv1.REPORT_STATUS_OPEN && (!suspect || s != nil && s.lie != nil)
	}))
	s := h.said[string(o.Id)]
	return s, some && s != nil
}

func (h *history) leafDispute(by person, s *said, device uint64) move {
	i, found := s.output.Find(device)
	require.True(h.tb, found)
	proof, err := s.output.Prove(i)
	require.NoError(h.tb, err)
	place, err := s.previous.Place(device)
	require.NoError(h.tb, err)
	return move{by: by, messages: msgs(&auditv1.MsgDisputeLeaf{Disputer: by.text, Report: s.id(), Leaf: h.bytesOf(proof), Previous: h.bytesOf(place)})}
}

func (h *history) missingDispute(by person, s *said, device uint64) move {
	absent, err := s.output.ProveAbsent(device)
	require.NoError(h.tb, err)
	place, err := s.previous.Place(device)
	require.NoError(h.tb, err)
	return move{by: by, messages: msgs(&auditv1.MsgDisputeMissing{Disputer: by.text, Report: s.id(), Device: device, Absence: h.bytesOf(absent), Previous: h.bytesOf(place)})}
}

func (h *history) treeDispute(by person, s *said) move {
	left := uint64(1) << (bits.Len64(s.Output.Leaves-1) - 1)
	l, _ := s.output.Over(0, left)
	r, _ := s.output.Over(left, s.Output.Leaves-left)
	fault := report.Fault{Kind: report.FaultSums, Path: report.Path{Leaves: s.Output.Leaves}, Node: s.Output, Left: l, Right: r}
	return move{by: by, messages: msgs(&auditv1.MsgDisputeTree{Disputer: by.text, Report: s.id(), Tree: auditv1.DATA_TREE_OUTPUT, Fault: h.bytesOf(fault)})}
}

func (h *history) inputDispute(by person, s *said, device uint64) move {
	place, err := s.inputs.Place(device)
	require.NoError(h.tb, err)
	return move{by: by, messages: msgs(&auditv1.MsgDisputeInput{Disputer: by.text, Report: s.id(), Device: device, Input: h.bytesOf(place)})}
}

func (h *history) disputeLeaf() (move, bool) {
	s, some := h.opened()
	if !some {
		return move{}, false
	}
	a, some := pick(h, s.output.Leaves())
	if !some {
		return move{}, false
	}
	return h.leafDispute(h.person(), s, a.Device), true
}

func (h *history) disputeMissing() (move, bool) {
	s, some := h.opened()
	d, one := pick(h, h.state.device.Devices)
	if !some || !one {
		return move{}, false
	}
	if _, found := s.output.Find(d.Id); found {
		return move{}, false
	}
	return h.missingDispute(h.person(), s, d.Id), true
}

func (h *history) disputeTree() (move, bool) {
	s, some := h.opened()
	if !some || s.Output.Leaves < 2 {
		return move{}, false
	}
	return h.treeDispute(h.person(), s), true
}

func (h *history) disputeInput() (move, bool) {
	s, some := h.opened()
	d, one := pick(h, h.state.device.Devices)
	if !some || !one {
		return move{}, false
	}
	return h.inputDispute(h.person(), s, d.Id), true
}

// duties are the watcher's: it disputes every lie before its window ends, unless somebody has by then.
func (h *history) duties() (moves []move) {
	for _, o := range h.state.audit.Reports.Reports {
		s := h.said[string(o.Id)]
		if s == nil || s.lie == nil || o.Status != auditv1.REPORT_STATUS_OPEN || h.height < o.Posts[0].Height+2 {
			continue
		}
		var m move
		switch s.lie {
		case lies[0]:
			m = h.leafDispute(h.watcher, s, s.device)
		case lies[1]:
			m = h.missingDispute(h.watcher, s, s.device)
		case lies[2]:
			m = h.treeDispute(h.watcher, s)
		case lies[3]:
			m = h.inputDispute(h.watcher, s, s.device)
		}
		m.then = func(r *abci.ExecTxResult) {
			void := r.Codespace == audit.ModuleName && (r.Code == audit.ErrVoid.ABCICode() || r.Code == audit.ErrRejected.ABCICode())
			if r.Code != 0 && !void {
				h.tb.Fatalf("%s about epoch %d: the watcher's dispute is refused: %s", s.lie.name, s.Epoch, r.Log)
			}
		}
		moves = append(moves, m)
	}
	return moves
}

// judge holds that no lie is final.
func (h *history) judge() {
	g, err := h.app.Audit.ExportGenesis(h.ctx())
	require.NoError(h.tb, err)
	for _, f := range g.Reports.Finals {
		s := h.said[string(f.Id)]
		require.NotNil(h.tb, s, "nobody said what is final of epoch %d", f.Statement.Epoch)
		require.Nil(h.tb, s.lie, "a lie about epoch %d is final", f.Statement.Epoch)
		require.True(h.tb, bytes.Equal(s.id(), f.Id))
	}
}
