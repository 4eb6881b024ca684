package adversary

import (
	"reflect"
	"testing"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
	sim "github.com/cairn-network/cairn/sim/adversary"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/reward"
	"github.com/cairn-network/cairn/x/storage"
)

// The simulated attackers meet the law of the default genesis: whoever changes a default sees what it
// does to them.
func TestSimulatedLawIsThatOfTheDefaultGenesis(t *testing.T) {
	var (
		law        = sim.DefaultLaw()
		possession = storage.DefaultParams().Possession
		pay        = reward.DefaultParams()
	)
	const year = 365 * 24 * 3600
	deposit, err := price.FromBig(device.DefaultParams().Deposit.Amount.BigInt())
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range []struct {
		what       string
		sim, chain any
	}{
		{"interval", law.Interval, possession.Interval},
		{"positions", law.Positions, possession.Positions},
		{"fresh_epochs", law.Fresh, uint64(possession.FreshEpochs)},
		{"slash_bps", law.SlashBps, uint64(possession.SlashBps)},
		{"bounty_bps", law.BountyBps, uint64(possession.BountyBps)},
		{"jail_seconds", law.JailEpochs * sim.EpochSeconds, uint64(possession.JailSeconds)},
		{"max_jail_seconds", law.MaxJailEpochs * sim.EpochSeconds, uint64(possession.MaxJailSeconds)},
		{"usage_per_mille", law.Usage, pay.UsagePerMille},
		{"smoothing_epochs", law.Smoothing, pay.SmoothingEpochs},
		{"weight of storage", law.Weight, pay.Weights[0].PerMille},
		{"yield", law.Terms.Yield, uint64(pay.YieldPerMille) * sim.EpochSeconds * 1_000_000_000 / year},
		{"share_per_mille", law.Terms.Share, pay.SharePerMille},
		{"hold_per_mille", law.Terms.Hold[:], pay.HoldPerMille},
		{"need_hold_per_mille", law.Terms.NeedHold, pay.NeedHoldPerMille},
		{"release_epochs", law.Terms.ReleaseEpochs, pay.ReleaseEpochs},
		{"miss_per_mille", law.Terms.Miss, pay.MissPerMille},
		{"fault_per_mille", law.Terms.Fault, pay.FaultPerMille},
		{"most that usage pays", law.Terms.Usage, uint32(score.UsagePerMille)},
		{"missed_output_ppm", law.MissedOutputPPM, uint64(audit.DefaultParams().Beacon.MissedOutputPpm)},
		{"deposit of a device", sim.DefaultCosts().Deposit, deposit},
	} {
		if !reflect.DeepEqual(same.sim, same.chain) {
			t.Errorf("%s: %v in the simulation, %v in the genesis", same.what, same.sim, same.chain)
		}
	}
}
