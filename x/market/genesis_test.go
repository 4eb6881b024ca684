package market_test

import (
	"testing"

	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

func TestErrorCodes(t *testing.T) {
	stage.GoldenErrors(t, market.ModuleName, "testdata/errors.golden")
}

func TestGenesisThroughJSON(t *testing.T) {
	f, _ := played(t)
	module := market.NewAppModule(f.keeper)
	cdc := codec.NewProtoCodec(codectypes.NewInterfaceRegistry())
	raw := module.ExportGenesis(f.Ctx, cdc)
	if err := module.ValidateGenesis(cdc, nil, raw); err != nil {
		t.Fatal(err)
	}
	before := f.Hash()
	f.Clear(market.StoreKey)
	module.InitGenesis(f.Ctx, cdc, raw)
	if f.Hash() != before {
		t.Fatal("the store differs after export and import")
	}
}

func TestDefaultGenesisIsValidWithoutKeeper(t *testing.T) {
	module := market.NewAppModule(nil)
	cdc := codec.NewProtoCodec(codectypes.NewInterfaceRegistry())
	if err := module.ValidateGenesis(cdc, nil, module.DefaultGenesis(cdc)); err != nil {
		t.Fatal(err)
	}
}

func TestBadGenesis(t *testing.T) {
	f, _ := played(t)
	if _, err := f.stream(marketv1.ItemRef{Lease: 1, Device: 1}); err != nil { // so that there are totals
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*marketv1.GenesisState){
		"bad params":                func(g *marketv1.GenesisState) { g.Params.FeeBps = 99_999 },
		"ids from 0":                func(g *marketv1.GenesisState) { g.NextLease = 0 },
		"offer not given yet":       func(g *marketv1.GenesisState) { g.NextOffer = 1 },
		"offers out of order":       func(g *marketv1.GenesisState) { g.Offers[0], g.Offers[1] = g.Offers[1], g.Offers[0] },
		"offer without state":       func(g *marketv1.GenesisState) { g.Offers[0].State = 0 },
		"reserved is not the sum":   func(g *marketv1.GenesisState) { g.Offers[0].Reserved++ },
		"more reserved than there":  func(g *marketv1.GenesisState) { g.Offers[0].Capacity = 1 },
		"lease without key":         func(g *marketv1.GenesisState) { g.Leases[0].SessionKey = nil },
		"lease counts wrongly":      func(g *marketv1.GenesisState) { g.Leases[0].OpenItems = 2 },
		"lease closed with items":   func(g *marketv1.GenesisState) { g.Leases[0].State = marketv1.LeaseState_LEASE_STATE_CLOSED },
		"item of no lease":          func(g *marketv1.GenesisState) { g.Items[0].Lease = 9 },
		"item of another's offer":   func(g *marketv1.GenesisState) { g.Items[0].Offer = 2 },
		"item twice":                func(g *marketv1.GenesisState) { g.Items = append(g.Items, g.Items[0]) },
		"item with negative escrow": func(g *marketv1.GenesisState) { g.Items[0].Escrow = math.NewInt(-1) },
		"carry of a whole unit":     func(g *marketv1.GenesisState) { g.Items[0].Carry = g.Items[0].Stream.Per },
		"item without deadline":     func(g *marketv1.GenesisState) { g.Items[0].Deadline = 0 },
		"item without state":        func(g *marketv1.GenesisState) { g.Items[0].State = 0 },
		"order without rule":        func(g *marketv1.GenesisState) { g.Orders[0].Rule = 0 },
		"order without deadline":    func(g *marketv1.GenesisState) { g.Orders[0].Deadline = 0 },
		"order awarded to nothing":  func(g *marketv1.GenesisState) { g.Orders[0].State = marketv1.OrderState_ORDER_STATE_AWARDED },
		"bid to no order":           func(g *marketv1.GenesisState) { g.Bids[0].Order = 9 },
		"reputation of nobody":      func(g *marketv1.GenesisState) { g.Reputations = []marketv1.Reputation{{}} },
		"total without sum":         func(g *marketv1.GenesisState) { g.Totals[0].Paid = math.Int{} },
		"total in no order":         func(g *marketv1.GenesisState) { g.Totals[0], g.Totals[1] = g.Totals[1], g.Totals[0] },
		"total of two things":       func(g *marketv1.GenesisState) { g.Totals[2].Resource = "storage" },
		"total above its parts":     func(g *marketv1.GenesisState) { g.Totals[0].Burned = g.Totals[0].Burned.AddRaw(1) },
		"device's total too high":   func(g *marketv1.GenesisState) { g.Totals[2].Paid = g.Totals[2].Paid.AddRaw(1) },
		"denomination without all":  func(g *marketv1.GenesisState) { g.Totals = g.Totals[1:] },
		"paid less than its items":  func(g *marketv1.GenesisState) { g.Items[0].Streamed = g.Items[0].Streamed.AddRaw(1) },
		"closed offer for ever":     func(g *marketv1.GenesisState) { g.Offers[2].State = marketv1.OfferState_OFFER_STATE_CLOSED },
		"open lease with an end":    func(g *marketv1.GenesisState) { g.Leases[0].Deadline = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			g, err := f.keeper.ExportGenesis(f.Ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := market.ValidateGenesis(g); err != nil {
				t.Fatalf("before: %v", err)
			}
			spoil(g)
			if market.ValidateGenesis(g) == nil {
				t.Fatal("accepted")
			}
		})
	}
}
