package market_test

import (
	"errors"
	"testing"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

// What is over is kept for its readers, then removed; the totals and the record stay, and a voucher of
// the lease is worth nothing.
func TestWhatIsOverIsRemovedAfterRetention(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 2)
	f.rich(consumer(0))
	lease := f.lease(t, opening())
	if _, err := f.msg.CreateOrder(f.Ctx, ordering(byChoice)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.PlaceBid(f.Ctx, bidding(1, 50)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.CancelOrder(f.Ctx, &marketv1.MsgCancelOrder{Consumer: stage.Spell(consumer(0)), Id: 1}); err != nil {
		t.Fatal(err)
	}
	f.Pass(100)
	voucher := f.signed(session(0), func(v *marketv1.Voucher) { v.Expiry = 1 << 40 })
	if _, err := f.settle(voucher); err != nil {
		t.Fatal(err)
	}
	// The device stops selling while its offer is still reserved.
	if _, err := f.msg.CloseOffer(f.Ctx, &marketv1.MsgCloseOffer{Operator: stage.Spell(operator(0)), Id: 1}); err != nil {
		t.Fatal(err)
	}
	params := market.DefaultParams()
	f.Pass(900)
	f.block(t, params.GraceSeconds) // closing
	f.block(t, params.RetentionSeconds-1)
	f.check(t)
	l, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: lease})
	if err != nil || l.Lease.State != marketv1.LeaseState_LEASE_STATE_CLOSED || len(l.Items) != 1 {
		t.Fatalf("while it is kept: %+v, %v", l, err)
	}
	before, burnedBefore, err := f.keeper.Settled(f.Ctx, 1)
	if err != nil {
		t.Fatal(err)
	}

	f.block(t, 2)
	f.block(t, 1)
	f.check(t)
	for name, c := range map[string]struct {
		ask  func() error
		want error
	}{
		"lease": {func() error { _, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: lease}); return err }, market.ErrNoLease},
		"item": {func() error {
			_, err := f.query.Item(f.Ctx, &marketv1.QueryItemRequest{Lease: lease, Device: 1})
			return err
		}, market.ErrNoLease},
		"order":   {func() error { _, err := f.query.Order(f.Ctx, &marketv1.QueryOrderRequest{Id: 1}); return err }, market.ErrNoOrder},
		"offer":   {func() error { _, err := f.query.Offer(f.Ctx, &marketv1.QueryOfferRequest{Id: 1}); return err }, market.ErrNoOffer},
		"voucher": {func() error { _, err := f.settle(voucher); return err }, market.ErrNoLease},
	} {
		if err := c.ask(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	g, err := f.keeper.ExportGenesis(f.Ctx)
	if err != nil || len(g.Bids) != 0 || len(g.Items) != 0 || len(g.Offers) != 1 {
		t.Errorf("left: %d bids, %d items, %d offers (%v), want 0, 0, 1", len(g.Bids), len(g.Items), len(g.Offers), err)
	}
	after, burnedAfter, err := f.keeper.Settled(f.Ctx, 1)
	if err != nil || !after.Equal(before) || !burnedAfter.Equal(burnedBefore) || !after.IsPositive() {
		t.Errorf("totals: %s and %s before, %s and %s after (%v)", before, burnedBefore, after, burnedAfter, err)
	}
	r, err := f.query.Reputation(f.Ctx, &marketv1.QueryReputationRequest{Device: 1})
	if err != nil || r.Reputation.Completed != 1 {
		t.Errorf("reputation: %+v, %v", r, err)
	}
	if id := f.lease(t, func() *marketv1.MsgOpenLease { o := opening(); o.Items[0].Offer = 2; return o }()); id == lease {
		t.Errorf("lease id %d is given again", id)
	}
	f.restart(t)
	f.check(t)
}

// A closed offer of which something is still reserved is looked at again and removed once it is free.
func TestReservedOfferOutlivesItsRetention(t *testing.T) {
	f := newFixture(t)
	f.params(t, func(p *marketv1.Params) { p.RetentionSeconds = 3600 })
	f.sellers(t, 1)
	f.rich(consumer(0))
	open := opening()
	open.Seconds = 10_000
	f.lease(t, open)
	if _, err := f.msg.CloseOffer(f.Ctx, &marketv1.MsgCloseOffer{Operator: stage.Spell(operator(0)), Id: 1}); err != nil {
		t.Fatal(err)
	}
	f.Pass(3600)
	f.block(t, 1)
	if _, err := f.query.Offer(f.Ctx, &marketv1.QueryOfferRequest{Id: 1}); err != nil {
		t.Fatalf("an offer with units reserved: %v", err)
	}
	f.check(t)
	f.Pass(6400)
	f.block(t, 3600) // the item is closing, its units are free
	f.block(t, 1)
	if _, err := f.query.Offer(f.Ctx, &marketv1.QueryOfferRequest{Id: 1}); !errors.Is(err, market.ErrNoOffer) {
		t.Fatalf("after its last item: %v", err)
	}
	f.check(t)
}

// The records of a large lease go over several blocks, none of which does more than it may; in between,
// and through a restart, the invariants hold.
func TestLargeLeaseIsRemovedInSteps(t *testing.T) {
	const devices = 250
	f := newFixture(t)
	f.params(t, func(p *marketv1.Params) { p.RetentionSeconds, p.DeadlinesPerBlock, p.GraceSeconds = 3600, 1000, 0 })
	f.sellers(t, devices)
	f.rich(consumer(0))
	open := opening()
	open.Items = nil
	for n := range uint64(devices) {
		open.Items = append(open.Items, marketv1.NewItem{Offer: n + 1, Units: 1, Escrow: amount(100)})
	}
	lease := f.lease(t, open)
	f.Pass(open.Seconds)
	f.block(t, 1)
	f.block(t, 3601) // closed
	for _, left := range []int{150, 50} {
		f.block(t, 1)
		l, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: lease})
		if err != nil || len(l.Items) != left {
			t.Fatalf("%d items are left (%v), want %d", len(l.Items), err, left)
		}
		f.check(t)
		f.restart(t)
	}
	f.block(t, 1)
	if _, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: lease}); !errors.Is(err, market.ErrNoLease) {
		t.Fatalf("in the end: %v", err)
	}
	f.check(t)
}

