package audit

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/types/query"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

// service reads a service's number in a request.
func service(number uint32) (score.Service, error) {
	if number > 0xff || !score.Service(number).Valid() {
		return 0, errorsmod.Wrapf(ErrService, "service %d", number)
	}
	return score.Service(number), nil
}

// Reporter gives a reporter.
func (s queryServer) Reporter(ctx context.Context, req *auditv1.QueryReporterRequest) (*auditv1.QueryReporterResponse, error) {
	_, account, err := s.parseAccount("address", req.Address)
	if err != nil {
		return nil, err
	}
	r, err := s.reporter(ctx, account)
	return &auditv1.QueryReporterResponse{Reporter: r}, err
}

// Reporters lists all reporters.
func (s queryServer) Reporters(ctx context.Context, req *auditv1.QueryReportersRequest) (*auditv1.QueryReportersResponse, error) {
	reporters, page, err := query.CollectionPaginate(ctx, s.reports.reporters, req.Pagination,
		func(_ string, r auditv1.Reporter) (auditv1.Reporter, error) { return r, nil })
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing reporters")
	}
	bonded, err := s.totalBonded(ctx)
	return &auditv1.QueryReportersResponse{Reporters: reporters, Bonded: bonded, Pagination: page}, err
}

// Round gives a round that is not over, with its reports.
func (s queryServer) Round(ctx context.Context, req *auditv1.QueryRoundRequest) (*auditv1.QueryRoundResponse, error) {
	round, err := s.reports.rounds.Get(ctx, collections.Join(req.Service, req.Epoch))
	if errors.Is(err, collections.ErrNotFound) {
		return nil, errorsmod.Wrapf(ErrNoReport, "service %d, epoch %d", req.Service, req.Epoch)
	}
	if err != nil {
		return nil, errorsmod.Wrapf(err, "reading round %d", req.Epoch)
	}
	res := &auditv1.QueryRoundResponse{Round: round}
	for _, id := range round.Reports {
		r, err := s.reportByID(ctx, id)
		if err != nil {
			return nil, err
		}
		res.Reports = append(res.Reports, r)
	}
	return res, nil
}

// Rounds lists the rounds of a service that are not over.
func (s queryServer) Rounds(ctx context.Context, req *auditv1.QueryRoundsRequest) (*auditv1.QueryRoundsResponse, error) {
	of, err := service(req.Service)
	if err != nil {
		return nil, err
	}
	params, err := s.Keeper.Params(ctx)
	if err != nil {
		return nil, err
	}
	res := &auditv1.QueryRoundsResponse{}
	err = s.reports.rounds.Walk(ctx, collections.NewPrefixedPairRange[uint32, uint64](req.Service),
		func(_ roundKey, r auditv1.Round) (bool, error) {
			res.Rounds = append(res.Rounds, r)
			return len(res.Rounds) >= mostPending, nil
		})
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing rounds")
	}
	newest, some, err := s.final(ctx, of)
	if err != nil {
		return nil, err
	}
	res.Next, _ = start(params.Report, of)
	if some {
		res.Next = newest.Statement.Epoch + 1
	}
	return res, nil
}

// Report gives a report and the demands on it.
func (s queryServer) Report(ctx context.Context, req *auditv1.QueryReportRequest) (*auditv1.QueryReportResponse, error) {
	r, err := s.reportByID(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	res := &auditv1.QueryReportResponse{Report: r}
	err = s.reports.demands.Walk(ctx, collections.NewPrefixedPairRange[[]byte, string](req.Id),
		func(_ demandKey, d auditv1.Demand) (bool, error) {
			res.Demands = append(res.Demands, d)
			return false, nil
		})
	return res, errorsmod.Wrapf(err, "reading demands on report %x", req.Id)
}

// Final gives the newest final report of a service.
func (s queryServer) Final(ctx context.Context, req *auditv1.QueryFinalRequest) (*auditv1.QueryFinalResponse, error) {
	of, err := service(req.Service)
	if err != nil {
		return nil, err
	}
	f, some, err := s.final(ctx, of)
	if err == nil && !some {
		err = errorsmod.Wrapf(ErrNoReport, "no report of %s is final yet", of)
	}
	return &auditv1.QueryFinalResponse{Final: f}, err
}

// Plan gives the rules and pools of an epoch that is over.
func (s queryServer) Plan(ctx context.Context, req *auditv1.QueryPlanRequest) (*auditv1.QueryPlanResponse, error) {
	of, err := service(req.Service)
	if err != nil {
		return nil, err
	}
	if s.reports.economy == nil {
		return nil, errorsmod.Wrapf(ErrService, "service %s is not reported on this chain", of)
	}
	params, err := s.Keeper.Params(ctx)
	if err != nil {
		return nil, err
	}
	current, err := s.Current(ctx)
	if err != nil {
		return nil, err
	}
	if req.Epoch >= current.Number {
		return nil, errorsmod.Wrapf(ErrEpoch, "epoch %d: the running one is %d", req.Epoch, current.Number)
	}
	rules, err := rulesAt(params.Report, of, req.Epoch)
	if err != nil {
		return nil, err
	}
	pools, err := s.reports.economy.Pools(ctx, of, req.Epoch)
	if err != nil {
		return nil, errorsmod.Wrapf(err, "pools of %s in epoch %d", of, req.Epoch)
	}
	t := pools.Terms
	return &auditv1.QueryPlanResponse{
		Rules: uint32(rules), Usage: integer(pools.Usage), Bootstrap: integer(pools.Bootstrap),
		Boost: integer(pools.Boost), Burned: integer(pools.TotalBurned),
		Terms: auditv1.Terms{
			Usage: t.Usage, Yield: t.Yield, Share: t.Share, Hold: t.Hold[:], NeedHold: t.NeedHold,
			ReleaseEpochs: t.ReleaseEpochs, Miss: t.Miss, Fault: t.Fault,
		},
	}, nil
}

func integer(a price.Amount) math.Int { return math.NewIntFromBigInt(a.Big()) }
