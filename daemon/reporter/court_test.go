package reporter_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"cosmossdk.io/math"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/daemon/reporter"
)

const (
	chainID = "cairn-test-1"

	windowBlocks   = 8
	deadlineBlocks = 12
	serveBlocks    = 6
	bounty         = 7 // of any bond
)

// court is a chain: it keeps rounds of reports and judges disputes by core/report, as x/audit does.
// Energy is a service whose evidence is off chain: an encoded fact.
type court struct {
	tb testing.TB

	mu        sync.Mutex
	height    int64
	epoch     uint64 // running
	facts     map[uint64][]score.Fact
	pools     score.Pools
	reporters map[string]*auditv1.Reporter
	rounds    []*auditv1.Round // ascending
	reports   map[[32]byte]*auditv1.Report
	finals    []auditv1.FinalReport
	demands   map[[32]byte]map[string]auditv1.Demand
	served    []servedPart
	posts     int // messages that were taken
	bounties  map[string]int
	offChain  bool
}

type servedPart struct {
	report   [32]byte
	demander string
	height   int64
	part     []byte
}

func newCourt(tb testing.TB) *court {
	return &court{
		tb: tb, height: 1, epoch: 1, facts: make(map[uint64][]score.Fact),
		pools: score.Pools{
			Usage: price.FromUint64(1_000_000), Bootstrap: price.FromUint64(5_000_000), TotalBurned: price.FromUint64(100_000),
			Terms: score.Terms{Usage: 900, Yield: 1 << 40, Share: 1000, Hold: [4]uint32{500, 250, 100, 0}, ReleaseEpochs: 4, Miss: 100, Fault: 1000},
		},
		reporters: make(map[string]*auditv1.Reporter), reports: make(map[[32]byte]*auditv1.Report),
		demands: make(map[[32]byte]map[string]auditv1.Demand), bounties: make(map[string]int),
	}
}

// turn ends the running epoch with facts of so many devices.
func (c *court) turn(devices int) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for d := range uint64(devices) {
		f := score.Fact{
			Device: 3*d + 1, Epoch: c.epoch, Service: c.service(), Challenged: true, Passed: 1, Proved: (d + 1) << 20, Leased: (d + 1) << 20,
			Burned: price.FromUint64(100 + d), Bond: price.FromUint64(1_000_000), Need: score.MinNeed,
		}
		if (d+c.epoch)%7 == 0 {
			f.Passed = 0 // missed
		}
		c.facts[c.epoch] = append(c.facts[c.epoch], f)
	}
	c.epoch++
	return c.epoch - 1
}

func (c *court) service() score.Service {
	if c.offChain {
		return score.Energy
	}
	return score.Storage
}

func (c *court) blocks(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.height += n
}

// as is the chain as an account sees it.
func (c *court) as(address string) *seat { return &seat{court: c, address: address} }

// seat implements reporter.Chain for one account.
type seat struct {
	*court
	address string
	// call is asked before each call whether it may go on, and after each message that it was taken.
	before, after func(call string) error
}

var _ reporter.Chain = (*seat)(nil)

// enter locks the court for a call.
func (s *seat) enter(call string) (func(), error) {
	if s.before != nil {
		if err := s.before(call); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	return s.mu.Unlock, nil
}

// taken ends a message that changed something.
func (s *seat) taken(call string) error {
	if s.after != nil {
		return s.after(call)
	}
	return nil
}

func notFound(code chainclient.Code) error {
	return fmt.Errorf("%w: %w", chainclient.ErrNotFound, code)
}

func (s *seat) Address() string { return s.address }

func (s *seat) ChainID(context.Context) (string, error) { return chainID, nil }

func (s *seat) LatestBlock(context.Context) (chainclient.Block, error) {
	leave, err := s.enter("block")
	if err != nil {
		return chainclient.Block{}, err
	}
	defer leave()
	return chainclient.Block{Height: s.height}, nil
}

func (s *seat) CurrentEpoch(context.Context) (auditv1.Epoch, error) {
	leave, err := s.enter("epoch")
	if err != nil {
		return auditv1.Epoch{}, err
	}
	defer leave()
	return auditv1.Epoch{Number: s.epoch}, nil
}

func (s *seat) AuditParams(context.Context) (auditv1.Params, error) {
	var p auditv1.Params
	p.Beacon.RetainEpochs = 100
	p.Report.MaxPending = 16
	p.Report.WindowBlocks, p.Report.DeadlineBlocks, p.Report.ServeBlocks = windowBlocks, deadlineBlocks, serveBlocks
	return p, nil
}

func (s *seat) Reporter(_ context.Context, account string) (auditv1.Reporter, error) {
	leave, err := s.enter("reporter")
	if err != nil {
		return auditv1.Reporter{}, err
	}
	defer leave()
	if r := s.reporters[account]; r != nil {
		return *r, nil
	}
	return auditv1.Reporter{}, notFound(chainclient.ErrNotReporter)
}

func (s *seat) Reporters(context.Context) ([]auditv1.Reporter, error) {
	leave, err := s.enter("reporters")
	if err != nil {
		return nil, err
	}
	defer leave()
	var all []auditv1.Reporter
	for _, r := range s.reporters {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b auditv1.Reporter) int { return bytes.Compare([]byte(a.Address), []byte(b.Address)) })
	return all, nil
}

