package storage

import (
	"context"

	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/types/module"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
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

// AppModule is the module as the application wires it. The end of a block forgets old rows.
type AppModule struct {
	modkit.Module[storagev1.GenesisState, *storagev1.GenesisState]
	keeper *Keeper
}

// NewAppModule makes the module of a keeper. With a nil keeper it serves for what needs no
// state: codecs, default genesis, command line.
func NewAppModule(k *Keeper) AppModule {
	return AppModule{Module: modkit.New[storagev1.GenesisState, *storagev1.GenesisState](modkit.Spec[storagev1.GenesisState]{
		Name:    ModuleName,
		Version: consensusVersion,
		Msg:     &storagev1.Msg_serviceDesc,
		Services: func(registrar grpc.ServiceRegistrar) {
			registrar.RegisterService(&storagev1.Msg_serviceDesc, NewMsgServer(k))
			registrar.RegisterService(&storagev1.Query_serviceDesc, NewQueryServer(k))
		},
		Gateway: func(ctx context.Context, mux *gwruntime.ServeMux, client client.Context) error {
			return storagev1.RegisterQueryHandlerClient(ctx, mux, storagev1.NewQueryClient(client))
		},
		Default:  DefaultGenesis,
		Validate: ValidateGenesis,
		Init:     k.InitGenesis,
		Export:   k.ExportGenesis,
	}), keeper: k}
}

// EndBlock forgets rows that are too old for anyone.
func (m AppModule) EndBlock(ctx context.Context) error { return m.keeper.EndBlock(ctx) }
