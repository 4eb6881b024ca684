package device_test

import (
	"fmt"
	"testing"

	"github.com/cosmos/cosmos-sdk/types/module"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/x/device"
)

// upgrades collects the migrations that a module registers.
type upgrades struct {
	module.Configurator // what the module asks beyond these is a defect
	handlers            map[string]module.MigrationHandler
}

func (u *upgrades) RegisterService(*grpc.ServiceDesc, any) {}

func (u *upgrades) RegisterMigration(name string, from uint64, handler module.MigrationHandler) error {
	u.handlers[fmt.Sprintf("%s from %d", name, from)] = handler
	return nil
}

// asOfVersion1 is params as the first version wrote them: fields 1 to 4.
func asOfVersion1(tb testing.TB, params devicev1.Params) (old []byte) {
	tb.Helper()
	raw, err := params.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	for len(raw) > 0 {
		number, kind, tag := protowire.ConsumeTag(raw)
		value := protowire.ConsumeFieldValue(number, kind, raw[tag:])
		if tag < 0 || value < 0 {
			tb.Fatal("params do not parse")
		}
		if number <= 4 {
			old = append(old, raw[:tag+value]...)
		}
		raw = raw[tag+value:]
	}
	return old
}

// TestParamsOfVersion1AreCompleted: what governance had set stays, what did not exist gets its default, and the
// state is whole: it can be voted on, exported and imported.
func TestParamsOfVersion1AreCompleted(t *testing.T) {
	f := newFixture(t)
	want := device.DefaultParams()
	want.UnbondingSeconds, want.MaxDevicesPerOwner, want.Kinds = 77, 5, []string{"storage"}
	store := f.Store(device.StoreKey).OpenKVStore(f.Ctx)
	if err := store.Set([]byte{0}, asOfVersion1(t, want)); err != nil {
		t.Fatal(err)
	}
	before, err := f.keeper.Params(f.Ctx)
	if err != nil || before.UnbondingSeconds != 77 || before.AppealSeconds != 0 {
		t.Fatalf("not params of version 1: %+v, %v", before, err)
	}

	app := device.NewAppModule(f.keeper)
	u := &upgrades{handlers: make(map[string]module.MigrationHandler)}
	if err := app.RegisterServices(u); err != nil {
		t.Fatal(err)
	}
	if got := len(u.handlers); got != int(app.ConsensusVersion())-1 {
		t.Fatalf("%d migrations to version %d", got, app.ConsensusVersion())
	}
	if err := u.handlers["device from 1"](f.Ctx); err != nil {
		t.Fatal(err)
	}
	after, err := f.keeper.Params(f.Ctx)
	if err != nil || after.String() != want.String() {
		t.Fatalf("params %s, %v; want %s", after.String(), err, want.String())
	}
	g, err := f.keeper.ExportGenesis(f.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := device.ValidateGenesis(g); err != nil {
		t.Fatal(err)
	}
}
