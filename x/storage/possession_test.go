package storage_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"
	"pgregory.net/rapid"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
	"github.com/cairn-network/cairn/x/storage"
)

func (f *fixture) fact(tb testing.TB, device, epoch uint64) score.Fact {
	tb.Helper()
	fact, err := f.keeper.Fact(f.Ctx, epoch, device)
	if err != nil {
		tb.Fatal(err)
	}
	return fact
}

// wants fails unless an error is one.
func wants(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got %v, want %v", err, want)
	}
}

func TestAnsweredChallengeCountsOnce(t *testing.T) {
	n := newNetwork(t)
	p, epoch := n.provider, n.epochs.running
	answer := n.answer(t, p)
	if _, err := n.msg.Prove(n.Ctx, answer); err != nil {
		t.Fatal(err)
	}
	fact := n.fact(t, p.id, epoch)
	if want := p.tree.Root().Sum * 1024; !fact.Challenged || fact.Passed != 4 || fact.Proved != want || fact.Leased != 1<<20 || fact.Bond.Lo != bond {
		t.Fatalf("fact %+v, want %d bytes proved", fact, want)
	}
	wants(t, n.send(t, answer), storage.ErrProved)
	n.next(t)
	wants(t, n.send(t, answer), storage.ErrEpoch)
	answer.Epoch = n.epochs.running
	wants(t, n.send(t, answer), storage.ErrProof) // the positions are others
	wants(t, n.send(t, report(p.id, epoch)), storage.ErrNoFault)
}

