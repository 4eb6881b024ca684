package market_test

import (
	"errors"
	"testing"

	"cosmossdk.io/math"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

func want(t *testing.T, what string, got math.Int, expect int64) {
	t.Helper()
	if !got.Equal(math.NewInt(expect)) {
		t.Errorf("%s is %s, want %d", what, got, expect)
	}
}

func TestLeaseFromOpeningToRefund(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	rich, earned, supply := f.balance(consumer(0)), f.balance(owner(0)), f.Bank.Supply(f.Ctx, denom)
	lease := f.lease(t, opening())
	want(t, "escrow taken", rich.Sub(f.balance(consumer(0))), 20_000)
	f.check(t)

	f.Pass(100) // the stream makes 1000
	if _, err := f.settle(f.signed(session(0), nil)); err != nil {
		t.Fatal(err)
	}
	item := f.item(t, lease, 1)
	want(t, "streamed", item.Streamed, 1000)
	want(t, "vouched", item.Vouched, 100)
	want(t, "escrow", item.Escrow, 18_900)
	// 2.5 % of 1100 is 27.5: 28 are burned, rounded in the protocol's favour.
	want(t, "paid to the owner", f.balance(owner(0)).Sub(earned), 1072)
	want(t, "burned", supply.Sub(f.Bank.Supply(f.Ctx, denom)), 28)
	f.check(t)

	f.Pass(900)
	f.block(t, 1) // expired: closing, the stream paid to its end
	item = f.item(t, lease, 1)
	if item.State != marketv1.ItemState_ITEM_STATE_CLOSING {
		t.Fatalf("after the expiry it is %s", item.State)
	}
	want(t, "streamed to the end", item.Streamed, 10_000)
	f.check(t)

	last := f.signed(session(0), func(v *marketv1.Voucher) { v.Seq, v.Amount, v.Units = 2, amount(500), 250 })
	if _, err := f.settle(last); err != nil {
		t.Fatalf("in the grace window: %v", err)
	}
	f.Pass(market.DefaultParams().GraceSeconds)
	f.block(t, 1)
	item = f.item(t, lease, 1)
	if item.State != marketv1.ItemState_ITEM_STATE_CLOSED || !item.Escrow.IsZero() {
		t.Fatalf("after the grace window: %+v", item)
	}
	want(t, "what the consumer paid in all", rich.Sub(f.balance(consumer(0))), 10_500)
	offer, err := f.query.Offer(f.Ctx, &marketv1.QueryOfferRequest{Id: 1})
	if err != nil || offer.Offer.Reserved != 0 {
		t.Fatalf("offer afterwards: %+v, %v", offer, err)
	}
	l, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: lease})
	if err != nil || l.Lease.State != marketv1.LeaseState_LEASE_STATE_CLOSED {
		t.Fatalf("lease afterwards: %+v, %v", l, err)
	}
	r, err := f.query.Reputation(f.Ctx, &marketv1.QueryReputationRequest{Device: 1})
	if err != nil || r.Reputation.Completed != 1 || r.Reputation.Abandoned != 0 {
		t.Fatalf("reputation: %+v, %v", r, err)
	}
	paid, burned, err := f.keeper.Settled(f.Ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "settled, fees included", paid.Add(burned), 10_500)
	want(t, "settled fees", supply.Sub(f.Bank.Supply(f.Ctx, denom)).Sub(burned), 0)
	want(t, "settled to the owner", f.balance(owner(0)).Sub(earned).Sub(paid), 0)
	f.check(t)
}

