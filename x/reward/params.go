package reward

import (
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

const (
	perMille    = 1000
	wholeBps    = 10_000
	yearSeconds = 365 * 24 * 3600

	// Bounds of the params, so that no vote can stop the module, make a block long, or pay more for a
	// fake than a fake costs.
	mostYieldPerMille   = 200
	mostEpochSeconds    = 7 * 24 * 3600
	mostSmoothingEpochs = 10_000
	mostReleaseEpochs   = 100_000
	mostCellSupply      = 1_000_000_000_000_000_000 // an exabyte
	mostNeedResolution  = 8                         // edge about 0.5 km
	mostBoostsPerCell   = 16
	mostBoostEpochs     = 100_000
	mostClaims          = 1_000
	mostRelayBps        = 500
	mostRetainRoots     = 1_000
	leastRetainEpochs   = 2 // the need map reads the epoch before the one that is judged
	mostRetainEpochs    = 10_000
	mostPrunePerBlock   = 10_000
	leastRetainMonths   = 13 // a whole year's statement at its end
	mostRetainMonths    = 600
)

// capCAIRN is the most coins that ever exist, whole CAIRN.
const capCAIRN = 1_000_000_000

// DefaultParams are the parameters of a new chain with epochs of an hour.
func DefaultParams() rewardv1.Params {
	return rewardv1.Params{
		ValidatorsPerMille: 200,
		Weights: []rewardv1.ServiceWeight{{
			Service:  uint32(score.Storage),
			PerMille: 300,
			// 100 TB in a cell of resolution 5, about 250 km2; a CAIRN an hour paid in it.
			CellSupply: 100_000_000_000_000,
			CellDemand: coin(1),
		}},
		MaxEpochSeconds:  2 * 3600,
		SmoothingEpochs:  7,
		UsagePerMille:    score.UsagePerMille,
		YieldPerMille:    80,
		SharePerMille:    50,
		HoldPerMille:     []uint32{500, 250, 0, 0},
		NeedHoldPerMille: 500,
		ReleaseEpochs:    15 * 24,
		MissPerMille:     100,
		FaultPerMille:    perMille,
		NeedResolution:   5,
		BoostTier:        score.NeedTier,
		MaxBoostsPerCell: 8,
		MaxBoostEpochs:   365 * 24,
		MinBoost:         math.NewIntWithDecimal(1, price.Decimals-3),
		MaxClaims:        300,
		MaxRelayBps:      100,
		RetainRoots:      24,
		RetainEpochs:     1_000, // x/audit asks for pools and facts as long as it keeps epochs: beacon.retain_epochs
		PrunePerBlock:    200,
		RetainMonths:     120,
	}
}

// coin is whole CAIRN in acairn.
func coin(whole int64) math.Int { return math.NewIntWithDecimal(whole, price.Decimals) }

func validateParams(p rewardv1.Params) error {
	for _, bound := range []struct {
		field              string
		value, least, most uint64
	}{
		{"validators_per_mille", uint64(p.ValidatorsPerMille), 0, perMille},
		{"max_epoch_seconds", p.MaxEpochSeconds, 1, mostEpochSeconds},
		{"smoothing_epochs", uint64(p.SmoothingEpochs), 1, mostSmoothingEpochs},
		{"usage_per_mille", uint64(p.UsagePerMille), 0, score.UsagePerMille},
		{"yield_per_mille", uint64(p.YieldPerMille), 0, mostYieldPerMille},
		{"share_per_mille", uint64(p.SharePerMille), 1, perMille},
		{"need_hold_per_mille", uint64(p.NeedHoldPerMille), 0, perMille},
		{"release_epochs", p.ReleaseEpochs, 1, mostReleaseEpochs},
		{"miss_per_mille", uint64(p.MissPerMille), 0, perMille},
		{"fault_per_mille", uint64(p.FaultPerMille), 0, perMille},
		{"need_resolution", uint64(p.NeedResolution), 0, mostNeedResolution},
		{"boost_tier", uint64(p.BoostTier), 1, score.MaxTier},
		{"max_boosts_per_cell", uint64(p.MaxBoostsPerCell), 0, mostBoostsPerCell},
		{"max_boost_epochs", p.MaxBoostEpochs, 1, mostBoostEpochs},
		{"max_claims", uint64(p.MaxClaims), 1, mostClaims},
		{"max_relay_bps", uint64(p.MaxRelayBps), 0, mostRelayBps},
		{"retain_roots", uint64(p.RetainRoots), 1, mostRetainRoots},
		{"retain_epochs", p.RetainEpochs, leastRetainEpochs, mostRetainEpochs},
		{"prune_per_block", uint64(p.PrunePerBlock), 1, mostPrunePerBlock},
		{"retain_months", uint64(p.RetainMonths), leastRetainMonths, mostRetainMonths},
	} {
		if bound.value < bound.least || bound.value > bound.most {
			return errorsmod.Wrapf(ErrParams, "%s %d: want %d to %d", bound.field, bound.value, bound.least, bound.most)
		}
	}
	if len(p.HoldPerMille) != score.MaxTier+1 {
		return errorsmod.Wrapf(ErrParams, "%d entries in hold_per_mille: want one for each of %d tiers", len(p.HoldPerMille), score.MaxTier+1)
	}
	for tier, hold := range p.HoldPerMille {
		if hold > perMille {
			return errorsmod.Wrapf(ErrParams, "hold_per_mille[%d] %d: want 0 to %d", tier, hold, perMille)
		}
	}
	if _, err := parseAmount("min_boost", p.MinBoost); err != nil {
		return errorsmod.Wrap(ErrParams, err.Error())
	}
	return validateWeights(p)
}

func validateWeights(p rewardv1.Params) error {
	if len(p.Weights) > len(score.Services) {
		return errorsmod.Wrapf(ErrParams, "%d weights: there are %d services", len(p.Weights), len(score.Services))
	}
	sum, last := uint64(p.ValidatorsPerMille), uint32(0)
	for i, w := range p.Weights {
		if _, err := parseService("service", w.Service); err != nil {
			return errorsmod.Wrapf(ErrParams, "weights[%d]: %s", i, err)
		}
		if w.Service <= last {
			return errorsmod.Wrapf(ErrParams, "weights[%d]: service %d after %d: want them ascending", i, w.Service, last)
		}
		if _, err := parseAmount("cell_demand", w.CellDemand); err != nil {
			return errorsmod.Wrapf(ErrParams, "weights[%d]: %s", i, err)
		}
		if w.CellSupply > mostCellSupply {
			return errorsmod.Wrapf(ErrParams, "weights[%d]: cell_supply %d: at most %d", i, w.CellSupply, uint64(mostCellSupply))
		}
		sum, last = sum+uint64(w.PerMille), w.Service
	}
	if sum > perMille {
		return errorsmod.Wrapf(ErrParams, "validators_per_mille and weights sum to %d: at most %d", sum, perMille)
	}
	return nil
}

// parseAmount reads a sum of money that may be zero.
func parseAmount(field string, value math.Int) (price.Amount, error) {
	if value.IsNil() {
		return price.Amount{}, errorsmod.Wrapf(ErrAmount, "%s is missing", field)
	}
	amount, err := price.FromBig(value.BigIntMut())
	if err != nil {
		return price.Amount{}, errorsmod.Wrapf(ErrAmount, "%s: %s", field, err)
	}
	return amount, nil
}

// parseService reads a service's number.
func parseService(field string, number uint32) (score.Service, error) {
	if s := score.Service(number); number <= 0xff && s.Valid() {
		return s, nil
	}
	return 0, errorsmod.Wrapf(ErrService, "%s %d: want 1 to %d", field, number, len(score.Services))
}

// amount reads what this module wrote, which is always a sum of money.
func amount(value math.Int) price.Amount {
	a, err := parseAmount("amount", value)
	if err != nil {
		return price.Amount{}
	}
	return a
}

// toInt gives money as the ledger counts it.
func toInt(a price.Amount) math.Int { return math.NewIntFromBigIntMut(a.Big()) }

// weightOf is a service's weight; one without has none.
func weightOf(p rewardv1.Params, service score.Service) rewardv1.ServiceWeight {
	for _, w := range p.Weights {
		if w.Service == uint32(service) {
			return w
		}
	}
	return rewardv1.ServiceWeight{Service: uint32(service), CellDemand: math.ZeroInt()}
}
