package audit

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/score"
)

// BondReporter bonds a reporter.
func (s msgServer) BondReporter(ctx context.Context, msg *auditv1.MsgBondReporter) (*auditv1.MsgBondReporterResponse, error) {
	_, reporter, err := s.parseAccount("reporter", msg.Reporter)
	if err != nil {
		return nil, err
	}
	if msg.Amount.IsNil() || msg.Amount.IsNegative() {
		return nil, errorsmod.Wrapf(ErrAmount, "amount %s", msg.Amount)
	}
	if err := checkData(msg.Data); err != nil {
		return nil, err
	}
	_, err = s.bond(ctx, reporter, msg.Amount, msg.Data)
	return &auditv1.MsgBondReporterResponse{}, err
}

// UnbondReporter begins the wait for a bond's return.
func (s msgServer) UnbondReporter(ctx context.Context, msg *auditv1.MsgUnbondReporter) (*auditv1.MsgUnbondReporterResponse, error) {
	_, account, err := s.parseAccount("reporter", msg.Reporter)
	if err != nil {
		return nil, err
	}
	params, err := s.Params(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.reporter(ctx, account)
	if err != nil {
		return nil, err
	}
	if r.State != auditv1.REPORTER_STATE_BONDED {
		return nil, errorsmod.Wrapf(ErrNotBonded, "reporter %s: free at height %d", account, r.FreeAt)
	}
	r, err = s.unbond(ctx, params.Report, r)
	return &auditv1.MsgUnbondReporterResponse{FreeAt: r.FreeAt}, err
}

// WithdrawBond returns a bond.
func (s msgServer) WithdrawBond(ctx context.Context, msg *auditv1.MsgWithdrawBond) (*auditv1.MsgWithdrawBondResponse, error) {
	_, reporter, err := s.parseAccount("reporter", msg.Reporter)
	if err != nil {
		return nil, err
	}
	amount, err := s.withdraw(ctx, reporter)
	return &auditv1.MsgWithdrawBondResponse{Amount: amount}, err
}

// PostReport puts a reporter's bond behind a statement. What else is due of the service becomes
// final with it, unless paying it fails.
func (s msgServer) PostReport(ctx context.Context, msg *auditv1.MsgPostReport) (*auditv1.MsgPostReportResponse, error) {
	_, reporter, err := s.parseAccount("reporter", msg.Reporter)
	if err != nil {
		return nil, err
	}
	if err := checkData(msg.Data); err != nil {
		return nil, err
	}
	id, err := s.post(ctx, reporter, msg.Statement, msg.Data)
	if err != nil {
		return nil, err
	}
	event := &auditv1.EventReportPosted{Service: msg.Statement.Service, Epoch: msg.Statement.Epoch, Report: id[:], Reporter: reporter}
	if err := emit(ctx, event); err != nil {
		return nil, err
	}
	cached, write := sdk.UnwrapSDKContext(ctx).CacheContext()
	if _, err := s.finalize(cached, score.Service(msg.Statement.Service)); err != nil {
		sdk.UnwrapSDKContext(ctx).Logger().Error("making reports final", "service", msg.Statement.Service, "error", err)
	} else {
		write()
	}
	return &auditv1.MsgPostReportResponse{Id: id[:]}, nil
}

// Finalize makes reports final that are due.
func (s msgServer) Finalize(ctx context.Context, msg *auditv1.MsgFinalize) (*auditv1.MsgFinalizeResponse, error) {
	if _, _, err := s.parseAccount("sender", msg.Sender); err != nil {
		return nil, err
	}
	if msg.Service > 0xff || !score.Service(msg.Service).Valid() || s.reports.economy == nil {
		return nil, errorsmod.Wrapf(ErrService, "service %d", msg.Service)
	}
	epoch, err := s.finalize(ctx, score.Service(msg.Service))
	return &auditv1.MsgFinalizeResponse{Epoch: epoch}, err
}

// opened reads what every message about a report begins with.
func (s msgServer) opened(ctx context.Context, field, account string, id []byte) (sdk.AccAddress, auditv1.ReportParams, openReport, error) {
	raw, _, err := s.parseAccount(field, account)
	if err != nil {
		return nil, auditv1.ReportParams{}, openReport{}, err
	}
	params, err := s.Params(ctx)
	if err != nil {
		return nil, auditv1.ReportParams{}, openReport{}, err
	}
	o, err := s.disputed(ctx, params.Report, id)
	return raw, params.Report, o, err
}

// DisputeLeaf has one leaf replayed.
func (s msgServer) DisputeLeaf(ctx context.Context, msg *auditv1.MsgDisputeLeaf) (*auditv1.MsgDisputeResponse, error) {
	disputer, params, o, err := s.opened(ctx, "disputer", msg.Disputer, msg.Report)
	if err != nil {
		return nil, err
	}
	upheld, reason, err := s.disputeLeaf(ctx, o, msg.Leaf, claim{previous: msg.Previous, input: msg.Input, evidence: msg.Evidence})
	if err != nil {
		return nil, err
	}
	return s.settle(ctx, params, o, disputer, upheld, reason)
}

// DisputeMissing has the leaf replayed that a report lacks.
func (s msgServer) DisputeMissing(ctx context.Context, msg *auditv1.MsgDisputeMissing) (*auditv1.MsgDisputeResponse, error) {
	disputer, params, o, err := s.opened(ctx, "disputer", msg.Disputer, msg.Report)
	if err != nil {
		return nil, err
	}
	c := claim{device: msg.Device, previous: msg.Previous, input: msg.Input, evidence: msg.Evidence}
	upheld, reason, err := s.disputeMissing(ctx, o, msg.Absence, c)
	if err != nil {
		return nil, err
	}
	return s.settle(ctx, params, o, disputer, upheld, reason)
}

// DisputeTree shows that a root is not that of a tree.
func (s msgServer) DisputeTree(ctx context.Context, msg *auditv1.MsgDisputeTree) (*auditv1.MsgDisputeResponse, error) {
	disputer, params, o, err := s.opened(ctx, "disputer", msg.Disputer, msg.Report)
	if err != nil {
		return nil, err
	}
	reason, err := disputeTree(ctx, o, msg.Tree, msg.Fault)
	if err != nil {
		return nil, err
	}
	return s.settle(ctx, params, o, disputer, true, reason)
}

// DisputeInput has one input compared.
func (s msgServer) DisputeInput(ctx context.Context, msg *auditv1.MsgDisputeInput) (*auditv1.MsgDisputeResponse, error) {
	disputer, params, o, err := s.opened(ctx, "disputer", msg.Disputer, msg.Report)
	if err != nil {
		return nil, err
	}
	upheld, reason, err := s.disputeInput(ctx, o, claim{device: msg.Device, input: msg.Input, evidence: msg.Evidence})
	if err != nil {
		return nil, err
	}
	return s.settle(ctx, params, o, disputer, upheld, reason)
}

// DemandData asks for a part of a report's data.
func (s msgServer) DemandData(ctx context.Context, msg *auditv1.MsgDemandData) (*auditv1.MsgDemandDataResponse, error) {
	_, params, o, err := s.opened(ctx, "demander", msg.Demander, msg.Report)
	if err != nil {
		return nil, err
	}
	_, demander, err := s.parseAccount("demander", msg.Demander)
	if err != nil {
		return nil, err
	}
	d, err := s.demand(ctx, params, o, auditv1.Demand{
		Report: o.id[:], Demander: demander, Tree: msg.Tree, Index: msg.Index, Depth: msg.Depth,
	})
	return &auditv1.MsgDemandDataResponse{DueAt: d.DueAt}, err
}

// ServeData answers a demand.
func (s msgServer) ServeData(ctx context.Context, msg *auditv1.MsgServeData) (*auditv1.MsgServeDataResponse, error) {
	sender, params, o, err := s.opened(ctx, "sender", msg.Sender, msg.Report)
	if err != nil {
		return nil, err
	}
	_, demander, err := s.parseAccount("demander", msg.Demander)
	if err != nil {
		return nil, err
	}
	return &auditv1.MsgServeDataResponse{}, s.serve(ctx, params, o, sender, demander, msg.Part, msg.Evidence)
}

// ReportWithheld has a report rejected whose data was not shown.
func (s msgServer) ReportWithheld(ctx context.Context, msg *auditv1.MsgReportWithheld) (*auditv1.MsgDisputeResponse, error) {
	_, params, o, err := s.opened(ctx, "sender", msg.Sender, msg.Report)
	if err != nil {
		return nil, err
	}
	_, demander, err := s.parseAccount("demander", msg.Demander)
	if err != nil {
		return nil, err
	}
	return s.withheld(ctx, params, o, demander)
}