func TestDryEscrowStopsTheStreamAndOwesNothing(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	open := opening()
	open.Items[0].Escrow = amount(1005) // 100 s and a half
	lease := f.lease(t, open)
	res, err := f.query.Item(f.Ctx, &marketv1.QueryItemRequest{Lease: lease, Device: 1})
	if err != nil || res.DryAt != f.Now()+101 {
		t.Fatalf("dry at %d, %v; want %d", res.DryAt, err, f.Now()+101)
	}
	f.Pass(500)
	if _, err := f.msg.AmendLease(f.Ctx, &marketv1.MsgAmendLease{
		Consumer: stage.Spell(consumer(0)), Id: lease,
		TopUps: []marketv1.TopUp{{Device: 1, Escrow: amount(300)}},
	}); err != nil {
		t.Fatal(err)
	}
	item := f.item(t, lease, 1)
	want(t, "streamed while there was money", item.Streamed, 1005)
	want(t, "escrow after the top-up", item.Escrow, 300)
	f.Pass(10)
	if _, err := f.stream(marketv1.ItemRef{Lease: lease, Device: 1}); err != nil {
		t.Fatal(err)
	}
	want(t, "streamed after the top-up", f.item(t, lease, 1).Streamed, 1105)
	f.check(t)
}

func TestChangingUnitsSettlesFirstAndKeepsThePrice(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	lease := f.lease(t, opening())
	amend := func(units uint64) error {
		_, err := f.msg.AmendLease(f.Ctx, &marketv1.MsgAmendLease{
			Consumer: stage.Spell(consumer(0)), Id: lease,
			TopUps: []marketv1.TopUp{{Device: 1, Escrow: amount(0), Units: units}},
		})
		return err
	}
	f.Pass(10) // 100
	if err := amend(1000); err != nil {
		t.Fatal(err)
	}
	want(t, "streamed", f.item(t, lease, 1).Streamed, 100)
	f.Pass(10) // 1000
	if err := amend(1001); !errors.Is(err, market.ErrCapacity) {
		t.Fatalf("beyond capacity: %v", err)
	}
	if err := amend(1); err != nil {
		t.Fatal(err)
	}
	want(t, "streamed", f.item(t, lease, 1).Streamed, 1100)
	dearer := &marketv1.MsgUpdateOffer{Operator: stage.Spell(operator(0)), Id: 1, Stream: priced(2, 10), Metered: priced(2, 1), Capacity: 1000}
	if _, err := f.msg.UpdateOffer(f.Ctx, dearer); err != nil {
		t.Fatal(err)
	}
	if err := amend(2); !errors.Is(err, market.ErrPriceAbove) {
		t.Fatalf("growing at yesterday's price: %v", err)
	}
	f.Pass(100) // 1 unit at the old price: 10
	if _, err := f.stream(marketv1.ItemRef{Lease: lease, Device: 1}); err != nil {
		t.Fatal(err)
	}
	want(t, "streamed", f.item(t, lease, 1).Streamed, 1110)
	f.check(t)
}

func TestExtensionMovesTheDeadline(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 2)
	f.rich(consumer(0))
	open := opening()
	open.Items = append(open.Items, marketv1.NewItem{Offer: 2, Units: 1, Escrow: amount(1000)})
	lease := f.lease(t, open)
	if _, err := f.msg.AmendLease(f.Ctx, &marketv1.MsgAmendLease{Consumer: open.Consumer, Id: lease, Seconds: 500}); err != nil {
		t.Fatal(err)
	}
	f.Pass(1000)
	f.block(t, 1)
	for device := range uint64(2) {
		if item := f.item(t, lease, device+1); item.State != marketv1.ItemState_ITEM_STATE_OPEN || item.Deadline != stage.Start.Unix()+1500 {
			t.Fatalf("at the old expiry: %s, deadline %d", item.State, item.Deadline)
		}
	}
	f.check(t)
	f.Pass(499)
	f.block(t, 1)
	if item := f.item(t, lease, 2); item.State != marketv1.ItemState_ITEM_STATE_CLOSING {
		t.Fatalf("at the new expiry: %s", item.State)
	}
	f.check(t)
}

