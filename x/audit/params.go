package audit

import (
	errorsmod "cosmossdk.io/errors"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
)

// Bounds of the beacon's params, so that no vote can stop epochs, make them so short that nobody
// could answer a challenge, or let a handful of validators choose beacons.
const (
	leastEpochBlocks  = 4
	mostEpochBlocks   = 200_000
	mostCollectBlocks = 64
	leastPowerBps     = 3_334
	mostPowerBps      = 6_666 // what a third that stays silent can never block
	mostWaitBlocks    = 10_000
	leastRetainEpochs = 8
	mostRetainEpochs  = 100_000
	leastHookGas      = 1_000_000
	mostHookGas       = 1_000_000_000
	// A year of missed hours at this costs less than two double signatures.
	mostMissedOutputPPM = 1_000
)

// DefaultParams are the parameters of a new chain.
func DefaultParams() auditv1.Params {
	return auditv1.Params{
		Beacon: auditv1.BeaconParams{
			EpochBlocks:      1_800, // an hour of blocks of 2 s
			CollectBlocks:    8,
			MinPowerBps:      5_000,
			PatienceBlocks:   20,
			LastResortBlocks: 100,
			RetainEpochs:     1_000,
			HookGas:          20_000_000,
			MissedOutputPpm:  10,
		},
		Report: defaultReportParams(),
	}
}

func validateParams(p auditv1.Params) error {
	if err := validateBeaconParams(p.Beacon); err != nil {
		return err
	}
	return validateReportParams(p.Report, p.Beacon)
}

func validateBeaconParams(p auditv1.BeaconParams) error {
	for _, bound := range []struct {
		field              string
		value, least, most uint64
	}{
		{"epoch_blocks", uint64(p.EpochBlocks), leastEpochBlocks, mostEpochBlocks},
		{"collect_blocks", uint64(p.CollectBlocks), 1, min(mostCollectBlocks, uint64(p.EpochBlocks)-1)},
		{"min_power_bps", uint64(p.MinPowerBps), leastPowerBps, mostPowerBps},
		{"patience_blocks", uint64(p.PatienceBlocks), 1, mostWaitBlocks},
		{"last_resort_blocks", uint64(p.LastResortBlocks), 1, mostWaitBlocks},
		{"retain_epochs", uint64(p.RetainEpochs), leastRetainEpochs, mostRetainEpochs},
		{"hook_gas", p.HookGas, leastHookGas, mostHookGas},
		{"missed_output_ppm", uint64(p.MissedOutputPpm), 0, mostMissedOutputPPM},
	} {
		if bound.value < bound.least || bound.value > bound.most {
			return errorsmod.Wrapf(ErrParams, "beacon.%s %d: want %d to %d", bound.field, bound.value, bound.least, bound.most)
		}
	}
	return nil
}
