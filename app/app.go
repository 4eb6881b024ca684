package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
	reflectionv1 "cosmossdk.io/api/cosmos/reflection/v1"
	"cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	nodeservice "github.com/cosmos/cosmos-sdk/client/grpc/node"
	"github.com/cosmos/cosmos-sdk/codec"
	runtimeservices "github.com/cosmos/cosmos-sdk/runtime/services"
	"github.com/cosmos/cosmos-sdk/server/api"
	serverconfig "github.com/cosmos/cosmos-sdk/server/config"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkmempool "github.com/cosmos/cosmos-sdk/types/mempool"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	evmante "github.com/cosmos/evm/ante"
	evmmempool "github.com/cosmos/evm/mempool"
	evmserver "github.com/cosmos/evm/server"
	evmflags "github.com/cosmos/evm/server/flags"
	"github.com/cosmos/gogoproto/proto"
	ibctm "github.com/cosmos/ibc-go/v11/modules/light-clients/07-tendermint"
	"github.com/spf13/cast"

	"github.com/cairn-network/cairn/internal/buildinfo"
)

// App is the state machine. Its zero value is useless; New makes one.
type App struct {
	*baseapp.BaseApp
	Keepers

	encoding     Encoding
	keys         map[string]*storetypes.KVStoreKey
	objectKeys   map[string]*storetypes.ObjectStoreKey
	manager      *module.Manager
	configurator module.Configurator

	lightClient  ibctm.LightClientModule
	beaconSigner BeaconSigner

	mempool            *evmmempool.Mempool
	closeMempool       sync.Once
	closeMempoolErr    error
	pendingTxListeners []evmante.PendingTxListener
}

var _ evmserver.Application = (*App)(nil)

// New builds the application over db and loads its latest state. options are the node's settings as
// app.toml and flags name them; evm.evm-chain-id must be set. An application owns goroutines (its
// mempool's): Close ends them and closes db.
func New(logger log.Logger, db dbm.DB, options servertypes.AppOptions, baseOptions ...func(*baseapp.BaseApp)) (*App, error) {
	app, err := build(logger, db, options, baseOptions...)
	if err != nil {
		return nil, err
	}
	if err := app.LoadLatestVersion(); err != nil {
		return nil, errors.Join(fmt.Errorf("loading the latest state: %w", err), app.CloseMempool())
	}
	if app.LastBlockHeight() > 0 {
		// The mempool was built before there was a state to check transactions against.
		app.mempool.NotifyNewBlock()
	}
	return app, nil
}

// NewAt is New at a past height that the store still has; it can be read and exported, not run.
func NewAt(logger log.Logger, db dbm.DB, height int64, options servertypes.AppOptions, baseOptions ...func(*baseapp.BaseApp)) (*App, error) {
	app, err := build(logger, db, options, baseOptions...)
	if err != nil {
		return nil, err
	}
	if err := app.LoadVersion(height); err != nil {
		return nil, errors.Join(fmt.Errorf("loading the state at height %d: %w", height, err), app.CloseMempool())
	}
	return app, nil
}

func build(logger log.Logger, db dbm.DB, options servertypes.AppOptions, baseOptions ...func(*baseapp.BaseApp)) (*App, error) {
	encoding := NewEncoding(cast.ToUint64(options.Get(evmflags.EVMChainID)))
	base := baseapp.NewBaseApp(Name, logger, db, encoding.TxConfig.TxDecoder(), baseOptions...)
	base.SetVersion(buildinfo.Version)
	base.SetInterfaceRegistry(encoding.InterfaceRegistry)
	base.SetTxEncoder(encoding.TxConfig.TxEncoder())

	app := &App{
		BaseApp:    base,
		encoding:   encoding,
		keys:       storetypes.NewKVStoreKeys(append(extraStores, kvStores...)...),
		objectKeys: storetypes.NewObjectStoreKeys(objectStores...),
	}
	if err := app.buildKeepers(options); err != nil {
		return nil, err
	}
	app.buildModules()
	app.configurator = module.NewConfigurator(encoding.Codec, app.MsgServiceRouter(), app.GRPCQueryRouter())
	if err := app.manager.RegisterServices(app.configurator); err != nil {
		return nil, fmt.Errorf("registering the modules' services: %w", err)
	}
	if err := app.registerReflection(); err != nil {
		return nil, err
	}
	if err := app.registerUpgrades(); err != nil {
		return nil, err
	}

	app.MountKVStores(app.keys)
	app.MountObjectStores(app.objectKeys)
	app.SetQueryMultiStore(queryStore{app.CommitMultiStore(), db})
	app.SetInitChainer(app.InitChainer)
	app.SetPreBlocker(app.preBlock)
	app.SetBeginBlocker(app.manager.BeginBlock)
	app.SetEndBlocker(app.manager.EndBlock)
	if err := app.buildAnte(options); err != nil {
		return nil, err
	}
	app.runTransactions()
	if err := app.buildMempool(options); err != nil {
		return nil, err
	}
	return app, nil
}

