package market

import (
	"context"

	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/types/module"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// consensusVersion is the version of the state layout.
const consensusVersion = 1

var (
	_ appmodule.AppModule   = AppModule{}
	_ appmodule.HasServices = AppModule{}
	_ module.HasGenesis     = AppModule{}
	_ module.AppModuleBasic = AppModule{}

	_ appmodule.HasEndBlocker = AppModule{}
)

// AppModule is the module as the application wires it. At the end of a block it works off
// deadlines.
type AppModule struct {
	modkit.Module[marketv1.GenesisState, *marketv1.GenesisState]

	keeper *Keeper
}

// EndBlock works off the deadlines whose time has come.
func (m AppModule) EndBlock(ctx context.Context) error { return m.keeper.EndBlock(ctx) }

// NewAppModule makes the module of a keeper. With a nil keeper it serves for what needs no
// state: codecs, default genesis, command line.
func NewAppModule(k *Keeper) AppModule {
	return AppModule{keeper: k, Module: modkit.New[marketv1.GenesisState, *marketv1.GenesisState](modkit.Spec[marketv1.GenesisState]{
		Name:    ModuleName,
		Version: consensusVersion,
		Msg:     &marketv1.Msg_serviceDesc,
		Services: func(registrar grpc.ServiceRegistrar) {
			registrar.RegisterService(&marketv1.Msg_serviceDesc, NewMsgServer(k))
			registrar.RegisterService(&marketv1.Query_serviceDesc, NewQueryServer(k))
		},
		Gateway: func(ctx context.Context, mux *gwruntime.ServeMux, client client.Context) error {
			return marketv1.RegisterQueryHandlerClient(ctx, mux, marketv1.NewQueryClient(client))
		},
		Default:  DefaultGenesis,
		Validate: ValidateGenesis,
		Init:     k.InitGenesis,
		Export:   k.ExportGenesis,
	})}
}
