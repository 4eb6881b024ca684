package audit

import (
	"bytes"
	"context"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

// validateReports checks what genesis says of reports: INV-REPORT as far as that goes without a store.
func validateReports(g auditv1.ReportState) error {
	open, err := validateRounds(g)
	if err != nil {
		return err
	}
	seen := make(map[string]bool, len(g.Reporters))
	for i, r := range g.Reporters {
		switch {
		case seen[r.Address]:
			return errorsmod.Wrapf(ErrGenesis, "reporters[%d]: %q stands twice", i, r.Address)
		case r.Bond.IsNil() || r.Bond.IsNegative() || r.Bond.BigInt().BitLen() > amountBits:
			return errorsmod.Wrapf(ErrGenesis, "reporters[%d]: bond %s", i, r.Bond)
		case r.State != auditv1.REPORTER_STATE_BONDED && r.State != auditv1.REPORTER_STATE_UNBONDING:
			return errorsmod.Wrapf(ErrGenesis, "reporters[%d]: state %d", i, r.State)
		case (r.State == auditv1.REPORTER_STATE_UNBONDING) != (r.FreeAt > 0):
			return errorsmod.Wrapf(ErrGenesis, "reporters[%d]: free_at %d while %s", i, r.FreeAt, r.State)
		case r.Open != open[r.Address]:
			return errorsmod.Wrapf(ErrGenesis, "reporters[%d]: %d reports are open, it counts %d", i, open[r.Address], r.Open)
		}
		if err := checkData(r.Data); err != nil {
			return errorsmod.Wrapf(err, "reporters[%d]", i)
		}
		seen[r.Address] = true
		delete(open, r.Address)
	}
	if len(open) > 0 {
		return errorsmod.Wrapf(ErrGenesis, "%d accounts have reports and are no reporters", len(open))
	}
	for i, f := range g.Finals {
		if i > 0 && g.Finals[i-1].Service >= f.Service {
			return errorsmod.Wrapf(ErrGenesis, "finals[%d]: service %d after %d", i, f.Service, g.Finals[i-1].Service)
		}
		if _, err := parseStatement("", f.Statement); err != nil {
			return errorsmod.Wrapf(err, "finals[%d]", i)
		}
		if _, err := parseRoot("before", f.Before); err != nil {
			return errorsmod.Wrapf(err, "finals[%d]", i)
		}
		if f.Statement.Service != f.Service || len(f.Id) != 32 {
			return errorsmod.Wrapf(ErrGenesis, "finals[%d]: a statement of service %d with an id of %d bytes", i, f.Statement.Service, len(f.Id))
		}
	}
	return nil
}

// validateRounds checks rounds, their reports and the demands on them, and counts each account's
// reports that are open.
func validateRounds(g auditv1.ReportState) (open map[string]uint32, err error) {
	reports := make(map[string]auditv1.Report, len(g.Reports))
	for i, r := range g.Reports {
		if err := checkReport(r); err != nil {
			return nil, errorsmod.Wrapf(err, "reports[%d]", i)
		}
		if _, twice := reports[string(r.Id)]; twice {
			return nil, errorsmod.Wrapf(ErrGenesis, "reports[%d]: %x stands twice", i, r.Id)
		}
		reports[string(r.Id)] = r
	}
	open = make(map[string]uint32)
	demands := make(map[string]uint32)
	for i, d := range g.Demands {
		r, known := reports[string(d.Report)]
		switch {
		case !known || r.Status != auditv1.REPORT_STATUS_OPEN:
			return nil, errorsmod.Wrapf(ErrGenesis, "demands[%d]: report %x is not open", i, clip(d.Report))
		case d.Demander == "" || d.DueAt < 1 || d.Deposit.IsNil() || d.Deposit.IsNegative():
			return nil, errorsmod.Wrapf(ErrGenesis, "demands[%d]: demander %q, due at %d, deposit %s", i, d.Demander, d.DueAt, d.Deposit)
		}
		demands[string(d.Report)]++
	}
	for i, round := range g.Rounds {
		if i > 0 {
			if last := g.Rounds[i-1]; last.Service > round.Service || last.Service == round.Service && last.Epoch >= round.Epoch {
				return nil, errorsmod.Wrapf(ErrGenesis, "rounds[%d]: service %d, epoch %d after service %d, epoch %d", i, round.Service, round.Epoch, last.Service, last.Epoch)
			}
		}
		if round.OpenedAt < 0 || len(round.Reports) == 0 {
			return nil, errorsmod.Wrapf(ErrGenesis, "rounds[%d]: opened at %d with %d reports", i, round.OpenedAt, len(round.Reports))
		}
		for _, id := range round.Reports {
			r, known := reports[string(id)]
			if !known || r.Statement.Service != round.Service || r.Statement.Epoch != round.Epoch {
				return nil, errorsmod.Wrapf(ErrGenesis, "rounds[%d]: report %x is none of it", i, clip(id))
			}
			delete(reports, string(id))
			if r.DemandsOpen != demands[string(id)] {
				return nil, errorsmod.Wrapf(ErrGenesis, "report %x: %d demands are open, it counts %d", id, demands[string(id)], r.DemandsOpen)
			}
			if r.Status == auditv1.REPORT_STATUS_OPEN {
				for _, p := range r.Posts {
					open[p.Reporter]++
				}
			}
		}
	}
	for id := range reports { //consensus:ok only the error's choice of report depends on it, and a genesis that has one starts no chain
		return nil, errorsmod.Wrapf(ErrGenesis, "report %x is in no round", id)
	}
	return open, nil
}

// checkReport checks what holds of one report by itself.
func checkReport(r auditv1.Report) error {
	if len(r.Id) != 32 {
		return errorsmod.Wrapf(ErrGenesis, "id of %d bytes", len(r.Id))
	}
	if _, err := parseStatement("", r.Statement); err != nil {
		return err
	}
	switch r.Status {
	case auditv1.REPORT_STATUS_OPEN:
	case auditv1.REPORT_STATUS_REJECTED:
		if r.DemandsOpen > 0 {
			return errorsmod.Wrapf(ErrGenesis, "%d demands on a rejected report", r.DemandsOpen)
		}
	default:
		return errorsmod.Wrapf(ErrGenesis, "status %d", r.Status)
	}
	if len(r.Posts) == 0 || (r.AgreedAt > 0) != (r.FinalAt > 0) || r.FinalAt < r.AgreedAt || r.AgreedAt < 0 {
		return errorsmod.Wrapf(ErrGenesis, "%d posts, agreed at %d, final at %d", len(r.Posts), r.AgreedAt, r.FinalAt)
	}
	seen := make(map[string]bool, len(r.Posts))
	for i, p := range r.Posts {
		if seen[p.Reporter] || p.Reporter == "" {
			return errorsmod.Wrapf(ErrGenesis, "posts[%d]: reporter %q", i, p.Reporter)
		}
		seen[p.Reporter] = true
		if err := checkData(p.Data); err != nil {
			return errorsmod.Wrapf(err, "posts[%d]", i)
		}
	}
	return nil
}

// initReports writes what a valid genesis says of reports. Addresses are taken in any spelling.
func (k *Keeper) initReports(ctx context.Context, g auditv1.ReportState) error {
	canonical := func(field string, text *string) error {
		_, spelled, err := k.parseAccount(field, *text)
		*text = spelled
		return err
	}
	for i, r := range g.Reporters {
		if err := canonical("address", &r.Address); err != nil {
			return errorsmod.Wrapf(err, "reporters[%d]", i)
		}
		if err := k.setReporter(ctx, r); err != nil {
			return err
		}
	}
	for _, round := range g.Rounds {
		if err := k.reports.rounds.Set(ctx, collections.Join(round.Service, round.Epoch), round); err != nil {
			return errorsmod.Wrapf(err, "writing round %d", round.Epoch)
		}
	}
	for i, r := range g.Reports {
		posts := make([]auditv1.ReportPost, len(r.Posts))
		copy(posts, r.Posts)
		r.Posts = posts
		for j := range posts {
			if err := canonical("reporter", &posts[j].Reporter); err != nil {
				return errorsmod.Wrapf(err, "reports[%d].posts[%d]", i, j)
			}
		}
		if err := k.setReport(ctx, r); err != nil {
			return err
		}
	}
	for i, d := range g.Demands {
		if err := canonical("demander", &d.Demander); err != nil {
			return errorsmod.Wrapf(err, "demands[%d]", i)
		}
		if err := k.reports.demands.Set(ctx, collections.Join(d.Report, d.Demander), d); err != nil {
			return errorsmod.Wrapf(err, "writing demand of %s", d.Demander)
		}
	}
	for _, f := range g.Finals {
		if err := k.reports.finals.Set(ctx, f.Service, f); err != nil {
			return errorsmod.Wrapf(err, "writing the final report of service %d", f.Service)
		}
	}
	return nil
}

// exportReports reads what the state says of reports.
func (k *Keeper) exportReports(ctx context.Context) (g auditv1.ReportState, err error) {
	err = k.reports.reporters.Walk(ctx, nil, func(_ string, r auditv1.Reporter) (bool, error) {
		g.Reporters = append(g.Reporters, r)
		return false, nil
	})
	if err != nil {
		return g, errorsmod.Wrap(err, "reading reporters")
	}
	if g.Rounds, err = values(ctx, k.reports.rounds); err != nil {
		return g, errorsmod.Wrap(err, "reading rounds")
	}
	if g.Reports, err = values(ctx, k.reports.reports); err != nil {
		return g, errorsmod.Wrap(err, "reading reports")
	}
	if g.Demands, err = values(ctx, k.reports.demands); err != nil {
		return g, errorsmod.Wrap(err, "reading demands")
	}
	g.Finals, err = values(ctx, k.reports.finals)
	return g, errorsmod.Wrap(err, "reading final reports")
}

// checkBonds: INV-AUDIT-BOND: the bonds of all reporters and the deposits of all demands add up to
// no more than the module's account has, and the sum of the bonds that count is what is noted.
func (k *Keeper) checkBonds(ctx context.Context) error {
	g, err := k.exportReports(ctx)
	if err != nil {
		return err
	}
	owed, bonded := math.ZeroInt(), math.ZeroInt()
	for _, r := range g.Reporters {
		if r.Bond.IsNegative() {
			return fmt.Errorf("reporter %s has a bond of %s", r.Address, r.Bond)
		}
		owed, bonded = owed.Add(r.Bond), bonded.Add(counts(r))
	}
	for _, d := range g.Demands {
		owed = owed.Add(d.Deposit)
	}
	noted, err := k.totalBonded(ctx)
	if err != nil {
		return err
	}
	if !noted.Equal(bonded) {
		return fmt.Errorf("bonds that count are %s, noted are %s", bonded, noted)
	}
	if has := k.reports.bank.GetBalance(ctx, k.account, price.Denom); has.Amount.LT(owed) {
		return fmt.Errorf("bonds and deposits are %s, the module's account has %s", owed, has)
	}
	return nil
}

// checkReports: INV-REPORT: every report is in the one round of its epoch, every demand is on an
// open report, reporters count their open reports, and rounds come after the final epoch.
func (k *Keeper) checkReports(ctx context.Context) error {
	g, err := k.exportReports(ctx)
	if err != nil {
		return err
	}
	if err := validateReports(g); err != nil {
		return err
	}
	for _, round := range g.Rounds {
		newest, some, err := k.final(ctx, score.Service(round.Service))
		if err != nil {
			return err
		}
		if some && round.Epoch <= newest.Statement.Epoch {
			return fmt.Errorf("round %d of service %d is open, and epoch %d is final", round.Epoch, round.Service, newest.Statement.Epoch)
		}
	}
	for _, r := range g.Reports {
		if key, err := k.reports.reports.Get(ctx, r.Id); err != nil || !bytes.Equal(key.Id, r.Id) {
			return fmt.Errorf("report %x does not stand under its id: %w", r.Id, err)
		}
	}
	return nil
}
