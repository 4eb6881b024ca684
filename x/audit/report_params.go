package audit

import (
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/score"
)

// Bounds of the reports' params, so that no vote can take disputes away, let a liar keep its bond,
// or make a round too large for one message.
const (
	mostReporters     = 128
	leastSlashBps     = 1_000
	mostBountyBps     = 9_000 // a liar that disputes itself still loses a tenth
	leastTermBlocks   = 2
	mostTermBlocks    = 1_000_000
	mostUnbonding     = 10_000_000
	mostPending       = 256
	mostDemands       = 256
	mostEvidenceBytes = 256 << 10
	mostRules         = 64
)

// defaultReportParams are those of a new chain. Blocks are taken as of 2 s.
func defaultReportParams() auditv1.ReportParams {
	return auditv1.ReportParams{
		MinBond:          math.NewIntWithDecimal(1_000, 18),
		MaxReporters:     32,
		SlashBps:         wholeBps,
		BountyBps:        5_000,
		WindowBlocks:     43_200,  // a day
		DeadlineBlocks:   3_600,   // two hours
		ServeBlocks:      1_800,   // an hour
		UnbondingBlocks:  302_400, // a week
		MaxPending:       64,
		MaxDemands:       32,
		DemandDeposit:    math.NewIntWithDecimal(10, 18),
		DisputeDeposit:   math.NewIntWithDecimal(10, 18),
		MaxEvidenceBytes: 64 << 10,
		Rules:            []auditv1.RulesFrom{{Service: uint32(score.Storage), Epoch: 1, Rules: uint32(score.RulesV1)}},
	}
}

func validateReportParams(p auditv1.ReportParams, b auditv1.BeaconParams) error {
	for _, money := range []struct {
		field string
		value math.Int
		least int64
	}{
		{"min_bond", p.MinBond, 1},
		{"demand_deposit", p.DemandDeposit, 0},
		{"dispute_deposit", p.DisputeDeposit, 0},
	} {
		if money.value.IsNil() || money.value.LT(math.NewInt(money.least)) || money.value.BigInt().BitLen() > amountBits {
			return errorsmod.Wrapf(ErrParams, "report.%s %s", money.field, money.value)
		}
	}
	for _, bound := range []struct {
		field              string
		value, least, most uint32
	}{
		{"max_reporters", p.MaxReporters, 1, mostReporters},
		{"slash_bps", p.SlashBps, leastSlashBps, wholeBps},
		{"bounty_bps", p.BountyBps, 0, mostBountyBps},
		{"window_blocks", p.WindowBlocks, leastTermBlocks, mostTermBlocks},
		{"deadline_blocks", p.DeadlineBlocks, leastTermBlocks, mostTermBlocks},
		{"serve_blocks", p.ServeBlocks, leastTermBlocks, p.WindowBlocks},
		// Who has left can be held to account as long as a report of it can be disputed.
		{"unbonding_blocks", p.UnbondingBlocks, p.DeadlineBlocks + lastWindows*p.WindowBlocks, mostUnbonding},
		{"max_pending", p.MaxPending, 2, mostPending},
		{"max_demands", p.MaxDemands, 1, mostDemands},
		{"max_evidence_bytes", p.MaxEvidenceBytes, 1, mostEvidenceBytes},
	} {
		if bound.value < bound.least || bound.value > bound.most {
			return errorsmod.Wrapf(ErrParams, "report.%s %d: want %d to %d", bound.field, bound.value, bound.least, bound.most)
		}
	}
	// A report posted at the last moment must run its course while its facts are kept.
	if course := uint64(p.DeadlineBlocks) + lastWindows*uint64(p.WindowBlocks); course > uint64(b.RetainEpochs/2)*uint64(b.EpochBlocks) {
		return errorsmod.Wrapf(ErrParams, "report.deadline_blocks and windows are %d blocks, and facts are kept for %d epochs of %d",
			course, b.RetainEpochs/2, b.EpochBlocks)
	}
	if len(p.Rules) > mostRules {
		return errorsmod.Wrapf(ErrParams, "report.rules: %d, at most %d", len(p.Rules), mostRules)
	}
	for i, r := range p.Rules {
		switch {
		case r.Service > 0xff || !score.Service(r.Service).Valid():
			return errorsmod.Wrapf(ErrParams, "report.rules[%d].service %d", i, r.Service)
		case r.Epoch == 0:
			return errorsmod.Wrapf(ErrParams, "report.rules[%d].epoch 0: epochs start at 1", i)
		case !score.Rules(r.Rules).Known():
			return errorsmod.Wrapf(ErrParams, "report.rules[%d].rules %d: unknown to this version", i, r.Rules)
		case i > 0 && (p.Rules[i-1].Service > r.Service || p.Rules[i-1].Service == r.Service && p.Rules[i-1].Epoch >= r.Epoch):
			return errorsmod.Wrapf(ErrParams, "report.rules[%d]: of service %d from epoch %d after service %d from epoch %d",
				i, r.Service, r.Epoch, p.Rules[i-1].Service, p.Rules[i-1].Epoch)
		}
	}
	return nil
}

// checkRulesChange refuses new rules for epochs that have begun.
func checkRulesChange(before, after auditv1.ReportParams, current uint64) error {
	settled := func(p auditv1.ReportParams) (list []auditv1.RulesFrom) {
		for _, r := range p.Rules {
			if r.Epoch <= current {
				list = append(list, r)
			}
		}
		return list
	}
	was, is := settled(before), settled(after)
	if len(was) != len(is) {
		return errorsmod.Wrapf(ErrParams, "report.rules: %d hold for epochs until %d, and %d would: what has begun stays", len(was), current, len(is))
	}
	for i := range was {
		if was[i] != is[i] {
			return errorsmod.Wrapf(ErrParams, "report.rules: service %d from epoch %d: what has begun stays", is[i].Service, is[i].Epoch)
		}
	}
	return nil
}