func (c *court) lastFinal() (auditv1.FinalReport, bool) {
	if len(c.finals) == 0 {
		return auditv1.FinalReport{}, false
	}
	return c.finals[len(c.finals)-1], true
}

func (s *seat) ReportRounds(_ context.Context, service score.Service) ([]auditv1.Round, uint64, error) {
	leave, err := s.enter("rounds")
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	if service != s.service() {
		return nil, 0, nil
	}
	var rounds []auditv1.Round
	for _, r := range s.rounds {
		rounds = append(rounds, *r)
	}
	f, _ := s.lastFinal()
	return rounds, f.Statement.Epoch + 1, nil
}

func (c *court) round(epoch uint64) *auditv1.Round {
	for _, r := range c.rounds {
		if r.Epoch == epoch {
			return r
		}
	}
	return nil
}

func (s *seat) ReportRound(_ context.Context, _ score.Service, epoch uint64) (auditv1.Round, []auditv1.Report, error) {
	leave, err := s.enter("round")
	if err != nil {
		return auditv1.Round{}, nil, err
	}
	defer leave()
	round := s.round(epoch)
	if round == nil {
		return auditv1.Round{}, nil, notFound(chainclient.ErrNoReport)
	}
	var reports []auditv1.Report
	for _, id := range round.Reports {
		reports = append(reports, *s.reports[[32]byte(id)])
	}
	return *round, reports, nil
}

func (s *seat) Report(_ context.Context, id [32]byte) (auditv1.Report, []auditv1.Demand, error) {
	leave, err := s.enter("report")
	if err != nil {
		return auditv1.Report{}, nil, err
	}
	defer leave()
	r := s.reports[id]
	if r == nil {
		return auditv1.Report{}, nil, notFound(chainclient.ErrNoReport)
	}
	var demands []auditv1.Demand
	for _, d := range s.demands[id] {
		demands = append(demands, d)
	}
	return *r, demands, nil
}

func (s *seat) FinalReport(context.Context, score.Service) (auditv1.FinalReport, error) {
	leave, err := s.enter("final")
	if err != nil {
		return auditv1.FinalReport{}, err
	}
	defer leave()
	if f, some := s.lastFinal(); some {
		return f, nil
	}
	return auditv1.FinalReport{}, notFound(chainclient.ErrNoReport)
}

func (s *seat) RewardRoots(context.Context, score.Service) ([]rewardv1.Root, error) {
	leave, err := s.enter("roots")
	if err != nil {
		return nil, err
	}
	defer leave()
	var roots []rewardv1.Root
	for _, f := range s.finals {
		o := f.Statement.Output
		roots = append(roots, rewardv1.Root{Epoch: f.Statement.Epoch, Hash: o.Hash, Devices: o.Leaves, Points: o.Points, Earned: o.Earned})
	}
	return roots, nil
}

func (c *court) plan(epoch uint64) report.Plan {
	return report.Plan{Service: c.service(), Epoch: epoch, Rules: score.RulesV1, Pools: c.pools}
}

func (s *seat) ReportPlan(_ context.Context, _ score.Service, epoch uint64) (report.Plan, error) {
	leave, err := s.enter("plan")
	if err != nil {
		return report.Plan{}, err
	}
	defer leave()
	return s.plan(epoch), nil
}

func (s *seat) Facts(_ context.Context, service score.Service, epoch uint64) ([]score.Fact, error) {
	leave, err := s.enter("facts")
	if err != nil {
		return nil, err
	}
	defer leave()
	if s.offChain {
		return nil, fmt.Errorf("facts of %s: %w", service, score.ErrService)
	}
	return slices.Clone(s.facts[epoch]), nil
}

