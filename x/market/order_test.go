package market_test

import (
	"errors"
	"testing"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

// ordering is a message by which consumer 0 wants 100 units on two devices for 1000 seconds, at most
// at the prices that offering asks; 20,000 in escrow for each, 600 seconds of bidding.
func ordering(rule marketv1.AwardRule) *marketv1.MsgCreateOrder {
	return &marketv1.MsgCreateOrder{
		Consumer:       stage.Spell(consumer(0)),
		SessionKey:     sessionKey(0),
		Resource:       "storage",
		Denom:          denom,
		Units:          100,
		MaxStream:      priced(1, 10),
		MaxMetered:     priced(2, 1),
		Devices:        2,
		MinDevices:     1,
		Seconds:        1000,
		Escrow:         amount(20_000),
		BiddingSeconds: 600,
		Rule:           rule,
	}
}

const (
	lowest   = marketv1.AwardRule_AWARD_RULE_LOWEST
	byChoice = marketv1.AwardRule_AWARD_RULE_CONSUMER
)

// bidding is a message by which device n+1 bids so much for 1000 unit-seconds.
func bidding(n int, per1000 int64) *marketv1.MsgPlaceBid {
	return &marketv1.MsgPlaceBid{
		Operator: stage.Spell(operator(n)), Order: 1, Offer: uint64(n + 1),
		Stream: priced(per1000, 1000), Metered: priced(1, 1),
	}
}

func (f *fixture) order(t testing.TB, id uint64) (marketv1.Order, []marketv1.Bid) {
	t.Helper()
	res, err := f.query.Order(f.Ctx, &marketv1.QueryOrderRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	return res.Order, res.Bids
}

func TestLowestBidsWinAtTheEndOfBidding(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 4)
	f.rich(consumer(0))
	rich := f.balance(consumer(0))
	if _, err := f.msg.CreateOrder(f.Ctx, ordering(lowest)); err != nil {
		t.Fatal(err)
	}
	want(t, "held by the order", rich.Sub(f.balance(consumer(0))), 40_000)
	for n, price := range []int64{90, 70, 80, 60} {
		if _, err := f.msg.PlaceBid(f.Ctx, bidding(n, price)); err != nil {
			t.Fatal(err)
		}
		f.check(t)
	}
	if _, err := f.msg.PlaceBid(f.Ctx, bidding(0, 65)); err != nil { // instead of its first
		t.Fatal(err)
	}
	if err := f.devices.Jail(f.Ctx, 4, f.Now()+10_000); err != nil { // the best can no longer serve
		t.Fatal(err)
	}
	f.Pass(600)
	f.block(t, 1)
	o, bids := f.order(t, 1)
	if o.State != marketv1.OrderState_ORDER_STATE_AWARDED || len(bids) != 4 {
		t.Fatalf("after bidding: %+v with %d bids", o, len(bids))
	}
	l, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: o.Lease})
	if err != nil || len(l.Items) != 2 || l.Items[0].Device != 1 || l.Items[1].Device != 2 {
		t.Fatalf("leased %+v, %v", l, err)
	}
	if p := l.Items[0].Stream; !p.Amount.Equal(amount(65)) || p.Per != 1000 {
		t.Errorf("device 1 is paid %+v, bid 65/1000", p)
	}
	f.check(t)
}

func TestTooFewBidsGiveTheMoneyBack(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	rich := f.balance(consumer(0))
	msg := ordering(lowest)
	msg.MinDevices = 2
	if _, err := f.msg.CreateOrder(f.Ctx, msg); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.PlaceBid(f.Ctx, bidding(0, 50)); err != nil {
		t.Fatal(err)
	}
	f.Pass(600)
	f.block(t, 1)
	if o, _ := f.order(t, 1); o.State != marketv1.OrderState_ORDER_STATE_CANCELLED {
		t.Fatalf("it is %s", o.State)
	}
	want(t, "lost by the consumer", rich.Sub(f.balance(consumer(0))), 0)
	f.check(t)
}

func TestConsumerAwardsAndGetsTheRestBack(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 2)
	f.rich(consumer(0))
	rich := f.balance(consumer(0))
	if _, err := f.msg.CreateOrder(f.Ctx, ordering(byChoice)); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if _, err := f.msg.PlaceBid(f.Ctx, bidding(n, 50+int64(n))); err != nil {
			t.Fatal(err)
		}
	}
	f.Pass(600) // bidding is over, the consumer still has the grace window to choose
	f.block(t, 1)
	res, err := f.msg.Award(f.Ctx, &marketv1.MsgAward{Consumer: stage.Spell(consumer(0)), Order: 1, Devices: []uint64{2}})
	if err != nil {
		t.Fatal(err)
	}
	if item := f.item(t, res.Lease, 2); !item.Stream.Amount.Equal(amount(51)) {
		t.Errorf("device 2 is paid %+v", item.Stream)
	}
	want(t, "held", rich.Sub(f.balance(consumer(0))), 20_000)
	f.check(t)
	if _, err := f.msg.CancelOrder(f.Ctx, &marketv1.MsgCancelOrder{Consumer: stage.Spell(consumer(0)), Id: 1}); !errors.Is(err, market.ErrOrderClosed) {
		t.Fatalf("cancelling what was awarded: %v", err)
	}
}

