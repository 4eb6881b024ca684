package market_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"
	"pgregory.net/rapid"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// INV-ESCROW, INV-RESERVED, INV-ITEMS, INV-DEADLINE, INV-TOTALS, INV-DEPOSIT and the conservation of
// coins hold after any sequence of messages by anyone, blocks, accounts that cannot be paid, and
// restarts through genesis; a message that fails changes nothing; what the totals say was burned is
// what the supply has lost; and once time has run out for everything, nothing is left in the market's
// account but what a stranger sent there, and nothing in its state but totals, reputations and open
// offers.
func TestMarketStateMachine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFixture(t)
		f.sellers(t, 3)
		f.params(t, func(p *marketv1.Params) {
			p.GraceSeconds, p.DeadlinesPerBlock, p.MaxBidsPerOrder, p.MaxItemsPerLease = 50, 3, 2, 4
			p.RetentionSeconds = 3600
		})
		f.rich(consumer(0), consumer(1))
		gift := sdk.NewInt64Coin(denom, 7)
		f.Bank.Mint(f.Ctx, consumer(0), gift)
		if err := f.Bank.SendCoinsFromAccountToModule(f.Ctx, consumer(0), "market", sdk.NewCoins(gift)); err != nil {
			t.Fatal(err)
		}
		supply := f.Bank.Supply(f.Ctx, denom)
		burned := func() {
			_, fees, err := f.keeper.Settled(f.Ctx, 0)
			if lost := supply.Sub(f.Bank.Supply(f.Ctx, denom)); err != nil || !fees.Equal(lost) {
				r.Fatalf("the totals say %s were burned (%v), the supply has lost %s", fees, err, lost)
			}
		}
		try := func(msg proto.Message) error {
			before := f.Hash()
			err := stage.Deliver(f.Ctx, &marketv1.Msg_serviceDesc, f.msg, msg)
			if err != nil && f.Hash() != before {
				r.Fatalf("%T gives %v, and the state has changed", msg, err)
			}
			return err
		}
		// What is drawn is mostly what exists and its own account's, at times neither.
		rarely := func(label string) bool { return rapid.IntRange(0, 9).Draw(r, "stray "+label) == 0 }
		state := func() *marketv1.GenesisState {
			g, err := f.keeper.ExportGenesis(f.Ctx)
			if err != nil {
				r.Fatalf("%v", err)
			}
			return g
		}
		money := func(label string) math.Int {
			if rarely(label) {
				return amount(rapid.Int64Range(-1, 1).Draw(r, label))
			}
			return amount(rapid.Int64Range(1, 5000).Draw(r, label))
		}
		price := func(label string) marketv1.Price {
			return priced(rapid.Int64Range(0, 3).Draw(r, label), rapid.Uint64Range(20, 50).Draw(r, label+" per"))
		}
		units := func() uint64 { return rapid.Uint64Range(0, 300).Draw(r, "units") }
		seconds := func(label string) int64 { return rapid.Int64Range(0, 400).Draw(r, label) }
		runner := func(device uint64) string {
			if rarely("operator") {
				return stage.Spell(operator(9))
			}
			return stage.Spell(operator(int(device) - 1))
		}
		offer := func() marketv1.Offer { return rapid.SampledFrom(state().Offers).Draw(r, "offer") }
		items := func(least, most int) []marketv1.NewItem {
			offers := state().Offers
			return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) marketv1.NewItem {
				return marketv1.NewItem{Offer: rapid.SampledFrom(offers).Draw(r, "offer").Id, Units: units(), Escrow: money("escrow")}
			}), least, most).Draw(r, "items")
		}
		// item draws an item that is not closed, if there is one, and its lease.
		item := func() (marketv1.Lease, marketv1.LeaseItem, bool) {
			g := state()
			live := slices.DeleteFunc(g.Items, func(i marketv1.LeaseItem) bool {
				return i.State == marketv1.ItemState_ITEM_STATE_CLOSED && !rarely("closed item")
			})
			if len(live) == 0 {
				return marketv1.Lease{}, marketv1.LeaseItem{}, false
			}
			i := rapid.SampledFrom(live).Draw(r, "item")
			l := g.Leases[slices.IndexFunc(g.Leases, func(l marketv1.Lease) bool { return l.Id == i.Lease })]
			if rarely("consumer") {
				l.Consumer = stage.Spell(consumer(2))
			}
			return l, i, true
		}
		order := func() (marketv1.Order, bool) {
			live := slices.DeleteFunc(state().Orders, func(o marketv1.Order) bool {
				return o.State != marketv1.OrderState_ORDER_STATE_OPEN && !rarely("order that is over")
			})
			if len(live) == 0 {
				return marketv1.Order{}, false
			}
			return rapid.SampledFrom(live).Draw(r, "order"), true
		}
		// A session key is told by its public half, as in the lease.
		private := func(l marketv1.Lease) ed25519.PrivateKey {
			for n := range 2 {
				if bytes.Equal(l.SessionKey, sessionKey(n)) && !rarely("key") {
					return session(n)
				}
			}
			return session(9)
		}
		r.Repeat(map[string]func(*rapid.T){
			"create offer": func(r *rapid.T) {
				msg := offering(rapid.IntRange(0, 2).Draw(r, "device"))
				msg.Stream, msg.Metered, msg.MinSeconds, msg.MaxSeconds = price("stream"), price("metered"), seconds("min")/10, seconds("max")
				_ = try(msg)
			},
			"update offer": func(r *rapid.T) {
				o := offer()
				_ = try(&marketv1.MsgUpdateOffer{Operator: runner(o.Device), Id: o.Id, Stream: price("stream"), Metered: price("metered"), Capacity: 500 + units()})
			},
			"close offer": func(r *rapid.T) {
				if o := offer(); rarely("close") {
					_ = try(&marketv1.MsgCloseOffer{Operator: runner(o.Device), Id: o.Id})
				}
			},
			"open lease": func(r *rapid.T) {
				n := rapid.IntRange(0, 1).Draw(r, "consumer")
				_ = try(&marketv1.MsgOpenLease{Consumer: stage.Spell(consumer(n)), SessionKey: sessionKey(n), Items: items(1, 3), Seconds: 20 + seconds("seconds")})
			},
			"amend lease": func(r *rapid.T) {
				l, i, some := item()
				if !some {
					return
				}
				msg := &marketv1.MsgAmendLease{Consumer: l.Consumer, Id: l.Id, Items: items(0, 1)}
				if rapid.Bool().Draw(r, "longer") {
					msg.Seconds = seconds("seconds")
				}
				if rapid.Bool().Draw(r, "top up") {
					msg.Items = nil
					msg.TopUps = append(msg.TopUps, marketv1.TopUp{Device: i.Device, Escrow: money("escrow"), Units: units()})
				}
				_ = try(msg)
			},
			"close items": func(r *rapid.T) {
				if l, i, some := item(); some {
					_ = try(&marketv1.MsgCloseLease{Sender: l.Consumer, Id: l.Id, Devices: []uint64{i.Device}})
				}
			},
			"close lease": func(r *rapid.T) {
				if l, _, some := item(); some {
					_ = try(&marketv1.MsgCloseLease{Sender: l.Consumer, Id: l.Id})
				}
			},
			"leave": func(r *rapid.T) {
				if _, i, some := item(); some {
					_ = try(&marketv1.MsgCloseLease{Sender: runner(i.Device), Id: i.Lease, Devices: []uint64{i.Device}})
				}
			},
			"settle": func(r *rapid.T) {
				msg := &marketv1.MsgSettle{Sender: stage.Spell(operator(0)), AcceptPartial: rapid.Bool().Draw(r, "partial")}
				for range rapid.IntRange(0, 3).Draw(r, "vouchers") {
					l, i, some := item()
					if !some {
						return
					}
					msg.Vouchers = append(msg.Vouchers, f.signed(private(l), func(v *marketv1.Voucher) {
						v.Lease, v.Device = i.Lease, i.Device
						v.Seq = i.Seq + rapid.Uint64Range(0, 2).Draw(r, "seq")
						v.Amount = i.Vouched.Add(money("amount").QuoRaw(4))
						v.Units = i.VouchedUnits + rapid.Uint64Range(0, 2).Draw(r, "delivered")
					}))
				}
				least := 0
				if len(msg.Vouchers) == 0 {
					least = 1
				}
				for range rapid.IntRange(least, 2).Draw(r, "streams") {
					if _, i, some := item(); some {
						msg.Streams = append(msg.Streams, marketv1.ItemRef{Lease: i.Lease, Device: i.Device})
					}
				}
				_ = try(msg)
			},
			"create order": func(r *rapid.T) {
				msg := ordering(rapid.SampledFrom([]marketv1.AwardRule{lowest, byChoice}).Draw(r, "rule"))
				n := rapid.IntRange(0, 1).Draw(r, "consumer")
				msg.Consumer, msg.SessionKey = stage.Spell(consumer(n)), sessionKey(n)
				msg.Units, msg.Escrow, msg.Seconds, msg.BiddingSeconds = units(), money("escrow"), seconds("seconds"), seconds("bidding")
				msg.Devices = uint32(rapid.IntRange(1, 3).Draw(r, "devices"))
				msg.MinDevices = uint32(rapid.IntRange(0, 2).Draw(r, "at least"))
				_ = try(msg)
			},
			"cancel order": func(r *rapid.T) {
				if o, some := order(); some && rarely("cancel") {
					_ = try(&marketv1.MsgCancelOrder{Consumer: o.Consumer, Id: o.Id})
				}
			},
			"bid": func(r *rapid.T) {
				if o, some := order(); some {
					with := offer()
					_ = try(&marketv1.MsgPlaceBid{Operator: runner(with.Device), Order: o.Id, Offer: with.Id, Stream: price("stream"), Metered: price("metered")})
				}
			},
			"award": func(r *rapid.T) {
				o, some := order()
				if !some {
					return
				}
				var bidders []uint64
				for _, b := range state().Bids {
					if b.Order == o.Id {
						bidders = append(bidders, b.Device)
					}
				}
				_ = try(&marketv1.MsgAward{Consumer: o.Consumer, Order: o.Id, Devices: bidders})
			},
			"transfer device": func(r *rapid.T) {
				n := rapid.IntRange(0, 2).Draw(r, "device")
				d, err := f.devices.Device(f.Ctx, uint64(n+1))
				if err != nil {
					r.Fatalf("%v", err)
				}
				to := stage.Spell(owner(rapid.IntRange(0, 2).Draw(r, "to")))
				if _, err := f.deviceMsg.Transfer(f.Ctx, &devicev1.MsgTransfer{Owner: d.Owner, Id: d.Id, NewOwner: to}); err == nil {
					if _, err := f.deviceMsg.AcceptTransfer(f.Ctx, &devicev1.MsgAcceptTransfer{NewOwner: to, Id: d.Id, Operator: d.Operator}); err != nil {
						r.Fatalf("%v", err)
					}
				}
			},
			"jail device": func(r *rapid.T) {
				if err := f.devices.Jail(f.Ctx, rapid.Uint64Range(1, 3).Draw(r, "device"), f.Now()+seconds("term")); err != nil {
					r.Fatalf("%v", err)
				}
			},
			"retire device": func(r *rapid.T) {
				d, err := f.devices.Device(f.Ctx, rapid.Uint64Range(1, 3).Draw(r, "device"))
				if err != nil {
					r.Fatalf("%v", err)
				}
				if !rarely("retire") {
					return
				}
				obliged, err := f.keeper.Obliged(f.Ctx, d.Id)
				if err != nil {
					r.Fatalf("%v", err)
				}
				res, err := f.deviceMsg.Retire(f.Ctx, &devicev1.MsgRetire{Owner: d.Owner, Id: d.Id})
				if err == nil && res.State == devicev1.DeviceState_DEVICE_STATE_RETIRED && obliged {
					r.Fatalf("device %d has retired and left its items", d.Id)
				}
			},
			"refuse payment": func(r *rapid.T) {
				f.Pass(seconds("seconds"))
				refused := owner(rapid.IntRange(0, 2).Draw(r, "whose"))
				f.Bank.Refuse = func(to sdk.AccAddress) error {
					if to.Equals(refused) {
						panic("account cannot be paid")
					}
					return nil
				}
				f.block(r, 1)
				f.Bank.Refuse = nil
			},
			"block":   func(r *rapid.T) { f.block(r, rapid.Int64Range(1, 60).Draw(r, "seconds")) },
			"sleep":   func(r *rapid.T) { f.Pass(seconds("seconds")) },
			"long":    func(r *rapid.T) { f.Pass(10 * seconds("seconds")) },
			"restart": func(r *rapid.T) { f.restart(r) },
			"":        func(r *rapid.T) { f.check(r); burned() },
		})

		// Everything comes to its end: nothing is ever stranded, and nothing stays for ever.
		for range 200 {
			f.block(r, 1000)
		}
		f.check(r)
		burned()
		if g := state(); len(g.Leases)+len(g.Items)+len(g.Orders)+len(g.Bids) > 0 {
			r.Fatalf("%d leases, %d items, %d orders and %d bids are never removed", len(g.Leases), len(g.Items), len(g.Orders), len(g.Bids))
		}
		if left := f.Bank.GetBalance(f.Ctx, moduleAccount, denom); !left.Equal(gift) {
			r.Fatalf("%s is left in the market's account, want %s", left, gift)
		}
	})
}
