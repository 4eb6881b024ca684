package energy_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/auction"
	"github.com/cairn-network/cairn/core/community"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/internal/stage"
)

var (
	manager = stage.Account(500)
	utility = stage.Account(501)
)

// Devices of a village: its aggregator, a house that sells, one that buys.
const (
	aggregatorN, sellerN, buyerN = 10, 11, 12
)

// village is a fixture with a community of two houses, and what its aggregator knows.
type village struct {
	*fixture
	id                        uint64
	aggregator, seller, buyer uint64
	registers                 map[uint64]meter.Registers
	frames                    map[uint64]meter.Frame // the last of each meter
	accounts                  []community.Account
}

func deviceKey(n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "device %d", n))
	return ed25519.NewKeyFromSeed(seed[:])
}

func terms() energyv1.Terms {
	return energyv1.Terms{
		Nodes: []energyv1.GridNode{
			{Id: 1, Kind: uint32(grid.Substation), Owner: stage.Spell(manager)},
			{Id: 2, Parent: 1, Kind: uint32(grid.Feeder), Fee: 2, Owner: stage.Spell(manager)},
			{Id: 3, Parent: 1, Kind: uint32(grid.Feeder), Fee: 3, Owner: stage.Spell(stranger)},
		},
		Ticks: 400, Retail: 300, FeedIn: 80, TickPrice: math.NewInt(1000), LossPpm: 30_000,
	}
}

func (v *village) joining(n int, id uint64, node uint32) *energyv1.MsgJoinCommunity {
	return &energyv1.MsgJoinCommunity{
		Operator: stage.Spell(operator(n)), Community: v.id, Device: id, Node: node, Role: uint32(meter.House),
		Rating: energyv1.Rating{Import: 20_000, Export: 20_000, Generation: 20_000},
	}
}

