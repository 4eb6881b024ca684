package energy

import (
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/price"
)

// wholeBps is all of an amount in basis points.
const wholeBps = 10_000

// Bounds of the params of charging.
const (
	maxFeeBps        = 2_000
	minStartSeconds  = 30
	maxStartSeconds  = 3600
	minBillSeconds   = 600
	maxBillSeconds   = 30 * 24 * 3600
	minHoldSeconds   = 60
	maxHoldSeconds   = 60 * 24 * 3600
	minAnswerSeconds = 60
	maxAnswerSeconds = 30 * 24 * 3600
	maxDeadlines     = 10_000
	minRetainSeconds = 3600
	maxRetainSeconds = 10 * 365 * 24 * 3600
)

// cairn is whole CAIRN as a coin.
func cairn(n int64) sdk.Coin {
	return sdk.NewCoin(price.Denom, math.NewInt(n).Mul(math.NewIntWithDecimal(1, 18)))
}

// DefaultParams are the parameters of a new chain.
func DefaultParams() energyv1.Params {
	return energyv1.Params{Charging: energyv1.ChargingParams{
		FeeBps:            250,
		StartSeconds:      300,
		BillSeconds:       24 * 3600,
		MaxEscrow:         cairn(10_000),
		MaxUnsigned:       cairn(50).Amount,
		HoldSeconds:       7 * 24 * 3600,
		AnswerSeconds:     3 * 24 * 3600,
		DisputeDeposit:    cairn(1),
		StationBond:       math.ZeroInt(),
		DeadlinesPerBlock: 200,
		RetainSeconds:     400 * 24 * 3600, // past the year that earnings are declared for
	}}
}

// validateParams refuses, naming the field, params that could stop the chain or strand money.
func validateParams(p energyv1.Params) error {
	c := p.Charging
	for _, bound := range []struct {
		name                   string
		value, least, greatest int64
	}{
		{"fee_bps", int64(c.FeeBps), 0, maxFeeBps},
		{"start_seconds", c.StartSeconds, minStartSeconds, maxStartSeconds},
		{"bill_seconds", c.BillSeconds, minBillSeconds, maxBillSeconds},
		{"hold_seconds", c.HoldSeconds, minHoldSeconds, maxHoldSeconds},
		{"answer_seconds", c.AnswerSeconds, minAnswerSeconds, maxAnswerSeconds},
		{"deadlines_per_block", int64(c.DeadlinesPerBlock), 1, maxDeadlines},
		{"retain_seconds", c.RetainSeconds, minRetainSeconds, maxRetainSeconds},
	} {
		if bound.value < bound.least || bound.value > bound.greatest {
			return errorsmod.Wrapf(ErrParams, "charging.%s %d: want %d to %d", bound.name, bound.value, bound.least, bound.greatest)
		}
	}
	for _, amount := range []struct {
		name  string
		value math.Int
		denom string
	}{
		{"max_escrow", c.MaxEscrow.Amount, c.MaxEscrow.Denom},
		{"max_unsigned", c.MaxUnsigned, price.Denom},
		{"dispute_deposit", c.DisputeDeposit.Amount, c.DisputeDeposit.Denom},
		{"station_bond", c.StationBond, price.Denom},
	} {
		if amount.denom != price.Denom {
			return errorsmod.Wrapf(ErrParams, "charging.%s in %q: want %s", amount.name, amount.denom, price.Denom)
		}
		if _, err := parseAmount(amount.name, amount.value); err != nil {
			return errorsmod.Wrapf(ErrParams, "charging.%s", err)
		}
	}
	if !c.MaxEscrow.Amount.IsPositive() {
		return errorsmod.Wrap(ErrParams, "charging.max_escrow is 0: no session could be opened")
	}
	return nil
}