func TestProofsOfAnotherDeviceOrOrderAreRefused(t *testing.T) {
	n := newNetwork(t)
	good := n.answer(t, n.provider)
	for name, edit := range map[string]func(*storagev1.MsgProve){
		"none":     func(m *storagev1.MsgProve) { m.Proofs = nil },
		"one less": func(m *storagev1.MsgProve) { m.Proofs = m.Proofs[1:] },
		"one more": func(m *storagev1.MsgProve) { m.Proofs = append(m.Proofs, m.Proofs[0]) },
		"swapped":  func(m *storagev1.MsgProve) { m.Proofs[0], m.Proofs[1] = m.Proofs[1], m.Proofs[0] },
		"first one again": func(m *storagev1.MsgProve) {
			for i := range m.Proofs {
				m.Proofs[i] = m.Proofs[0]
			}
		},
		"cut":     func(m *storagev1.MsgProve) { m.Proofs[2] = m.Proofs[2][:len(m.Proofs[2])-1] },
		"flipped": func(m *storagev1.MsgProve) { m.Proofs[3] = bytes.Clone(m.Proofs[3]); m.Proofs[3][10] ^= 1 },
	} {
		bad := *good
		bad.Proofs = append([][]byte(nil), good.Proofs...)
		edit(&bad)
		if err := n.send(t, &bad); !errors.Is(err, storage.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := *good
	bad.Operator = stage.Spell(stranger)
	wants(t, n.send(t, &bad), device.ErrNotOperator)
	if err := n.send(t, good); err != nil {
		t.Fatal(err)
	}
}

// A commitment made in an epoch does not change what the epoch's challenge is drawn over.
func TestCommitmentCountsFromTheNextEpoch(t *testing.T) {
	n := newNetwork(t)
	p := n.provider
	dropped := *p
	dropped.pieces = map[piece.ID][]byte{}
	for id, data := range p.pieces {
		if len(data) < 64<<10 {
			dropped.pieces[id] = data
		}
	}
	dropped.build(t)
	before := n.answer(t, p)
	n.commit(t, &dropped)
	after := n.answer(t, p)
	for i := range before.Proofs {
		if !bytes.Equal(before.Proofs[i], after.Proofs[i]) {
			t.Fatalf("position %d moved with a commitment", i)
		}
	}
	if err := n.send(t, after); err != nil {
		t.Fatal(err)
	}
	n.next(t)
	wants(t, n.send(t, n.answer(t, &dropped)), nil)
}

// previousTotal is what the latest event of a commitment says of the tree before it.
func (f *fixture) previousTotal(tb testing.TB) uint64 {
	tb.Helper()
	for _, e := range slices.Backward(f.Ctx.EventManager().Events()) {
		if e.Type != proto.MessageName(&storagev1.EventTreeCommitted{}) {
			continue
		}
		event, err := sdk.ParseTypedEvent(abci.Event(e))
		if err != nil {
			tb.Fatal(err)
		}
		return event.(*storagev1.EventTreeCommitted).PreviousTotal
	}
	tb.Fatal("no commitment was made")
	return 0
}

func TestCommitmentSaysTheTotalOfTheTreeItReplaces(t *testing.T) {
	n := newNetwork(t)
	p := n.provider
	if got := n.previousTotal(t); got != 0 {
		t.Errorf("the first commitment follows a tree of %d chunks, want 0", got)
	}
	inForce := p.tree.Root().Sum
	for _, id := range []byte{0, 1} { // the second replaces one that was never in force
		delete(p.pieces, challenge.LeafID(p.lease, piece.ID{0, id}))
		p.build(t)
		n.commit(t, p)
		if got := n.previousTotal(t); got != inForce || p.tree.Root().Sum >= got {
			t.Errorf("a tree of %d chunks follows one of %d, want %d", p.tree.Root().Sum, got, inForce)
		}
	}
	n.check(t)
	n.next(t)
	inForce = p.tree.Root().Sum
	n.commit(t, p)
	if got := n.previousTotal(t); got != inForce {
		t.Errorf("the tree of the next epoch follows one of %d chunks, want %d", got, inForce)
	}
}

func TestMissedChallengeCosts(t *testing.T) {
	n := newNetwork(t)
	p := n.provider
	n.pass(t, p)
	var missed []uint64
	for range 3 {
		n.next(t)
		missed = append(missed, n.epochs.running)
		wants(t, n.send(t, report(p.id, n.epochs.running)), storage.ErrEpoch)
	}
	n.next(t)
	left, supply := int64(bond), n.Bank.Supply(n.Ctx, denom)
	for i, epoch := range missed {
		before := n.balance(stranger)
		res, err := n.msg.ReportFault(n.Ctx, report(p.id, epoch))
		if err != nil {
			t.Fatal(err)
		}
		n.check(t)
		slashed := left / 100
		left -= slashed
		bounty := slashed / 5
		supply = supply.SubRaw(slashed - bounty)
		d, err := n.devices.Device(n.Ctx, p.id)
		if err != nil {
			t.Fatal(err)
		}
		if res.Slashed.Amount.Int64() != slashed || res.Bounty.Amount.Int64() != bounty || d.Bond.Amount.Int64() != left ||
			n.balance(stranger) != before+bounty || !n.Bank.Supply(n.Ctx, denom).Equal(supply) {
			t.Fatalf("fault %d: slashed %s, bounty %s, bond %s", i, res.Slashed, res.Bounty, d.Bond)
		}
		if want := n.Now() + 50<<i; d.JailedUntil != want {
			t.Fatalf("fault %d: jailed until %d, want %d", i, d.JailedUntil, want)
		}
		wants(t, n.send(t, report(p.id, epoch)), storage.ErrReported)
	}
	for _, epoch := range missed {
		if f := n.fact(t, p.id, epoch); !f.Missed() || f.Proved != 0 {
			t.Errorf("fact of missed epoch %d: %+v", epoch, f)
		}
	}
	if f := n.fact(t, p.id, n.epochs.running); f.Standing&score.Faulted == 0 || f.Standing&score.Jailed != 0 {
		t.Errorf("fact of the epoch of the reports: %+v", f)
	}
	n.pass(t, p)
	n.next(t)
	if f := n.fact(t, p.id, n.epochs.running); f.Standing != score.Jailed {
		t.Errorf("fact of the epoch after: %+v", f)
	}
	standing, err := n.query.Standing(n.Ctx, &storagev1.QueryStandingRequest{Device: p.id})
	if err != nil || standing.Standing.Faults != 3 || standing.Standing.ConsecutiveFaults != 0 {
		t.Errorf("standing %+v, %v", standing, err)
	}
}

func TestNobodyIsAtFaultForWhatWasNotAsked(t *testing.T) {
	n := newNetwork(t)
	p := n.provider
	first := n.epochs.running
	n.next(t)
	weak := n.epochs.running
	n.epochs.weak[weak] = true
	wants(t, n.send(t, n.answer(t, p)), storage.ErrNotChallenged)
	for range 2 {
		n.next(t)
	}
	wants(t, n.send(t, report(p.id, weak)), storage.ErrNoFault)
	wants(t, n.send(t, report(p.id, first-1)), storage.ErrNoCommitment)
	wants(t, n.send(t, report(77, first)), device.ErrNotFound)
	wants(t, n.send(t, report(p.id, first)), nil)
	for range 4 {
		n.next(t)
	}
	wants(t, n.send(t, report(p.id, first)), storage.ErrEpoch) // too long ago
	wants(t, n.send(t, report(p.id, n.epochs.running+1)), storage.ErrEpoch)
}

// A device without leases owes nothing from the next epoch on, but still for those before.
func TestObligationsEndWithLeases(t *testing.T) {
	n := newNetwork(t)
	p := n.provider
	n.next(t)
	before := n.epochs.running
	_, err := market.NewMsgServer(n.market).CloseLease(n.Ctx, &marketv1.MsgCloseLease{Sender: stage.Spell(operator(0)), Id: p.lease, Devices: []uint64{p.id}})
	if err != nil {
		t.Fatal(err)
	}
	n.next(t)
	n.next(t)
	wants(t, n.send(t, report(p.id, before)), nil)
	wants(t, n.send(t, report(p.id, before+1)), storage.ErrNoFault)
}

func TestTreesAreHeldToLeases(t *testing.T) {
	n := newNetwork(t)
	c := n.provider.commitment()
	c.Total = 2*1024 + 1024 + 1 // twice a mebibyte, and the slack
	wants(t, n.send(t, c), storage.ErrTooMuch)
	c.Total--
	wants(t, n.send(t, c), nil)
	for name, edit := range map[string]func(*storagev1.MsgCommitTree){
		"version again":   func(m *storagev1.MsgCommitTree) { m.Version-- },
		"version skipped": func(m *storagev1.MsgCommitTree) { m.Version++ },
	} {
		bad := *n.provider.commitment()
		edit(&bad)
		if err := n.send(t, &bad); !errors.Is(err, storage.ErrTreeVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, edit := range map[string]func(*storagev1.MsgCommitTree){
		"short root":         func(m *storagev1.MsgCommitTree) { m.Root = m.Root[1:] },
		"root of nothing":    func(m *storagev1.MsgCommitTree) { m.Total = 0 },
		"nothing with total": func(m *storagev1.MsgCommitTree) { m.Root = make([]byte, 32) },
	} {
		bad := *n.provider.commitment()
		edit(&bad)
		if err := n.send(t, &bad); !errors.Is(err, storage.ErrField) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A vote that changes who is challenged takes effect with the next epoch; the running one and past
// ones keep their terms.
func TestTermsChangeBetweenEpochs(t *testing.T) {
	n := newNetwork(t)
	p, epoch := n.provider, n.epochs.running
	answer := n.answer(t, p)
	params, err := n.keeper.Params(n.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	params.Possession.Positions = 8
	if _, err := n.msg.UpdateParams(n.Ctx, &storagev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: params}); err != nil {
		t.Fatal(err)
	}
	wants(t, n.send(t, answer), nil)
	n.next(t)
	if got := len(n.answer(t, p).Proofs); got != 8 {
		t.Fatalf("%d positions after the vote", got)
	}
	res, err := n.query.Challenge(n.Ctx, &storagev1.QueryChallengeRequest{Device: p.id, Epoch: epoch})
	if err != nil || len(res.Challenge.Positions) != 4 {
		t.Fatalf("past challenge %+v, %v", res, err)
	}
}

// Facts of an epoch that is over do not change, whatever is proved, reported or voted later.
func TestFactsOfThePastStand(t *testing.T) {
	n := newNetwork(t)
	p := n.provider
	n.set(t, func(q *storagev1.PossessionParams) { q.Interval, q.FreshEpochs = 2, 2 })
	first := n.epochs.running
	facts := map[uint64]score.Fact{}
	check := func() {
		t.Helper()
		for epoch, was := range facts {
			if now := n.fact(t, p.id, epoch); now != was {
				t.Fatalf("epoch %d: fact was %+v, is %+v", epoch, was, now)
			}
		}
	}
	kinds := map[string]int{}
	for range 40 {
		epoch := n.epochs.running
		res, err := n.query.Challenge(n.Ctx, &storagev1.QueryChallengeRequest{Device: p.id})
		if err != nil {
			t.Fatal(err)
		}
		if res.Challenge.Challenged && epoch%3 != 0 {
			n.pass(t, p)
		}
		if epoch%4 == 0 {
			n.commit(t, p)
		}
		n.next(t)
		f := n.fact(t, p.id, epoch)
		facts[epoch] = f
		switch {
		case f.Missed():
			kinds["missed"]++
			wants(t, func() error { _, err := n.msg.ReportFault(n.Ctx, report(p.id, epoch)); return err }(), nil)
		case f.Challenged:
			kinds["passed"]++
		case f.Proved > 0:
			kinds["standing"]++
		default:
			kinds["nothing"]++
		}
		check()
		if epoch > first+8 { // pruned by the audit module
			delete(facts, epoch-8)
		}
	}
	for _, kind := range []string{"missed", "passed", "standing", "nothing"} {
		if kinds[kind] == 0 {
			t.Errorf("no epoch was %s: %v", kind, kinds)
		}
	}
}

func TestFactsAreListed(t *testing.T) {
	n := newNetwork(t)
	p := n.provide(t, 1, 3000)
	n.commit(t, p)
	n.pass(t, n.provider)
	epoch := n.epochs.running
	res, err := n.query.Facts(n.Ctx, &storagev1.QueryFactsRequest{Epoch: epoch})
	if err != nil || len(res.Facts) != 2 || res.Facts[0].Device != 1 || res.Facts[1].Device != 2 {
		t.Fatalf("facts %+v, %v", res, err)
	}
	if f := n.fact(t, p.id, epoch); f.Standing != score.New || f.Challenged {
		t.Errorf("fact of a new device: %+v", f)
	}
	if _, err := n.keeper.Fact(n.Ctx, epoch, 3); !errors.Is(err, audit.ErrNoFact) {
		t.Errorf("fact of nobody: %v", err)
	}
	if _, err := n.keeper.Fact(n.Ctx, epoch-1, p.id); !errors.Is(err, audit.ErrNoFact) {
		t.Errorf("fact before the first commitment: %v", err)
	}
}

func TestInclusionAudit(t *testing.T) {
	n := newNetwork(t)
	p := n.provider
	n.next(t)
	n.next(t)
	ask := func(r piece.SignedReceipt) uint64 {
		t.Helper()
		res, err := n.msg.AuditInclusion(n.Ctx, inclusion(t, r))
		if err != nil {
			t.Fatal(err)
		}
		n.check(t)
		return res.Audit
	}
	renterHad, operatorHad := n.balance(renter), n.balance(operator(0))
	id := ask(p.receipts[1])
	other := p.included(t, id, p.receipts[2].ID)
	wants(t, n.send(t, other), storage.ErrProof)
	answer := p.included(t, id, p.receipts[1].ID)
	both := *answer
	both.Release = []byte{1}
	wants(t, n.send(t, &both), storage.ErrField)
	wants(t, n.send(t, &storagev1.MsgCloseAudit{Sender: stage.Spell(stranger), Audit: id}), storage.ErrDeadline)
	if _, err := n.msg.ProveInclusion(n.Ctx, answer); err != nil {
		t.Fatal(err)
	}
	if n.balance(renter) != renterHad-500 || n.balance(operator(0)) != operatorHad+500 {
		t.Error("the deposit did not go to who answered")
	}
	wants(t, n.send(t, answer), storage.ErrNoAudit)

	// A piece that the renter gave up: its release answers.
	id = ask(p.receipts[2])
	release := piece.SignRelease(key("session", 0), piece.Release{
		ChainID: stage.ChainID, Lease: p.lease, Device: p.id, ID: p.receipts[2].ID, Until: p.receipts[2].IssuedAt,
	})
	for why, bad := range map[string]func(*piece.SignedRelease){
		"of another piece":           func(r *piece.SignedRelease) { r.ID = p.receipts[1].ID },
		"changed after it was given": func(r *piece.SignedRelease) { r.Until++ },
		"from before the receipt": func(r *piece.SignedRelease) {
			r.Until--
			*r = piece.SignRelease(key("session", 0), r.Release)
		},
		"signed by the device": func(r *piece.SignedRelease) { *r = piece.SignRelease(key("device", 0), r.Release) },
	} {
		r := release
		bad(&r)
		err := n.send(t, &storagev1.MsgProveInclusion{Operator: stage.Spell(operator(0)), Audit: id, Release: encode(t, r)})
		if !errors.Is(err, storage.ErrProof) {
			t.Errorf("a release %s: %v", why, err)
		}
	}
	if _, err := n.msg.ProveInclusion(n.Ctx, &storagev1.MsgProveInclusion{Operator: stage.Spell(operator(0)), Audit: id, Release: encode(t, release)}); err != nil {
		t.Fatal(err)
	}

	// A piece that was dropped from the tree: no answer, fault.
	gone := p.put(t, piece.ID{9}, []byte("never committed"), n.Now())
	wants(t, n.send(t, inclusion(t, gone)), storage.ErrReceipt) // not settled yet
	for range 3 {
		n.next(t)
	}
	renterHad = n.balance(renter)
	id = ask(gone)
	n.Pass(60)
	wants(t, n.send(t, &storagev1.MsgCloseAudit{Sender: stage.Spell(stranger), Audit: id}), storage.ErrDeadline)
	n.Pass(1)
	wants(t, n.send(t, p.included(t, id, p.receipts[0].ID)), storage.ErrDeadline)
	res, err := n.msg.CloseAudit(n.Ctx, &storagev1.MsgCloseAudit{Sender: stage.Spell(stranger), Audit: id})
	if err != nil {
		t.Fatal(err)
	}
	n.check(t)
	if res.Slashed.Amount.Int64() != bond/100 || n.balance(renter) != renterHad+res.Bounty.Amount.Int64() {
		t.Errorf("slashed %s, bounty %s, renter has %d more", res.Slashed, res.Bounty, n.balance(renter)-renterHad)
	}
	wants(t, n.send(t, &storagev1.MsgCloseAudit{Sender: stage.Spell(stranger), Audit: id}), storage.ErrNoAudit)
}

func TestReceiptsThatNothingFollowsFrom(t *testing.T) {
	n := newNetwork(t)
	p := n.provider
	n.next(t)
	n.next(t)
	signed := func(n int, edit func(*piece.Receipt)) piece.SignedReceipt {
		r := p.receipts[0].Receipt
		edit(&r)
		return piece.SignReceipt(key("device", n), r)
	}
	for name, c := range map[string]struct {
		receipt piece.SignedReceipt
		want    error
	}{
		"by another key":     {signed(1, func(*piece.Receipt) {}), storage.ErrReceipt},
		"of another chain":   {signed(0, func(r *piece.Receipt) { r.ChainID = "other-1" }), storage.ErrReceipt},
		"expired":            {signed(0, func(r *piece.Receipt) { r.Expiry = n.Now() }), storage.ErrReceipt},
		"of no device":       {signed(0, func(r *piece.Receipt) { r.Device = 9 }), device.ErrNotFound},
		"of no lease":        {signed(0, func(r *piece.Receipt) { r.Lease = 9 }), market.ErrNoLease},
		"from the future":    {signed(0, func(r *piece.Receipt) { r.IssuedAt = n.Now() + 1 }), storage.ErrReceipt},
		"older than a piece": {signed(0, func(r *piece.Receipt) { r.IssuedAt = 1 }), nil},
	} {
		if err := n.send(t, inclusion(t, c.receipt)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	for range 16 {
		if _, err := n.msg.AuditInclusion(n.Ctx, inclusion(t, p.receipts[0])); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, n.send(t, inclusion(t, p.receipts[0])), storage.ErrTooMany)
	n.check(t)
}

func TestEscalation(t *testing.T) {
	n := newNetwork(t)
	p := n.provider
	peer := n.provide(t, 1, 3000)
	n.commit(t, peer)
	ask := &storagev1.MsgEscalate{Operator: stage.Spell(operator(1)), Challenger: peer.id, Device: p.id, Epoch: n.epochs.running, Index: 63}
	wants(t, n.send(t, ask), storage.ErrNoCommitment) // the peer has nothing in force
	n.next(t)
	wants(t, n.send(t, ask), storage.ErrEpoch)
	ask.Epoch = n.epochs.running
	for name, c := range map[string]struct {
		edit func(*storagev1.MsgEscalate)
		want error
	}{
		"a position too many": {func(m *storagev1.MsgEscalate) { m.Index = 64 }, storage.ErrField},
		"itself":              {func(m *storagev1.MsgEscalate) { m.Device = peer.id }, storage.ErrNotDrawn},
		"for another":         {func(m *storagev1.MsgEscalate) { m.Challenger, m.Device = p.id, peer.id }, device.ErrNotOperator},
		"of nobody":           {func(m *storagev1.MsgEscalate) { m.Device = 9 }, storage.ErrNoCommitment},
	} {
		bad := *ask
		c.edit(&bad)
		if err := n.send(t, &bad); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	res, err := n.msg.Escalate(n.Ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, n.send(t, ask), storage.ErrTooMany)
	a, err := n.keeper.Audit(n.Ctx, res.Audit)
	if err != nil {
		t.Fatal(err)
	}
	wrong := (a.Position + 1) % p.tree.Root().Sum
	wants(t, n.send(t, &storagev1.MsgProvePosition{Operator: stage.Spell(operator(0)), Audit: a.Id, Proof: p.prove(t, wrong)}), storage.ErrProof)
	n.commit(t, p) // the answer is about the commitment of the epoch it was asked in
	n.next(t)
	n.Pass(-50)
	if _, err := n.msg.ProvePosition(n.Ctx, &storagev1.MsgProvePosition{Operator: stage.Spell(operator(0)), Audit: a.Id, Proof: p.prove(t, a.Position)}); err != nil {
		t.Fatal(err)
	}
	n.check(t)
	ask.Epoch = n.epochs.running
	if res, err = n.msg.Escalate(n.Ctx, ask); err != nil {
		t.Fatal(err)
	}
	n.Pass(61)
	had := n.balance(operator(1))
	closed, err := n.msg.CloseAudit(n.Ctx, &storagev1.MsgCloseAudit{Sender: stage.Spell(stranger), Audit: res.Audit})
	if err != nil {
		t.Fatal(err)
	}
	n.check(t)
	if n.balance(operator(1)) != had+500+closed.Bounty.Amount.Int64() || closed.Slashed.IsZero() {
		t.Errorf("closed with %+v, the challenger has %d more", closed, n.balance(operator(1))-had)
	}
}

// A device's friends cannot keep others from asking it: one question a challenger, and many challengers.
func TestEscalationsAreBoundedForEachChallenger(t *testing.T) {
	n := newNetwork(t)
	const most = 16
	var peers []*provider
	for i := range most + 1 {
		peers = append(peers, n.provide(t, 1+i, 3000))
		n.commit(t, peers[i])
	}
	n.next(t)
	ask := func(p *provider) *storagev1.MsgEscalate {
		return &storagev1.MsgEscalate{Operator: stage.Spell(operator(p.n)), Challenger: p.id, Device: n.provider.id, Epoch: n.epochs.running}
	}
	var first uint64
	for i, p := range peers[:most] {
		res, err := n.msg.Escalate(n.Ctx, ask(p))
		if err != nil {
			t.Fatalf("challenger %d: %v", i, err)
		}
		if i == 0 {
			first = res.Audit
		}
		wants(t, n.send(t, ask(p)), storage.ErrTooMany)
	}
	n.check(t)
	n.restart(t)
	wants(t, n.send(t, ask(peers[most])), storage.ErrTooMany)
	a, err := n.keeper.Audit(n.Ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	answer := &storagev1.MsgProvePosition{Operator: stage.Spell(operator(0)), Audit: a.Id, Proof: n.provider.prove(t, a.Position)}
	if _, err := n.msg.ProvePosition(n.Ctx, answer); err != nil {
		t.Fatal(err)
	}
	wants(t, n.send(t, ask(peers[most])), nil)
}

// supplies are the units that the reward module was told of, by epoch in order.
type supplies []uint64

func (s *supplies) AddSupply(_ context.Context, _ score.Service, _ uint64, _ geo.Cell, _ uint32, units uint64) error {
	*s = append(*s, units)
	return nil
}

func (*supplies) Complete(context.Context, *score.Fact) error { return nil }

// Who may not sell answers as before and earns nothing, from the next answer on and until one after it may again.
func TestBannedOrRefusedDeviceAnswersForNoReward(t *testing.T) {
	n := newNetwork(t)
	var told supplies
	n.keeper.SetRewards(&told)
	id, gov, govern := n.provider.id, stage.Spell(authority), device.NewMsgServer(n.devices)
	rules := func(m devicev1.MsgUpdateRules) error {
		m.Authority = gov
		_, err := govern.UpdateRules(n.Ctx, &m)
		return err
	}
	standings := map[uint64]score.Standing{}
	for _, step := range []struct {
		vote func() error
		want score.Standing
		told int
	}{
		{func() error { return nil }, 0, 1},
		{func() error {
			_, err := govern.Ban(n.Ctx, &devicev1.MsgBan{Authority: gov, Device: id, Reason: devicev1.BanReason_BAN_REASON_ATTACK, Evidence: make([]byte, 32)})
			return err
		}, score.Banned, 1},
		{func() error {
			_, err := govern.DecideAppeal(n.Ctx, &devicev1.MsgDecideAppeal{Authority: gov, Device: id, Verdict: devicev1.Verdict_VERDICT_LIFT})
			return errors.Join(err, rules(devicev1.MsgUpdateRules{Set: []devicev1.Rule{{Resource: storage.Resource, Refused: true, Reason: "no licence yet"}}}))
		}, score.Refused, 1},
		{func() error {
			return rules(devicev1.MsgUpdateRules{Remove: []devicev1.RuleRef{{Resource: storage.Resource}}})
		}, 0, 2},
	} {
		if err := step.vote(); err != nil {
			t.Fatal(err)
		}
		n.pass(t, n.provider)
		if len(told) != step.told {
			t.Errorf("epoch %d: %d supplies are counted, want %d", n.epochs.running, len(told), step.told)
		}
		standings[n.epochs.running] = step.want
		n.next(t)
		n.epochs.weak[n.epochs.running] = true // no challenge: the last answer stands
		standings[n.epochs.running] = step.want
		n.next(t)
	}
	for epoch, want := range standings {
		f := n.fact(t, id, epoch)
		if points, reason := score.RulesV1.Score(f); f.Standing != want || (points == 0) != (want != 0) {
			t.Errorf("fact of epoch %d: %+v, %d points for %v, want standing %d", epoch, f, points, reason, want)
		}
	}
	n.check(t)
	n.restart(t)
}

func TestChallengerWithAnEmptyTreeCannotEscalate(t *testing.T) {
	n := newNetwork(t)
	peer := n.provide(t, 1, 3000)
	n.commit(t, peer)
	n.next(t)
	empty := peer.commitment()
	empty.Root, empty.Total = merkle.Empty.Hash[:], 0
	if _, err := n.msg.CommitTree(n.Ctx, empty); err != nil {
		t.Fatal(err)
	}
	ask := &storagev1.MsgEscalate{Operator: stage.Spell(operator(1)), Challenger: peer.id, Device: n.provider.id, Epoch: n.epochs.running}
	wants(t, n.send(t, ask), nil)
	n.next(t)
	ask.Epoch = n.epochs.running
	wants(t, n.send(t, ask), storage.ErrNoCommitment)
}

// What is too old is forgotten, a bounded number a block, and everything that ages is in the queue.
func TestOldRowsAreForgotten(t *testing.T) {
	n := newNetwork(t)
	n.set(t, func(q *storagev1.PossessionParams) { q.PrunesPerBlock = 3 })
	for range 420 {
		if n.epochs.running%5 == 0 {
			n.commit(t, n.provider)
		}
		if n.epochs.running%7 != 0 {
			n.pass(t, n.provider)
		}
		n.next(t)
		if past := n.epochs.running - 1; past%7 == 0 {
			if _, err := n.msg.ReportFault(n.Ctx, report(1, past)); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.check(t)
	g, err := n.keeper.ExportGenesis(n.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	kept := 10 + 336 // retain_epochs and the most that fresh_epochs may be
	p := g.Possession
	for name, got := range map[string][2]int{
		"proofs": {len(p.Proofs), kept}, "commitments": {len(p.Commitments), kept/5 + 2}, "faults": {len(p.Faults), kept/7 + 2},
		"penalties": {len(p.Penalties), kept/7 + 2}, "terms": {len(p.Terms), 1},
	} {
		if got[0] > got[1] || got[0] == 0 {
			t.Errorf("%d %s are kept, want 1..%d", got[0], name, got[1])
		}
	}
	n.restart(t)
}

// INV-COMMITMENT, INV-PROOF, INV-FAULT, INV-AUDIT-DEPOSIT, INV-QUEUE over random messages, with
// restarts. A device that answers is never at fault; one that does not is, once.
func TestPossessionMachine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := newNetwork(t)
		peer := n.provide(t, 1, 3000)
		providers := []*provider{n.provider, peer}
		n.commit(t, peer)
		n.next(r)
		answered := map[[2]uint64]bool{}
		reported := map[[2]uint64]bool{}
		pick := func(r *rapid.T) *provider { return providers[rapid.IntRange(0, 1).Draw(r, "provider")] }
		try := func(r *rapid.T, run func() error) error {
			before := n.Hash()
			err := run()
			if err != nil && n.Hash() != before {
				r.Fatalf("refused with %v, and the state has changed", err)
			}
			return err
		}
		r.Repeat(map[string]func(*rapid.T){
			"commit": func(r *rapid.T) {
				p := pick(r)
				if try(r, func() error { _, err := n.msg.CommitTree(n.Ctx, p.commitment()); return err }) == nil {
					p.version++
				}
			},
			"prove": func(r *rapid.T) {
				p := pick(r)
				at := [2]uint64{p.id, n.epochs.running}
				err := try(r, func() error { _, err := n.msg.Prove(n.Ctx, n.answer(t, p)); return err })
				if (err == nil) == (answered[at] || n.epochs.weak[at[1]]) {
					r.Fatalf("device %d in epoch %d, answered %t: %v", at[0], at[1], answered[at], err)
				}
				answered[at] = answered[at] || err == nil
			},
			"report": func(r *rapid.T) {
				p := pick(r)
				at := [2]uint64{p.id, n.epochs.running - rapid.Uint64Range(0, 6).Draw(r, "ago")}
				err := try(r, func() error { _, err := n.msg.ReportFault(n.Ctx, report(at[0], at[1])); return err })
				if err == nil && (answered[at] || reported[at] || n.epochs.weak[at[1]] || at[1] == n.epochs.running) {
					r.Fatalf("device %d is at fault for epoch %d", at[0], at[1])
				}
				reported[at] = reported[at] || err == nil
			},
			"ask": func(r *rapid.T) {
				p := pick(r)
				receipt := rapid.SampledFrom(p.receipts).Draw(r, "receipt")
				_ = try(r, func() error { _, err := n.msg.AuditInclusion(n.Ctx, inclusion(t, receipt)); return err })
			},
			"escalate": func(r *rapid.T) {
				_ = try(r, func() error {
					_, err := n.msg.Escalate(n.Ctx, &storagev1.MsgEscalate{
						Operator: stage.Spell(operator(1)), Challenger: peer.id, Device: n.provider.id, Epoch: n.epochs.running,
						Index: rapid.Uint32Range(0, 70).Draw(r, "index"),
					})
					return err
				})
			},
			"answer": func(r *rapid.T) {
				res, err := n.query.Audits(n.Ctx, &storagev1.QueryAuditsRequest{})
				if err != nil || len(res.Audits) == 0 {
					return
				}
				a := rapid.SampledFrom(res.Audits).Draw(r, "audit")
				p := providers[a.Device-1]
				if a.Kind == storagev1.AuditKind_AUDIT_KIND_ESCALATION {
					_ = try(r, func() error {
						_, err := n.msg.ProvePosition(n.Ctx, &storagev1.MsgProvePosition{Operator: stage.Spell(operator(p.n)), Audit: a.Id, Proof: p.prove(t, a.Position)})
						return err
					})
					return
				}
				_ = try(r, func() error {
					_, err := n.msg.ProveInclusion(n.Ctx, p.included(t, a.Id, p.receipts[0].ID))
					return err
				})
			},
			"release": func(r *rapid.T) {
				res, err := n.query.Audits(n.Ctx, &storagev1.QueryAuditsRequest{})
				if err != nil {
					r.Fatal(err)
				}
				for _, a := range res.Audits {
					p := providers[a.Device-1]
					of := rapid.SampledFrom(p.receipts).Draw(r, "piece")
					until := a.IssuedAt + rapid.Int64Range(-1, 1).Draw(r, "until")
					release := piece.SignRelease(key("session", 0), piece.Release{
						ChainID: stage.ChainID, Lease: a.Lease, Device: a.Device, ID: of.ID, Until: until,
					})
					err := try(r, func() error {
						_, err := n.msg.ProveInclusion(n.Ctx, &storagev1.MsgProveInclusion{
							Operator: stage.Spell(operator(p.n)), Audit: a.Id, Release: encode(t, release),
						})
						return err
					})
					answers := a.Kind == storagev1.AuditKind_AUDIT_KIND_INCLUSION && n.Now() <= a.Deadline &&
						until >= a.IssuedAt && challenge.LeafID(a.Lease, of.ID) == piece.ID(a.Piece)
					if (err == nil) != answers {
						r.Fatalf("audit %v, release of %s until %d: %v", a, of.ID, until, err)
					}
				}
			},
			"close": func(r *rapid.T) {
				id := rapid.Uint64Range(0, 8).Draw(r, "audit")
				_ = try(r, func() error {
					_, err := n.msg.CloseAudit(n.Ctx, &storagev1.MsgCloseAudit{Sender: stage.Spell(stranger), Audit: id})
					return err
				})
			},
			"vote": func(r *rapid.T) {
				params, err := n.keeper.Params(n.Ctx)
				if err != nil {
					r.Fatal(err)
				}
				params.Possession.Positions = rapid.Uint32Range(1, 5).Draw(r, "positions")
				params.Possession.Deposit = sdk.NewInt64Coin(denom, rapid.Int64Range(0, 3).Draw(r, "deposit"))
				_, err = n.msg.UpdateParams(n.Ctx, &storagev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: params})
				if err != nil {
					r.Fatal(err)
				}
			},
			"pass":  func(*rapid.T) { n.Pass(20) },
			"epoch": func(r *rapid.T) { n.next(r) },
			"weak epoch": func(r *rapid.T) {
				n.epochs.weak[n.epochs.running+1] = true
				n.next(r)
			},
			"restart": func(r *rapid.T) { n.restart(r) },
			"":        func(r *rapid.T) { n.check(r) },
		})
	})
}
