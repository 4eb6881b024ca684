package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/baseapp/txnrunner"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	evmmempool "github.com/cosmos/evm/mempool"
	precompiles "github.com/cosmos/evm/precompiles/types"
	evmserver "github.com/cosmos/evm/server"
	evmflags "github.com/cosmos/evm/server/flags"
	erc20keeper "github.com/cosmos/evm/x/erc20/keeper"
	erc20types "github.com/cosmos/evm/x/erc20/types"
	feemarketkeeper "github.com/cosmos/evm/x/feemarket/keeper"
	feemarkettypes "github.com/cosmos/evm/x/feemarket/types"
	evmkeeper "github.com/cosmos/evm/x/vm/keeper"
	"github.com/cosmos/evm/x/vm/runner"
	evmtypes "github.com/cosmos/evm/x/vm/types"
	"github.com/ethereum/go-ethereum/common"
	// Call tracers for debug_trace*; the JavaScript ones would link an interpreter.
	_ "github.com/ethereum/go-ethereum/eth/tracers/native"
	"github.com/spf13/cast"
)

// wrappedCoin is the ERC-20 face of CAIRN: balances are the bank's own, deposit and withdraw keep
// contracts that expect a wrapped coin happy.
var wrappedCoin = common.HexToAddress("0x0000000000000000000000000000000000000CA1")

// activePrecompiles are the system contracts of a new network, ascending as the EVM module demands.
// Staking, rewards and votes are there for holders with an Ethereum wallet only. Token transfer over
// IBC, light clients and slashing are not: nobody needs them from a contract, and the IBC one cost
// another chain of this line seven million dollars.
var activePrecompiles = []string{
	evmtypes.P256PrecompileAddress,
	evmtypes.Bech32PrecompileAddress,
	evmtypes.StakingPrecompileAddress,
	evmtypes.DistributionPrecompileAddress,
	evmtypes.BankPrecompileAddress,
	evmtypes.GovPrecompileAddress,
}

// buildEVMKeepers constructs the fee market, the EVM and the token registry, which needs the EVM
// and is needed by it: the EVM holds a pointer that is filled afterwards.
func (app *App) buildEVMKeepers(options servertypes.AppOptions) error {
	var (
		cdc        = app.encoding.Codec
		governance = authtypes.NewModuleAddress(govtypes.ModuleName)
		evmChainID = cast.ToUint64(options.Get(evmflags.EVMChainID))
		allKeys    []storetypes.StoreKey
	)
	for _, name := range kvStores {
		allKeys = append(allKeys, app.keys[name])
	}
	for _, name := range objectStores {
		allKeys = append(allKeys, app.objectKeys[name])
	}

	app.FeeMarket = feemarketkeeper.NewKeeper(cdc, governance, app.keys[feemarkettypes.StoreKey])
	err := configureEVM(evmChainID, func() {
		app.EVM = evmkeeper.NewKeeper(cdc, app.keys[evmtypes.StoreKey], app.objectKeys[evmtypes.ObjectKey], allKeys,
			governance, app.Auth, app.Bank, app.Staking, app.FeeMarket, &app.Consensus, &app.ERC20, evmChainID,
			cast.ToString(options.Get(evmflags.EVMTracer)))
	})
	if err != nil {
		return err
	}
	app.EVM.WithStaticPrecompiles(precompiles.NewStaticPrecompiles().
		WithPraguePrecompiles().
		WithP256Precompile().
		WithBech32Precompile().
		WithStakingPrecompile(*app.Staking, app.Bank).
		WithDistributionPrecompile(app.Distribution, *app.Staking, app.Bank).
		WithBankPrecompile(app.Bank, &app.ERC20).
		WithGovPrecompile(*app.Gov, app.Bank, cdc))
	// Fees gather in memory and reach the collector once a block. For 18 decimals only.
	app.EVM.EnableVirtualFeeCollection()
	app.ERC20 = erc20keeper.NewKeeper(app.keys[erc20types.StoreKey], cdc, governance, app.Auth, app.Bank,
		app.EVM, app.Staking, app.Transfer)
	return nil
}

// proposalPatience is how long a proposer waits for its pool to be rechecked where the node's settings do
// not say.
const proposalPatience = 250 * time.Millisecond

