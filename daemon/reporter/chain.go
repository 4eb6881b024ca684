package reporter

import (
	"context"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// Chain is what reporters and watchers need of the chain; *chainclient.Client is one. Errors are the
// client's.
type Chain interface {
	Address() string
	ChainID(ctx context.Context) (string, error)
	LatestBlock(ctx context.Context) (chainclient.Block, error)
	CurrentEpoch(ctx context.Context) (auditv1.Epoch, error)
	AuditParams(ctx context.Context) (auditv1.Params, error)
	Reporter(ctx context.Context, account string) (auditv1.Reporter, error)
	Reporters(ctx context.Context) ([]auditv1.Reporter, error)
	ReportRounds(ctx context.Context, service score.Service) (rounds []auditv1.Round, next uint64, err error)
	ReportRound(ctx context.Context, service score.Service, epoch uint64) (auditv1.Round, []auditv1.Report, error)
	Report(ctx context.Context, id [32]byte) (auditv1.Report, []auditv1.Demand, error)
	FinalReport(ctx context.Context, service score.Service) (auditv1.FinalReport, error)
	RewardRoots(ctx context.Context, service score.Service) ([]rewardv1.Root, error)
	ReportPlan(ctx context.Context, service score.Service, epoch uint64) (report.Plan, error)
	Facts(ctx context.Context, service score.Service, epoch uint64) ([]score.Fact, error)
	ServedParts(ctx context.Context, id [32]byte, demander string, from, to int64) ([][]byte, error)

	BondReporter(ctx context.Context, amount price.Amount, data string) error
	PostReport(ctx context.Context, s report.Statement, data string) error
	FinalizeReports(ctx context.Context, service score.Service) (epoch uint64, err error)
	Dispute(ctx context.Context, m chainclient.Message) (auditv1.MsgDisputeResponse, error)
	DemandData(ctx context.Context, m *auditv1.MsgDemandData) (dueAt int64, err error)
	ServeData(ctx context.Context, m *auditv1.MsgServeData) error
}

var _ Chain = (*chainclient.Client)(nil)
