package audit_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"cosmossdk.io/math"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// court is a chain with reporters, the facts of a service on chain and of one whose evidence is off
// chain, and pools.
type court struct {
	*validators
	msg   auditv1.MsgServer
	query auditv1.QueryServer
	// facts by epoch, ascending by device; of storage, and of energy where they are evidence.
	facts  map[uint64][]score.Fact
	finals []final
	// unread and poolless say of an epoch why its facts, and its pools, cannot be read.
	unread, poolless map[uint64]error
}

type final struct {
	service score.Service
	epoch   uint64
	root    report.Root
}

const (
	denom = price.Denom
	bond  = 1_000 // of every reporter
)

// Reporters are accounts from 10, disputers from 30.
func reporterN(n int) string { return stage.Spell(stage.Account(10 + n)) }
func disputer(n int) string  { return stage.Spell(stage.Account(30 + n)) }

// Fact implements audit.Service.
func (c *court) Fact(_ context.Context, epoch, device uint64) (score.Fact, error) {
	if err := c.unread[epoch]; err != nil {
		return score.Fact{}, err
	}
	for _, f := range c.facts[epoch] {
		if f.Device == device {
			return f, nil
		}
	}
	return score.Fact{}, fmt.Errorf("device %d, epoch %d: %w", device, epoch, audit.ErrNoFact)
}

// meters judges evidence that is an encoded fact of energy.
type meters struct{}

// Replay implements audit.Replayer.
func (meters) Replay(_ context.Context, _, _ uint64, evidence []byte) (score.Fact, error) {
	var f score.Fact
	if err := f.UnmarshalBinary(evidence); err != nil {
		return f, fmt.Errorf("%w: %w", audit.ErrEvidence, err)
	}
	return f, nil
}

var pools = score.Pools{
	Usage: price.FromUint64(1_000_000), Bootstrap: price.FromUint64(5_000_000), TotalBurned: price.FromUint64(100_000),
	Terms: score.Terms{Usage: 900, Yield: 1 << 40, Share: 1000, Hold: [4]uint32{500, 250, 100, 0}, ReleaseEpochs: 4, Miss: 100, Fault: 1000},
}

// Pools implements audit.Economy.
func (c *court) Pools(_ context.Context, _ score.Service, epoch uint64) (score.Pools, error) {
	return pools, c.poolless[epoch]
}

// Final implements audit.Economy.
func (c *court) Final(_ context.Context, service score.Service, epoch uint64, root report.Root) error {
	c.finals = append(c.finals, final{service, epoch, root})
	return nil
}

func newCourt(tb testing.TB) *court {
	tb.Helper()
	c := &court{validators: newValidators(tb, 1), facts: make(map[uint64][]score.Fact), unread: make(map[uint64]error), poolless: make(map[uint64]error)}
	c.wire()
	g, err := c.keeper.ExportGenesis(c.Ctx)
	require.NoError(tb, err)
	g.Params = courtParams()
	c.Clear(audit.StoreKey)
	require.NoError(tb, audit.ValidateGenesis(g))
	require.NoError(tb, c.keeper.InitGenesis(c.Ctx, g))
	return c
}

func (c *court) wire() {
	c.keeper.SetEconomy(c)
	c.keeper.SetService(score.Storage, c)
	c.keeper.SetReplayer(score.Energy, meters{})
	c.msg, c.query = audit.NewMsgServer(c.keeper), audit.NewQueryServer(c.keeper)
}

// courtParams have short terms.
func courtParams() auditv1.Params {
	p := shortEpochs()
	p.Beacon.RetainEpochs = 40
	p.Report.MinBond = math.NewInt(100)
	p.Report.WindowBlocks, p.Report.DeadlineBlocks, p.Report.ServeBlocks, p.Report.UnbondingBlocks = 8, 12, 4, 60
	p.Report.DemandDeposit, p.Report.DisputeDeposit = math.NewInt(20), math.NewInt(30)
	p.Report.MaxPending, p.Report.MaxReporters = 6, 4
	p.Report.Rules = []auditv1.RulesFrom{
		{Service: uint32(score.Storage), Epoch: 1, Rules: 1}, {Service: uint32(score.Energy), Epoch: 1, Rules: 1},
	}
	return p
}

