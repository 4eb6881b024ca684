package market_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"pgregory.net/rapid"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

// However often and whenever an item is settled, what it pays in all is the same: exactly the stream
// rounded down once, or the escrow. New money half way through does not pay for time before it in
// which the escrow was dry, not even a fraction of a base unit.
func TestEveryScheduleOfSettlementsPaysTheSame(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		price := priced(rapid.Int64Range(0, 50).Draw(r, "amount"), rapid.Uint64Range(1, 997).Draw(r, "per"))
		units := rapid.Uint64Range(1, 1000).Draw(r, "units")
		escrow := rapid.Int64Range(1, 20_000).Draw(r, "escrow")
		added := rapid.Int64Range(0, 20_000).Draw(r, "added")
		const half, whole = 500, 1000
		run := func(when []int64) (streamed, burned, net math.Int) {
			f := newFixture(t)
			f.sellers(t, 1)
			f.rich(consumer(0))
			offer := offering(0)
			offer.Stream, offer.MinSeconds = price, 0
			if _, err := f.msg.CreateOffer(f.Ctx, offer); err != nil {
				r.Fatalf("%v", err)
			}
			open := opening()
			open.Items = []marketv1.NewItem{{Offer: 2, Units: units, Escrow: amount(escrow)}}
			lease := f.lease(t, open)
			before, supply, started := f.balance(owner(0)), f.Bank.Supply(f.Ctx, denom), f.Now()
			toppedUp := added == 0
			for _, at := range append(slices.Sorted(slices.Values(when)), whole) {
				if at >= half && !toppedUp {
					toppedUp = true
					f.Pass(started + half - f.Now())
					up := &marketv1.MsgAmendLease{Consumer: open.Consumer, Id: lease, TopUps: []marketv1.TopUp{{Device: 1, Escrow: amount(added)}}}
					if _, err := f.msg.AmendLease(f.Ctx, up); err != nil {
						r.Fatalf("topping up: %v", err)
					}
				}
				f.Pass(started + at - f.Now())
				if _, err := f.stream(marketv1.ItemRef{Lease: lease, Device: 1}); err != nil {
					r.Fatalf("settling at %d: %v", at, err)
				}
			}
			f.check(r)
			return f.item(r, lease, 1).Streamed, supply.Sub(f.Bank.Supply(f.Ctx, denom)), f.balance(owner(0)).Sub(before)
		}
		cost := func(seconds int64) math.Int {
			return price.Amount.Mul(math.NewIntFromUint64(units)).MulRaw(seconds).Quo(math.NewIntFromUint64(price.Per))
		}
		exact := math.MinInt(cost(whole), amount(escrow+added))
		if cost(half).GTE(amount(escrow)) && added > 0 { // dry when the new money came
			exact = amount(escrow).Add(math.MinInt(cost(whole-half), amount(added)))
		}
		once, _, _ := run(nil)
		often, burned, net := run(rapid.SliceOfN(rapid.Int64Range(0, whole), 1, 12).Draw(r, "when"))
		if !once.Equal(exact) || !often.Equal(exact) {
			r.Fatalf("once %s, often %s, exact %s", once, often, exact)
		}
		if !burned.Add(net).Equal(exact) {
			r.Fatalf("burned %s and paid %s of %s", burned, net, exact)
		}
	})
}

// Vouchers delivered in any order, repeated, cut off or mixed with others' pay what the highest one
// promises, once.
func TestAnyDeliveryOfVouchersPaysTheHighestOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFixture(t)
		f.sellers(t, 2)
		f.rich(consumer(0), consumer(1))
		open := opening()
		open.Items = append(open.Items, marketv1.NewItem{Offer: 2, Units: 1, Escrow: amount(1000)})
		lease := f.lease(t, open)
		open.Consumer, open.SessionKey = stage.Spell(consumer(1)), sessionKey(1)
		f.lease(t, open)

		var issued []marketv1.Voucher
		for n := range rapid.IntRange(1, 6).Draw(r, "issued") {
			issued = append(issued, f.signed(session(0), func(v *marketv1.Voucher) {
				v.Lease, v.Seq, v.Amount, v.Units = lease, uint64(n+1), amount(int64(n+1)*10), uint64(n+1)*5
			}))
		}
		highest := int64(0)
		for range rapid.IntRange(1, 12).Draw(r, "deliveries") {
			n := rapid.IntRange(0, len(issued)-1).Draw(r, "which")
			v := issued[n]
			pays := int64(n+1)*10 > highest
			switch rapid.IntRange(0, 5).Draw(r, "spoiled") {
			case 0:
				v.Lease = 2 // of the other lease
			case 1:
				v.Device = 2 // to the other device
			case 2:
				v.Amount = v.Amount.AddRaw(1)
			case 3:
				v.Signature = slices.Clone(v.Signature)
				v.Signature[rapid.IntRange(0, 63).Draw(r, "byte")] ^= 1
			default:
				before := f.Hash()
				_, err := f.settle(v)
				if (err == nil) != pays {
					r.Fatalf("voucher %d after %d: %v", (n+1)*10, highest, err)
				}
				if err != nil && (!errors.Is(err, market.ErrVoucherStale) || f.Hash() != before) {
					r.Fatalf("replay: %v", err)
				}
				highest = max(highest, int64(n+1)*10)
				continue
			}
			if _, err := f.settle(v); !errors.Is(err, market.ErrSignature) {
				r.Fatalf("spoiled: %v", err)
			}
		}
		if paid := f.item(r, lease, 1).Vouched; !paid.Equal(amount(highest)) {
			r.Fatalf("paid %s, the highest was %d", paid, highest)
		}
		f.check(r)
	})
}