func newVillage(tb testing.TB) *village {
	tb.Helper()
	v := &village{fixture: stations(tb, 1), registers: map[uint64]meter.Registers{}, frames: map[uint64]meter.Frame{}}
	v.aggregator = v.register(tb, aggregatorN, energy.Gateway)
	v.seller, v.buyer = v.register(tb, sellerN, energy.Meter), v.register(tb, buyerN, energy.Meter)
	res, err := v.msg.CreateCommunity(v.Ctx, &energyv1.MsgCreateCommunity{
		Manager: stage.Spell(manager), Aggregator: v.aggregator, Utility: stage.Spell(utility), Terms: terms(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	v.id = res.Id
	for _, m := range []*energyv1.MsgJoinCommunity{v.joining(sellerN, v.seller, 2), v.joining(buyerN, v.buyer, 3)} {
		if _, err := v.msg.JoinCommunity(v.Ctx, m); err != nil {
			tb.Fatal(err)
		}
	}
	for _, account := range []uint64{v.buyer, uint64(community.Utility)} {
		if _, err := v.msg.Deposit(v.Ctx, &energyv1.MsgDeposit{Sender: stage.Spell(driver), Community: v.id, Account: account, Amount: sdk.NewInt64Coin(denom, 50_000_000)}); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := v.msg.SetLimits(v.Ctx, &energyv1.MsgSetLimits{Operator: stage.Spell(operator(sellerN)), Community: v.id, Device: v.seller, SellAbove: 100, BuyBelow: 300}); err != nil {
		tb.Fatal(err)
	}
	if _, err := v.msg.SetLimits(v.Ctx, &energyv1.MsgSetLimits{Operator: stage.Spell(operator(buyerN)), Community: v.id, Device: v.buyer, SellAbove: 100, BuyBelow: 300}); err != nil {
		tb.Fatal(err)
	}
	v.Pass(3600)
	return v
}

func (v *village) now() meter.Hour { return meter.HourAt(v.Now()) }

// frame is what a meter tells of the running hour: so much import and export in each slot.
func (v *village) frame(n int, id uint64, imported, exported meter.MilliWattHours) meter.Signed {
	f := meter.Frame{ChainID: stage.ChainID, Meter: id, First: v.now().First(), Steps: 1, Seq: 1}
	if last, some := v.frames[id]; some {
		f.Seq, f.Previous = last.Seq+1, last.Hash()
	}
	r := v.registers[id]
	f.Readings = append(f.Readings, r)
	for range 4 {
		r.Import, r.Export, r.Generation = r.Import+imported, r.Export+exported, r.Generation+exported
		f.Readings = append(f.Readings, r)
	}
	return meter.Signed{Frame: f, Signature: [64]byte(ed25519.Sign(deviceKey(n), f.SignBytes()))}
}

// told is an hour as the aggregator has it.
type told struct {
	hour     meter.Hour
	leaves   []meter.Leaf
	evidence map[uint64][]byte
	tree     *meter.Tree
	before   []community.Account
	settled  *community.Settled
}

// tell makes both houses tell the running hour, which then ends.
func (v *village) tell(tb testing.TB) *told {
	tb.Helper()
	h := &told{hour: v.now(), evidence: map[uint64][]byte{}, before: v.accounts}
	in := v.inputs(tb, h.hour)
	for _, one := range []struct {
		n         int
		id        uint64
		node      grid.NodeID
		in, out   meter.MilliWattHours
		registers meter.Registers
	}{{sellerN, v.seller, 2, 0, 1_000_000, v.registers[v.seller]}, {buyerN, v.buyer, 3, 1_000_000, 0, v.registers[v.buyer]}} {
		f := v.frame(one.n, one.id, one.in, one.out)
		v.frames[one.id], v.registers[one.id] = f.Frame, f.Readings[4]
		evidence, err := meter.Evidence([]meter.Signed{f})
		if err != nil {
			tb.Fatal(err)
		}
		key := meter.Key{Type: meter.Ed25519, Bytes: deviceKey(one.n).Public().(ed25519.PublicKey)}
		m := meter.Meter{ID: one.id, Role: meter.House, Node: one.node, Key: key, Rating: meter.Rating{Import: 20_000, Export: 20_000, Generation: 20_000}}
		l, err := meter.Replay(stage.ChainID, m, h.hour, evidence)
		if err != nil || l.Reason != meter.None {
			tb.Fatalf("%s, %v", l.Reason, err)
		}
		h.leaves, h.evidence[one.id] = append(h.leaves, l), evidence
	}
	in.Leaves, in.Before = h.leaves, h.before
	var err error
	if h.settled, err = community.Settle(in); err != nil {
		tb.Fatal(err)
	}
	if h.tree, err = meter.Build(h.leaves); err != nil {
		tb.Fatal(err)
	}
	v.accounts = h.settled.Accounts
	v.Pass(3600 - v.Now()%3600)
	return h
}

// inputs is what the chain says an hour is settled from.
func (v *village) inputs(tb testing.TB, h meter.Hour) community.Input {
	tb.Helper()
	res, err := v.query.Inputs(v.Ctx, &energyv1.QueryInputsRequest{Community: v.id, Hour: uint64(h)})
	if err != nil {
		tb.Fatal(err)
	}
	t := res.Terms
	var nodes []grid.Node
	for _, n := range t.Nodes {
		nodes = append(nodes, grid.Node{ID: grid.NodeID(n.Id), Parent: grid.NodeID(n.Parent), Kind: grid.Kind(n.Kind), Edge: grid.Edge{Fee: grid.Tick(n.Fee)}})
	}
	tree, err := grid.New(nodes)
	if err != nil {
		tb.Fatal(err)
	}
	in := community.Input{Hour: h, Terms: community.Terms{
		Tree: tree, Ticks: grid.Tick(t.Ticks), Utility: auction.Utility{Retail: grid.Tick(t.Retail), FeedIn: grid.Tick(t.FeedIn)},
		Tick: price.FromUint64(t.TickPrice.Uint64()), Loss: grid.PPM(t.LossPpm),
	}}
	standings := map[uint64]energyv1.Standing{}
	for _, s := range res.Standings {
		standings[s.Account] = s
	}
	for _, m := range append(res.Members, energyv1.Member{Device: uint64(community.Utility)}) {
		s := standings[m.Device]
		in.Members = append(in.Members, community.Member{
			ID: community.AccountID(m.Device), Node: grid.NodeID(m.Node), Role: meter.Role(m.Role), Class: meter.Class(m.Class),
			SellAbove: grid.Tick(s.SellAbove), BuyBelow: grid.Tick(s.BuyBelow),
			PaidIn: price.FromUint64(s.PaidIn.Uint64()), Withdrawn: price.FromUint64(s.Withdrawn.Uint64()),
		})
	}
	return in
}

func encoded(tb testing.TB, m interface{ MarshalBinary() ([]byte, error) }) []byte {
	tb.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func (v *village) committing(tb testing.TB, h *told) *energyv1.MsgCommitHour {
	tb.Helper()
	m := &energyv1.MsgCommitHour{
		Operator: stage.Spell(operator(aggregatorN)), Community: v.id, Hour: uint64(h.hour),
		Readings: encoded(tb, h.tree.Root()), Accounts: encoded(tb, h.settled.Root),
	}
	for _, slot := range h.settled.Prices {
		for _, p := range slot {
			m.Prices = binary.BigEndian.AppendUint16(m.Prices, uint16(p))
		}
	}
	return m
}

func (v *village) commit(tb testing.TB, h *told) {
	tb.Helper()
	if _, err := v.msg.CommitHour(v.Ctx, v.committing(tb, h)); err != nil {
		tb.Fatal(err)
	}
}

func (h *told) raw() (leaves, accounts []byte) {
	for _, l := range h.leaves {
		leaves = l.Append(leaves)
	}
	for _, a := range h.before {
		accounts = a.Append(accounts)
	}
	return leaves, accounts
}

func (h *told) proof(tb testing.TB, meter uint64) []byte {
	tb.Helper()
	i, _ := h.tree.Find(meter)
	p, err := h.tree.Prove(i)
	if err != nil {
		tb.Fatal(err)
	}
	return encoded(tb, p)
}

func (v *village) proof(tb testing.TB, account uint64) []byte {
	tb.Helper()
	tree, err := community.BuildAccounts(v.accounts)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := tree.Prove(community.AccountID(account))
	if err != nil {
		tb.Fatal(err)
	}
	return encoded(tb, p)
}

// Neighbours trade over two hours; the seller's money is paid out of what the buyer paid in, once the
// hours are final, and edges get their fees.
func TestNeighboursArePaid(t *testing.T) {
	v := newVillage(t)
	first := v.tell(t)
	v.commit(t, first)
	second := v.tell(t)
	v.commit(t, second)
	v.check(t)
	v.restart(t)
	before := v.balance(owner(sellerN))
	if _, err := v.msg.Withdraw(v.Ctx, &energyv1.MsgWithdraw{
		Sender: stage.Spell(owner(sellerN)), Community: v.id, Account: v.seller, Amount: sdk.NewInt64Coin(denom, 1<<40),
	}); err != nil {
		t.Fatal(err)
	}
	claim := &energyv1.MsgClaim{Sender: stage.Spell(stranger), Community: v.id, Account: v.seller, Proof: v.proof(t, v.seller)}
	if _, err := v.msg.Claim(v.Ctx, claim); !errors.Is(err, energy.ErrNotFinal) {
		t.Fatalf("claimed before the end of the window: %v", err)
	}
	v.Pass(2 * 24 * 3600)
	res, err := v.msg.Claim(v.Ctx, claim)
	if err != nil {
		t.Fatal(err)
	}
	// A kilowatt-hour in each of eight slots, at the seller's node.
	if want := math.NewInt(8 * 1000 * int64(second.settled.Prices[0][1])); !res.Paid.Amount.Equal(want) || !v.balance(owner(sellerN)).Sub(before).Equal(want) {
		t.Errorf("paid %s, want %s", res.Paid, want)
	}
	if _, err := v.msg.Claim(v.Ctx, claim); !errors.Is(err, energy.ErrPending) {
		t.Errorf("paid twice: %v", err)
	}
	v.check(t)
	v.restart(t)
}

// Every way of a false commit costs the aggregator bond and undoes the hour.
func TestFalseCommitsAreRejected(t *testing.T) {
	for name, run := range map[string]func(t *testing.T, v *village, h *told) error{
		"wrong cost": func(t *testing.T, v *village, h *told) error {
			for i := range h.settled.Accounts { // the aggregator moves money to itself
				if h.settled.Accounts[i].ID == community.Rounding || h.settled.Accounts[i].ID == community.Utility {
					h.settled.Accounts[i].Earned, _ = h.settled.Accounts[i].Earned.Add(price.FromUint64(5))
					h.settled.Accounts[i].Owed, _ = h.settled.Accounts[i].Owed.Add(price.FromUint64(5))
				}
			}
			tree, err := community.BuildAccounts(h.settled.Accounts)
			if err != nil {
				return err
			}
			h.settled.Root = tree.Root()
			v.commit(t, h)
			leaves, accounts := h.raw()
			_, err = v.msg.ChallengeHour(v.Ctx, &energyv1.MsgChallengeHour{Challenger: stage.Spell(stranger), Community: v.id, Hour: uint64(h.hour), Leaves: leaves, Accounts: accounts})
			return err
		},
		"false leaf": func(t *testing.T, v *village, h *told) error {
			h.leaves[0].Slots[0].Export += 500
			var err error
			if h.tree, err = meter.Build(h.leaves); err != nil {
				return err
			}
			v.commit(t, h)
			_, err = v.msg.ChallengeLeaf(v.Ctx, &energyv1.MsgChallengeLeaf{
				Challenger: stage.Spell(stranger), Community: v.id, Hour: uint64(h.hour), Proof: h.proof(t, v.seller), Evidence: h.evidence[v.seller],
			})
			return err
		},
		"bad signature": func(t *testing.T, v *village, h *told) error {
			evidence := h.evidence[v.seller]
			evidence[len(evidence)-1] ^= 1
			h.leaves[0].Evidence = sha256.Sum256(evidence)
			var err error
			if h.tree, err = meter.Build(h.leaves); err != nil {
				return err
			}
			v.commit(t, h)
			_, err = v.msg.ChallengeLeaf(v.Ctx, &energyv1.MsgChallengeLeaf{
				Challenger: stage.Spell(stranger), Community: v.id, Hour: uint64(h.hour), Proof: h.proof(t, v.seller), Evidence: evidence,
			})
			return err
		},
		"omission": func(t *testing.T, v *village, h *told) error {
			r := v.receipt(h, v.buyer)
			h.leaves = h.leaves[:1]
			var err error
			if h.tree, err = meter.Build(h.leaves); err != nil {
				return err
			}
			v.commit(t, h)
			absence, err := h.tree.ProveAbsent(v.buyer)
			if err != nil {
				return err
			}
			_, err = v.msg.ChallengeOmission(v.Ctx, &energyv1.MsgChallengeOmission{
				Challenger: stage.Spell(stranger), Community: v.id, Receipt: encoded(t, r), Absence: encoded(t, absence),
			})
			return err
		},
		"withheld data": func(t *testing.T, v *village, h *told) error {
			v.commit(t, h)
			d, err := v.msg.DemandData(v.Ctx, &energyv1.MsgDemandData{Opener: stage.Spell(stranger), Community: v.id, Hour: uint64(h.hour)})
			if err != nil {
				return err
			}
			v.Pass(d.Deadline - v.Now())
			_, err = v.msg.CloseDemand(v.Ctx, &energyv1.MsgCloseDemand{Sender: stage.Spell(driver), Demand: d.Demand})
			return err
		},
		"served data shows it": func(t *testing.T, v *village, h *told) error {
			h.leaves[1].Slots[0].Import = 1
			var err error
			if h.tree, err = meter.Build(h.leaves); err != nil {
				return err
			}
			v.commit(t, h)
			d, err := v.msg.DemandData(v.Ctx, &energyv1.MsgDemandData{Opener: stage.Spell(stranger), Community: v.id, Hour: uint64(h.hour), Proof: h.proof(t, v.buyer)})
			if err != nil {
				return err
			}
			res, err := v.msg.ServeData(v.Ctx, &energyv1.MsgServeData{Operator: stage.Spell(operator(aggregatorN)), Demand: d.Demand, Evidence: h.evidence[v.buyer]})
			if err == nil && !res.Faulty {
				t.Error("not faulty")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVillage(t)
			h := v.tell(t)
			before := v.balance(stranger)
			if err := run(t, v, h); err != nil {
				t.Fatal(err)
			}
			if _, err := v.query.Hour(v.Ctx, &energyv1.QueryHourRequest{Community: v.id, Hour: uint64(h.hour)}); !errors.Is(err, energy.ErrNoHour) {
				t.Errorf("the hour stands: %v", err)
			}
			d, err := v.devices.Device(v.Ctx, v.aggregator)
			if err != nil || !d.Bond.Amount.Equal(math.NewIntWithDecimal(5, 18)) {
				t.Errorf("bond %s, %v", d.Bond, err)
			}
			if got := v.balance(stranger).Sub(before); !got.Equal(math.NewIntWithDecimal(1, 18)) {
				t.Errorf("bounty %s", got)
			}
			v.check(t)
			v.restart(t)
		})
	}
}

func (v *village) receipt(h *told, m uint64) meter.SignedReceipt {
	f := v.frames[m]
	r := meter.Receipt{
		ChainID: stage.ChainID, Aggregator: v.aggregator, Community: v.id, Meter: m, Frame: f.Hash(), First: f.First, Slots: 4, At: v.Now() - 1,
	}
	return meter.SignedReceipt{Receipt: r, Signature: [64]byte(ed25519.Sign(deviceKey(aggregatorN), r.SignBytes()))}
}

// An honest aggregator loses nothing to any challenge, and is paid for answering.
func TestHonestCommitsStand(t *testing.T) {
	v := newVillage(t)
	h := v.tell(t)
	r := v.receipt(h, v.buyer)
	v.commit(t, h)
	leaves, accounts := h.raw()
	for name, msg := range map[string]func() error{
		"hour": func() error {
			_, err := v.msg.ChallengeHour(v.Ctx, &energyv1.MsgChallengeHour{Challenger: stage.Spell(stranger), Community: v.id, Hour: uint64(h.hour), Leaves: leaves, Accounts: accounts})
			return err
		},
		"leaf": func() error {
			_, err := v.msg.ChallengeLeaf(v.Ctx, &energyv1.MsgChallengeLeaf{
				Challenger: stage.Spell(stranger), Community: v.id, Hour: uint64(h.hour), Proof: h.proof(t, v.seller), Evidence: h.evidence[v.seller],
			})
			return err
		},
		"omission": func() error {
			_, err := v.msg.ChallengeOmission(v.Ctx, &energyv1.MsgChallengeOmission{
				Challenger: stage.Spell(stranger), Community: v.id, Receipt: encoded(t, r), Proof: h.proof(t, v.buyer),
			})
			return err
		},
	} {
		if err := msg(); !errors.Is(err, energy.ErrNoFault) {
			t.Errorf("%s: %v", name, err)
		}
	}
	before := v.balance(owner(aggregatorN))
	d, err := v.msg.DemandData(v.Ctx, &energyv1.MsgDemandData{Opener: stage.Spell(stranger), Community: v.id, Hour: uint64(h.hour)})
	if err != nil {
		t.Fatal(err)
	}
	res, err := v.msg.ServeData(v.Ctx, &energyv1.MsgServeData{Operator: stage.Spell(operator(aggregatorN)), Demand: d.Demand, Leaves: leaves, Accounts: accounts})
	if err != nil || res.Faulty || !v.balance(owner(aggregatorN)).Sub(before).Equal(milli(1000)) {
		t.Fatalf("%v, %v", res, err)
	}
	v.check(t)
}

// A meter that tells two stories pays once.
func TestDoubleFrameCostsTheMeter(t *testing.T) {
	v := newVillage(t)
	a, b := v.frame(sellerN, v.seller, 0, 1_000_000), v.frame(sellerN, v.seller, 0, 2_000_000)
	report := &energyv1.MsgReportDoubleFrame{Reporter: stage.Spell(stranger), Community: v.id, First: encoded(t, a), Second: encoded(t, b)}
	res, err := v.msg.ReportDoubleFrame(v.Ctx, report)
	if err != nil || !res.Slashed.Amount.Equal(math.NewIntWithDecimal(1, 18)) {
		t.Fatalf("%v, %v", res, err)
	}
	if _, err := v.msg.ReportDoubleFrame(v.Ctx, report); !errors.Is(err, energy.ErrNoFault) {
		t.Errorf("punished twice: %v", err)
	}
	same := *report
	same.Second = same.First
	if _, err := v.msg.ReportDoubleFrame(v.Ctx, &same); !errors.Is(err, energy.ErrNoFault) {
		t.Errorf("punished for one frame: %v", err)
	}
	v.check(t)
}

// Who may do what, and what a community may be.
func TestCommunityRefusals(t *testing.T) {
	v := newVillage(t)
	h := v.tell(t)
	unbalanced := v.committing(t, h)
	unbalanced.Accounts = append([]byte(nil), unbalanced.Accounts...)
	unbalanced.Accounts[51]++ // earned, not owed
	early := v.committing(t, h)
	early.Hour = uint64(v.now())
	foreign := v.committing(t, h)
	foreign.Operator = stage.Spell(stranger)
	head := v.joining(sellerN, v.seller, 2)
	head.Role = uint32(meter.Head)
	bad := terms()
	bad.Nodes[1].Parent = 9
	for name, c := range map[string]struct {
		run  func() error
		want error
	}{
		"money from nothing": {func() error { _, err := v.msg.CommitHour(v.Ctx, unbalanced); return err }, energy.ErrField},
		"hour that runs":     {func() error { _, err := v.msg.CommitHour(v.Ctx, early); return err }, energy.ErrTime},
		"stranger commits":   {func() error { _, err := v.msg.CommitHour(v.Ctx, foreign); return err }, device.ErrNotOperator},
		"joins twice":        {func() error { _, err := v.msg.JoinCommunity(v.Ctx, v.joining(sellerN, v.seller, 2)); return err }, energy.ErrMember},
		"makes itself head":  {func() error { _, err := v.msg.JoinCommunity(v.Ctx, head); return err }, energy.ErrNotManager},
		"broken grid": {func() error {
			_, err := v.msg.CreateCommunity(v.Ctx, &energyv1.MsgCreateCommunity{Manager: stage.Spell(manager), Aggregator: v.aggregator, Utility: stage.Spell(utility), Terms: bad})
			return err
		}, energy.ErrTerms},
		"another's money": {func() error {
			_, err := v.msg.Withdraw(v.Ctx, &energyv1.MsgWithdraw{Sender: stage.Spell(stranger), Community: v.id, Account: v.buyer, Amount: sdk.NewInt64Coin(denom, 1)})
			return err
		}, device.ErrNotOperator},
	} {
		before := v.Hash()
		if err := c.run(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if v.Hash() != before {
			t.Errorf("%s: the state has changed", name)
		}
	}
	v.Pass(3 * 3600)
	if _, err := v.msg.CommitHour(v.Ctx, v.committing(t, h)); !errors.Is(err, energy.ErrTime) {
		t.Errorf("committed late: %v", err)
	}
}