// params changes the court's params.
func (c *court) params(tb testing.TB, change func(*auditv1.ReportParams)) {
	tb.Helper()
	p := courtParams()
	change(&p.Report)
	_, err := c.msg.UpdateParams(c.Ctx, &auditv1.MsgUpdateParams{Authority: governance, Params: p})
	require.NoError(tb, err)
}

func (c *court) rich(accounts ...string) {
	for _, a := range accounts {
		raw, err := c.Addresses.StringToBytes(a)
		if err != nil {
			panic(err)
		}
		c.Bank.Mint(c.Ctx, raw, sdk.NewInt64Coin(denom, 10_000))
	}
}

func (c *court) balance(account string) int64 {
	raw, err := c.Addresses.StringToBytes(account)
	if err != nil {
		panic(err)
	}
	return c.Bank.GetBalance(c.Ctx, raw, denom).Amount.Int64()
}

func (c *court) held() int64 {
	return c.Bank.GetBalance(c.Ctx, authtypes.NewModuleAddress(audit.ModuleName), denom).Amount.Int64()
}

// reporters bonds n reporters.
func (c *court) reporters(tb testing.TB, n int) {
	tb.Helper()
	for i := range n {
		c.rich(reporterN(i))
		_, err := c.msg.BondReporter(c.Ctx, &auditv1.MsgBondReporter{Reporter: reporterN(i), Amount: math.NewInt(bond), Data: "http://127.0.0.1:7300"})
		require.NoError(tb, err)
	}
}

// turn runs blocks until the next epoch has begun; facts of the one that ends are set by then.
func (c *court) turn(tb testing.TB) uint64 {
	tb.Helper()
	epoch := c.current(tb).Number
	if c.facts[epoch] == nil {
		c.facts[epoch] = storageFacts(epoch, 1, 2, 3, 5, 8, 13)
	}
	for c.current(tb).Number == epoch {
		c.block(tb, c.votes(tb, 0))
	}
	return epoch
}

func (c *court) blocks(tb require.TestingT, n int) {
	for range n {
		c.block(tb, c.votes(tb, 0))
	}
}

func storageFacts(epoch uint64, devices ...uint64) []score.Fact {
	var facts []score.Fact
	for _, d := range devices {
		facts = append(facts, score.Fact{
			Device: d, Epoch: epoch, Service: score.Storage, Challenged: true, Passed: 1, Proved: d << 30, Leased: d << 30,
			Burned: price.FromUint64(d * 100), Bond: price.FromUint64(1_000_000), Need: score.MinNeed,
		})
	}
	return facts
}

// said is an epoch as somebody reports it, with the trees behind it.
type said struct {
	report.Statement
	output   *report.Tree[score.Account]
	inputs   *report.Tree[report.Input]
	previous *report.Tree[score.Account]
}

func plan(service score.Service, epoch uint64) report.Plan {
	return report.Plan{Service: service, Epoch: epoch, Rules: 1, Pools: pools}
}

// honest is what must be said of an epoch on top of another, nil for the first.
func (c *court) honest(tb require.TestingT, epoch uint64, on *said) *said {
	return say(tb, score.Storage, epoch, c.facts[epoch], on, nil)
}