func (s *seat) ServedParts(_ context.Context, id [32]byte, demander string, from, to int64) ([][]byte, error) {
	leave, err := s.enter("parts")
	if err != nil {
		return nil, err
	}
	defer leave()
	var parts [][]byte
	for _, p := range s.served {
		if p.report == id && p.demander == demander && p.height >= from && p.height <= to {
			parts = append(parts, p.part)
		}
	}
	return parts, nil
}

func (s *seat) BondReporter(_ context.Context, amount price.Amount, data string) error {
	leave, err := s.enter("bond")
	if err != nil {
		return err
	}
	r := s.reporters[s.address]
	if r == nil {
		r = &auditv1.Reporter{Address: s.address, Bond: math.ZeroInt()}
		s.reporters[s.address] = r
	}
	r.Bond, r.State, r.Data = r.Bond.Add(math.NewIntFromBigInt(amount.Big())), auditv1.REPORTER_STATE_BONDED, data
	leave()
	return s.taken("bond")
}

// base is the root that a statement builds on.
func (c *court) base(previous []byte) (report.Root, bool) {
	if len(previous) == 0 {
		return report.Root{}, len(c.finals) == 0
	}
	var of auditv1.Statement
	if r := c.reports[[32]byte(previous)]; r != nil && r.Status == auditv1.REPORT_STATUS_OPEN {
		of = r.Statement
	} else if f, some := c.lastFinal(); some && bytes.Equal(f.Id, previous) {
		of = f.Statement
	} else {
		return report.Root{}, false
	}
	s, err := chainclient.StatementOf(chainID, of)
	return s.Output, err == nil
}

func (s *seat) PostReport(_ context.Context, st report.Statement, data string) error {
	leave, err := s.enter("post")
	if err != nil {
		return err
	}
	err = s.post(s.address, st, data)
	leave()
	if err != nil {
		return err
	}
	return s.taken("post")
}

func (c *court) post(account string, st report.Statement, data string) error {
	id := st.ID()
	encoded := chainclient.EncodeStatement(st)
	if _, stands := c.base(encoded.Previous); !stands || st.Epoch >= c.epoch {
		return chainclient.ErrReportVoid
	}
	round := c.round(st.Epoch)
	if round == nil {
		round = &auditv1.Round{Service: uint32(st.Service), Epoch: st.Epoch, OpenedAt: c.height}
		c.rounds = append(c.rounds, round)
		slices.SortFunc(c.rounds, func(a, b *auditv1.Round) int { return int(a.Epoch) - int(b.Epoch) })
	}
	for _, other := range round.Reports {
		r := c.reports[[32]byte(other)]
		if r.Status == auditv1.REPORT_STATUS_OPEN &&
			slices.ContainsFunc(r.Posts, func(p auditv1.ReportPost) bool { return p.Reporter == account }) {
			return chainclient.ErrReportPosted
		}
	}
	r := c.reports[id]
	if r == nil {
		r = &auditv1.Report{Id: id[:], Statement: encoded, Status: auditv1.REPORT_STATUS_OPEN}
		c.reports[id] = r
		round.Reports = append(round.Reports, id[:])
	}
	r.Posts = append(slices.Clone(r.Posts), auditv1.ReportPost{Reporter: account, Data: data, Height: c.height})
	c.posts++
	c.agree(round, r)
	return nil
}

// agree notes a report that more than two thirds of the bond stand behind; after the deadline of those
// who spoke.
func (c *court) agree(round *auditv1.Round, r *auditv1.Report) {
	if r.AgreedAt > 0 || r.Status != auditv1.REPORT_STATUS_OPEN {
		return
	}
	weight := func(posts []auditv1.ReportPost) math.Int {
		sum := math.ZeroInt()
		for _, p := range posts {
			sum = sum.Add(c.reporters[p.Reporter].Bond)
		}
		return sum
	}
	of := math.ZeroInt()
	for _, other := range c.reporters {
		of = of.Add(other.Bond)
	}
	if c.height >= round.OpenedAt+deadlineBlocks {
		of = math.ZeroInt()
		for _, id := range round.Reports {
			of = of.Add(weight(c.reports[[32]byte(id)].Posts))
		}
	}
	if weight(r.Posts).MulRaw(3).GT(of.MulRaw(2)) {
		r.AgreedAt, r.FinalAt = c.height, c.height+windowBlocks
	}
}