func TestConsumerClosesThroughTheGraceWindow(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 2)
	f.rich(consumer(0))
	open := opening()
	open.Items = append(open.Items, marketv1.NewItem{Offer: 2, Units: 1, Escrow: amount(1000)})
	lease := f.lease(t, open)
	f.Pass(10)
	closing := &marketv1.MsgCloseLease{Sender: open.Consumer, Id: lease, Devices: []uint64{1}}
	if _, err := f.msg.CloseLease(f.Ctx, closing); err != nil {
		t.Fatal(err)
	}
	f.Pass(10)
	if _, err := f.settle(f.signed(session(0), nil)); err != nil {
		t.Fatalf("last voucher: %v", err)
	}
	item := f.item(t, lease, 1)
	want(t, "streamed up to the close", item.Streamed, 100)
	if _, err := f.msg.CloseLease(f.Ctx, closing); !errors.Is(err, market.ErrItemClosed) {
		t.Fatalf("closing it twice: %v", err)
	}
	if _, err := f.msg.CloseLease(f.Ctx, &marketv1.MsgCloseLease{Sender: open.Consumer, Id: lease}); err != nil {
		t.Fatalf("closing the rest: %v", err)
	}
	f.check(t)
	f.Pass(market.DefaultParams().GraceSeconds)
	if _, err := f.settle(f.signed(session(0), func(v *marketv1.Voucher) { v.Seq, v.Amount = 2, amount(200) })); !errors.Is(err, market.ErrItemClosed) {
		t.Fatalf("after the window, before the end of the block: %v", err)
	}
	f.block(t, 1)
	l, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: lease})
	if err != nil || l.Lease.State != marketv1.LeaseState_LEASE_STATE_CLOSED {
		t.Fatalf("afterwards: %+v, %v", l, err)
	}
	f.check(t)
}

func TestOperatorLeaves(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(*fixture, *marketv1.MsgOpenLease)
		after   int64
		blamed  bool
	}{
		{"early", nil, 10, true},
		{"having served the longest it offered", func(f *fixture, _ *marketv1.MsgOpenLease) {
			offer := offering(0)
			offer.MaxSeconds = 1000
			if _, err := f.msg.CreateOffer(f.Ctx, offer); err != nil {
				panic(err)
			}
		}, 0, false}, // set below: lease of offer 2, extended
		{"when the escrow is dry", func(_ *fixture, m *marketv1.MsgOpenLease) { m.Items[0].Escrow = amount(100) }, 10, false},
		{"after the expiry", nil, 1000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.sellers(t, 1)
			f.rich(consumer(0))
			open := opening()
			if c.prepare != nil {
				c.prepare(f, open)
			}
			if c.after == 0 {
				open.Items[0].Offer = 2
			}
			lease := f.lease(t, open)
			if c.after == 0 {
				f.Pass(600)
				if _, err := f.msg.AmendLease(f.Ctx, &marketv1.MsgAmendLease{Consumer: open.Consumer, Id: lease, Seconds: 500}); err != nil {
					t.Fatal(err)
				}
				c.after = 400
			}
			f.Pass(c.after)
			if _, err := f.msg.CloseLease(f.Ctx, &marketv1.MsgCloseLease{Sender: stage.Spell(operator(0)), Id: lease, Devices: []uint64{1}}); err != nil {
				t.Fatal(err)
			}
			if item := f.item(t, lease, 1); item.State != marketv1.ItemState_ITEM_STATE_CLOSED {
				t.Fatalf("it is %s, not closed at once", item.State)
			}
			r, err := f.query.Reputation(f.Ctx, &marketv1.QueryReputationRequest{Device: 1})
			if err != nil || (r.Reputation.Abandoned == 1) != c.blamed || r.Reputation.Abandoned+r.Reputation.Completed != 1 {
				t.Fatalf("reputation %+v, %v", r, err)
			}
			f.check(t)
		})
	}
}

