package market_test

import (
	"testing"

	"github.com/cosmos/gogoproto/proto"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

// played is a market in which every message has something to act on, and a good message of each kind
// in that state: lease 1 with device 1, order 1 with a bid of device 2, for its consumer to award.
func played(tb testing.TB) (*fixture, []proto.Message) {
	f := newFixture(tb)
	f.sellers(tb, 3)
	f.rich(consumer(0))
	f.lease(tb, opening())
	if _, err := f.msg.CreateOrder(f.Ctx, ordering(byChoice)); err != nil {
		tb.Fatal(err)
	}
	if _, err := f.msg.PlaceBid(f.Ctx, bidding(1, 50)); err != nil {
		tb.Fatal(err)
	}
	f.Pass(10)
	me, hot := stage.Spell(consumer(0)), stage.Spell(operator(0))
	most := priced(1, 1)
	open := opening()
	open.Items = append(open.Items, marketv1.NewItem{Offer: 2, Units: 7, Escrow: amount(500), MaxStream: &most, MaxMetered: &most})
	open.Items[1].MaxMetered = nil
	order := ordering(lowest)
	order.Regions = []string{"DE"}
	return f, []proto.Message{
		offering(0),
		&marketv1.MsgUpdateOffer{Operator: hot, Id: 1, Stream: priced(3, 7), Metered: priced(0, 1), Capacity: 5000},
		&marketv1.MsgCloseOffer{Operator: hot, Id: 1},
		open,
		&marketv1.MsgAmendLease{
			Consumer: me, Id: 1, Seconds: 100,
			Items:  []marketv1.NewItem{{Offer: 3, Units: 5, Escrow: amount(800)}},
			TopUps: []marketv1.TopUp{{Device: 1, Escrow: amount(10), Units: 120}},
		},
		&marketv1.MsgCloseLease{Sender: me, Id: 1, Devices: []uint64{1}},
		&marketv1.MsgSettle{
			Sender: hot, Vouchers: []marketv1.Voucher{f.signed(session(0), nil)},
			Streams: []marketv1.ItemRef{{Lease: 1, Device: 1}},
		},
		order,
		&marketv1.MsgCancelOrder{Consumer: me, Id: 1},
		bidding(2, 50),
		&marketv1.MsgAward{Consumer: me, Order: 1, Devices: []uint64{2}},
		&marketv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: market.DefaultParams()},
	}
}

// play is the module in that state.
func play(tb testing.TB) stage.Play {
	f, samples := played(tb)
	return stage.Play{Stage: f.Stage, Service: &marketv1.Msg_serviceDesc, Server: f.msg, Samples: samples, Check: f.check}
}

func TestEveryMessageHasASample(t *testing.T) { play(t).TestSamples(t) }

func TestMutatedFields(t *testing.T) { play(t).TestMutations(t) }

func FuzzMessages(f *testing.F) { play(f).Fuzz(f) }
