package device_test

import (
	"testing"

	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
)

func TestErrorCodes(t *testing.T) {
	stage.GoldenErrors(t, device.ModuleName, "testdata/errors.golden")
}

func TestGenesisThroughJSON(t *testing.T) {
	f, _ := played(t)
	module := device.NewAppModule(f.keeper)
	cdc := codec.NewProtoCodec(codectypes.NewInterfaceRegistry())
	raw := module.ExportGenesis(f.Ctx, cdc)
	if err := module.ValidateGenesis(cdc, nil, raw); err != nil {
		t.Fatal(err)
	}
	before := f.Hash()
	f.Clear(device.StoreKey)
	module.InitGenesis(f.Ctx, cdc, raw)
	if f.Hash() != before {
		t.Fatal("the store differs after export and import")
	}
}

func TestDefaultGenesisIsValidWithoutKeeper(t *testing.T) {
	module := device.NewAppModule(nil)
	cdc := codec.NewProtoCodec(codectypes.NewInterfaceRegistry())
	if err := module.ValidateGenesis(cdc, nil, module.DefaultGenesis(cdc)); err != nil {
		t.Fatal(err)
	}
}

func TestBadGenesis(t *testing.T) {
	f, _ := played(t)
	for name, spoil := range map[string]func(*devicev1.GenesisState){
		"bad params":             func(g *devicev1.GenesisState) { g.Params.Kinds = nil },
		"ids from 0":             func(g *devicev1.GenesisState) { g.NextId = 0 },
		"id not given yet":       func(g *devicev1.GenesisState) { g.NextId = 2 },
		"ids out of order":       func(g *devicev1.GenesisState) { g.Devices[0], g.Devices[1] = g.Devices[1], g.Devices[0] },
		"id twice":               func(g *devicev1.GenesisState) { g.Devices[1].Id = 1 },
		"key twice":              func(g *devicev1.GenesisState) { g.Devices[1].Pubkey = g.Devices[0].Pubkey },
		"no owner":               func(g *devicev1.GenesisState) { g.Devices[0].Owner = "" },
		"no state":               func(g *devicev1.GenesisState) { g.Devices[0].State = 0 },
		"unknown state":          func(g *devicev1.GenesisState) { g.Devices[0].State = 77 },
		"negative bond":          func(g *devicev1.GenesisState) { g.Devices[0].Bond.Amount = math.NewInt(-1) },
		"deposit without amount": func(g *devicev1.GenesisState) { g.Devices[0].Deposit.Amount = math.Int{} },
		"bad key":                func(g *devicev1.GenesisState) { g.Devices[0].Pubkey.Key = nil },
		"bad endpoint":           func(g *devicev1.GenesisState) { g.Devices[0].Endpoint = "x" },
		"owner's nonce twice":    func(g *devicev1.GenesisState) { g.Nonces = append(g.Nonces, g.Nonces[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			g, err := f.keeper.ExportGenesis(f.Ctx)
			if err != nil {
				t.Fatal(err)
			}
			spoil(g)
			if device.ValidateGenesis(g) == nil {
				t.Fatal("accepted")
			}
		})
	}
}