func (s *seat) FinalizeReports(context.Context, score.Service) (uint64, error) {
	leave, err := s.enter("finalize")
	if err != nil {
		return 0, err
	}
	f, _ := s.lastFinal()
	epoch := f.Statement.Epoch
	if len(s.rounds) > 0 {
		round := s.rounds[0]
		for _, id := range round.Reports {
			r := s.reports[[32]byte(id)]
			s.agree(round, r)
			if r.Status != auditv1.REPORT_STATUS_OPEN || r.AgreedAt == 0 || r.FinalAt > s.height || r.DemandsOpen > 0 {
				continue
			}
			before := auditv1.TreeRoot{Earned: math.ZeroInt()}
			if len(s.finals) > 0 {
				before = f.Statement.Output
			}
			s.finals = append(s.finals, auditv1.FinalReport{Id: id, Statement: r.Statement, Height: s.height, Before: before})
			for _, dropped := range round.Reports {
				delete(s.reports, [32]byte(dropped))
			}
			s.rounds, epoch = s.rounds[1:], round.Epoch
			break
		}
	}
	leave()
	return epoch, s.taken("finalize")
}

func (s *seat) DemandData(_ context.Context, m *auditv1.MsgDemandData) (int64, error) {
	leave, err := s.enter("demand")
	if err != nil {
		return 0, err
	}
	id := [32]byte(m.Report)
	if _, some := s.demands[id][s.address]; some {
		leave()
		return 0, chainclient.ErrDemanded
	}
	if s.demands[id] == nil {
		s.demands[id] = make(map[string]auditv1.Demand)
	}
	d := auditv1.Demand{Report: m.Report, Demander: s.address, Tree: m.Tree, Index: m.Index, Depth: m.Depth, DueAt: s.height + serveBlocks}
	s.demands[id][s.address] = d
	s.reports[id].DemandsOpen++
	leave()
	return d.DueAt, s.taken("demand")
}

func (s *seat) ServeData(_ context.Context, m *auditv1.MsgServeData) error {
	leave, err := s.enter("serve")
	if err != nil {
		return err
	}
	err = s.serve(m)
	leave()
	if err != nil {
		return err
	}
	return s.taken("serve")
}

func (c *court) serve(m *auditv1.MsgServeData) error {
	id := [32]byte(m.Report)
	d, some := c.demands[id][m.Demander]
	if !some || c.height > d.DueAt {
		return notFound(chainclient.ErrNoDemand)
	}
	st, err := chainclient.StatementOf(chainID, c.reports[id].Statement)
	if err != nil {
		return err
	}
	if d.Tree == auditv1.DATA_TREE_OUTPUT {
		var p report.Part
		if err := p.UnmarshalBinary(m.Part); err != nil {
			return err
		}
		if err := p.Verify(st.Output, d.Index, uint8(d.Depth)); err != nil {
			return err
		}
	} else {
		var p report.InputPart
		if err := p.UnmarshalBinary(m.Part); err != nil {
			return err
		}
		if err := p.Verify(st.Inputs, d.Index, uint8(d.Depth)); err != nil {
			return err
		}
		if c.offChain && len(p.Below) == 1 && p.Below[0].Leaf != nil {
			if leaf := *p.Below[0].Leaf; report.Digest(leaf.Device, m.Evidence) != leaf {
				return fmt.Errorf("evidence is not what the input of device %d commits to: %w", leaf.Device, report.ErrProof)
			}
		}
	}
	delete(c.demands[id], m.Demander)
	c.reports[id].DemandsOpen--
	c.served = append(c.served, servedPart{id, m.Demander, c.height, m.Part})
	return nil
}

func (s *seat) Dispute(_ context.Context, m chainclient.Message) (auditv1.MsgDisputeResponse, error) {
	leave, err := s.enter("dispute")
	if err != nil {
		return auditv1.MsgDisputeResponse{}, err
	}
	answer, err := s.judge(s.address, m)
	leave()
	if err != nil {
		return answer, err
	}
	return answer, s.taken("dispute")
}

