package chainclient

import (
	"context"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// CurrentEpoch is the running epoch.
func (c *Client) CurrentEpoch(ctx context.Context) (auditv1.Epoch, error) {
	r, err := auditv1.NewQueryClient(c.conn).CurrentEpoch(ctx, &auditv1.QueryCurrentEpochRequest{})
	if err != nil {
		return auditv1.Epoch{}, fmt.Errorf("asking for the running epoch: %w", queryError(err))
	}
	return r.Epoch, nil
}

// Epoch is one that the chain still keeps; ErrUnknownEpoch if it does not.
func (c *Client) Epoch(ctx context.Context, number uint64) (auditv1.Epoch, error) {
	r, err := auditv1.NewQueryClient(c.conn).Epoch(ctx, &auditv1.QueryEpochRequest{Number: number})
	if err != nil {
		return auditv1.Epoch{}, fmt.Errorf("asking for epoch %d: %w", number, queryError(err))
	}
	return r.Epoch, nil
}

// AuditParams are the governed numbers of epochs and reports.
func (c *Client) AuditParams(ctx context.Context) (auditv1.Params, error) {
	r, err := auditv1.NewQueryClient(c.conn).Params(ctx, &auditv1.QueryParamsRequest{})
	if err != nil {
		return auditv1.Params{}, fmt.Errorf("asking for the parameters of epochs and reports: %w", queryError(err))
	}
	return r.Params, nil
}

// Reporter is a reporter by its account; ErrNotFound when it has no bond.
func (c *Client) Reporter(ctx context.Context, account string) (auditv1.Reporter, error) {
	r, err := auditv1.NewQueryClient(c.conn).Reporter(ctx, &auditv1.QueryReporterRequest{Address: account})
	if err != nil {
		return auditv1.Reporter{}, fmt.Errorf("asking for reporter %s: %w", account, queryError(err))
	}
	return r.Reporter, nil
}

// Reporters are all reporters.
func (c *Client) Reporters(ctx context.Context) ([]auditv1.Reporter, error) {
	q := auditv1.NewQueryClient(c.conn)
	reporters, err := pages(func(page *query.PageRequest) ([]auditv1.Reporter, *query.PageResponse, error) {
		r, err := q.Reporters(ctx, &auditv1.QueryReportersRequest{Pagination: page})
		return r.GetReporters(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing reporters: %w", err)
	}
	return reporters, nil
}

// ReportRounds are the epochs of a service that are reported and not final, ascending, and the epoch
// that follows the last final one.
func (c *Client) ReportRounds(ctx context.Context, service score.Service) (rounds []auditv1.Round, next uint64, err error) {
	r, err := auditv1.NewQueryClient(c.conn).Rounds(ctx, &auditv1.QueryRoundsRequest{Service: uint32(service)})
	if err != nil {
		return nil, 0, fmt.Errorf("listing rounds of %s: %w", service, queryError(err))
	}
	return r.Rounds, r.Next, nil
}

// ReportRound is one epoch that is not final yet, with its reports; ErrNotFound when nobody reported
// it or it is final.
func (c *Client) ReportRound(ctx context.Context, service score.Service, epoch uint64) (auditv1.Round, []auditv1.Report, error) {
	r, err := auditv1.NewQueryClient(c.conn).Round(ctx, &auditv1.QueryRoundRequest{Service: uint32(service), Epoch: epoch})
	if err != nil {
		return auditv1.Round{}, nil, fmt.Errorf("asking for round %d of %s: %w", epoch, service, queryError(err))
	}
	return r.Round, r.Reports, nil
}

// Report is a report that is not final yet, with the demands on it; ErrNotFound.
func (c *Client) Report(ctx context.Context, id [32]byte) (auditv1.Report, []auditv1.Demand, error) {
	r, err := auditv1.NewQueryClient(c.conn).Report(ctx, &auditv1.QueryReportRequest{Id: id[:]})
	if err != nil {
		return auditv1.Report{}, nil, fmt.Errorf("asking for report %x: %w", id, queryError(err))
	}
	return r.Report, r.Demands, nil
}

// FinalReport is the newest final report of a service; ErrNotFound when there is none yet.
func (c *Client) FinalReport(ctx context.Context, service score.Service) (auditv1.FinalReport, error) {
	r, err := auditv1.NewQueryClient(c.conn).Final(ctx, &auditv1.QueryFinalRequest{Service: uint32(service)})
	if err != nil {
		return auditv1.FinalReport{}, fmt.Errorf("asking for the final report of %s: %w", service, queryError(err))
	}
	return r.Final, nil
}

// RewardRoots are the final roots of a service that can be claimed by, ascending by epoch.
func (c *Client) RewardRoots(ctx context.Context, service score.Service) ([]rewardv1.Root, error) {
	r, err := rewardv1.NewQueryClient(c.conn).Roots(ctx, &rewardv1.QueryRootsRequest{Service: uint32(service)})
	if err != nil {
		return nil, fmt.Errorf("listing roots of %s: %w", service, queryError(err))
	}
	return r.Roots, nil
}

// ReportPlan is what a report of an epoch that is over goes by beside facts and accounts.
func (c *Client) ReportPlan(ctx context.Context, service score.Service, epoch uint64) (report.Plan, error) {
	r, err := auditv1.NewQueryClient(c.conn).Plan(ctx, &auditv1.QueryPlanRequest{Service: uint32(service), Epoch: epoch})
	if err != nil {
		return report.Plan{}, fmt.Errorf("asking for the pools of %s in epoch %d: %w", service, epoch, queryError(err))
	}
	t := r.Terms
	p := report.Plan{Service: service, Epoch: epoch, Rules: score.Rules(r.Rules), Pools: score.Pools{Terms: score.Terms{
		Usage: t.Usage, Yield: t.Yield, Share: t.Share, NeedHold: t.NeedHold, ReleaseEpochs: t.ReleaseEpochs, Miss: t.Miss, Fault: t.Fault,
	}}}
	if len(t.Hold) != len(p.Pools.Terms.Hold) {
		return p, fmt.Errorf("pools of %s in epoch %d: %d tiers, this program knows %d", service, epoch, len(t.Hold), len(p.Pools.Terms.Hold))
	}
	copy(p.Pools.Terms.Hold[:], t.Hold)
	for _, pool := range []struct {
		from interface{ String() string }
		to   *price.Amount
	}{{r.Usage, &p.Pools.Usage}, {r.Bootstrap, &p.Pools.Bootstrap}, {r.Boost, &p.Pools.Boost}, {r.Burned, &p.Pools.TotalBurned}} {
		if *pool.to, err = price.ParseDecimal(pool.from.String()); err != nil {
			return p, fmt.Errorf("pools of %s in epoch %d: %w", service, epoch, err)
		}
	}
	return p, nil
}

// Facts are all facts of a service in an epoch that is over, ascending by device.
func (c *Client) Facts(ctx context.Context, service score.Service, epoch uint64) ([]score.Fact, error) {
	if service != score.Storage {
		return nil, fmt.Errorf("facts of %s: %w", service, score.ErrService)
	}
	q := storagev1.NewQueryClient(c.conn)
	rows, err := pages(func(page *query.PageRequest) ([]storagev1.Fact, *query.PageResponse, error) {
		r, err := q.Facts(ctx, &storagev1.QueryFactsRequest{Epoch: epoch, Pagination: page})
		return r.GetFacts(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing facts of epoch %d: %w", epoch, err)
	}
	facts := make([]score.Fact, len(rows))
	for i, row := range rows {
		if err := facts[i].UnmarshalBinary(row.Encoded); err != nil {
			return nil, fmt.Errorf("fact of device %d in epoch %d: %w", row.Device, epoch, err)
		}
	}
	return facts, nil
}

// StatementOf reads what a report says.
func StatementOf(chainID string, s auditv1.Statement) (report.Statement, error) {
	earned, err := price.FromBig(s.Output.Earned.BigInt())
	if err != nil {
		return report.Statement{}, fmt.Errorf("reading a report of epoch %d: %w", s.Epoch, err)
	}
	out := report.Statement{
		ChainID: chainID, Service: score.Service(s.Service), Epoch: s.Epoch, Rules: score.Rules(s.Rules),
		Inputs: report.Root{Leaves: s.Inputs},
		Output: report.Root{Leaves: s.Output.Leaves, Points: s.Output.Points, Earned: earned},
	}
	copy(out.Inputs.Hash[:], s.InputHash)
	copy(out.Output.Hash[:], s.Output.Hash)
	copy(out.Previous[:], s.Previous)
	return out, nil
}

// EncodeStatement is the inverse of StatementOf.
func EncodeStatement(s report.Statement) auditv1.Statement {
	out := auditv1.Statement{
		Service: uint32(s.Service), Epoch: s.Epoch, Rules: uint32(s.Rules), Inputs: s.Inputs.Leaves,
		Output: auditv1.TreeRoot{Leaves: s.Output.Leaves, Points: s.Output.Points, Earned: coin(s.Output.Earned).Amount},
	}
	if s.Inputs.Leaves > 0 {
		out.InputHash = s.Inputs.Hash[:]
	}
	if s.Output.Leaves > 0 {
		out.Output.Hash = s.Output.Hash[:]
	}
	if s.Previous != [32]byte{} {
		out.Previous = s.Previous[:]
	}
	return out
}

// BondReporter adds to the account's bond as a reporter and says where it serves data.
func (c *Client) BondReporter(ctx context.Context, amount price.Amount, data string) error {
	return c.call(ctx, fmt.Sprintf("bonding %s as a reporter", amount.Format()),
		&auditv1.MsgBondReporter{Reporter: c.Address(), Amount: coin(amount).Amount, Data: data}, nil)
}

// UnbondReporter begins the wait for the bond's return and gives the height at which it ends.
func (c *Client) UnbondReporter(ctx context.Context) (freeAt int64, err error) {
	var r auditv1.MsgUnbondReporterResponse
	err = c.call(ctx, "unbonding as a reporter", &auditv1.MsgUnbondReporter{Reporter: c.Address()}, &r)
	return r.FreeAt, err
}

// WithdrawBond takes the bond back.
func (c *Client) WithdrawBond(ctx context.Context) (price.Amount, error) {
	var r auditv1.MsgWithdrawBondResponse
	if err := c.call(ctx, "withdrawing the bond", &auditv1.MsgWithdrawBond{Reporter: c.Address()}, &r); err != nil {
		return price.Amount{}, err
	}
	return price.FromBig(r.Amount.BigInt())
}

// PostReport puts the account's bond behind a statement, whose data lies at a URL.
func (c *Client) PostReport(ctx context.Context, s report.Statement, data string) error {
	return c.call(ctx, fmt.Sprintf("reporting epoch %d of %s", s.Epoch, s.Service),
		&auditv1.MsgPostReport{Reporter: c.Address(), Statement: EncodeStatement(s), Data: data}, nil)
}

// FinalizeReports makes final what is due and gives the newest final epoch.
func (c *Client) FinalizeReports(ctx context.Context, service score.Service) (epoch uint64, err error) {
	var r auditv1.MsgFinalizeResponse
	err = c.call(ctx, fmt.Sprintf("making reports of %s final", service),
		&auditv1.MsgFinalize{Sender: c.Address(), Service: uint32(service)}, &r)
	return r.Epoch, err
}

// Dispute sends one of MsgDisputeLeaf, MsgDisputeMissing, MsgDisputeTree, MsgDisputeInput and
// MsgReportWithheld, whose sender may be empty, and gives how it ended.
func (c *Client) Dispute(ctx context.Context, m Message) (auditv1.MsgDisputeResponse, error) {
	switch m := m.(type) {
	case *auditv1.MsgDisputeLeaf:
		c.fill(&m.Disputer)
	case *auditv1.MsgDisputeMissing:
		c.fill(&m.Disputer)
	case *auditv1.MsgDisputeTree:
		c.fill(&m.Disputer)
	case *auditv1.MsgDisputeInput:
		c.fill(&m.Disputer)
	case *auditv1.MsgReportWithheld:
		c.fill(&m.Sender)
	}
	var r auditv1.MsgDisputeResponse
	err := c.call(ctx, "disputing a report", m, &r)
	return r, err
}

// DemandData asks for a part of a report's data on chain and gives the last height of the answer.
func (c *Client) DemandData(ctx context.Context, m *auditv1.MsgDemandData) (dueAt int64, err error) {
	n := *m
	c.fill(&n.Demander)
	var r auditv1.MsgDemandDataResponse
	err = c.call(ctx, fmt.Sprintf("demanding data of report %x", m.Report), &n, &r)
	return r.DueAt, err
}

// ServeData answers a demand.
func (c *Client) ServeData(ctx context.Context, m *auditv1.MsgServeData) error {
	n := *m
	c.fill(&n.Sender)
	return c.call(ctx, fmt.Sprintf("serving data of report %x", m.Report), &n, nil)
}

// ServedParts are the answers to a demander's demands on a report in the blocks from one height to
// another, in order.
func (c *Client) ServedParts(ctx context.Context, id [32]byte, demander string, from, to int64) ([][]byte, error) {
	var parts [][]byte
	for height := from; height <= to; height++ {
		block, err := c.blockEvents(ctx, height)
		if err != nil {
			return nil, err
		}
		for _, e := range block.Events {
			if e.Type != servedEvent {
				continue
			}
			m, err := e.Message()
			if err != nil {
				return nil, err
			}
			if served, ok := m.(*auditv1.EventDataServed); ok && [32]byte(served.Report) == id && served.Demander == demander {
				parts = append(parts, served.Part)
			}
		}
	}
	return parts, nil
}

var servedEvent = sdk.MsgTypeURL(&auditv1.EventDataServed{})[1:]
