package app

import (
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/x/auth"
	"github.com/cosmos/cosmos-sdk/x/auth/vesting"
	authzmodule "github.com/cosmos/cosmos-sdk/x/authz/module"
	"github.com/cosmos/cosmos-sdk/x/bank"
	"github.com/cosmos/cosmos-sdk/x/consensus"
	distr "github.com/cosmos/cosmos-sdk/x/distribution"
	"github.com/cosmos/cosmos-sdk/x/evidence"
	feegrantmodule "github.com/cosmos/cosmos-sdk/x/feegrant/module"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	"github.com/cosmos/cosmos-sdk/x/gov"
	"github.com/cosmos/cosmos-sdk/x/mint"
	"github.com/cosmos/cosmos-sdk/x/slashing"
	"github.com/cosmos/cosmos-sdk/x/staking"
	"github.com/cosmos/cosmos-sdk/x/upgrade"
	"github.com/cosmos/evm/x/erc20"
	"github.com/cosmos/evm/x/feemarket"
	"github.com/cosmos/evm/x/vm"
	"github.com/cosmos/ibc-go/v11/modules/apps/transfer"
	ibc "github.com/cosmos/ibc-go/v11/modules/core"
	ibctm "github.com/cosmos/ibc-go/v11/modules/light-clients/07-tendermint"

	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/market"
	"github.com/cairn-network/cairn/x/reward"
	"github.com/cairn-network/cairn/x/storage"
)

// buildModules puts a module over each keeper. nil arguments are x/params subspaces, which this
// chain never had, and custom inflation, which is x/mint's keeper's.
func (app *App) buildModules() {
	var (
		cdc      = app.encoding.Codec
		registry = app.encoding.InterfaceRegistry
	)
	app.manager = module.NewManager(
		auth.NewAppModule(cdc, app.Auth, nil, nil),
		vesting.NewAppModule(app.Auth, app.Bank),
		bank.NewAppModule(cdc, app.Bank, app.Auth, nil),
		staking.NewAppModule(cdc, app.Staking, app.Auth, app.Bank, nil),
		slashing.NewAppModule(cdc, app.Slashing, app.Auth, app.Bank, app.Staking, nil, registry),
		distr.NewAppModule(cdc, app.Distribution, app.Auth, app.Bank, app.Staking, nil),
		mint.NewAppModule(cdc, app.Mint, app.Auth, nil, nil),
		gov.NewAppModule(cdc, app.Gov, app.Auth, app.Bank, nil),
		upgrade.NewAppModule(app.Upgrade, app.Auth.AddressCodec()),
		evidence.NewAppModule(*app.Evidence),
		feegrantmodule.NewAppModule(cdc, app.Auth, app.Bank, app.FeeGrant, registry),
		authzmodule.NewAppModule(cdc, app.Authz, app.Auth, app.Bank, registry),
		consensus.NewAppModule(cdc, app.Consensus),
		genutil.NewAppModule(app.Auth, app.Staking, app, app.encoding.TxConfig),

		ibc.NewAppModule(app.IBC),
		ibctm.NewAppModule(app.lightClient),
		transfer.NewAppModule(app.Transfer),

		vm.NewAppModule(app.EVM, app.Auth, app.Bank, app.Auth.AddressCodec()),
		feemarket.NewAppModule(app.FeeMarket),
		erc20.NewAppModule(app.ERC20, app.Auth),

		audit.NewAppModule(app.Audit),
		device.NewAppModule(app.Device),
		market.NewAppModule(app.Market),
		reward.NewAppModule(app.Reward),
		storage.NewAppModule(app.Storage),
		energy.NewAppModule(app.Energy),
	)
	app.setOrder()
}