func TestOverdrawnVoucherIsRefusedOrPaidInPart(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	lease := f.lease(t, opening())
	big := f.signed(session(0), func(v *marketv1.Voucher) { v.Amount = amount(25_000) })
	before := f.Hash()
	if _, err := f.settle(big); !errors.Is(err, market.ErrEscrowDry) || !strings.Contains(err.Error(), "lacks 5000") {
		t.Fatalf("in full: %v", err)
	}
	if f.Hash() != before {
		t.Fatal("the state has changed")
	}
	partly := &marketv1.MsgSettle{Sender: stage.Spell(operator(0)), Vouchers: []marketv1.Voucher{big}, AcceptPartial: true}
	res, err := f.msg.Settle(f.Ctx, partly)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "paid in part", sdk.Coins(res.Paid).AmountOf(denom), 19_500)
	want(t, "vouched", f.item(t, lease, 1).Vouched, 20_000)
	f.check(t)

	// With new money the same voucher collects the rest, and no more.
	if _, err := f.msg.AmendLease(f.Ctx, &marketv1.MsgAmendLease{
		Consumer: stage.Spell(consumer(0)), Id: lease, TopUps: []marketv1.TopUp{{Device: 1, Escrow: amount(9_000)}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.settle(big); err != nil {
		t.Fatalf("the rest: %v", err)
	}
	item := f.item(t, lease, 1)
	want(t, "vouched", item.Vouched, 25_000)
	want(t, "escrow", item.Escrow, 4_000)
	if _, err := f.settle(big); !errors.Is(err, market.ErrVoucherStale) {
		t.Fatalf("once more: %v", err)
	}
	f.check(t)
}

// A consumer that redeems a provider's voucher first, to spoil its batch, spoils nothing where the
// provider accepts what there is.
func TestPartialSettlementPassesOverWhatOthersSettled(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 2)
	f.rich(consumer(0))
	open := opening()
	open.Items = append(open.Items, marketv1.NewItem{Offer: 2, Units: 10, Escrow: amount(1000)})
	lease := f.lease(t, open)
	first := f.signed(session(0), nil)
	second := f.signed(session(0), func(v *marketv1.Voucher) { v.Device = 2 })
	if _, err := f.msg.Settle(f.Ctx, &marketv1.MsgSettle{Sender: stage.Spell(consumer(0)), Vouchers: []marketv1.Voucher{first}}); err != nil {
		t.Fatal(err)
	}
	f.Pass(10)
	batch := &marketv1.MsgSettle{Sender: stage.Spell(operator(0)), Vouchers: []marketv1.Voucher{first, second}}
	if _, err := f.msg.Settle(f.Ctx, batch); !errors.Is(err, market.ErrVoucherStale) || !strings.Contains(err.Error(), "vouchers[0] of lease 1, device 1") {
		t.Fatalf("all or nothing: %v", err)
	}
	batch.AcceptPartial = true
	if _, err := f.msg.Settle(f.Ctx, batch); err != nil {
		t.Fatal(err)
	}
	want(t, "vouched to device 2", f.item(t, lease, 2).Vouched, 100)
	want(t, "streamed to device 1", f.item(t, lease, 1).Streamed, 100)
	f.check(t)
}

func TestSettlingManyPaysEachOwnerAndBurnsOnce(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 3)
	f.rich(consumer(0))
	open := opening()
	open.Items = nil
	for n := range 3 {
		open.Items = append(open.Items, marketv1.NewItem{Offer: uint64(n + 1), Units: 10, Escrow: amount(10_000)})
	}
	lease := f.lease(t, open)
	f.Pass(100) // 100 each
	supply := f.Bank.Supply(f.Ctx, denom)
	before := []math.Int{f.balance(owner(0)), f.balance(owner(1)), f.balance(owner(2))}
	res, err := f.msg.Settle(f.Ctx, &marketv1.MsgSettle{
		Sender: stage.Spell(consumer(0)),
		Vouchers: []marketv1.Voucher{
			f.signed(session(0), func(v *marketv1.Voucher) { v.Amount = amount(300) }),
			f.signed(session(0), func(v *marketv1.Voucher) { v.Device, v.Amount = 2, amount(700) }),
			f.signed(session(0), func(v *marketv1.Voucher) { v.Seq, v.Amount = 2, amount(500) }),
		},
		Streams: []marketv1.ItemRef{{Lease: lease, Device: 3}, {Lease: lease, Device: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	// Gross: 400 and 200 to owner 0, 800 to owner 1, 100 to owner 2; fees 10, 5, 20, 3.
	for n, net := range []int64{585, 780, 97} {
		want(t, "paid", f.balance(owner(n)).Sub(before[n]), net)
	}
	want(t, "burned", supply.Sub(f.Bank.Supply(f.Ctx, denom)), 38)
	want(t, "response paid", sdk.Coins(res.Paid).AmountOf(denom), 1462)
	want(t, "response burned", sdk.Coins(res.Burned).AmountOf(denom), 38)
	f.check(t)
}

func TestFeesAtTheBounds(t *testing.T) {
	for bps, burned := range map[uint32]int64{0: 0, 1: 1, 2500: 250} {
		f := newFixture(t)
		f.params(t, func(p *marketv1.Params) { p.FeeBps = bps })
		f.sellers(t, 1)
		f.rich(consumer(0))
		lease := f.lease(t, opening())
		f.Pass(100)
		supply := f.Bank.Supply(f.Ctx, denom)
		if _, err := f.stream(marketv1.ItemRef{Lease: lease, Device: 1}); err != nil {
			t.Fatal(err)
		}
		want(t, "burned", supply.Sub(f.Bank.Supply(f.Ctx, denom)), burned)
		f.check(t)
	}
}
