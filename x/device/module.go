package device

import (
	"context"

	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/types/module"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// consensusVersion is the version of the state layout.
const consensusVersion = 2

var (
	_ appmodule.AppModule   = AppModule{}
	_ appmodule.HasServices = AppModule{}
	_ module.HasGenesis     = AppModule{}
	_ module.AppModuleBasic = AppModule{}
)

// AppModule is the module as the application wires it. It has no begin or end of block.
type AppModule struct {
	modkit.Module[devicev1.GenesisState, *devicev1.GenesisState]
}

// NewAppModule makes the module of a keeper. With a nil keeper it serves for what needs no
// state: codecs, default genesis, command line.
func NewAppModule(k *Keeper) AppModule {
	return AppModule{modkit.New[devicev1.GenesisState, *devicev1.GenesisState](modkit.Spec[devicev1.GenesisState]{
		Name:       ModuleName,
		Version:    consensusVersion,
		Migrations: []func(context.Context) error{k.fillParams},
		Msg:        &devicev1.Msg_serviceDesc,
		Services: func(registrar grpc.ServiceRegistrar) {
			registrar.RegisterService(&devicev1.Msg_serviceDesc, NewMsgServer(k))
			registrar.RegisterService(&devicev1.Query_serviceDesc, NewQueryServer(k))
		},
		Gateway: func(ctx context.Context, mux *gwruntime.ServeMux, client client.Context) error {
			return devicev1.RegisterQueryHandlerClient(ctx, mux, devicev1.NewQueryClient(client))
		},
		Default:  DefaultGenesis,
		Validate: ValidateGenesis,
		Init:     k.InitGenesis,
		Export:   k.ExportGenesis,
	})}
}
