package audit

import (
	"context"

	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/types/module"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// consensusVersion is the version of the state layout.
const consensusVersion = 1

var (
	_ appmodule.AppModule   = AppModule{}
	_ appmodule.HasServices = AppModule{}
	_ module.HasGenesis     = AppModule{}
	_ module.AppModuleBasic = AppModule{}
)

// AppModule is the module as the application wires it. The application calls Keeper.Advance itself, as no
// module sees the votes in a block.
type AppModule struct {
	modkit.Module[auditv1.GenesisState, *auditv1.GenesisState]
}

// NewAppModule makes the module of a keeper. With a nil keeper it serves for what needs no
// state: codecs, default genesis, command line.
func NewAppModule(k *Keeper) AppModule {
	return AppModule{modkit.New[auditv1.GenesisState, *auditv1.GenesisState](modkit.Spec[auditv1.GenesisState]{
		Name:    ModuleName,
		Version: consensusVersion,
		Msg:     &auditv1.Msg_serviceDesc,
		Services: func(registrar grpc.ServiceRegistrar) {
			registrar.RegisterService(&auditv1.Msg_serviceDesc, NewMsgServer(k))
			registrar.RegisterService(&auditv1.Query_serviceDesc, NewQueryServer(k))
		},
		Gateway: func(ctx context.Context, mux *gwruntime.ServeMux, client client.Context) error {
			return auditv1.RegisterQueryHandlerClient(ctx, mux, auditv1.NewQueryClient(client))
		},
		Default:  DefaultGenesis,
		Validate: ValidateGenesis,
		Init:     k.InitGenesis,
		Export:   k.ExportGenesis,
	})}
}
