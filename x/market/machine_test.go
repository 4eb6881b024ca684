package market_test

import (
	"crypto/ed25519"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"
	"pgregory.net/rapid"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// INV-ESCROW, INV-RESERVED, INV-ITEMS, INV-DEADLINE, INV-DEPOSIT and the conservation of coins hold
// after any sequence of messages by anyone, blocks, accounts that cannot be paid, and restarts
// through genesis; a message that fails changes nothing; and once time has run out for everything,
// nothing is left in the market's account but what a stranger sent there.
func TestMarketStateMachine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFixture(t)
		f.sellers(t, 3)
		f.params(t, func(p *marketv1.Params) {
			p.GraceSeconds, p.DeadlinesPerBlock, p.MaxBidsPerOrder, p.MaxItemsPerLease = 50, 3, 2, 4
		})
		f.rich(consumer(0), consumer(1))
		gift := sdk.NewInt64Coin(denom, 7)
		f.Bank.Mint(f.Ctx, consumer(0), gift)
		if err := f.Bank.SendCoinsFromAccountToModule(f.Ctx, consumer(0), "market", sdk.NewCoins(gift)); err != nil {
			t.Fatal(err)
		}
		try := func(msg proto.Message) error {
			before := f.Hash()
			err := f.handle(msg)
			if err != nil && f.Hash() != before {
				r.Fatalf("%T gives %v, and the state has changed", msg, err)
			}
			return err
		}
		// Mostly what exists, at times what does not; mostly whose it is, at times not.
		id := func(label string, most uint64) uint64 { return rapid.Uint64Range(1, most+1).Draw(r, label) }
		buyer := func() (sdk.AccAddress, int) {
			n := rapid.IntRange(0, 1).Draw(r, "consumer")
			return consumer(n), n
		}
		runner := func() string {
			n := rapid.IntRange(0, 2).Draw(r, "operator")
			return stage.Spell(operator(n))
		}
		money := func(label string) math.Int { return amount(rapid.Int64Range(-1, 5000).Draw(r, label)) }
		price := func(label string) marketv1.Price {
			return priced(rapid.Int64Range(0, 20).Draw(r, label), rapid.Uint64Range(1, 30).Draw(r, label+" per"))
		}
		units := func() uint64 { return rapid.Uint64Range(0, 600).Draw(r, "units") }
		seconds := func(label string) int64 { return rapid.Int64Range(0, 400).Draw(r, label) }
		items := func(most int) []marketv1.NewItem {
			return rapid.SliceOfN(rapid.Custom(func(*rapid.T) marketv1.NewItem {
				return marketv1.NewItem{Offer: id("offer", 4), Units: units(), Escrow: money("escrow")}
			}), 0, most).Draw(r, "items")
		}
		devices := func() []uint64 {
			return rapid.SliceOfN(rapid.Uint64Range(1, 4), 0, 3).Draw(r, "devices")
		}
		keys := map[uint64]ed25519.PrivateKey{} // of leases opened
		seq := uint64(0)
		r.Repeat(map[string]func(*rapid.T){
			"create offer": func(r *rapid.T) {
				msg := offering(rapid.IntRange(0, 2).Draw(r, "device"))
				msg.Stream, msg.Metered, msg.MinSeconds, msg.MaxSeconds = price("stream"), price("metered"), seconds("min"), seconds("max")
				_ = try(msg)
			},
			"update offer": func(r *rapid.T) {
				_ = try(&marketv1.MsgUpdateOffer{Operator: runner(), Id: id("offer", 4), Stream: price("stream"), Metered: price("metered"), Capacity: units()})
			},
			"close offer": func(r *rapid.T) {
				if rapid.IntRange(0, 3).Draw(r, "rarely") == 0 {
					_ = try(&marketv1.MsgCloseOffer{Operator: runner(), Id: id("offer", 4)})
				}
			},
			"open lease": func(r *rapid.T) {
				who, n := buyer()
				before := f.Hash()
				res, err := f.msg.OpenLease(f.Ctx, &marketv1.MsgOpenLease{Consumer: stage.Spell(who), SessionKey: sessionKey(n), Items: items(4), Seconds: seconds("seconds")})
				if err == nil {
					keys[res.Id] = session(n)
				} else if f.Hash() != before {
					r.Fatalf("%v, and the state has changed", err)
				}
			},
			"amend lease": func(r *rapid.T) {
				who, _ := buyer()
				msg := &marketv1.MsgAmendLease{Consumer: stage.Spell(who), Id: id("lease", 3), Items: items(1), Seconds: seconds("seconds")}
				for range rapid.IntRange(0, 2).Draw(r, "top ups") {
					msg.TopUps = append(msg.TopUps, marketv1.TopUp{Device: id("device", 3), Escrow: money("escrow"), Units: units()})
				}
				_ = try(msg)
			},
			"close lease": func(r *rapid.T) {
				who, _ := buyer()
				_ = try(&marketv1.MsgCloseLease{Sender: stage.Spell(who), Id: id("lease", 3), Devices: devices()})
			},
			"leave": func(r *rapid.T) {
				_ = try(&marketv1.MsgCloseLease{Sender: runner(), Id: id("lease", 3), Devices: []uint64{id("device", 3)}})
			},
			"settle": func(r *rapid.T) {
				msg := &marketv1.MsgSettle{Sender: runner(), AcceptPartial: rapid.Bool().Draw(r, "partial")}
				for range rapid.IntRange(0, 3).Draw(r, "vouchers") {
					lease := id("lease", 3)
					private, known := keys[lease]
					if !known {
						private = session(9)
					}
					seq += rapid.Uint64Range(0, 2).Draw(r, "seq")
					msg.Vouchers = append(msg.Vouchers, f.signed(private, func(v *marketv1.Voucher) {
						v.Lease, v.Device, v.Seq, v.Amount, v.Units = lease, id("device", 3), seq, money("amount"), seq
					}))
				}
				for range rapid.IntRange(0, 2).Draw(r, "streams") {
					msg.Streams = append(msg.Streams, marketv1.ItemRef{Lease: id("lease", 3), Device: id("device", 3)})
				}
				_ = try(msg)
			},
			"create order": func(r *rapid.T) {
				msg := ordering(rapid.SampledFrom([]marketv1.AwardRule{lowest, byChoice}).Draw(r, "rule"))
				who, n := buyer()
				msg.Consumer, msg.SessionKey = stage.Spell(who), sessionKey(n)
				msg.Units, msg.Escrow, msg.Seconds, msg.BiddingSeconds = units(), money("escrow"), seconds("seconds"), seconds("bidding")
				msg.Devices, msg.MinDevices = uint32(rapid.IntRange(0, 3).Draw(r, "devices")), uint32(rapid.IntRange(0, 2).Draw(r, "at least"))
				_ = try(msg)
			},
			"cancel order": func(r *rapid.T) {
				who, _ := buyer()
				_ = try(&marketv1.MsgCancelOrder{Consumer: stage.Spell(who), Id: id("order", 3)})
			},
			"bid": func(r *rapid.T) {
				_ = try(&marketv1.MsgPlaceBid{Operator: runner(), Order: id("order", 3), Offer: id("offer", 4), Stream: price("stream"), Metered: price("metered")})
			},
			"award": func(r *rapid.T) {
				who, n := buyer()
				before := f.Hash()
				res, err := f.msg.Award(f.Ctx, &marketv1.MsgAward{Consumer: stage.Spell(who), Order: id("order", 3), Devices: devices()})
				if err == nil {
					keys[res.Lease] = session(n)
				} else if f.Hash() != before {
					r.Fatalf("%v, and the state has changed", err)
				}
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
			"refuse payment": func(r *rapid.T) {
				refused := owner(rapid.IntRange(0, 5).Draw(r, "whose")) // three of six own nothing
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
			"restart": func(r *rapid.T) { f.restart(r) },
			"":        func(r *rapid.T) { f.check(r) },
		})

		// Everything comes to its end: nothing is ever stranded.
		for range 200 {
			f.block(r, 1000)
		}
		f.check(r)
		if left := f.Bank.GetBalance(f.Ctx, moduleAccount, denom); !left.IsEqual(gift) {
			r.Fatalf("%s is left in the market's account, want %s", left, gift)
		}
	})
}