func TestDeviceWithOpenItemsCannotFinishRetiring(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	open := opening()
	open.Seconds = 100_000
	open.Items[0].Escrow = amount(2_000_000)
	lease := f.lease(t, open)
	retire := &devicev1.MsgRetire{Owner: stage.Spell(owner(0)), Id: 1}
	if _, err := f.deviceMsg.Retire(f.Ctx, retire); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.OpenLease(f.Ctx, opening()); !errors.Is(err, device.ErrNotActive) {
		t.Fatalf("leasing a retiring device: %v", err)
	}
	if _, err := f.msg.CreateOffer(f.Ctx, offering(0)); !errors.Is(err, device.ErrNotActive) {
		t.Fatalf("offering a retiring device: %v", err)
	}
	f.Pass(device.DefaultParams().UnbondingSeconds)
	if _, err := f.deviceMsg.Retire(f.Ctx, retire); !errors.Is(err, device.ErrObliged) {
		t.Fatalf("with an open item: %v", err)
	}
	f.block(t, 1) // lease expired long ago: closing, and its grace window too is over
	f.block(t, 1)
	if item := f.item(t, lease, 1); item.State != marketv1.ItemState_ITEM_STATE_CLOSED {
		t.Fatalf("it is %s", item.State)
	}
	if _, err := f.deviceMsg.Retire(f.Ctx, retire); !errors.Is(err, device.ErrUnbonding) {
		t.Fatalf("when the last item has just closed: %v", err)
	}
	f.Pass(device.DefaultParams().UnbondingSeconds)
	if _, err := f.deviceMsg.Retire(f.Ctx, retire); err != nil {
		t.Fatalf("with nothing open: %v", err)
	}
	f.check(t)
}

// TestLeavingEveryLeaseDoesNotFreeTheBond: a device that began to leave long ago cannot end its leases
// and be gone with its bond in the same block, before anyone can report what it dropped.
func TestLeavingEveryLeaseDoesNotFreeTheBond(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	unbonding := device.DefaultParams().UnbondingSeconds
	open := opening()
	open.Seconds = 100_000
	open.Items[0].Escrow = amount(2_000_000)
	lease := f.lease(t, open)
	retire := &devicev1.MsgRetire{Owner: stage.Spell(owner(0)), Id: 1}
	if _, err := f.deviceMsg.Retire(f.Ctx, retire); err != nil {
		t.Fatal(err)
	}
	f.Pass(unbonding)
	leave := &marketv1.MsgCloseLease{Sender: stage.Spell(operator(0)), Id: lease, Devices: []uint64{1}}
	if _, err := f.msg.CloseLease(f.Ctx, leave); err != nil {
		t.Fatal(err)
	}
	for _, wait := range []int64{0, unbonding - 1} {
		f.Pass(wait)
		if _, err := f.deviceMsg.Retire(f.Ctx, retire); !errors.Is(err, device.ErrUnbonding) {
			t.Fatalf("%d s after it left: %v", wait, err)
		}
	}
	f.Pass(1)
	if _, err := f.deviceMsg.Retire(f.Ctx, retire); err != nil {
		t.Fatalf("the unbonding time after it left: %v", err)
	}
	f.check(t)
}

func TestTransferMovesFutureIncome(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	lease := f.lease(t, opening())
	buyer := stage.Account(77)
	if _, err := f.deviceMsg.Transfer(f.Ctx, &devicev1.MsgTransfer{Owner: stage.Spell(owner(0)), Id: 1, NewOwner: stage.Spell(buyer)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.deviceMsg.AcceptTransfer(f.Ctx, &devicev1.MsgAcceptTransfer{NewOwner: stage.Spell(buyer), Id: 1}); err != nil {
		t.Fatal(err)
	}
	f.Pass(100)
	if _, err := f.stream(marketv1.ItemRef{Lease: lease, Device: 1}); err != nil {
		t.Fatal(err)
	}
	want(t, "what the new owner got", f.balance(buyer), 975)
	f.check(t)
}

func TestDeviceThatLeftALeaseCannotReturnToIt(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 2)
	f.rich(consumer(0))
	open := opening()
	open.Items = append(open.Items, marketv1.NewItem{Offer: 2, Units: 1, Escrow: amount(1000)})
	lease := f.lease(t, open)
	if _, err := f.msg.CloseLease(f.Ctx, &marketv1.MsgCloseLease{Sender: stage.Spell(operator(0)), Id: lease, Devices: []uint64{1}}); err != nil {
		t.Fatal(err)
	}
	// Its vouchers would count from zero again, and the old ones be worth money twice.
	_, err := f.msg.AmendLease(f.Ctx, &marketv1.MsgAmendLease{Consumer: open.Consumer, Id: lease, Items: opening().Items})
	if !errors.Is(err, market.ErrDuplicate) {
		t.Fatalf("adding it again: %v", err)
	}
}
