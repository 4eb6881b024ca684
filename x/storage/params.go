package storage

import (
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/price"
)

// Bounds of max_pointer_bytes: below the least no pointer fits, above the most anchors would be
// used to store data on the chain.
const (
	leastPointerBytes = 64
	mostPointerBytes  = 64 << 10
)

// Bounds of the params of possession.
const (
	maxInterval = 48 // epochs
	// maxPositions keeps one answer far below a block: 32 proofs are 80 KB.
	maxPositions     = 32
	maxPeerOdds      = 1 << 20
	maxFreshEpochs   = 336
	maxReportEpochs  = 168
	maxRetainEpochs  = 10_000
	maxJailSeconds   = 365 * 24 * 3600
	maxAnswerSeconds = 30 * 24 * 3600
	maxSettleEpochs  = 168
	maxOpenAudits    = 1000
	leastFillBps     = 10_000
	mostFillBps      = 40_000
	mostPrunes       = 10_000
)

// DefaultParams are the parameters of a new chain. With epochs of an hour a device is challenged four
// times a day, at four positions each.
func DefaultParams() storagev1.Params {
	return storagev1.Params{
		MaxPointerBytes: 8 << 10,
		Possession: storagev1.PossessionParams{
			Interval:       6,
			Positions:      4,
			PeerOdds:       1000,
			FreshEpochs:    48,
			ReportEpochs:   24,
			RetainEpochs:   720,
			SlashBps:       200,
			BountyBps:      1000,
			JailSeconds:    6 * 3600,
			MaxJailSeconds: 14 * 24 * 3600,
			AnswerSeconds:  4 * 3600,
			Deposit:        sdk.NewCoin(price.Denom, math.NewIntWithDecimal(1, 16)), // 0.01 CAIRN: ten answers' fees
			SettleEpochs:   3,
			MaxOpenAudits:  16,
			MaxFillBps:     20_000,
			PrunesPerBlock: 200,
		},
	}
}

func validateParams(p storagev1.Params) error {
	if p.MaxPointerBytes < leastPointerBytes || p.MaxPointerBytes > mostPointerBytes {
		return errorsmod.Wrapf(ErrParams, "max_pointer_bytes %d: want %d to %d", p.MaxPointerBytes, leastPointerBytes, mostPointerBytes)
	}
	q := p.Possession
	for _, bound := range []struct {
		name                   string
		value, least, greatest int64
	}{
		{"interval", int64(q.Interval), 1, maxInterval},
		{"positions", int64(q.Positions), 1, maxPositions},
		{"peer_odds", int64(q.PeerOdds), 1, maxPeerOdds},
		{"fresh_epochs", int64(q.FreshEpochs), int64(q.Interval), maxFreshEpochs},
		{"report_epochs", int64(q.ReportEpochs), 1, maxReportEpochs},
		// What may be reported must be kept, and punished once only.
		{"retain_epochs", int64(q.RetainEpochs), int64(q.ReportEpochs) + 1, maxRetainEpochs},
		{"slash_bps", int64(q.SlashBps), 0, wholeBps},
		// Something must be burned, or a device could report itself for nothing.
		{"bounty_bps", int64(q.BountyBps), 0, wholeBps / 2},
		{"jail_seconds", q.JailSeconds, 1, maxJailSeconds},
		{"max_jail_seconds", q.MaxJailSeconds, q.JailSeconds, maxJailSeconds},
		{"answer_seconds", q.AnswerSeconds, 10, maxAnswerSeconds},
		{"settle_epochs", int64(q.SettleEpochs), 2, maxSettleEpochs},
		{"max_open_audits", int64(q.MaxOpenAudits), 1, maxOpenAudits},
		{"max_fill_bps", int64(q.MaxFillBps), leastFillBps, mostFillBps},
		{"prunes_per_block", int64(q.PrunesPerBlock), 1, mostPrunes},
	} {
		if bound.value < bound.least || bound.value > bound.greatest {
			return errorsmod.Wrapf(ErrParams, "possession.%s %d: want %d to %d", bound.name, bound.value, bound.least, bound.greatest)
		}
	}
	if q.Deposit.Amount.IsNil() || q.Deposit.Validate() != nil {
		return errorsmod.Wrapf(ErrParams, "possession.deposit %v: want an amount of a denomination", q.Deposit)
	}
	if _, err := price.FromBig(q.Deposit.Amount.BigIntMut()); err != nil {
		return errorsmod.Wrapf(ErrParams, "possession.deposit: %s", err)
	}
	return nil
}
