package device

import (
	"context"

	errorsmod "cosmossdk.io/errors"
)

// fillParams raises a state of version 1, which knew neither attestations nor appeals, to version 2: their
// params get what a new chain has, all others stay as governance left them. Nothing else of such a state
// means anything else now: no device has an attestation or a ban yet.
func (k *Keeper) fillParams(ctx context.Context) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return errorsmod.Wrap(err, "reading device params")
	}
	fresh := DefaultParams()
	params.Attestation, params.AppealDeposit, params.AppealSeconds = fresh.Attestation, fresh.AppealDeposit, fresh.AppealSeconds
	params.AppealDeposit.Denom = params.Deposit.Denom
	if err := validateParams(params); err != nil {
		return err
	}
	return errorsmod.Wrap(k.params.Set(ctx, params), "writing device params")
}