func TestConsumerWhoDoesNotChooseGetsTheMoneyBack(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	rich := f.balance(consumer(0))
	if _, err := f.msg.CreateOrder(f.Ctx, ordering(byChoice)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.PlaceBid(f.Ctx, bidding(0, 50)); err != nil {
		t.Fatal(err)
	}
	f.Pass(600 + market.DefaultParams().GraceSeconds)
	award := &marketv1.MsgAward{Consumer: stage.Spell(consumer(0)), Order: 1, Devices: []uint64{1}}
	if _, err := f.msg.Award(f.Ctx, award); !errors.Is(err, market.ErrOrderClosed) {
		t.Fatalf("choosing too late, before the end of the block: %v", err)
	}
	f.block(t, 1)
	want(t, "lost by the consumer", rich.Sub(f.balance(consumer(0))), 0)
	f.check(t)
}

func TestFullOrderKeepsTheBestBids(t *testing.T) {
	f := newFixture(t)
	f.params(t, func(p *marketv1.Params) { p.MaxBidsPerOrder = 2 })
	f.sellers(t, 4)
	f.rich(consumer(0))
	if _, err := f.msg.CreateOrder(f.Ctx, ordering(lowest)); err != nil {
		t.Fatal(err)
	}
	for _, b := range []struct {
		n     int
		price int64
		want  error
	}{{0, 90, nil}, {1, 80, nil}, {2, 90, market.ErrOutbid}, {2, 70, nil}, {3, 85, market.ErrOutbid}, {1, 60, nil}} {
		if _, err := f.msg.PlaceBid(f.Ctx, bidding(b.n, b.price)); !errors.Is(err, b.want) {
			t.Fatalf("device %d bids %d: %v, want %v", b.n+1, b.price, err, b.want)
		}
	}
	_, bids := f.order(t, 1)
	if len(bids) != 2 || bids[0].Device != 2 || bids[1].Device != 3 {
		t.Fatalf("kept %+v", bids)
	}
}

func TestOrderIsForTheDevicesItNames(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.device(t, 1, "FR")
	offer := offering(1)
	if _, err := f.msg.CreateOffer(f.Ctx, offer); err != nil {
		t.Fatal(err)
	}
	f.rich(consumer(0))
	msg := ordering(lowest)
	msg.Regions = []string{"FR", "BE"}
	if _, err := f.msg.CreateOrder(f.Ctx, msg); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.PlaceBid(f.Ctx, bidding(0, 50)); !errors.Is(err, market.ErrNotEligible) {
		t.Fatalf("from Germany: %v", err)
	}
	if _, err := f.msg.PlaceBid(f.Ctx, bidding(1, 50)); err != nil {
		t.Fatalf("from France: %v", err)
	}
	msg.Regions, msg.MinTier = nil, 1
	if _, err := f.msg.CreateOrder(f.Ctx, msg); err != nil {
		t.Fatal(err)
	}
	second := bidding(0, 50)
	second.Order = 2
	if _, err := f.msg.PlaceBid(f.Ctx, second); !errors.Is(err, market.ErrNotEligible) {
		t.Fatalf("at tier 0: %v", err)
	}
}

// A record counts between equal prices, and only there.
func TestReputationDecidesBetweenEqualPrices(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 3)
	f.rich(consumer(0))
	lease := f.lease(t, opening()) // device 1 abandons
	if _, err := f.msg.CloseLease(f.Ctx, &marketv1.MsgCloseLease{Sender: stage.Spell(operator(0)), Id: lease, Devices: []uint64{1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.CreateOrder(f.Ctx, ordering(lowest)); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if _, err := f.msg.PlaceBid(f.Ctx, bidding(n, 50)); err != nil {
			t.Fatal(err)
		}
	}
	f.Pass(600)
	f.block(t, 1)
	o, _ := f.order(t, 1)
	l, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: o.Lease})
	if err != nil || len(l.Items) != 2 || l.Items[0].Device != 2 || l.Items[1].Device != 3 {
		t.Fatalf("leased %+v, %v", l, err)
	}
	f.check(t)
}
