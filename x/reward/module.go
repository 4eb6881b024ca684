package reward

import (
	"context"

	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/types/module"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
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

// AppModule is the module as the application wires it. The end of an epoch reaches it through x/audit.
type AppModule struct {
	modkit.Module[rewardv1.GenesisState, *rewardv1.GenesisState]
	k *Keeper
}

// NewAppModule makes the module of a keeper. With a nil keeper it serves for what needs no
// state: codecs, default genesis, command line.
func NewAppModule(k *Keeper) AppModule {
	return AppModule{modkit.New[rewardv1.GenesisState, *rewardv1.GenesisState](modkit.Spec[rewardv1.GenesisState]{
		Name:    ModuleName,
		Version: consensusVersion,
		Msg:     &rewardv1.Msg_serviceDesc,
		Services: func(registrar grpc.ServiceRegistrar) {
			registrar.RegisterService(&rewardv1.Msg_serviceDesc, NewMsgServer(k))
			registrar.RegisterService(&rewardv1.Query_serviceDesc, NewQueryServer(k))
		},
		Gateway: func(ctx context.Context, mux *gwruntime.ServeMux, client client.Context) error {
			return rewardv1.RegisterQueryHandlerClient(ctx, mux, rewardv1.NewQueryClient(client))
		},
		Default:  DefaultGenesis,
		Validate: ValidateGenesis,
		Init:     k.InitGenesis,
		Export:   k.ExportGenesis,
	}), k}
}

// EndBlock removes what is no longer kept.
func (m AppModule) EndBlock(ctx context.Context) error { return m.k.EndBlock(ctx) }