// judge replays what a dispute is about by core/report. An error is one that proves nothing.
func (c *court) judge(account string, m chainclient.Message) (auditv1.MsgDisputeResponse, error) {
	var answer auditv1.MsgDisputeResponse
	raw := m.(interface{ GetReport() []byte }).GetReport()
	r := c.reports[[32]byte(raw)]
	if r == nil {
		return answer, notFound(chainclient.ErrNoReport)
	}
	if r.Status != auditv1.REPORT_STATUS_OPEN {
		return answer, chainclient.ErrReportRejected
	}
	st, err := chainclient.StatementOf(chainID, r.Statement)
	if err != nil {
		return answer, err
	}
	before, stands := c.base(r.Statement.Previous)
	if !stands {
		return answer, chainclient.ErrReportVoid
	}
	next := func(device uint64, previous, input, evidence []byte) (*score.Account, error) {
		var place report.Place
		if err := place.UnmarshalBinary(previous); err != nil {
			return nil, err
		}
		account, err := place.Verify(before, device)
		if err != nil {
			return nil, err
		}
		fact, err := c.factOf(st, device, input, evidence)
		if err != nil {
			return nil, err
		}
		want, some := c.plan(st.Epoch).Next(device, account, fact, st.Output.Points)
		if !some {
			return nil, nil
		}
		return &want, nil
	}
	switch m := m.(type) {
	case *auditv1.MsgDisputeLeaf:
		var p report.Proof
		if err := p.UnmarshalBinary(m.Leaf); err != nil {
			return answer, err
		}
		if err := p.Verify(st.Output); err != nil {
			return answer, err
		}
		want, err := next(p.Leaf.Device, m.Previous, m.Input, m.Evidence)
		if err != nil {
			return answer, err
		}
		answer.Upheld = want == nil || *want != p.Leaf
		answer.Reason = fmt.Sprintf("leaf of device %d", p.Leaf.Device)
	case *auditv1.MsgDisputeMissing:
		var a report.Absence
		if err := a.UnmarshalBinary(m.Absence); err != nil {
			return answer, err
		}
		if err := a.Verify(st.Output, m.Device); err != nil {
			return answer, err
		}
		want, err := next(m.Device, m.Previous, m.Input, m.Evidence)
		if err != nil {
			return answer, err
		}
		answer.Upheld, answer.Reason = want != nil, fmt.Sprintf("device %d is missing", m.Device)
	case *auditv1.MsgDisputeInput:
		var p report.InputPlace
		if err := p.UnmarshalBinary(m.Input); err != nil {
			return answer, err
		}
		input, err := p.Verify(st.Inputs, m.Device)
		if err != nil {
			return answer, err
		}
		var want *report.Input
		for _, f := range c.facts[st.Epoch] {
			if f.Device == m.Device {
				i, err := report.InputOf(f)
				if err != nil {
					return answer, err
				}
				want = &i
			}
		}
		answer.Upheld = (want == nil) != (input == nil) || want != nil && *want != *input
		answer.Reason = fmt.Sprintf("input of device %d", m.Device)
	case *auditv1.MsgReportWithheld:
		d, some := c.demands[[32]byte(raw)][m.Demander]
		if !some || c.height <= d.DueAt {
			return answer, fmt.Errorf("demand of %s is not overdue at height %d", m.Demander, c.height)
		}
		answer.Upheld, answer.Reason = true, "withheld"
	default:
		c.tb.Errorf("dispute by %T", m)
	}
	if answer.Upheld {
		for _, p := range r.Posts {
			c.reporters[p.Reporter].Bond = math.ZeroInt()
			c.bounties[account] += bounty
		}
		r.Status, r.Rejected, r.DemandsOpen = auditv1.REPORT_STATUS_REJECTED, answer.Reason, 0
		delete(c.demands, [32]byte(raw))
	}
	answer.Bounty = math.NewInt(int64(c.bounties[account]))
	return answer, nil
}

func (c *court) factOf(st report.Statement, device uint64, input, evidence []byte) (*score.Fact, error) {
	if !c.offChain {
		for i, f := range c.facts[st.Epoch] {
			if f.Device == device {
				return &c.facts[st.Epoch][i], nil
			}
		}
		return nil, nil
	}
	var p report.InputPlace
	if err := p.UnmarshalBinary(input); err != nil {
		return nil, err
	}
	has, err := p.Verify(st.Inputs, device)
	if err != nil || has == nil {
		return nil, err
	}
	if report.Digest(device, evidence) != *has {
		return nil, fmt.Errorf("evidence of device %d is not its input: %w", device, report.ErrProof)
	}
	var f score.Fact
	return &f, f.UnmarshalBinary(evidence)
}