// registerReflection lets clients ask the node for its types and commands, and checks that every
// message names its signer.
func (app *App) registerReflection() error {
	autocliv1.RegisterQueryServer(app.GRPCQueryRouter(), runtimeservices.NewAutoCLIQueryService(app.manager.Modules))
	reflection, err := runtimeservices.NewReflectionService()
	if err != nil {
		return fmt.Errorf("building the reflection service: %w", err)
	}
	reflectionv1.RegisterReflectionServiceServer(app.GRPCQueryRouter(), reflection)
	files, err := proto.MergedRegistry()
	if err != nil {
		return fmt.Errorf("merging the protobuf registries: %w", err)
	}
	if err := msgservice.ValidateProtoAnnotations(files); err != nil {
		return fmt.Errorf("message annotations: %w", err)
	}
	return nil
}

// preBlock runs before everything else in a block: an upgrade first, then the beacon, so that every
// module sees the epoch that the block is in.
func (app *App) preBlock(ctx sdk.Context, req *abci.RequestFinalizeBlock) (*sdk.ResponsePreBlock, error) {
	resp, err := app.manager.PreBlock(ctx)
	if err != nil {
		return nil, err
	}
	return resp, app.collect(ctx, req)
}

// InitChainer starts the state from a genesis.
func (app *App) InitChainer(ctx sdk.Context, req *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	var state map[string]json.RawMessage
	if err := json.Unmarshal(req.AppStateBytes, &state); err != nil {
		return nil, fmt.Errorf("decoding the genesis: %w", err)
	}
	if err := app.Upgrade.SetModuleVersionMap(ctx, app.manager.GetVersionMap()); err != nil {
		return nil, fmt.Errorf("recording module versions: %w", err)
	}
	return app.manager.InitGenesis(ctx, app.encoding.Codec, state)
}

// CloseMempool ends the mempool's goroutines. Blocks may be executed after that. It may be called again.
func (app *App) CloseMempool() error {
	app.closeMempool.Do(func() { app.closeMempoolErr = app.mempool.Close() })
	return app.closeMempoolErr
}

// Close ends the mempool's goroutines and closes the database.
func (app *App) Close() error {
	return errors.Join(app.CloseMempool(), app.BaseApp.Close())
}

// Codec returns the chain's protobuf codec.
func (app *App) Codec() codec.Codec { return app.encoding.Codec }

// Encoding returns the chain's codecs.
func (app *App) Encoding() Encoding { return app.encoding }

// Modules returns the module manager.
func (app *App) Modules() *module.Manager { return app.manager }

// GetMempool returns the application's mempool, as the JSON-RPC server needs it.
func (app *App) GetMempool() sdkmempool.ExtMempool { return app.mempool }

// RegisterAPIRoutes serves every module's queries as REST.
func (app *App) RegisterAPIRoutes(server *api.Server, _ serverconfig.APIConfig) {
	authtx.RegisterGRPCGatewayRoutes(server.ClientCtx, server.GRPCGatewayRouter)
	cmtservice.RegisterGRPCGatewayRoutes(server.ClientCtx, server.GRPCGatewayRouter)
	nodeservice.RegisterGRPCGatewayRoutes(server.ClientCtx, server.GRPCGatewayRouter)
	app.encoding.Basics.RegisterGRPCGatewayRoutes(server.ClientCtx, server.GRPCGatewayRouter)
}

// RegisterTxService serves simulation, broadcast and search of transactions.
func (app *App) RegisterTxService(clientCtx client.Context) {
	authtx.RegisterTxService(app.GRPCQueryRouter(), clientCtx, app.Simulate, app.encoding.InterfaceRegistry)
}

// RegisterTendermintService serves blocks and validator sets.
func (app *App) RegisterTendermintService(clientCtx client.Context) {
	cmtservice.RegisterTendermintService(clientCtx, app.GRPCQueryRouter(), app.encoding.InterfaceRegistry, app.Query)
}

// RegisterNodeService serves this node's settings and status.
func (app *App) RegisterNodeService(clientCtx client.Context, config serverconfig.Config) {
	nodeservice.RegisterNodeService(clientCtx, app.GRPCQueryRouter(), config, func() int64 {
		return app.CommitMultiStore().EarliestVersion()
	})
}