// buildMempool gives the node the mempool of type "app": Ethereum transactions of one sender wait
// for each other's nonces, all others are rechecked after each block. Without it the JSON-RPC server
// has nothing to submit to.
func (app *App) buildMempool(options servertypes.AppOptions) error {
	logger := app.Logger()
	config := evmserver.ResolveMempoolConfig(app.AnteHandler(), options, logger)
	if config.PendingTxProposalTimeout <= 0 {
		// The pool would let a proposer wait without end for a recheck that never comes.
		config.PendingTxProposalTimeout = proposalPatience
	}
	if err := evmserver.ValidateReapBounds(options, config.BlockGasLimit); err != nil {
		return fmt.Errorf("checking the mempool's limits: %w", err)
	}
	var (
		txConfig = app.encoding.TxConfig
		encoder  = evmmempool.NewTxEncoder(txConfig)
		rechecks = func() *evmmempool.TxRechecker { return evmmempool.NewTxRechecker(config.AnteHandler, encoder) }
	)
	pool := evmmempool.NewMempool(app.CreateQueryContext, logger, app.EVM, app.FeeMarket, txConfig,
		rechecks(), rechecks(), config, max(0, evmserver.GetCosmosPoolMaxTx(options, logger)))
	app.mempool = pool
	app.SetMempool(pool)
	app.SetCheckTxHandler(pool.NewCheckTxHandler(app.TxDecode, evmserver.GetMempoolCheckTxTimeout(options, logger)))
	app.SetInsertTxHandler(pool.NewInsertTxHandler(app.TxDecode))
	app.SetReapTxsHandler(pool.NewReapTxsHandler())
	app.buildBeacon(
		baseapp.NewDefaultProposalHandler(pool, encodeOnly{app.BaseApp}).PrepareProposalHandler(),
		// A transaction that does not hold fails when the block runs. Refusing the block for it would
		// let one that went stale in the proposer's pool hold up round after round.
		baseapp.NoOpProcessProposal(),
	)
	// The pool hears of blocks from here and not from consensus' events: a subscriber of those that is two
	// blocks behind is dropped for good, and its proposals would be empty from then on.
	app.SetPrepareCheckStater(func(sdk.Context) { pool.NotifyNewBlock() })
	return nil
}

// encodeOnly lets a proposer take transactions from its mempool without running their ante checks
// again: the pool rechecks after every block, and the block runs them anyway.
type encodeOnly struct{ *baseapp.BaseApp }

// PrepareProposalVerifyTx returns the bytes of tx.
func (e encodeOnly) PrepareProposalVerifyTx(tx sdk.Tx) ([]byte, error) { return e.TxEncode(tx) }

// runTransactions makes blocks run one transaction after the other, and numbers the logs of
// Ethereum transactions across the block afterwards.
func (app *App) runTransactions() {
	runner.SetRunner(app.BaseApp, guardedRunner{txnrunner.NewDefaultRunner(app.encoding.TxConfig.TxDecoder())})
}

// guardedRunner keeps a second application in this process from being constructed, and so the
// EVM's global configuration from being replaced, while a block of this one executes.
type guardedRunner struct{ sdk.TxRunner }

// Run executes the transactions of a block.
func (r guardedRunner) Run(ctx context.Context, ms storetypes.MultiStore, txs [][]byte, deliver sdk.DeliverTxFunc) ([]*abci.ExecTxResult, error) {
	evmChain.RLock()
	defer evmChain.RUnlock()
	results, err := r.TxRunner.Run(ctx, ms, txs, deliver)
	if err == nil && len(results) > 0 && hasVotesMark(txs[0]) {
		results[0] = &abci.ExecTxResult{} // votes: no transaction, and none that failed
	}
	return results, err
}

// RegisterPendingTxListener makes listener hear of every Ethereum transaction that enters the
// mempool; the JSON-RPC server feeds its subscriptions with it.
func (app *App) RegisterPendingTxListener(listener func(common.Hash)) {
	app.pendingTxListeners = append(app.pendingTxListeners, listener)
}

func (app *App) onPendingTx(hash common.Hash) {
	for _, listener := range slices.Clone(app.pendingTxListeners) {
		listener(hash)
	}
}
