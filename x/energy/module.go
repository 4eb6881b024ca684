package energy

import (
	"context"

	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/types/module"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// consensusVersion is the version of the state layout.
const consensusVersion = 1

var (
	_ appmodule.AppModule     = AppModule{}
	_ appmodule.HasServices   = AppModule{}
	_ appmodule.HasEndBlocker = AppModule{}
	_ module.HasGenesis       = AppModule{}
	_ module.AppModuleBasic   = AppModule{}
)

// AppModule is the module as the application wires it. The end of a block works off deadlines.
type AppModule struct {
	modkit.Module[energyv1.GenesisState, *energyv1.GenesisState]
	keeper *Keeper
}

// NewAppModule makes the module of a keeper. With a nil keeper it serves for what needs no
// state: codecs, default genesis, command line.
func NewAppModule(k *Keeper) AppModule {
	return AppModule{Module: modkit.New[energyv1.GenesisState, *energyv1.GenesisState](modkit.Spec[energyv1.GenesisState]{
		Name:    ModuleName,
		Version: consensusVersion,
		Msg:     &energyv1.Msg_serviceDesc,
		Services: func(registrar grpc.ServiceRegistrar) {
			registrar.RegisterService(&energyv1.Msg_serviceDesc, NewMsgServer(k))
			registrar.RegisterService(&energyv1.Query_serviceDesc, NewQueryServer(k))
		},
		Gateway: func(ctx context.Context, mux *gwruntime.ServeMux, client client.Context) error {
			return energyv1.RegisterQueryHandlerClient(ctx, mux, energyv1.NewQueryClient(client))
		},
		Default:  DefaultGenesis,
		Validate: ValidateGenesis,
		Init:     k.InitGenesis,
		Export:   k.ExportGenesis,
	}), keeper: k}
}

// EndBlock works off deadlines.
func (m AppModule) EndBlock(ctx context.Context) error { return m.keeper.EndBlock(ctx) }
