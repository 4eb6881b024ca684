package market_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	coreaddress "github.com/cairn-network/cairn/core/address"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

// Every way to be wrong gives its registered error that says what and where, and changes nothing.
func TestBadMessages(t *testing.T) {
	// Devices and offers 1 to 5 are owners 0 to 4's. Device 3 is jailed, offer 4 is closed, device 5
	// is retiring. Lease 1 (device 1) is open, lease 2 (device 2) has expired, lease 3 (device 1) is
	// closed. Order 1 (consumer's choice, France only from device 6) and order 2 (lowest) take bids;
	// device 2 has bid to order 3, whose bidding is over; order 4 is cancelled.
	f := newFixture(t)
	f.sellers(t, 5)
	f.rich(consumer(0), consumer(1))
	poor := consumer(5)
	expiring := opening()
	expiring.Items[0].Offer, expiring.Seconds = 2, 50
	f.lease(t, opening())
	f.lease(t, expiring)
	closed := f.lease(t, opening())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.msg.CloseLease(f.Ctx, &marketv1.MsgCloseLease{Sender: stage.Spell(operator(0)), Id: closed, Devices: []uint64{1}})
	must(err)
	must(f.devices.Jail(f.Ctx, 3, f.Now()+1_000_000))
	_, err = f.msg.CloseOffer(f.Ctx, &marketv1.MsgCloseOffer{Operator: stage.Spell(operator(3)), Id: 4})
	must(err)
	_, err = f.deviceMsg.Retire(f.Ctx, &devicev1.MsgRetire{Owner: stage.Spell(owner(4)), Id: 5})
	must(err)
	french := ordering(byChoice)
	french.Regions = []string{"FR"}
	short := ordering(byChoice)
	short.BiddingSeconds = 50
	for _, order := range []*marketv1.MsgCreateOrder{french, ordering(lowest), short, short} {
		_, err = f.msg.CreateOrder(f.Ctx, order)
		must(err)
	}
	_, err = f.msg.CancelOrder(f.Ctx, &marketv1.MsgCancelOrder{Consumer: stage.Spell(consumer(0)), Id: 4})
	must(err)
	for _, order := range []uint64{2, 3} {
		bid := bidding(1, 50)
		bid.Order = order
		_, err = f.msg.PlaceBid(f.Ctx, bid)
		must(err)
	}
	f.Pass(100)
	if _, err := f.settle(f.signed(session(0), func(v *marketv1.Voucher) { v.Seq = 5 })); err != nil {
		t.Fatal(err)
	}

	var (
		me, other = stage.Spell(consumer(0)), stage.Spell(consumer(1))
		hot       = stage.Spell(operator(0))
		huge      = math.NewIntFromBigInt(new(big.Int).Lsh(big.NewInt(1), 128))
		most      = math.NewIntFromBigInt(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1)))
	)
	offer := func(change func(*marketv1.MsgCreateOffer)) func() error {
		return func() error {
			msg := offering(0)
			change(msg)
			_, err := f.msg.CreateOffer(f.Ctx, msg)
			return err
		}
	}
	reprice := func(change func(*marketv1.MsgUpdateOffer)) func() error {
		return func() error {
			msg := &marketv1.MsgUpdateOffer{Operator: hot, Id: 1, Stream: priced(1, 1), Metered: priced(1, 1), Capacity: 1000}
			change(msg)
			_, err := f.msg.UpdateOffer(f.Ctx, msg)
			return err
		}
	}
	closeOffer := func(who sdk.AccAddress, id uint64) func() error {
		return func() error {
			_, err := f.msg.CloseOffer(f.Ctx, &marketv1.MsgCloseOffer{Operator: stage.Spell(who), Id: id})
			return err
		}
	}
	open := func(change func(*marketv1.MsgOpenLease)) func() error {
		return func() error {
			msg := opening()
			change(msg)
			_, err := f.msg.OpenLease(f.Ctx, msg)
			return err
		}
	}
	amend := func(change func(*marketv1.MsgAmendLease)) func() error {
		return func() error {
			msg := &marketv1.MsgAmendLease{Consumer: me, Id: 1}
			change(msg)
			_, err := f.msg.AmendLease(f.Ctx, msg)
			return err
		}
	}
	topUp := func(device uint64, escrow math.Int, units uint64) func() error {
		return amend(func(m *marketv1.MsgAmendLease) {
			m.TopUps = []marketv1.TopUp{{Device: device, Escrow: escrow, Units: units}}
		})
	}
	end := func(sender string, id uint64, devices ...uint64) func() error {
		return func() error {
			_, err := f.msg.CloseLease(f.Ctx, &marketv1.MsgCloseLease{Sender: sender, Id: id, Devices: devices})
			return err
		}
	}
	redeem := func(change func(*marketv1.Voucher)) func() error {
		return func() error {
			_, err := f.settle(f.signed(session(0), func(v *marketv1.Voucher) {
				v.Seq, v.Amount, v.Units = 6, amount(150), 60
				change(v)
			}))
			return err
		}
	}
	settle := func(msg marketv1.MsgSettle) func() error {
		return func() error {
			if msg.Sender == "" {
				msg.Sender = hot
			}
			_, err := f.msg.Settle(f.Ctx, &msg)
			return err
		}
	}
	order := func(change func(*marketv1.MsgCreateOrder)) func() error {
		return func() error {
			msg := ordering(lowest)
			change(msg)
			_, err := f.msg.CreateOrder(f.Ctx, msg)
			return err
		}
	}
	cancel := func(who string, id uint64) func() error {
		return func() error {
			_, err := f.msg.CancelOrder(f.Ctx, &marketv1.MsgCancelOrder{Consumer: who, Id: id})
			return err
		}
	}
	bid := func(change func(*marketv1.MsgPlaceBid)) func() error {
		return func() error {
			msg := bidding(0, 50)
			msg.Order = 2
			change(msg)
			_, err := f.msg.PlaceBid(f.Ctx, msg)
			return err
		}
	}
	award := func(who string, id uint64, devices ...uint64) func() error {
		return func() error {
			_, err := f.msg.Award(f.Ctx, &marketv1.MsgAward{Consumer: who, Order: id, Devices: devices})
			return err
		}
	}
	params := func(change func(*marketv1.Params)) func() error {
		return func() error {
			p := market.DefaultParams()
			change(&p)
			_, err := f.msg.UpdateParams(f.Ctx, &marketv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: p})
			return err
		}
	}
	item := func(change func(*marketv1.NewItem)) func(*marketv1.MsgOpenLease) {
		return func(m *marketv1.MsgOpenLease) { change(&m.Items[0]) }
	}
	for _, c := range []struct {
		name string
		run  func() error
		want error
		says string // the field or value at fault
	}{
		{"offer: bad address", offer(func(m *marketv1.MsgCreateOffer) { m.Operator = "me" }), market.ErrAddress, "me"},
		{"offer: not the operator", offer(func(m *marketv1.MsgCreateOffer) { m.Operator = me }), device.ErrNotOperator, me},
		{"offer: unknown device", offer(func(m *marketv1.MsgCreateOffer) { m.Device = 99 }), device.ErrNotFound, "99"},
		{"offer: jailed device", offer(func(m *marketv1.MsgCreateOffer) { *m = *offering(2) }), device.ErrNotActive, "jailed"},
		{"offer: retiring device", offer(func(m *marketv1.MsgCreateOffer) { *m = *offering(4) }), device.ErrNotActive, "retiring"},
		{"offer: no resource", offer(func(m *marketv1.MsgCreateOffer) { m.Resource = "" }), market.ErrField, "resource"},
		{"offer: bad resource", offer(func(m *marketv1.MsgCreateOffer) { m.Resource = "Disk!" }), market.ErrField, "Disk!"},
		{"offer: resource too long", offer(func(m *marketv1.MsgCreateOffer) { m.Resource = strings.Repeat("a", 33) }), market.ErrField, "33"},
		{"offer: denomination not listed", offer(func(m *marketv1.MsgCreateOffer) { m.Denom = "uatom" }), market.ErrDenom, "uatom"},
		{"offer: no price", offer(func(m *marketv1.MsgCreateOffer) { m.Stream = marketv1.Price{Per: 1} }), market.ErrAmount, "stream.amount"},
		{"offer: negative price", offer(func(m *marketv1.MsgCreateOffer) { m.Metered = priced(-1, 1) }), market.ErrAmount, "metered.amount"},
		{"offer: huge price", offer(func(m *marketv1.MsgCreateOffer) { m.Stream.Amount = huge }), market.ErrAmount, "stream.amount"},
		{"offer: price per nothing", offer(func(m *marketv1.MsgCreateOffer) { m.Stream.Per = 0 }), market.ErrPrice, "stream.per"},
		{"offer: no capacity", offer(func(m *marketv1.MsgCreateOffer) { m.Capacity = 0 }), market.ErrCapacity, "0"},
		{"offer: longest lease of nothing", offer(func(m *marketv1.MsgCreateOffer) { m.MaxSeconds = 0 }), market.ErrDuration, "max_seconds"},
		{"offer: longer than allowed", offer(func(m *marketv1.MsgCreateOffer) { m.MaxSeconds = 1 << 40 }), market.ErrDuration, "max_seconds"},
		{"offer: shortest above longest", offer(func(m *marketv1.MsgCreateOffer) { m.MinSeconds = m.MaxSeconds + 1 }), market.ErrDuration, "min_seconds"},
		{"offer: negative shortest", offer(func(m *marketv1.MsgCreateOffer) { m.MinSeconds = -1 }), market.ErrDuration, "-1"},
		{"offer: terms too long", offer(func(m *marketv1.MsgCreateOffer) { m.Terms = make([]byte, 1025) }), market.ErrField, "1025"},

		{"reprice: bad address", reprice(func(m *marketv1.MsgUpdateOffer) { m.Operator = "" }), market.ErrAddress, "operator"},
		{"reprice: stranger", reprice(func(m *marketv1.MsgUpdateOffer) { m.Operator = me }), device.ErrNotOperator, me},
		{"reprice: unknown offer", reprice(func(m *marketv1.MsgUpdateOffer) { m.Id = 99 }), market.ErrNoOffer, "99"},
		{"reprice: closed offer", reprice(func(m *marketv1.MsgUpdateOffer) { m.Operator, m.Id = stage.Spell(operator(3)), 4 }), market.ErrOfferClosed, "4"},
		{"reprice: below what is reserved", reprice(func(m *marketv1.MsgUpdateOffer) { m.Capacity = 99 }), market.ErrCapacity, "100"},
		{"reprice: no capacity", reprice(func(m *marketv1.MsgUpdateOffer) { m.Capacity = 0 }), market.ErrCapacity, "0"},
		{"reprice: negative", reprice(func(m *marketv1.MsgUpdateOffer) { m.Stream = priced(-1, 1) }), market.ErrAmount, "stream"},

		{"close offer: stranger", closeOffer(consumer(0), 1), device.ErrNotOperator, me},
		{"close offer: unknown", closeOffer(operator(0), 99), market.ErrNoOffer, "99"},
		{"close offer: twice", closeOffer(operator(3), 4), market.ErrOfferClosed, "4"},
		{"close offer: bad address", func() error { _, err := f.msg.CloseOffer(f.Ctx, &marketv1.MsgCloseOffer{Id: 1}); return err }, market.ErrAddress, "operator"},

		{"open: bad address", open(func(m *marketv1.MsgOpenLease) { m.Consumer = "x" }), market.ErrAddress, "x"},
		{"open: no session key", open(func(m *marketv1.MsgOpenLease) { m.SessionKey = nil }), market.ErrSessionKey, "0 bytes"},
		{"open: long session key", open(func(m *marketv1.MsgOpenLease) { m.SessionKey = make([]byte, 33) }), market.ErrSessionKey, "33"},
		{"open: nothing", open(func(m *marketv1.MsgOpenLease) { m.Items = nil }), market.ErrField, "items"},
		{"open: too many items", open(func(m *marketv1.MsgOpenLease) { m.Items = make([]marketv1.NewItem, 513); m.Items[0].Offer = 1 }), market.ErrTooMany, "513"},
		{"open: no time", open(func(m *marketv1.MsgOpenLease) { m.Seconds = 0 }), market.ErrDuration, "seconds 0"},
		{"open: negative time", open(func(m *marketv1.MsgOpenLease) { m.Seconds = -5 }), market.ErrDuration, "-5"},
		{"open: endless", open(func(m *marketv1.MsgOpenLease) { m.Seconds = 1 << 62 }), market.ErrDuration, "seconds"},
		{"open: shorter than the offer takes", open(func(m *marketv1.MsgOpenLease) { m.Seconds = 9 }), market.ErrDuration, "9"},
		{"open: longer than the offer takes", open(func(m *marketv1.MsgOpenLease) { m.Seconds = 100_001 }), market.ErrDuration, "100001"},
		{"open: unknown offer", open(item(func(i *marketv1.NewItem) { i.Offer = 99 })), market.ErrNoOffer, "99"},
		{"open: closed offer", open(item(func(i *marketv1.NewItem) { i.Offer = 4 })), market.ErrOfferClosed, "4"},
		{"open: jailed device", open(item(func(i *marketv1.NewItem) { i.Offer = 3 })), device.ErrNotActive, "device 3"},
		{"open: retiring device", open(item(func(i *marketv1.NewItem) { i.Offer = 5 })), device.ErrNotActive, "device 5"},
		{"open: no units", open(item(func(i *marketv1.NewItem) { i.Units = 0 })), market.ErrField, "units"},
		{"open: more than free", open(item(func(i *marketv1.NewItem) { i.Units = 901 })), market.ErrCapacity, "900"},
		{"open: most units", open(item(func(i *marketv1.NewItem) { i.Units = 1<<64 - 1 })), market.ErrCapacity, "900"},
		{"open: no escrow", open(item(func(i *marketv1.NewItem) { i.Escrow = amount(0) })), market.ErrAmount, "escrow"},
		{"open: escrow not given", open(item(func(i *marketv1.NewItem) { i.Escrow = math.Int{} })), market.ErrAmount, "escrow"},
		{"open: negative escrow", open(item(func(i *marketv1.NewItem) { i.Escrow = amount(-1) })), market.ErrAmount, "-1"},
		{"open: huge escrow", open(item(func(i *marketv1.NewItem) { i.Escrow = huge })), market.ErrAmount, "escrow"},
		{"open: escrow above balance", open(item(func(i *marketv1.NewItem) { i.Escrow = most })), stage.ErrFunds, ""},
		{"open: escrow below the shortest lease", open(item(func(i *marketv1.NewItem) { i.Escrow = amount(99) })), market.ErrEscrowTooSmall, "99"},
		{"open: price above the accepted", open(item(func(i *marketv1.NewItem) { p := priced(9, 100); i.MaxStream = &p })), market.ErrPriceAbove, "max_stream"},
		{"open: metered price above the accepted", open(item(func(i *marketv1.NewItem) { p := priced(1, 1); i.MaxMetered = &p })), market.ErrPriceAbove, "max_metered"},
		{"open: accepted price per nothing", open(item(func(i *marketv1.NewItem) { i.MaxStream = &marketv1.Price{Amount: amount(1)} })), market.ErrPrice, "max_stream.per"},
		{"open: device twice", open(func(m *marketv1.MsgOpenLease) { m.Items = append(m.Items, m.Items[0]) }), market.ErrDuplicate, "device 1"},
		{"open: nothing to pay with", open(func(m *marketv1.MsgOpenLease) { m.Consumer = stage.Spell(poor) }), stage.ErrFunds, ""},

		{"amend: nothing", amend(func(*marketv1.MsgAmendLease) {}), market.ErrField, "nothing to amend"},
		{"amend: bad address", amend(func(m *marketv1.MsgAmendLease) { m.Consumer = "" }), market.ErrAddress, "consumer"},
		{"amend: not the consumer", amend(func(m *marketv1.MsgAmendLease) { m.Consumer, m.Seconds = other, 1 }), market.ErrNotConsumer, other},
		{"amend: unknown lease", amend(func(m *marketv1.MsgAmendLease) { m.Id, m.Seconds = 99, 1 }), market.ErrNoLease, "99"},
		{"amend: expired lease", amend(func(m *marketv1.MsgAmendLease) { m.Id, m.Seconds = 2, 1 }), market.ErrLeaseExpired, "lease 2"},
		{"amend: closed lease", amend(func(m *marketv1.MsgAmendLease) { m.Id, m.Seconds = 3, 1 }), market.ErrLeaseClosed, "lease 3"},
		{"amend: negative time", amend(func(m *marketv1.MsgAmendLease) { m.Seconds = -1 }), market.ErrDuration, "-1"},
		{"amend: beyond what its offer takes", amend(func(m *marketv1.MsgAmendLease) { m.Seconds = 100_000 }), market.ErrDuration, "100000"},
		{"amend: device that is in it", amend(func(m *marketv1.MsgAmendLease) { m.Items = opening().Items }), market.ErrDuplicate, "device 1"},
		{"amend: bad new item", amend(func(m *marketv1.MsgAmendLease) {
			m.Items = []marketv1.NewItem{{Offer: 2, Units: 1, Escrow: amount(-1)}}
		}), market.ErrAmount, "items[0]"},
		{"top up: nothing", topUp(1, amount(0), 0), market.ErrAmount, "nothing to change"},
		{"top up: units as they are", topUp(1, amount(0), 100), market.ErrAmount, "nothing to change"},
		{"top up: negative", topUp(1, amount(-1), 0), market.ErrAmount, "-1"},
		{"top up: not given", topUp(1, math.Int{}, 5), market.ErrAmount, "escrow"},
		{"top up: beyond 128 bits", topUp(1, most, 0), market.ErrAmount, "escrow"},
		{"top up: above balance", topUp(1, math.NewIntWithDecimal(1, 30), 0), stage.ErrFunds, ""},
		{"top up: device not in it", topUp(2, amount(1), 0), market.ErrNoItem, "device 2"},
		{"top up: more than free", topUp(1, amount(1), 1001), market.ErrCapacity, "900"},

		{"close: bad address", end("", 1), market.ErrAddress, "sender"},
		{"close: unknown lease", end(me, 99), market.ErrNoLease, "99"},
		{"close: stranger", end(other, 1, 1), device.ErrNotOperator, other},
		{"close: stranger closes all", end(other, 1), market.ErrNotConsumer, other},
		{"close: operator of another device", end(stage.Spell(operator(1)), 1, 1), device.ErrNotOperator, "device 1"},
		{"close: operator closes too many", end(hot, 1, 1, 2), market.ErrNotConsumer, "2"},
		{"close: device not in it", end(me, 1, 2), market.ErrNoItem, "device 2"},
		{"close: operator of a device not in it", end(stage.Spell(operator(1)), 1, 2), market.ErrNoItem, "device 2"},
		{"close: device twice", end(me, 1, 1, 1), market.ErrDuplicate, "devices[1]"},
		{"close: closed lease", end(me, 3), market.ErrLeaseClosed, "lease 3"},
		{"close: operator's closed item", end(hot, 3, 1), market.ErrItemClosed, "lease 3, device 1"},

		{"settle: nothing", settle(marketv1.MsgSettle{}), market.ErrField, "nothing to settle"},
		{"settle: bad sender", settle(marketv1.MsgSettle{Sender: "x"}), market.ErrAddress, "x"},
		{"settle: too many", settle(marketv1.MsgSettle{Streams: make([]marketv1.ItemRef, 2001)}), market.ErrTooMany, "2001"},
		{"settle: stream of an unknown lease", settle(marketv1.MsgSettle{Streams: []marketv1.ItemRef{{Lease: 99, Device: 1}}}), market.ErrNoLease, "streams[0] of lease 99"},
		{"settle: stream of a device not in it", settle(marketv1.MsgSettle{Streams: []marketv1.ItemRef{{Lease: 1, Device: 2}}}), market.ErrNoItem, "device 2"},
		{"settle: stream of a closed item", settle(marketv1.MsgSettle{Streams: []marketv1.ItemRef{{Lease: 3, Device: 1}}}), market.ErrItemClosed, "lease 3"},
		{"voucher: replayed", redeem(func(v *marketv1.Voucher) { v.Seq, v.Amount, v.Units = 5, amount(100), 50 }), market.ErrVoucherStale, "100"},
		{"voucher: older", redeem(func(v *marketv1.Voucher) { v.Seq = 4 }), market.ErrVoucherStale, "seq 4 after 5"},
		{"voucher: newer for no more", redeem(func(v *marketv1.Voucher) { v.Amount = amount(100) }), market.ErrVoucherStale, "amount 100"},
		{"voucher: fewer units", redeem(func(v *marketv1.Voucher) { v.Units = 49 }), market.ErrVoucherStale, "units 49"},
		{"voucher: expired", redeem(func(v *marketv1.Voucher) { v.Expiry = f.Now() - 1 }), market.ErrVoucherExpired, "vouchers[0]"},
		{"voucher: never valid", redeem(func(v *marketv1.Voucher) { v.Expiry = 0 }), market.ErrVoucherExpired, "expiry 0"},
		{"voucher: seq 0", redeem(func(v *marketv1.Voucher) { v.Seq = 0 }), market.ErrField, "seq"},
		{"voucher: zero", redeem(func(v *marketv1.Voucher) { v.Amount = amount(0) }), market.ErrAmount, "amount"},
		{"voucher: negative", redeem(func(v *marketv1.Voucher) { v.Amount = amount(-9) }), market.ErrAmount, "-9"},
		{"voucher: huge", redeem(func(v *marketv1.Voucher) { v.Amount = huge }), market.ErrAmount, "amount"},
		{"voucher: most", redeem(func(v *marketv1.Voucher) { v.Amount = most }), market.ErrEscrowDry, "lacks"},
		{"voucher: overdrawn", redeem(func(v *marketv1.Voucher) { v.Amount = amount(50_000) }), market.ErrEscrowDry, "lacks"},
		{"voucher: unknown lease", redeem(func(v *marketv1.Voucher) { v.Lease = 99 }), market.ErrNoLease, "lease 99"},
		{"voucher: device not in the lease", redeem(func(v *marketv1.Voucher) { v.Device = 2 }), market.ErrNoItem, "device 2"},
		{"voucher: closed lease", redeem(func(v *marketv1.Voucher) { v.Lease = 3 }), market.ErrItemClosed, "lease 3"},
		{"voucher: foreign chain", func() error {
			_, err := f.settle(f.sign(session(0), "cairn-other-1", marketv1.Voucher{Lease: 1, Device: 1, Units: 60, Amount: amount(150), Seq: 6, Expiry: f.Now() + 10}))
			return err
		}, market.ErrSignature, "vouchers[0] of lease 1, device 1"},
		{"voucher: another's key", func() error {
			_, err := f.settle(f.signed(session(1), func(v *marketv1.Voucher) { v.Seq, v.Amount = 6, amount(150) }))
			return err
		}, market.ErrSignature, "vouchers[0] of lease 1, device 1"},
		{"voucher: unsigned", func() error {
			v := f.signed(session(0), func(v *marketv1.Voucher) { v.Seq = 6 })
			v.Signature = nil
			_, err := f.settle(v)
			return err
		}, market.ErrSignature, "0 bytes"},
		{"voucher: second of two is bad", func() error {
			good := f.signed(session(0), func(v *marketv1.Voucher) { v.Seq, v.Amount, v.Units = 6, amount(150), 60 })
			bad := f.signed(session(0), func(v *marketv1.Voucher) { v.Seq, v.Amount, v.Units = 7, amount(160), 70 })
			bad.Units++
			_, err := f.settle(good, bad)
			return err
		}, market.ErrSignature, "vouchers[1] of lease 1, device 1"},

		{"order: bad address", order(func(m *marketv1.MsgCreateOrder) { m.Consumer = "" }), market.ErrAddress, "consumer"},
		{"order: no session key", order(func(m *marketv1.MsgCreateOrder) { m.SessionKey = nil }), market.ErrSessionKey, "0 bytes"},
		{"order: no resource", order(func(m *marketv1.MsgCreateOrder) { m.Resource = "" }), market.ErrField, "resource"},
		{"order: denomination not listed", order(func(m *marketv1.MsgCreateOrder) { m.Denom = "uatom" }), market.ErrDenom, "uatom"},
		{"order: no units", order(func(m *marketv1.MsgCreateOrder) { m.Units = 0 }), market.ErrField, "units"},
		{"order: bad price", order(func(m *marketv1.MsgCreateOrder) { m.MaxStream = priced(-1, 1) }), market.ErrAmount, "max_stream"},
		{"order: bad metered price", order(func(m *marketv1.MsgCreateOrder) { m.MaxMetered = priced(1, 0) }), market.ErrPrice, "max_metered"},
		{"order: no devices", order(func(m *marketv1.MsgCreateOrder) { m.Devices, m.MinDevices = 0, 0 }), market.ErrField, "min_devices"},
		{"order: more at least than wanted", order(func(m *marketv1.MsgCreateOrder) { m.MinDevices = 3 }), market.ErrField, "min_devices"},
		{"order: too many devices", order(func(m *marketv1.MsgCreateOrder) { m.Devices = 513 }), market.ErrTooMany, "513"},
		{"order: bad region", order(func(m *marketv1.MsgCreateOrder) { m.Regions = []string{"Europe"} }), market.ErrField, "Europe"},
		{"order: too many regions", order(func(m *marketv1.MsgCreateOrder) { m.Regions = make([]string, 65) }), market.ErrField, "65"},
		{"order: tier", order(func(m *marketv1.MsgCreateOrder) { m.MinTier = 4 }), market.ErrField, "min_tier"},
		{"order: no time", order(func(m *marketv1.MsgCreateOrder) { m.Seconds = 0 }), market.ErrDuration, "seconds"},
		{"order: no escrow", order(func(m *marketv1.MsgCreateOrder) { m.Escrow = amount(0) }), market.ErrAmount, "escrow"},
		{"order: escrow beyond 128 bits in all", order(func(m *marketv1.MsgCreateOrder) { m.Escrow = most }), market.ErrAmount, "2 devices"},
		{"order: escrow above balance", order(func(m *marketv1.MsgCreateOrder) { m.Escrow = math.NewIntWithDecimal(1, 30) }), stage.ErrFunds, ""},
		{"order: no bidding", order(func(m *marketv1.MsgCreateOrder) { m.BiddingSeconds = 0 }), market.ErrDuration, "bidding_seconds"},
		{"order: endless bidding", order(func(m *marketv1.MsgCreateOrder) { m.BiddingSeconds = 1 << 50 }), market.ErrDuration, "bidding_seconds"},
		{"order: no rule", order(func(m *marketv1.MsgCreateOrder) { m.Rule = 0 }), market.ErrField, "rule"},
		{"order: unknown rule", order(func(m *marketv1.MsgCreateOrder) { m.Rule = 9 }), market.ErrField, "rule 9"},

		{"cancel: unknown", cancel(me, 99), market.ErrNoOrder, "99"},
		{"cancel: not the consumer", cancel(other, 1), market.ErrNotConsumer, other},
		{"cancel: twice", cancel(me, 4), market.ErrOrderClosed, "order 4"},
		{"cancel: bad address", cancel("", 1), market.ErrAddress, "consumer"},

		{"bid: bad address", bid(func(m *marketv1.MsgPlaceBid) { m.Operator = "" }), market.ErrAddress, "operator"},
		{"bid: not the operator", bid(func(m *marketv1.MsgPlaceBid) { m.Operator = me }), device.ErrNotOperator, me},
		{"bid: unknown order", bid(func(m *marketv1.MsgPlaceBid) { m.Order = 99 }), market.ErrNoOrder, "99"},
		{"bid: unknown offer", bid(func(m *marketv1.MsgPlaceBid) { m.Offer = 99 }), market.ErrNoOffer, "99"},
		{"bid: cancelled order", bid(func(m *marketv1.MsgPlaceBid) { m.Order = 4 }), market.ErrOrderClosed, "order 4"},
		{"bid: too late", bid(func(m *marketv1.MsgPlaceBid) { m.Order = 3 }), market.ErrBiddingOver, "order 3"},
		{"bid: another region", bid(func(m *marketv1.MsgPlaceBid) { m.Order = 1 }), market.ErrNotEligible, "FR"},
		{"bid: above the highest price", bid(func(m *marketv1.MsgPlaceBid) { m.Stream = priced(101, 1000) }), market.ErrPriceAbove, "stream"},
		{"bid: above the highest metered price", bid(func(m *marketv1.MsgPlaceBid) { m.Metered = priced(3, 1) }), market.ErrPriceAbove, "metered"},
		{"bid: negative", bid(func(m *marketv1.MsgPlaceBid) { m.Stream = priced(-1, 1) }), market.ErrAmount, "stream"},
		{"bid: jailed device", bid(func(m *marketv1.MsgPlaceBid) { m.Operator, m.Offer = stage.Spell(operator(2)), 3 }), device.ErrNotActive, "device 3"},
		{"bid: closed offer", bid(func(m *marketv1.MsgPlaceBid) { m.Operator, m.Offer = stage.Spell(operator(3)), 4 }), market.ErrOfferClosed, "offer 4"},

		{"award: bad address", award("", 3, 2), market.ErrAddress, "consumer"},
		{"award: unknown order", award(me, 99, 2), market.ErrNoOrder, "99"},
		{"award: not the consumer", award(other, 3, 2), market.ErrNotConsumer, other},
		{"award: by rule", award(me, 2, 2), market.ErrAward, "order 2"},
		{"award: nobody", award(me, 3), market.ErrAward, "0 devices"},
		{"award: too many", award(me, 3, 1, 2, 3), market.ErrAward, "3 devices"},
		{"award: device twice", award(me, 3, 2, 2), market.ErrDuplicate, "devices[1]"},
		{"award: device without a bid", award(me, 3, 1), market.ErrNoBid, "device 1"},
		{"award: cancelled order", award(me, 4, 2), market.ErrOrderClosed, "order 4"},

		{"params: stranger", func() error {
			_, err := f.msg.UpdateParams(f.Ctx, &marketv1.MsgUpdateParams{Authority: me, Params: market.DefaultParams()})
			return err
		}, market.ErrNotAuthority, me},
		{"params: bad authority", func() error {
			_, err := f.msg.UpdateParams(f.Ctx, &marketv1.MsgUpdateParams{Params: market.DefaultParams()})
			return err
		}, market.ErrAddress, "authority"},
		{"params: fee that takes all", params(func(p *marketv1.Params) { p.FeeBps = 10_000 }), market.ErrParams, "fee_bps 10000"},
		{"params: nothing can pay", params(func(p *marketv1.Params) { p.Denoms = nil }), market.ErrParams, "denoms"},
		{"params: bad denomination", params(func(p *marketv1.Params) { p.Denoms = []string{"!"} }), market.ErrParams, "denoms[0]"},
		{"params: denomination twice", params(func(p *marketv1.Params) { p.Denoms = []string{denom, denom} }), market.ErrParams, "denoms[1]"},
		{"params: negative grace", params(func(p *marketv1.Params) { p.GraceSeconds = -1 }), market.ErrParams, "grace_seconds"},
		{"params: no lease", params(func(p *marketv1.Params) { p.MaxLeaseSeconds = 0 }), market.ErrParams, "max_lease_seconds"},
		{"params: no items", params(func(p *marketv1.Params) { p.MaxItemsPerLease = 0 }), market.ErrParams, "max_items_per_lease"},
		{"params: no bids", params(func(p *marketv1.Params) { p.MaxBidsPerOrder = 0 }), market.ErrParams, "max_bids_per_order"},
		{"params: no vouchers", params(func(p *marketv1.Params) { p.MaxVouchersPerSettle = 0 }), market.ErrParams, "max_vouchers_per_settle"},
		{"params: stopped queue", params(func(p *marketv1.Params) { p.DeadlinesPerBlock = 0 }), market.ErrParams, "deadlines_per_block"},
		{"params: endless block", params(func(p *marketv1.Params) { p.DeadlinesPerBlock = 1 << 31 }), market.ErrParams, "deadlines_per_block"},
		{"params: no offers", params(func(p *marketv1.Params) { p.MaxOffersPerDevice = 0 }), market.ErrParams, "max_offers_per_device"},
		{"params: no bidding", params(func(p *marketv1.Params) { p.MaxBiddingSeconds = 0 }), market.ErrParams, "max_bidding_seconds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := f.Ctx
			defer func() { f.Ctx = whole }()
			f.Ctx, _ = whole.CacheContext()
			before := f.Hash()
			err := c.run()
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if f.Hash() != before {
				t.Error("the state has changed")
			}
		})
	}
	f.check(t)
}

