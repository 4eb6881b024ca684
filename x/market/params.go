package market

import (
	"slices"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	day = 24 * 3600 // seconds

	// wholeBps is all of a payment in basis points.
	wholeBps = 10_000
	// Bounds of the params, so that no vote can stop the market, take everything as fee, or make
	// one message or one block too long.
	mostFeeBps            = 2_500
	mostDenoms            = 32
	mostGraceSeconds      = 30 * day
	leastLeaseSeconds     = 60
	mostLeaseSeconds      = 10 * 365 * day
	mostItemsPerLease     = 2_048
	mostBidsPerOrder      = 512
	mostVouchersPerSettle = 10_000
	mostDeadlinesPerBlock = 10_000
	mostOffersPerDevice   = 256
	mostBiddingSeconds    = 30 * day
	// What is over can be read for an hour at least: whoever follows the chain must be able to see
	// how it ended.
	leastRetentionSeconds = 3600
	mostRetentionSeconds  = 10 * 365 * day
)

// DefaultParams are the parameters of a new chain.
func DefaultParams() marketv1.Params {
	return marketv1.Params{
		FeeBps:               250,
		Denoms:               []string{price.Denom},
		GraceSeconds:         3600,
		MaxLeaseSeconds:      365 * day,
		MaxItemsPerLease:     512,
		MaxBidsPerOrder:      128,
		MaxVouchersPerSettle: 2_000,
		DeadlinesPerBlock:    200,
		MaxOffersPerDevice:   16,
		MaxBiddingSeconds:    7 * day,
		RetentionSeconds:     30 * day,
	}
}

func validateParams(p marketv1.Params) error {
	if len(p.Denoms) == 0 || len(p.Denoms) > mostDenoms {
		return errorsmod.Wrapf(ErrParams, "%d denoms: want 1 to %d", len(p.Denoms), mostDenoms)
	}
	for i, denom := range p.Denoms {
		if err := sdk.ValidateDenom(denom); err != nil {
			return errorsmod.Wrapf(ErrParams, "denoms[%d] %q: %s", i, modkit.Clip(denom), err)
		}
		if slices.Contains(p.Denoms[:i], denom) {
			return errorsmod.Wrapf(ErrParams, "denoms[%d] %q: listed twice", i, denom)
		}
	}
	for _, bound := range []struct {
		field              string
		value, least, most int64
	}{
		{"fee_bps", int64(p.FeeBps), 0, mostFeeBps},
		{"grace_seconds", p.GraceSeconds, 0, mostGraceSeconds},
		{"max_lease_seconds", p.MaxLeaseSeconds, leastLeaseSeconds, mostLeaseSeconds},
		{"max_items_per_lease", int64(p.MaxItemsPerLease), 1, mostItemsPerLease},
		{"max_bids_per_order", int64(p.MaxBidsPerOrder), 1, mostBidsPerOrder},
		{"max_vouchers_per_settle", int64(p.MaxVouchersPerSettle), 1, mostVouchersPerSettle},
		{"deadlines_per_block", int64(p.DeadlinesPerBlock), 1, mostDeadlinesPerBlock},
		{"max_offers_per_device", int64(p.MaxOffersPerDevice), 1, mostOffersPerDevice},
		{"max_bidding_seconds", p.MaxBiddingSeconds, 1, mostBiddingSeconds},
		{"retention_seconds", p.RetentionSeconds, leastRetentionSeconds, mostRetentionSeconds},
	} {
		if bound.value < bound.least || bound.value > bound.most {
			return errorsmod.Wrapf(ErrParams, "%s %d: want %d to %d", bound.field, bound.value, bound.least, bound.most)
		}
	}
	return nil
}
