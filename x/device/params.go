package device

import (
	"fmt"
	"slices"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Bounds of the params, so that no vote can stop the registry or make it litter.
const (
	maxUnbondingSeconds   = 365 * 24 * 3600
	maxKinds              = 64
	maxKindBytes          = 32
	mostDevicesPerOwner   = 10_000_000
	defaultDevicesAnOwner = 10_000
)

// DefaultParams are the parameters of a new chain.
func DefaultParams() devicev1.Params {
	return devicev1.Params{
		Deposit:            sdk.Coin{Denom: price.Denom, Amount: math.NewIntWithDecimal(1, price.Decimals)},
		UnbondingSeconds:   7 * 24 * 3600,
		Kinds:              []string{"charger", "compute", "gateway", "hotspot", "meter", "storage"},
		MaxDevicesPerOwner: defaultDevicesAnOwner,
	}
}

func validateParams(p devicev1.Params) error {
	if err := sdk.ValidateDenom(p.Deposit.Denom); err != nil {
		return errorsmod.Wrapf(ErrParams, "deposit in %q: %s", modkit.Clip(p.Deposit.Denom), err)
	}
	if err := checkAmount(p.Deposit.Amount); err != nil {
		return errorsmod.Wrapf(ErrParams, "deposit: %s", err)
	}
	if p.UnbondingSeconds < 0 || p.UnbondingSeconds > maxUnbondingSeconds {
		return errorsmod.Wrapf(ErrParams, "unbonding_seconds %d: want 0 to %d", p.UnbondingSeconds, maxUnbondingSeconds)
	}
	if len(p.Kinds) == 0 || len(p.Kinds) > maxKinds {
		return errorsmod.Wrapf(ErrParams, "%d kinds: want 1 to %d", len(p.Kinds), maxKinds)
	}
	for i, kind := range p.Kinds {
		if !isKind(kind) {
			return errorsmod.Wrapf(ErrParams, "kinds[%d] %q: want 1 to %d lower-case letters, digits or hyphens", i, modkit.Clip(kind), maxKindBytes)
		}
		if slices.Contains(p.Kinds[:i], kind) {
			return errorsmod.Wrapf(ErrParams, "kinds[%d] %q: listed twice", i, kind)
		}
	}
	if p.MaxDevicesPerOwner == 0 || p.MaxDevicesPerOwner > mostDevicesPerOwner {
		return errorsmod.Wrapf(ErrParams, "max_devices_per_owner %d: want 1 to %d", p.MaxDevicesPerOwner, mostDevicesPerOwner)
	}
	return nil
}

func isKind(text string) bool {
	if len(text) == 0 || len(text) > maxKindBytes {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// checkAmount says why an amount is not a sum of money: absent, negative, or beyond 128 bits.
func checkAmount(amount math.Int) error {
	if amount.IsNil() {
		return fmt.Errorf("no amount given")
	}
	_, err := price.FromBig(amount.BigIntMut())
	return err
}
