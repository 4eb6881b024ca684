package app

import (
	"context"

	corestore "cosmossdk.io/core/store"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/runtime"
	sdkserver "github.com/cosmos/cosmos-sdk/server"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	authzkeeper "github.com/cosmos/cosmos-sdk/x/authz/keeper"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensuskeeper "github.com/cosmos/cosmos-sdk/x/consensus/keeper"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrkeeper "github.com/cosmos/cosmos-sdk/x/distribution/keeper"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	evidencekeeper "github.com/cosmos/cosmos-sdk/x/evidence/keeper"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	feegrantkeeper "github.com/cosmos/cosmos-sdk/x/feegrant/keeper"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	mintkeeper "github.com/cosmos/cosmos-sdk/x/mint/keeper"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingkeeper "github.com/cosmos/cosmos-sdk/x/slashing/keeper"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingkeeper "github.com/cosmos/cosmos-sdk/x/staking/keeper"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradekeeper "github.com/cosmos/cosmos-sdk/x/upgrade/keeper"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
	"github.com/cosmos/evm/x/erc20"
	erc20keeper "github.com/cosmos/evm/x/erc20/keeper"
	erc20types "github.com/cosmos/evm/x/erc20/types"
	erc20v2 "github.com/cosmos/evm/x/erc20/v2"
	feemarketkeeper "github.com/cosmos/evm/x/feemarket/keeper"
	feemarkettypes "github.com/cosmos/evm/x/feemarket/types"
	evmkeeper "github.com/cosmos/evm/x/vm/keeper"
	evmtypes "github.com/cosmos/evm/x/vm/types"
	"github.com/cosmos/ibc-go/v11/modules/apps/transfer"
	transferkeeper "github.com/cosmos/ibc-go/v11/modules/apps/transfer/keeper"
	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	transferv2 "github.com/cosmos/ibc-go/v11/modules/apps/transfer/v2"
	porttypes "github.com/cosmos/ibc-go/v11/modules/core/05-port/types"
	ibcapi "github.com/cosmos/ibc-go/v11/modules/core/api"
	ibcexported "github.com/cosmos/ibc-go/v11/modules/core/exported"
	ibckeeper "github.com/cosmos/ibc-go/v11/modules/core/keeper"
	ibctm "github.com/cosmos/ibc-go/v11/modules/light-clients/07-tendermint"
	"github.com/spf13/cast"

	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/market"
	"github.com/cairn-network/cairn/x/reward"
	"github.com/cairn-network/cairn/x/storage"
)

// Keepers is the state of every module.
type Keepers struct {
	Consensus consensuskeeper.Keeper
	Auth      authkeeper.AccountKeeper
	Bank      bankkeeper.BaseKeeper
	Authz     authzkeeper.Keeper
	FeeGrant  feegrantkeeper.Keeper
	Upgrade   *upgradekeeper.Keeper

	Staking      *stakingkeeper.Keeper
	Slashing     slashingkeeper.Keeper
	Distribution distrkeeper.Keeper
	Mint         mintkeeper.Keeper
	Evidence     *evidencekeeper.Keeper
	Gov          *govkeeper.Keeper

	IBC      *ibckeeper.Keeper
	Transfer *transferkeeper.Keeper

	FeeMarket feemarketkeeper.Keeper
	EVM       *evmkeeper.Keeper
	ERC20     erc20keeper.Keeper

	Audit   *audit.Keeper
	Device  *device.Keeper
	Energy  *energy.Keeper
	Market  *market.Keeper
	Storage *storage.Keeper
	Reward  *reward.Keeper
}

// kvStores names the stores that make up the state and so the app hash. Adding one later takes an
// upgrade (upgrades.go).
var kvStores = []string{
	consensustypes.StoreKey, authtypes.StoreKey, banktypes.StoreKey, authzkeeper.StoreKey,
	feegrant.StoreKey, upgradetypes.StoreKey,
	stakingtypes.StoreKey, slashingtypes.StoreKey, distrtypes.StoreKey, minttypes.StoreKey,
	evidencetypes.StoreKey, govtypes.StoreKey,
	ibcexported.StoreKey, transfertypes.StoreKey,
	feemarkettypes.StoreKey, evmtypes.StoreKey, erc20types.StoreKey,
	device.StoreKey, market.StoreKey, storage.StoreKey, audit.StoreKey,
	reward.StoreKey, energy.StoreKey,
}