func TestTotals(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 2)
	f.rich(consumer(0))
	other := offering(1)
	other.Resource = "compute"
	if _, err := f.msg.CreateOffer(f.Ctx, other); err != nil {
		t.Fatal(err)
	}
	f.lease(t, opening())
	second := opening()
	second.Items[0].Offer = 3
	f.lease(t, second)
	f.Pass(100) // each stream makes 1000, of which 25 are burned
	if _, err := f.stream(marketv1.ItemRef{Lease: 1, Device: 1}, marketv1.ItemRef{Lease: 2, Device: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.settle(f.signed(session(0), nil)); err != nil { // 100 for 50 units, 3 are burned
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		of                  marketv1.QueryTotalsRequest
		paid, burned, units int64
	}{
		"everything":     {marketv1.QueryTotalsRequest{}, 975 + 975 + 97, 25 + 25 + 3, 0},
		"device":         {marketv1.QueryTotalsRequest{Device: 1}, 975 + 97, 25 + 3, 50},
		"other device":   {marketv1.QueryTotalsRequest{Device: 2}, 975, 25, 0},
		"resource":       {marketv1.QueryTotalsRequest{Resource: "storage"}, 975 + 97, 25 + 3, 0},
		"other resource": {marketv1.QueryTotalsRequest{Resource: "compute"}, 975, 25, 0},
	} {
		res, err := f.query.Totals(f.Ctx, &c.of)
		if err != nil || len(res.Totals) != 1 || res.Totals[0].Denom != denom {
			t.Errorf("%s: %+v, %v", name, res, err)
			continue
		}
		want(t, name+": paid", res.Totals[0].Paid, c.paid)
		want(t, name+": burned", res.Totals[0].Burned, c.burned)
		want(t, name+": units", res.Totals[0].Units, c.units)
	}
	paid, burned, err := f.keeper.SettledOf(f.Ctx, "compute")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "compute: paid", paid, 975)
	want(t, "compute: burned", burned, 25)
	if res, err := f.query.Totals(f.Ctx, &marketv1.QueryTotalsRequest{Resource: "stor"}); err != nil || len(res.Totals) != 0 {
		t.Errorf("a resource that nobody sold: %+v, %v", res, err)
	}
	if _, err := f.query.Totals(f.Ctx, &marketv1.QueryTotalsRequest{Device: 1, Resource: "storage"}); !errors.Is(err, market.ErrField) {
		t.Errorf("both: %v", err)
	}
	f.check(t)
}
