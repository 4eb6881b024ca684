package app

import (
	"fmt"

	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	evmante "github.com/cosmos/evm/ante"
	antetypes "github.com/cosmos/evm/ante/types"
	evmflags "github.com/cosmos/evm/server/flags"
	"github.com/spf13/cast"
)

// buildAnte sets what a transaction must pass before it runs: shape, fee (or fee grant) at no less
// than the fee market's price, signatures, sequence. Ethereum transactions have their own chain, and
// cannot be smuggled past it inside another message or an authz grant.
func (app *App) buildAnte(options servertypes.AppOptions) error {
	handler := evmante.HandlerOptions{
		Cdc:                    app.encoding.Codec,
		AccountKeeper:          app.Auth,
		BankKeeper:             app.Bank,
		FeegrantKeeper:         app.FeeGrant,
		IBCKeeper:              app.IBC,
		EvmKeeper:              app.EVM,
		FeeMarketKeeper:        app.FeeMarket,
		SignModeHandler:        app.encoding.TxConfig.SignModeHandler(),
		SigGasConsumer:         evmante.SigVerificationGasConsumer,
		ExtensionOptionChecker: antetypes.HasDynamicFeeExtensionOption,
		DynamicFeeChecker:      true,
		MaxTxGasWanted:         cast.ToUint64(options.Get(evmflags.EVMMaxTxGasWanted)),
		PendingTxListener:      app.onPendingTx,
	}
	if err := handler.Validate(); err != nil {
		return fmt.Errorf("ante handler: %w", err)
	}
	app.SetAnteHandler(asGovernance(evmante.NewAnteHandler(handler)))
	return nil
}

// asGovernance lets simulations run messages in governance's name, so that people see what a proposal
// would do, or be refused for, before they vote. A simulation checks no signature and keeps nothing;
// in a block governance signs nothing, and its account is refused like every module's.
func asGovernance(next sdk.AnteHandler) sdk.AnteHandler {
	governance := authtypes.NewModuleAddress(govtypes.ModuleName)
	return func(ctx sdk.Context, tx sdk.Tx, simulate bool) (sdk.Context, error) {
		signed, ok := tx.(authsigning.SigVerifiableTx)
		if !simulate || !ok {
			return next(ctx, tx, simulate)
		}
		signers, err := signed.GetSigners()
		if err != nil || len(signers) != 1 || !governance.Equals(sdk.AccAddress(signers[0])) {
			return next(ctx, tx, simulate)
		}
		return ctx.WithGasMeter(storetypes.NewGasMeter(blockGas)), nil
	}
}