// objectStores names the stores that live for one block and hold Go values.
var objectStores = []string{banktypes.ObjectStoreKey, evmtypes.ObjectKey}

// authority is the only account that may change parameters: governance.
func authority() string { return authtypes.NewModuleAddress(govtypes.ModuleName).String() }

// buildKeepers constructs the keepers in the order in which they need each other. options are the
// node's (app.toml and flags).
func (app *App) buildKeepers(options servertypes.AppOptions) error {
	var (
		cdc     = app.encoding.Codec
		gov     = authority()
		service = func(name string) corestore.KVStoreService { return runtime.NewKVStoreService(app.keys[name]) }
	)

	app.Consensus = consensuskeeper.NewKeeper(cdc, service(consensustypes.StoreKey), gov, runtime.EventService{})
	app.SetParamStore(app.Consensus.ParamsStore)
	app.Auth = authkeeper.NewAccountKeeper(cdc, service(authtypes.StoreKey), authtypes.ProtoBaseAccount,
		ModuleAccounts(), AddressCodec(), Bech32Prefix, gov)
	app.Bank = bankkeeper.NewBaseKeeper(cdc, service(banktypes.StoreKey), app.Auth, blockedAddresses(), gov, app.Logger()).
		WithObjStoreKey(app.objectKeys[banktypes.ObjectStoreKey])
	app.Authz = authzkeeper.NewKeeper(service(authzkeeper.StoreKey), cdc, app.MsgServiceRouter(), app.Auth)
	app.FeeGrant = feegrantkeeper.NewKeeper(cdc, service(feegrant.StoreKey), app.Auth)
	app.Upgrade = upgradekeeper.NewKeeper(skippedUpgrades(options), service(upgradetypes.StoreKey), cdc,
		cast.ToString(options.Get(flags.FlagHome)), app.BaseApp, gov)

	app.Staking = stakingkeeper.NewKeeper(cdc, service(stakingtypes.StoreKey), app.Auth, app.Bank, gov,
		ValidatorCodec(), ConsensusCodec())
	app.Mint = mintkeeper.NewKeeper(cdc, service(minttypes.StoreKey), app.Staking, app.Auth, app.Bank,
		authtypes.FeeCollectorName, gov, mintkeeper.WithMintFn(mintNothing))
	app.Distribution = distrkeeper.NewKeeper(cdc, service(distrtypes.StoreKey), app.Auth, app.Bank, app.Staking,
		authtypes.FeeCollectorName, gov)
	app.Slashing = slashingkeeper.NewKeeper(cdc, app.encoding.Amino, service(slashingtypes.StoreKey), app.Staking, gov)
	app.Staking.SetHooks(stakingtypes.NewMultiStakingHooks(app.Distribution.Hooks(), app.Slashing.Hooks()))
	app.Evidence = evidencekeeper.NewKeeper(cdc, service(evidencetypes.StoreKey), app.Staking, app.Slashing,
		AddressCodec(), runtime.ProvideCometInfoService())
	app.Gov = govkeeper.NewKeeper(cdc, service(govtypes.StoreKey), app.Auth, app.Bank, app.Distribution,
		app.MsgServiceRouter(), govtypes.DefaultConfig(), gov,
		govkeeper.NewDefaultCalculateVoteResultsAndVotingPower(app.Staking))

	app.IBC = ibckeeper.NewKeeper(cdc, service(ibcexported.StoreKey), app.Upgrade, gov)
	app.Transfer = transferkeeper.NewKeeper(cdc, AddressCodec(), service(transfertypes.StoreKey),
		app.IBC.ChannelKeeper, app.MsgServiceRouter(), app.Auth, app.Bank, gov)

	if err := app.buildEVMKeepers(options); err != nil {
		return err
	}
	app.routeIBC()

	app.Audit = audit.NewKeeper(audit.Deps{
		Codec: cdc, Store: service(audit.StoreKey), Accounts: AddressCodec(), Validators: ValidatorCodec(),
		Staking: app.Staking, Bank: app.Bank, Source: beacon.VRF{}, Authority: gov,
	})
	app.Device = device.NewKeeper(cdc, service(device.StoreKey), AddressCodec(), app.Bank, gov)
	app.Market = market.NewKeeper(cdc, service(market.StoreKey), AddressCodec(), app.Bank, app.Device, gov)
	app.Device.SetBeacons(app.Audit)
	app.Reward = reward.NewKeeper(reward.Deps{
		Codec: cdc, Store: service(reward.StoreKey), Addresses: AddressCodec(), Bank: app.Bank, Devices: app.Device,
		Epochs: app.Audit, Validators: authtypes.FeeCollectorName, Authority: gov,
	})
	app.Market.SetSettleHooks(app.Reward)
	app.Audit.SetHooks(audit.Hook{Name: reward.ModuleName, Hooks: app.Reward})
	app.Audit.SetEconomy(app.Reward)
	app.Storage = storage.NewKeeper(storage.Deps{
		Codec: cdc, Store: service(storage.StoreKey), Addresses: AddressCodec(), Bank: app.Bank,
		Devices: app.Device, Market: app.Market, Epochs: app.Audit, Authority: gov,
	})
	app.Energy = energy.NewKeeper(energy.Deps{
		Codec: cdc, Store: service(energy.StoreKey), Addresses: AddressCodec(), Bank: app.Bank,
		Devices: app.Device, Rewards: app.Reward, Authority: gov,
	})
	// A device retires only when nobody is owed anything through it; those who know ask for devices.
	app.Device.SetObligations(obligations{app.Market, app.Energy})
	// Rewards are computed from facts of storage, which say what rewards know of usage and need.
	app.Storage.SetRewards(app.Reward)
	app.Audit.SetService(score.Storage, app.Storage)
	return nil
}

