package market_test

import (
	"errors"
	"testing"

	errorsmod "cosmossdk.io/errors"
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

// send runs a message on a branch of the state that is thrown away and reports what does not hold:
// an error must be registered and change nothing, success must keep the invariants.
func (f *fixture) send(tb fataler, msg proto.Message) error {
	whole := f.Ctx
	defer func() { f.Ctx = whole }()
	f.Ctx, _ = f.Ctx.CacheContext()
	before := f.Hash()
	err := f.handle(msg)
	if err == nil {
		f.check(tb)
		return nil
	}
	if _, code, _ := errorsmod.ABCIInfo(err, false); code <= 1 && !errors.Is(err, stage.ErrFunds) {
		tb.Fatalf("%T gives an error that is not registered: %v", msg, err)
	}
	if f.Hash() != before {
		tb.Fatalf("%T gives %v, and the state has changed", msg, err)
	}
	return err
}

func (f *fixture) handle(msg proto.Message) (err error) {
	switch msg := msg.(type) {
	case *marketv1.MsgCreateOffer:
		_, err = f.msg.CreateOffer(f.Ctx, msg)
	case *marketv1.MsgUpdateOffer:
		_, err = f.msg.UpdateOffer(f.Ctx, msg)
	case *marketv1.MsgCloseOffer:
		_, err = f.msg.CloseOffer(f.Ctx, msg)
	case *marketv1.MsgOpenLease:
		_, err = f.msg.OpenLease(f.Ctx, msg)
	case *marketv1.MsgAmendLease:
		_, err = f.msg.AmendLease(f.Ctx, msg)
	case *marketv1.MsgCloseLease:
		_, err = f.msg.CloseLease(f.Ctx, msg)
	case *marketv1.MsgSettle:
		_, err = f.msg.Settle(f.Ctx, msg)
	case *marketv1.MsgCreateOrder:
		_, err = f.msg.CreateOrder(f.Ctx, msg)
	case *marketv1.MsgCancelOrder:
		_, err = f.msg.CancelOrder(f.Ctx, msg)
	case *marketv1.MsgPlaceBid:
		_, err = f.msg.PlaceBid(f.Ctx, msg)
	case *marketv1.MsgAward:
		_, err = f.msg.Award(f.Ctx, msg)
	case *marketv1.MsgUpdateParams:
		_, err = f.msg.UpdateParams(f.Ctx, msg)
	default:
		panic(proto.MessageName(msg))
	}
	return err
}

func TestEveryMessageHasASample(t *testing.T) {
	f, samples := played(t)
	if got, want := len(samples), len(marketv1.Msg_serviceDesc.Methods); got != want {
		t.Fatalf("%d samples of %d messages", got, want)
	}
	for _, msg := range samples {
		if err := f.send(t, msg); err != nil {
			t.Errorf("%T: %v", msg, err)
		}
	}
}

func TestMutatedFields(t *testing.T) {
	f, samples := played(t)
	refused, accepted := 0, 0
	for _, msg := range samples {
		stage.Mutate(msg, func(change string, mutated proto.Message) {
			t.Run(proto.MessageName(msg)+change, func(t *testing.T) {
				if f.send(t, mutated) != nil {
					refused++
				} else {
					accepted++
				}
			})
		})
	}
	t.Logf("%d refused, %d accepted", refused, accepted)
	if refused == 0 || accepted == 0 {
		t.Error("mutations must both be refused and accepted, or this test shows nothing")
	}
}

func FuzzMessages(f *testing.F) {
	fix, kinds := played(f)
	for i, msg := range kinds {
		raw, err := proto.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), raw)
	}
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		msg := stage.Blank(kinds[int(kind)%len(kinds)])
		if proto.Unmarshal(raw, msg) == nil {
			_ = fix.send(t, msg) // send itself fails the test
		}
	})
}
