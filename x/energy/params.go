package energy

import (
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/community"
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
	}, Community: energyv1.CommunityParams{
		MaxMembers:       community.MaxMembers,
		CommitSeconds:    2 * 3600,
		ChallengeSeconds: 24 * 3600,
		AnswerSeconds:    6 * 3600,
		DemandDeposit:    cairn(1),
		AggregatorBond:   math.ZeroInt(),
		SlashBps:         5_000,
		DoubleBps:        1_000,
		BountyBps:        2_000,
		RetainHours:      31 * 24,
	}}
}

// validateParams refuses, naming the field, params that could stop the chain or strand money.
func validateParams(p energyv1.Params) error {
	c, e := p.Charging, p.Community
	for _, bound := range []struct {
		name                   string
		value, least, greatest int64
	}{
		{"charging.fee_bps", int64(c.FeeBps), 0, maxFeeBps},
		{"charging.start_seconds", c.StartSeconds, minStartSeconds, maxStartSeconds},
		{"charging.bill_seconds", c.BillSeconds, minBillSeconds, maxBillSeconds},
		{"charging.hold_seconds", c.HoldSeconds, minHoldSeconds, maxHoldSeconds},
		{"charging.answer_seconds", c.AnswerSeconds, minAnswerSeconds, maxAnswerSeconds},
		{"charging.deadlines_per_block", int64(c.DeadlinesPerBlock), 1, maxDeadlines},
		{"charging.retain_seconds", c.RetainSeconds, minRetainSeconds, maxRetainSeconds},
		{"community.max_members", int64(e.MaxMembers), 1, community.MaxMembers},
		{"community.commit_seconds", e.CommitSeconds, 60, 7 * 24 * 3600},
		{"community.challenge_seconds", e.ChallengeSeconds, 60, 14 * 24 * 3600},
		{"community.answer_seconds", e.AnswerSeconds, 60, 7 * 24 * 3600},
		{"community.slash_bps", int64(e.SlashBps), 0, wholeBps},
		{"community.double_bps", int64(e.DoubleBps), 0, wholeBps},
		// Something must be burned, or an aggregator could report itself for nothing.
		{"community.bounty_bps", int64(e.BountyBps), 0, wholeBps / 2},
		{"community.retain_hours", int64(e.RetainHours), 1, 366 * 24},
	} {
		if bound.value < bound.least || bound.value > bound.greatest {
			return errorsmod.Wrapf(ErrParams, "%s %d: want %d to %d", bound.name, bound.value, bound.least, bound.greatest)
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
		{"demand_deposit", e.DemandDeposit.Amount, e.DemandDeposit.Denom},
		{"aggregator_bond", e.AggregatorBond, price.Denom},
	} {
		if amount.denom != price.Denom {
			return errorsmod.Wrapf(ErrParams, "%s in %q: want %s", amount.name, amount.denom, price.Denom)
		}
		if _, err := parseAmount(amount.name, amount.value); err != nil {
			return errorsmod.Wrapf(ErrParams, "%s", err)
		}
	}
	if !c.MaxEscrow.Amount.IsPositive() {
		return errorsmod.Wrap(ErrParams, "charging.max_escrow is 0: no session could be opened")
	}
	return nil
}