// obligations asks everyone whether a device still owes something.
type obligations []device.Obligations

// Idle says since when nobody has been owed anything through the device.
func (all obligations) Idle(ctx context.Context, id uint64) (since int64, idle bool, err error) {
	for _, one := range all {
		ended, idle, err := one.Idle(ctx, id)
		if err != nil || !idle {
			return 0, false, err
		}
		since = max(since, ended)
	}
	return since, true, nil
}

// routeIBC stacks token transfer for both versions of the protocol: core, then the ERC-20
// middleware that gives an arriving coin its token, then transfer itself.
func (app *App) routeIBC() {
	var stack porttypes.IBCModule = transfer.NewIBCModule(app.Transfer)
	stack = erc20.NewIBCMiddleware(app.ERC20, stack)
	router := porttypes.NewRouter()
	router.AddRoute(transfertypes.ModuleName, stack)
	app.IBC.SetRouter(router)

	var stackV2 ibcapi.IBCModule = transferv2.NewIBCModule(app.Transfer)
	stackV2 = erc20v2.NewIBCMiddleware(stackV2, app.ERC20)
	routerV2 := ibcapi.NewRouter()
	routerV2.AddRoute(transfertypes.ModuleName, stackV2)
	app.IBC.SetRouterV2(routerV2)

	app.lightClient = ibctm.NewLightClientModule(app.encoding.Codec, app.IBC.ClientKeeper.GetStoreProvider())
	app.IBC.ClientKeeper.AddRoute(ibctm.ModuleName, &app.lightClient)
}

// skippedUpgrades reads --unsafe-skip-upgrades: heights at which to go on without the upgrade.
func skippedUpgrades(options servertypes.AppOptions) map[int64]bool {
	skip := make(map[int64]bool)
	for _, height := range cast.ToIntSlice(options.Get(sdkserver.FlagUnsafeSkipUpgrades)) {
		skip[int64(height)] = true
	}
	return skip
}
