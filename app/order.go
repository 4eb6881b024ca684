package app

import (
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	vestingtypes "github.com/cosmos/cosmos-sdk/x/auth/vesting/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
	erc20types "github.com/cosmos/evm/x/erc20/types"
	feemarkettypes "github.com/cosmos/evm/x/feemarket/types"
	evmtypes "github.com/cosmos/evm/x/vm/types"
	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	ibcexported "github.com/cosmos/ibc-go/v11/modules/core/exported"
	ibctm "github.com/cosmos/ibc-go/v11/modules/light-clients/07-tendermint"

	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/market"
	"github.com/cairn-network/cairn/x/reward"
	"github.com/cairn-network/cairn/x/storage"
)

// setOrder says who acts first. Modules without work in a phase are left out of its list; the
// manager refuses to start when one with work is missing.
func (app *App) setOrder() {
	app.manager.SetOrderPreBlockers(
		// An upgrade replaces code and stores: nothing may run before it.
		upgradetypes.ModuleName,
		// Drops the expired unordered nonces before this block's transactions look at them.
		authtypes.ModuleName,
		// Sets the EVM's globals, which Configure has set already; the manager wants it listed.
		evmtypes.ModuleName,
	)
	app.manager.SetOrderBeginBlockers(
		// New coins reach the fee collector, distribution then empties it, and only then does
		// slashing change stakes: rewards are split by the stakes that earned them.
		minttypes.ModuleName,
		distrtypes.ModuleName,
		slashingtypes.ModuleName,
		evidencetypes.ModuleName,
		// Keeps the header that light clients of this chain will be checked against.
		stakingtypes.ModuleName,
		authz.ModuleName,
		ibcexported.ModuleName,
		// The EVM reads the base fee that the fee market sets for this block.
		feemarkettypes.ModuleName,
		evmtypes.ModuleName,
		erc20types.ModuleName,
	)
	app.manager.SetOrderEndBlockers(
		// Credits the fees that transactions of this block left in memory; before anyone pays out.
		banktypes.ModuleName,
		// A passed proposal may change parameters that staking applies to the validator set.
		govtypes.ModuleName,
		stakingtypes.ModuleName,
		feegrant.ModuleName,
		// Pays out what ran into its deadline, at most a bounded number of items a block.
		market.ModuleName,
		// Forgets possession rows that are too old for anyone, at most a bounded number a block.
		storage.ModuleName,
		// Refunds and pays out sessions whose time is up, at most a bounded number a block.
		energy.ModuleName,
		// Removes facts of epochs that are no longer kept, at most a bounded number a block.
		reward.ModuleName,
		evmtypes.ModuleName,
		erc20types.ModuleName,
		// Last of all that use gas: it counts the block's gas for the next base fee.
		feemarkettypes.ModuleName,
	)

	genesis := []string{
		// Accounts and their coins exist before anyone reserves, stakes or escrows some.
		authtypes.ModuleName,
		banktypes.ModuleName,
		// Distribution's and slashing's hooks run when staking creates validators.
		distrtypes.ModuleName,
		stakingtypes.ModuleName,
		slashingtypes.ModuleName,
		govtypes.ModuleName,
		minttypes.ModuleName,
		ibcexported.ModuleName,
		ibctm.ModuleName,
		// The EVM reads the coin's decimals from the bank. Genesis transactions pay the fee
		// market's prices, so both precede genutil.
		evmtypes.ModuleName,
		feemarkettypes.ModuleName,
		erc20types.ModuleName,
		transfertypes.ModuleName,
		evidencetypes.ModuleName,
		authz.ModuleName,
		feegrant.ModuleName,
		vestingtypes.ModuleName,
		upgradetypes.ModuleName,
		consensustypes.ModuleName,
		// Starts the first epoch.
		audit.ModuleName,
		// Counts the coins that exist: after everything that genesis gives to accounts.
		reward.ModuleName,
		// Offers and leases name devices.
		device.ModuleName,
		market.ModuleName,
		storage.ModuleName,
		energy.ModuleName,
		// Delivers the genesis transactions that create the first validators: everything they
		// touch must be there.
		genutiltypes.ModuleName,
	}
	app.manager.SetOrderInitGenesis(genesis...)
	app.manager.SetOrderExportGenesis(genesis...)
}
