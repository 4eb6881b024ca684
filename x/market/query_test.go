package market_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cosmos/cosmos-sdk/types/query"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	coreaddress "github.com/cairn-network/cairn/core/address"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

func ids[T any](values []T, id func(T) uint64) []uint64 {
	list := make([]uint64, len(values))
	for i, v := range values {
		list[i] = id(v)
	}
	return list
}

func TestLists(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 3)
	f.rich(consumer(0), consumer(1))
	other := offering(0) // offer 4
	other.Resource = "storage-cold"
	if _, err := f.msg.CreateOffer(f.Ctx, other); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.CloseOffer(f.Ctx, &marketv1.MsgCloseOffer{Operator: stage.Spell(operator(1)), Id: 2}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		req  marketv1.QueryOffersRequest
		have []uint64
	}{
		{marketv1.QueryOffersRequest{}, []uint64{1, 2, 3, 4}},
		{marketv1.QueryOffersRequest{OnlyOpen: true}, []uint64{1, 3, 4}},
		{marketv1.QueryOffersRequest{Resource: "storage"}, []uint64{1, 3, 2}}, // open ones first
		{marketv1.QueryOffersRequest{Resource: "storage", OnlyOpen: true}, []uint64{1, 3}},
		{marketv1.QueryOffersRequest{Resource: "stor"}, nil},
		{marketv1.QueryOffersRequest{Device: 1}, []uint64{1, 4}},
		{marketv1.QueryOffersRequest{Device: 1, Resource: "storage-cold"}, []uint64{4}},
		{marketv1.QueryOffersRequest{Device: 2, OnlyOpen: true}, nil},
	} {
		res, err := f.query.Offers(f.Ctx, &want.req)
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(res.Offers, func(o marketv1.Offer) uint64 { return o.Id }); !slices.Equal(got, want.have) {
			t.Errorf("offers of %+v: %v, want %v", want.req, got, want.have)
		}
	}

	first := f.lease(t, opening())
	second := opening()
	second.Consumer = stage.Spell(consumer(1))
	f.lease(t, second)
	f.lease(t, opening())
	for consumerText, have := range map[string][]uint64{
		"": {1, 2, 3}, stage.Spell(consumer(0)): {1, 3}, coreaddress.Hex([20]byte(consumer(1))): {2}, stage.Spell(owner(0)): {},
	} {
		res, err := f.query.Leases(f.Ctx, &marketv1.QueryLeasesRequest{Consumer: consumerText})
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(res.Leases, func(l marketv1.Lease) uint64 { return l.Id }); !slices.Equal(got, have) {
			t.Errorf("leases of %q: %v, want %v", consumerText, got, have)
		}
	}
	if _, err := f.query.Leases(f.Ctx, &marketv1.QueryLeasesRequest{Consumer: "nobody"}); !errors.Is(err, market.ErrAddress) {
		t.Errorf("leases of no address: %v", err)
	}

	if _, err := f.msg.CloseLease(f.Ctx, &marketv1.MsgCloseLease{Sender: stage.Spell(operator(0)), Id: first, Devices: []uint64{1}}); err != nil {
		t.Fatal(err)
	}
	for only, have := range map[bool]int{false: 3, true: 2} {
		res, err := f.query.DeviceItems(f.Ctx, &marketv1.QueryDeviceItemsRequest{Device: 1, OnlyOpen: only})
		if err != nil || len(res.Items) != have {
			t.Errorf("items, only open %v: %v, %v; want %d", only, res, err, have)
		}
	}

	for range 3 {
		if _, err := f.msg.CreateOrder(f.Ctx, ordering(lowest)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.msg.CancelOrder(f.Ctx, &marketv1.MsgCancelOrder{Consumer: stage.Spell(consumer(0)), Id: 2}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		req  marketv1.QueryOrdersRequest
		have []uint64
	}{
		{marketv1.QueryOrdersRequest{}, []uint64{1, 2, 3}},
		{marketv1.QueryOrdersRequest{OnlyOpen: true}, []uint64{1, 3}},
		{marketv1.QueryOrdersRequest{Resource: "storage", OnlyOpen: true}, []uint64{1, 3}},
		{marketv1.QueryOrdersRequest{Resource: "energy"}, nil},
	} {
		res, err := f.query.Orders(f.Ctx, &want.req)
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(res.Orders, func(o marketv1.Order) uint64 { return o.Id }); !slices.Equal(got, want.have) {
			t.Errorf("orders of %+v: %v, want %v", want.req, got, want.have)
		}
	}
}

// Pages of an index with a prefix join up to the whole list.
func TestPages(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 5)
	var got []uint64
	var next []byte
	for {
		res, err := f.query.Offers(f.Ctx, &marketv1.QueryOffersRequest{Resource: "storage", Pagination: &query.PageRequest{Limit: 2, Key: next}})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(res.Offers, func(o marketv1.Offer) uint64 { return o.Id })...)
		if next = res.Pagination.NextKey; next == nil {
			break
		}
	}
	if !slices.Equal(got, []uint64{1, 2, 3, 4, 5}) {
		t.Fatalf("pages join to %v", got)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	f.lease(t, opening())
	for name, c := range map[string]struct {
		ask  func() error
		want error
	}{
		"offer": {func() error { _, err := f.query.Offer(f.Ctx, &marketv1.QueryOfferRequest{Id: 9}); return err }, market.ErrNoOffer},
		"lease": {func() error { _, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: 9}); return err }, market.ErrNoLease},
		"item": {func() error {
			_, err := f.query.Item(f.Ctx, &marketv1.QueryItemRequest{Lease: 1, Device: 9})
			return err
		}, market.ErrNoItem},
		"order": {func() error { _, err := f.query.Order(f.Ctx, &marketv1.QueryOrderRequest{Id: 9}); return err }, market.ErrNoOrder},
	} {
		if err := c.ask(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := f.query.Reputation(f.Ctx, &marketv1.QueryReputationRequest{Device: 9})
	if err != nil || r.Reputation.Device != 9 || r.Reputation.Completed != 0 {
		t.Errorf("reputation of a stranger: %+v, %v", r, err)
	}
}

func TestItemTellsWhatHasAccrued(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	lease := f.lease(t, opening())
	f.Pass(55)
	res, err := f.query.Item(f.Ctx, &marketv1.QueryItemRequest{Lease: lease, Device: 1})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "accrued", res.Accrued, 550)
	want(t, "streamed", res.Item.Streamed, 0)
	if dry := stage.Start.Unix() + 2000; res.DryAt != dry || res.LeaseInfo.Id != lease {
		t.Errorf("dry at %d, want %d; lease %d", res.DryAt, dry, res.LeaseInfo.Id)
	}
}