// say computes an epoch and lets a liar change its accounts.
func say(tb require.TestingT, service score.Service, epoch uint64, facts []score.Fact, on *said, lie func([]score.Account) []score.Account) *said {
	s := &said{}
	var err error
	if s.previous, err = report.Build[score.Account](nil); err != nil {
		tb.Errorf("%v", err)
	}
	var id [32]byte
	if on != nil {
		s.previous, id = on.output, on.ID()
	}
	s.output, err = plan(service, epoch).Compute(facts, s.previous.Leaves())
	require.NoError(tb, err)
	if lie != nil {
		s.output, err = report.Build(lie(slices.Clone(s.output.Leaves())))
		require.NoError(tb, err)
	}
	s.inputs, err = report.InputTree(facts)
	require.NoError(tb, err)
	s.Statement = report.Statement{
		ChainID: stage.ChainID, Service: service, Epoch: epoch, Rules: 1,
		Inputs: s.inputs.Root(), Output: s.output.Root(), Previous: id,
	}
	return s
}

func encode(s report.Statement) auditv1.Statement {
	out := auditv1.Statement{
		Service: uint32(s.Service), Epoch: s.Epoch, Rules: uint32(s.Rules), Inputs: s.Inputs.Leaves,
		Output: auditv1.TreeRoot{Leaves: s.Output.Leaves, Points: s.Output.Points, Earned: math.NewIntFromBigInt(s.Output.Earned.Big())},
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

func (c *court) post(n int, s *said) error {
	_, err := c.msg.PostReport(c.Ctx, &auditv1.MsgPostReport{Reporter: reporterN(n), Statement: encode(s.Statement)})
	return err
}

func (c *court) mustPost(tb require.TestingT, s *said, reporters ...int) {
	for _, n := range reporters {
		require.NoError(tb, c.post(n, s))
	}
}

func (c *court) finalize(tb require.TestingT) uint64 {
	res, err := c.msg.Finalize(c.Ctx, &auditv1.MsgFinalize{Sender: disputer(9), Service: uint32(score.Storage)})
	require.NoError(tb, err)
	return res.Epoch
}

func bytesOf(tb require.TestingT, v interface{ MarshalBinary() ([]byte, error) }) []byte {
	b, err := v.MarshalBinary()
	require.NoError(tb, err)
	return b
}

func idOf(s *said) []byte {
	id := s.ID()
	return id[:]
}

// leafDispute disputes the place of a device in what was said.
func leafDispute(tb require.TestingT, by string, s *said, device uint64) *auditv1.MsgDisputeLeaf {
	i, found := s.output.Find(device)
	require.True(tb, found)
	proof, err := s.output.Prove(i)
	require.NoError(tb, err)
	place, err := s.previous.Place(device)
	require.NoError(tb, err)
	return &auditv1.MsgDisputeLeaf{Disputer: by, Report: idOf(s), Leaf: bytesOf(tb, proof), Previous: bytesOf(tb, place)}
}

func missingDispute(tb require.TestingT, by string, s *said, device uint64) *auditv1.MsgDisputeMissing {
	absent, err := s.output.ProveAbsent(device)
	require.NoError(tb, err)
	place, err := s.previous.Place(device)
	require.NoError(tb, err)
	return &auditv1.MsgDisputeMissing{Disputer: by, Report: idOf(s), Device: device, Absence: bytesOf(tb, absent), Previous: bytesOf(tb, place)}
}

// gas is what a call uses.
func (c *court) gas(call func()) uint64 {
	whole := c.Ctx
	defer func() { c.Ctx = whole.WithEventManager(c.Ctx.EventManager()) }()
	meter := storetypes.NewGasMeter(1 << 40)
	c.Ctx = whole.WithGasMeter(meter)
	call()
	return meter.GasConsumed()
}

// restart takes the module to a new chain through its genesis.
func (c *court) restart(tb stage.Fataler) {
	g, err := c.keeper.ExportGenesis(c.Ctx)
	if err != nil {
		tb.Fatalf("exporting: %v", err)
	}
	if err := audit.ValidateGenesis(g); err != nil {
		tb.Fatalf("the exported genesis does not hold: %v", err)
	}
	before := c.Hash()
	c.Clear(audit.StoreKey)
	if err := c.keeper.InitGenesis(c.Ctx, g); err != nil {
		tb.Fatalf("importing: %v", err)
	}
	if c.Hash() != before {
		tb.Fatalf("the stores differ after export and import")
	}
}
