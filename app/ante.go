package app

import (
	"fmt"

	servertypes "github.com/cosmos/cosmos-sdk/server/types"
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
	app.SetAnteHandler(evmante.NewAnteHandler(handler))
	return nil
}