func TestOpenOffersOfADeviceAreLimited(t *testing.T) {
	f := newFixture(t)
	f.params(t, func(p *marketv1.Params) { p.MaxOffersPerDevice = 2 })
	f.sellers(t, 1)
	if _, err := f.msg.CreateOffer(f.Ctx, offering(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.CreateOffer(f.Ctx, offering(0)); !errors.Is(err, market.ErrTooMany) {
		t.Fatalf("a third: %v", err)
	}
	if _, err := f.msg.CloseOffer(f.Ctx, &marketv1.MsgCloseOffer{Operator: stage.Spell(operator(0)), Id: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.CreateOffer(f.Ctx, offering(0)); err != nil {
		t.Fatalf("after closing one: %v", err)
	}
}

func TestOneLeaseIsOfOneResourceAndDenomination(t *testing.T) {
	f := newFixture(t)
	f.params(t, func(p *marketv1.Params) { p.Denoms = []string{denom, "uatom"} })
	f.sellers(t, 2)
	f.rich(consumer(0))
	for change, mix := range map[string]func(*marketv1.MsgCreateOffer){
		"denomination": func(m *marketv1.MsgCreateOffer) { m.Denom = "uatom" },
		"resource":     func(m *marketv1.MsgCreateOffer) { m.Resource = "bandwidth" },
	} {
		offer := offering(1)
		mix(offer)
		res, err := f.msg.CreateOffer(f.Ctx, offer)
		if err != nil {
			t.Fatal(err)
		}
		open := opening()
		open.Items = append(open.Items, marketv1.NewItem{Offer: res.Id, Units: 1, Escrow: amount(100)})
		if _, err := f.msg.OpenLease(f.Ctx, open); !errors.Is(err, market.ErrMixed) {
			t.Errorf("another %s: %v", change, err)
		}
	}
	// A denomination that was listed and is no longer opens no lease.
	f.params(t, func(p *marketv1.Params) { p.Denoms = []string{"uatom"} })
	if _, err := f.msg.OpenLease(f.Ctx, opening()); !errors.Is(err, market.ErrDenom) {
		t.Errorf("no longer listed: %v", err)
	}
}

func TestAddressesAreTakenInBothSpellings(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	open := opening()
	open.Consumer = coreaddress.Hex([20]byte(consumer(0)))
	lease := f.lease(t, open)
	res, err := f.query.Lease(f.Ctx, &marketv1.QueryLeaseRequest{Id: lease})
	if err != nil || res.Lease.Consumer != stage.Spell(consumer(0)) {
		t.Fatalf("kept consumer %s, %v", res.Lease.Consumer, err)
	}
	if _, err := f.msg.CloseLease(f.Ctx, &marketv1.MsgCloseLease{Sender: open.Consumer, Id: lease}); err != nil {
		t.Fatal(err)
	}
	f.check(t)
}
