package audit_test

import (
	"errors"
	"math/bits"
	"strings"
	"testing"

	"cosmossdk.io/math"
	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// More than two thirds of the bond must say the same, the window must pass, and anyone makes it final.
func TestWhatReportersAgreeOnBecomesFinal(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 3)
	e := c.honest(t, c.turn(t), nil)
	c.mustPost(t, e, 0, 1)
	c.blocks(t, 9)
	require.Zero(t, c.finalize(t), "two of three are not more than two thirds")
	c.mustPost(t, e, 2)
	c.blocks(t, 7)
	require.Zero(t, c.finalize(t), "the window has not passed")
	c.blocks(t, 1)
	require.EqualValues(t, 1, c.finalize(t))
	require.Equal(t, []final{{score.Storage, 1, e.Output}}, c.finals)
	require.Positive(t, e.Output.Earned.Lo)

	_, err := c.query.Round(c.Ctx, &auditv1.QueryRoundRequest{Service: 1, Epoch: 1})
	require.ErrorIs(t, err, audit.ErrNoReport, "what is over is forgotten")
	r, err := c.query.Reporter(c.Ctx, &auditv1.QueryReporterRequest{Address: reporterN(0)})
	require.NoError(t, err)
	require.Zero(t, r.Reporter.Open)
	require.EqualValues(t, 1, r.Reporter.Finals)
	f, err := c.query.Final(c.Ctx, &auditv1.QueryFinalRequest{Service: 1})
	require.NoError(t, err)
	require.Equal(t, idOf(e), f.Final.Id)
}

// Rounds follow one another without waiting for finality, which comes in the order of epochs, and by
// itself with the next report.
func TestRoundsDoNotWaitForFinality(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 1)
	var last *said
	for range 5 {
		last = c.honest(t, c.turn(t), last)
		c.mustPost(t, last, 0)
	}
	require.Len(t, c.finals, 3, "each report makes final what is due")
	c.blocks(t, 8)
	require.EqualValues(t, 5, c.finalize(t))
	for i, f := range c.finals {
		require.EqualValues(t, i+1, f.epoch)
	}
	require.Equal(t, last.Output, c.finals[4].root)
}

// After the deadline the bond of those who say nothing does not count.
func TestSilenceDoesNotStopARound(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 3)
	e := c.honest(t, c.turn(t), nil)
	c.mustPost(t, e, 1)
	c.blocks(t, 11)
	require.Zero(t, c.finalize(t))
	res, err := c.query.Report(c.Ctx, &auditv1.QueryReportRequest{Id: idOf(e)})
	require.NoError(t, err)
	require.Zero(t, res.Report.AgreedAt)
	c.blocks(t, 1)
	require.Zero(t, c.finalize(t))
	c.blocks(t, 7)
	require.Zero(t, c.finalize(t), "the window begins with agreement")
	c.blocks(t, 1)
	require.EqualValues(t, 1, c.finalize(t))
}

// What is refused at the door costs nobody a bond and nobody has to look at it.
func TestReportsThatCannotBe(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 1)
	first := c.honest(t, c.turn(t), nil)
	running := c.current(t).Number
	for _, bad := range []struct {
		name   string
		change func(*auditv1.Statement)
		want   error
	}{
		{"service", func(s *auditv1.Statement) { s.Service = 9 }, audit.ErrService},
		{"no facts of the service", func(s *auditv1.Statement) { s.Service = uint32(score.Compute) }, audit.ErrService},
		{"rules", func(s *auditv1.Statement) { s.Rules = 2 }, audit.ErrRules},
		{"epoch 0", func(s *auditv1.Statement) { s.Epoch = 0 }, audit.ErrField},
		{"running epoch", func(s *auditv1.Statement) { s.Epoch = running }, audit.ErrEpoch},
		{"future epoch", func(s *auditv1.Statement) { s.Epoch = running + 100 }, audit.ErrEpoch},
		{"previous unknown", func(s *auditv1.Statement) { s.Previous = make([]byte, 32); s.Previous[5] = 1 }, audit.ErrVoid},
		{"previous short", func(s *auditv1.Statement) { s.Previous = []byte{1} }, audit.ErrField},
		{"more than the pools", func(s *auditv1.Statement) { s.Output.Earned = math.NewInt(6_000_001) }, audit.ErrTotals},
		{"more leaves than inputs", func(s *auditv1.Statement) { s.Output.Leaves = s.Inputs + 1 }, audit.ErrTotals},
		{"no leaves, but a hash", func(s *auditv1.Statement) { s.Output.Leaves = 0 }, audit.ErrField},
		{"no hash", func(s *auditv1.Statement) { s.Output.Hash = nil }, audit.ErrField},
		{"negative", func(s *auditv1.Statement) { s.Output.Earned = math.NewInt(-1) }, audit.ErrField},
		{"beyond 96 bits", func(s *auditv1.Statement) { s.Output.Earned = math.NewIntWithDecimal(1, 40) }, audit.ErrField},
		{"too many leaves", func(s *auditv1.Statement) { s.Output.Leaves = 1 << 50 }, audit.ErrField},
		{"input hash", func(s *auditv1.Statement) { s.InputHash = s.InputHash[:31] }, audit.ErrField},
	} {
		s := encode(first.Statement)
		bad.change(&s)
		before := c.Hash()
		_, err := c.msg.PostReport(c.Ctx, &auditv1.MsgPostReport{Reporter: reporterN(0), Statement: s})
		require.ErrorIs(t, err, bad.want, bad.name)
		require.Equal(t, before, c.Hash(), bad.name)
	}
	_, err := c.msg.PostReport(c.Ctx, &auditv1.MsgPostReport{Reporter: disputer(0), Statement: encode(first.Statement)})
	require.ErrorIs(t, err, audit.ErrNotBonded)
	c.mustPost(t, first, 0)
	require.ErrorIs(t, c.post(0, first), audit.ErrPosted)
	other := *first
	other.Output.Points++
	require.ErrorIs(t, c.post(0, &other), audit.ErrPosted, "one word of each for an epoch")

	// The sum of what was ever earned never falls.
	second := c.turn(t)
	less := say(t, score.Storage, second, c.facts[second], first, func(a []score.Account) []score.Account { return a[:1] })
	require.ErrorIs(t, c.post(0, less), audit.ErrTotals)
}

// lies are all the ways in which a root can be false, each with the dispute that shows it.
var lies = []struct {
	name    string
	lie     func([]score.Account) []score.Account
	twist   func(*said)
	dispute func(testing.TB, *court, string, *said) (*auditv1.MsgDisputeResponse, error)
}{
	{
		name: "a leaf that pays a friend more",
		lie: func(a []score.Account) []score.Account {
			a[2].Earned, a[2].Paid = plus(a[2].Earned, 777), plus(a[2].Paid, 777)
			a[0].Earned, a[0].Paid = minus(a[0].Earned, 777), minus(a[0].Paid, 777)
			return a
		},
		dispute: func(tb testing.TB, c *court, by string, s *said) (*auditv1.MsgDisputeResponse, error) {
			return c.msg.DisputeLeaf(c.Ctx, leafDispute(tb, by, s, 3))
		},
	},
	{
		name: "a leaf of a device that nothing is known of",
		lie: func(a []score.Account) []score.Account {
			a[4].Device = 9 // in place of 8
			return a
		},
		dispute: func(tb testing.TB, c *court, by string, s *said) (*auditv1.MsgDisputeResponse, error) {
			return c.msg.DisputeLeaf(c.Ctx, leafDispute(tb, by, s, 9))
		},
	},
	{
		name: "a device left out",
		lie:  func(a []score.Account) []score.Account { return append(a[:3], a[4:]...) },
		dispute: func(tb testing.TB, c *court, by string, s *said) (*auditv1.MsgDisputeResponse, error) {
			return c.msg.DisputeMissing(c.Ctx, missingDispute(tb, by, s, 5))
		},
	},
	{
		name: "the last device left out",
		lie:  func(a []score.Account) []score.Account { return a[:len(a)-1] },
		dispute: func(tb testing.TB, c *court, by string, s *said) (*auditv1.MsgDisputeResponse, error) {
			return c.msg.DisputeMissing(c.Ctx, missingDispute(tb, by, s, 13))
		},
	},
	{
		name:  "sums that do not add up",
		twist: func(s *said) { s.Output.Earned = plus(s.Output.Earned, 1000) },
		dispute: func(tb testing.TB, c *court, by string, s *said) (*auditv1.MsgDisputeResponse, error) {
			left := uint64(1) << (bits.Len64(s.Output.Leaves-1) - 1)
			l, _ := s.output.Over(0, left)
			r, _ := s.output.Over(left, s.Output.Leaves-left)
			fault := report.Fault{Kind: report.FaultSums, Path: report.Path{Leaves: s.Output.Leaves}, Node: s.Output, Left: l, Right: r}
			return c.msg.DisputeTree(c.Ctx, &auditv1.MsgDisputeTree{Disputer: by, Report: idOf(s), Tree: auditv1.DATA_TREE_OUTPUT, Fault: bytesOf(tb, fault)})
		},
	},
	{
		name: "an input root over other facts",
		twist: func(s *said) {
			facts := storageFacts(s.Epoch, 1, 2, 3, 5, 8, 14)
			s.inputs, _ = report.InputTree(facts)
			s.Inputs = s.inputs.Root()
		},
		dispute: func(tb testing.TB, c *court, by string, s *said) (*auditv1.MsgDisputeResponse, error) {
			place, err := s.inputs.Place(14)
			require.NoError(tb, err)
			return c.msg.DisputeInput(c.Ctx, &auditv1.MsgDisputeInput{Disputer: by, Report: idOf(s), Device: 14, Input: bytesOf(tb, place)})
		},
	},
	{
		name:  "withheld data",
		twist: func(s *said) { s.Output.Hash[0] ^= 1 }, // nothing is known to be under it
		dispute: func(tb testing.TB, c *court, by string, s *said) (*auditv1.MsgDisputeResponse, error) {
			_, err := c.msg.DemandData(c.Ctx, &auditv1.MsgDemandData{Demander: by, Report: idOf(s), Tree: auditv1.DATA_TREE_OUTPUT})
			require.NoError(tb, err)
			part, err := s.output.Part(0, 0)
			require.NoError(tb, err)
			_, err = c.msg.ServeData(c.Ctx, &auditv1.MsgServeData{Sender: reporterN(0), Report: idOf(s), Demander: by, Part: bytesOf(tb, part)})
			require.ErrorIs(tb, err, audit.ErrProof)
			_, err = c.msg.ReportWithheld(c.Ctx, &auditv1.MsgReportWithheld{Sender: disputer(5), Report: idOf(s), Demander: by})
			require.ErrorIs(tb, err, audit.ErrTooEarly)
			c.blocks(tb, 4)
			require.Zero(tb, c.finalize(tb))
			c.blocks(tb, 5)
			return c.msg.ReportWithheld(c.Ctx, &auditv1.MsgReportWithheld{Sender: disputer(5), Report: idOf(s), Demander: by})
		},
	},
}

func plus(a price.Amount, n uint64) price.Amount {
	sum, _ := a.Add(price.FromUint64(n))
	return sum
}

func minus(a price.Amount, n uint64) price.Amount {
	d, _ := a.Sub(price.FromUint64(n))
	return d
}

// Even where all but one reporter lie and agree, one honest account with nothing but the data wins:
// the chain replays. Liars lose their bonds whole, the disputer earns, and the honest root becomes
// final.
func TestEveryLieLoses(t *testing.T) {
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			c := newCourt(t)
			c.reporters(t, 4)
			epoch := c.turn(t)
			honest := c.honest(t, epoch, nil)
			lying := say(t, score.Storage, epoch, c.facts[epoch], nil, l.lie)
			if l.twist != nil {
				l.twist(lying)
			}
			c.mustPost(t, lying, 0, 1, 2) // 3 of 4
			c.mustPost(t, honest, 3)
			res, err := c.query.Report(c.Ctx, &auditv1.QueryReportRequest{Id: idOf(lying)})
			require.NoError(t, err)
			require.Positive(t, res.Report.AgreedAt, "the liars agree")

			by := disputer(0)
			c.rich(by)
			before, supply := c.balance(by), c.Bank.Supply(c.Ctx, denom)
			var answer *auditv1.MsgDisputeResponse
			gas := c.gas(func() { answer, err = l.dispute(t, c, by, lying) })
			require.NoError(t, err)
			require.True(t, answer.Upheld)
			require.EqualValues(t, 3*bond/2, answer.Bounty.Int64(), "half of what three lost")
			require.Equal(t, before+3*bond/2, c.balance(by), "deposit back, bounty paid")
			require.EqualValues(t, 3*bond/2, supply.Sub(c.Bank.Supply(c.Ctx, denom)).Int64(), "the rest is burned")
			require.EqualValues(t, bond, c.held(), "only the honest bond is left")
			require.Less(t, gas, uint64(2_000_000))
			t.Logf("liars lost %d of %d, the disputer got %d, %d gas: %s", 3*bond, 3*bond, 3*bond/2, gas, answer.Reason)

			_, err = c.msg.DisputeLeaf(c.Ctx, leafDispute(t, by, honestAs(honest, lying), 3))
			require.ErrorIs(t, err, audit.ErrRejected, "once is enough")
			require.ErrorIs(t, c.post(3, lying), audit.ErrRejected)
			c.blocks(t, 12) // the honest one alone counts once the deadline has passed
			c.finalize(t)
			c.blocks(t, 8)
			require.EqualValues(t, epoch, c.finalize(t))
			require.Equal(t, honest.Output, c.finals[0].root)
		})
	}
}

// honestAs is a dispute's material under the id of another statement.
func honestAs(s, other *said) *said {
	as := *s
	as.Statement = other.Statement
	return &as
}

// A dispute that is not right costs its deposit, and changes nothing else.
func TestAWrongDisputeCosts(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 1)
	e := c.honest(t, c.turn(t), nil)
	c.mustPost(t, e, 0)
	by := disputer(0)
	_, err := c.msg.DisputeLeaf(c.Ctx, leafDispute(t, by, e, 3))
	require.ErrorIs(t, err, stage.ErrFunds, "who cannot pay is not heard")
	c.rich(by)
	for i, dispute := range []func() (*auditv1.MsgDisputeResponse, error){
		func() (*auditv1.MsgDisputeResponse, error) {
			return c.msg.DisputeLeaf(c.Ctx, leafDispute(t, by, e, 3))
		},
		func() (*auditv1.MsgDisputeResponse, error) {
			return c.msg.DisputeMissing(c.Ctx, missingDispute(t, by, e, 4))
		},
		func() (*auditv1.MsgDisputeResponse, error) {
			place, err := e.inputs.Place(3)
			require.NoError(t, err)
			return c.msg.DisputeInput(c.Ctx, &auditv1.MsgDisputeInput{Disputer: by, Report: idOf(e), Device: 3, Input: bytesOf(t, place)})
		},
	} {
		before, held := c.balance(by), c.held()
		answer, err := dispute()
		require.NoError(t, err)
		require.False(t, answer.Upheld, i)
		require.Equal(t, before-30, c.balance(by))
		require.Equal(t, held, c.held())
	}
	// What shows nothing is refused before anything is compared.
	leaf, missing := leafDispute(t, by, e, 3), missingDispute(t, by, e, 4)
	for name, call := range map[string]func() error{
		"leaf altered": func() error {
			m := *leaf
			m.Leaf = append([]byte{}, m.Leaf...)
			m.Leaf[60] ^= 1
			_, err := c.msg.DisputeLeaf(c.Ctx, &m)
			return err
		},
		"no leaf": func() error {
			m := *leaf
			m.Leaf = nil
			_, err := c.msg.DisputeLeaf(c.Ctx, &m)
			return err
		},
		"previous of another device": func() error {
			m := *leaf
			m.Previous = m.Leaf
			_, err := c.msg.DisputeLeaf(c.Ctx, &m)
			return err
		},
		"absence of a device that is there": func() error {
			m := *missing
			m.Device = 3
			_, err := c.msg.DisputeMissing(c.Ctx, &m)
			return err
		},
		"no fault": func() error {
			_, err := c.msg.DisputeTree(c.Ctx, &auditv1.MsgDisputeTree{Disputer: by, Report: idOf(e), Tree: auditv1.DATA_TREE_OUTPUT, Fault: []byte{1}})
			return err
		},
	} {
		before := c.Hash()
		require.ErrorIs(t, call(), audit.ErrProof, name)
		require.Equal(t, before, c.Hash(), name)
	}
	c.blocks(t, 8)
	require.EqualValues(t, 1, c.finalize(t))
	_, err = c.msg.DisputeLeaf(c.Ctx, leaf)
	require.ErrorIs(t, err, audit.ErrNoReport, "what is final cannot be disputed")
}

// With a rejected report all that builds on it is void: it neither becomes final nor costs anyone,
// and reporters may give another word.
func TestWhatBuildsOnALieIsVoid(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 3)
	first := c.turn(t)
	lie := say(t, score.Storage, first, c.facts[first], nil, lies[0].lie)
	c.mustPost(t, lie, 0, 1, 2)
	second := c.turn(t)
	onLie := c.honest(t, second, lie)
	c.mustPost(t, onLie, 1, 2)
	c.rich(disputer(0))
	_, err := c.msg.DisputeLeaf(c.Ctx, leafDispute(t, disputer(0), lie, 3))
	require.NoError(t, err)
	_, err = c.msg.DisputeLeaf(c.Ctx, leafDispute(t, disputer(0), onLie, 3))
	require.ErrorIs(t, err, audit.ErrVoid)

	// All lost their bonds and bond anew.
	for n := range 2 {
		r, err := c.query.Reporter(c.Ctx, &auditv1.QueryReporterRequest{Address: reporterN(n)})
		require.NoError(t, err)
		require.True(t, r.Reporter.Bond.IsZero())
		_, err = c.msg.BondReporter(c.Ctx, &auditv1.MsgBondReporter{Reporter: reporterN(n), Amount: math.NewInt(bond)})
		require.NoError(t, err)
	}
	honest := c.honest(t, first, nil)
	c.mustPost(t, honest, 0, 1)
	onHonest := c.honest(t, second, honest)
	c.mustPost(t, onHonest, 0, 1) // 1 had given its word for what is void
	c.blocks(t, 8)
	require.EqualValues(t, second, c.finalize(t))
	require.Equal(t, onHonest.Output, c.finals[1].root)
	r, err := c.query.Reporter(c.Ctx, &auditv1.QueryReporterRequest{Address: reporterN(1)})
	require.NoError(t, err)
	require.Zero(t, r.Reporter.Open)
}

// Demands are answered by anyone who has the data; half of the deposit pays for it.
func TestDemandsAreAnswered(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 2)
	e := c.honest(t, c.turn(t), nil)
	c.mustPost(t, e, 0, 1)
	by := disputer(0)
	c.rich(by)
	demand := &auditv1.MsgDemandData{Demander: by, Report: idOf(e), Tree: auditv1.DATA_TREE_OUTPUT, Index: 2}
	for _, bad := range []struct {
		change func(*auditv1.MsgDemandData)
		want   error
	}{
		{func(m *auditv1.MsgDemandData) { m.Index = e.Output.Leaves }, audit.ErrField},
		{func(m *auditv1.MsgDemandData) { m.Depth = 41 }, audit.ErrField},
		{func(m *auditv1.MsgDemandData) { m.Tree = 0 }, audit.ErrField},
		{func(m *auditv1.MsgDemandData) { m.Report = make([]byte, 32) }, audit.ErrNoReport},
		{func(m *auditv1.MsgDemandData) { m.Report = nil }, audit.ErrField},
		{func(m *auditv1.MsgDemandData) { m.Demander = "x" }, audit.ErrAddress},
		{func(m *auditv1.MsgDemandData) { m.Demander = disputer(7) }, stage.ErrFunds},
	} {
		m := *demand
		bad.change(&m)
		_, err := c.msg.DemandData(c.Ctx, &m)
		require.ErrorIs(t, err, bad.want)
	}
	_, err := c.msg.DemandData(c.Ctx, demand)
	require.NoError(t, err)
	require.Equal(t, int64(10_000-20), c.balance(by))
	_, err = c.msg.DemandData(c.Ctx, demand)
	require.ErrorIs(t, err, audit.ErrDemanded)

	part, err := e.output.Part(2, 0)
	require.NoError(t, err)
	other, err := e.output.Part(1, 0)
	require.NoError(t, err)
	_, err = c.msg.ServeData(c.Ctx, &auditv1.MsgServeData{Sender: disputer(1), Report: idOf(e), Demander: by, Part: bytesOf(t, other)})
	require.ErrorIs(t, err, audit.ErrProof, "not the part that was asked for")
	c.blocks(t, 4)
	supply := c.Bank.Supply(c.Ctx, denom)
	_, err = c.msg.ServeData(c.Ctx, &auditv1.MsgServeData{Sender: disputer(1), Report: idOf(e), Demander: by, Part: bytesOf(t, part)})
	require.NoError(t, err)
	require.EqualValues(t, 10, c.balance(disputer(1)))
	require.EqualValues(t, 10, supply.Sub(c.Bank.Supply(c.Ctx, denom)).Int64())
	_, err = c.msg.ServeData(c.Ctx, &auditv1.MsgServeData{Sender: disputer(1), Report: idOf(e), Demander: by, Part: bytesOf(t, part)})
	require.ErrorIs(t, err, audit.ErrNoDemand)
	c.blocks(t, 4)
	require.EqualValues(t, 1, c.finalize(t), "the answer came in the window's first half")
}

// Whoever keeps demanding delays finality by a bounded time, at a price, and cannot crowd out a
// bonded reporter.
func TestDemandsAreBounded(t *testing.T) {
	c := newCourt(t)
	c.params(t, func(p *auditv1.ReportParams) { p.MaxDemands = 3 })
	c.reporters(t, 2)
	e := c.honest(t, c.turn(t), nil)
	c.mustPost(t, e, 0, 1)
	agreed := c.Ctx.BlockHeight()
	part, err := e.output.Part(0, 0)
	require.NoError(t, err)
	demand := func(by string) error {
		_, err := c.msg.DemandData(c.Ctx, &auditv1.MsgDemandData{Demander: by, Report: idOf(e), Tree: auditv1.DATA_TREE_OUTPUT})
		return err
	}
	serve := func(by string) {
		_, err := c.msg.ServeData(c.Ctx, &auditv1.MsgServeData{Sender: reporterN(0), Report: idOf(e), Demander: by, Part: bytesOf(t, part)})
		require.NoError(t, err)
	}
	for n := range 3 {
		c.rich(disputer(n))
		require.NoError(t, demand(disputer(n)))
	}
	c.rich(disputer(3))
	require.ErrorIs(t, demand(disputer(3)), audit.ErrTooMany)
	require.NoError(t, demand(reporterN(1)), "who has a bond is heard")
	for n := range 3 {
		serve(disputer(n))
	}
	serve(reporterN(1))
	require.ErrorIs(t, demand(disputer(0)), audit.ErrTooMany, "answered ones count")
	for {
		c.blocks(t, 1)
		if err := demand(reporterN(1)); err != nil {
			require.ErrorIs(t, err, audit.ErrTooLate)
			break
		}
		serve(reporterN(1))
	}
	require.Greater(t, c.Ctx.BlockHeight(), agreed+8, "demands hold finality up")
	for c.finalize(t) == 0 {
		c.blocks(t, 1)
	}
	require.LessOrEqual(t, c.Ctx.BlockHeight(), agreed+3*8, "for three windows at most")
}

// A bond is free only when the wait is over and no report of it is open; until then it answers.
func TestBondsAnswerUntilTheEnd(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 2)
	first := c.turn(t)
	lie := say(t, score.Storage, first, c.facts[first], nil, lies[0].lie)
	c.mustPost(t, lie, 0)
	_, err := c.msg.WithdrawBond(c.Ctx, &auditv1.MsgWithdrawBond{Reporter: reporterN(0)})
	require.ErrorIs(t, err, audit.ErrBondLocked)
	res, err := c.msg.UnbondReporter(c.Ctx, &auditv1.MsgUnbondReporter{Reporter: reporterN(0)})
	require.NoError(t, err)
	require.Equal(t, c.Ctx.BlockHeight()+60, res.FreeAt)
	_, err = c.msg.UnbondReporter(c.Ctx, &auditv1.MsgUnbondReporter{Reporter: reporterN(0)})
	require.ErrorIs(t, err, audit.ErrNotBonded)
	require.ErrorIs(t, c.post(0, c.honest(t, first, nil)), audit.ErrNotBonded)
	c.blocks(t, 60)
	_, err = c.msg.WithdrawBond(c.Ctx, &auditv1.MsgWithdrawBond{Reporter: reporterN(0)})
	require.ErrorIs(t, err, audit.ErrBondLocked, "its report is open")
	c.rich(disputer(0))
	answer, err := c.msg.DisputeLeaf(c.Ctx, leafDispute(t, disputer(0), lie, 3))
	require.NoError(t, err)
	require.EqualValues(t, bond/2, answer.Bounty.Int64())
	left, err := c.msg.WithdrawBond(c.Ctx, &auditv1.MsgWithdrawBond{Reporter: reporterN(0)})
	require.NoError(t, err)
	require.True(t, left.Amount.IsZero())
	_, err = c.query.Reporter(c.Ctx, &auditv1.QueryReporterRequest{Address: reporterN(0)})
	require.ErrorIs(t, err, audit.ErrNotBonded)

	_, err = c.msg.UnbondReporter(c.Ctx, &auditv1.MsgUnbondReporter{Reporter: reporterN(1)})
	require.NoError(t, err)
	c.blocks(t, 60)
	before := c.balance(reporterN(1))
	left, err = c.msg.WithdrawBond(c.Ctx, &auditv1.MsgWithdrawBond{Reporter: reporterN(1)})
	require.NoError(t, err)
	require.EqualValues(t, bond, left.Amount.Int64())
	require.Equal(t, before+bond, c.balance(reporterN(1)))
	require.Zero(t, c.held())
}

// There are at most max_reporters: the least makes room for one with more, and for nobody else.
func TestMoreBondMakesRoom(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 4)
	c.rich(reporterN(5))
	bondOf := func(n int, amount int64) error {
		_, err := c.msg.BondReporter(c.Ctx, &auditv1.MsgBondReporter{Reporter: reporterN(n), Amount: math.NewInt(amount)})
		return err
	}
	require.ErrorIs(t, bondOf(5, bond), audit.ErrTooMany)
	require.ErrorIs(t, bondOf(5, 99), audit.ErrAmount)
	require.ErrorIs(t, bondOf(5, -1), audit.ErrAmount)
	require.NoError(t, bondOf(1, 5))
	require.NoError(t, bondOf(5, bond+1))
	out := 0
	res, err := c.query.Reporters(c.Ctx, &auditv1.QueryReportersRequest{})
	require.NoError(t, err)
	for _, r := range res.Reporters {
		if r.State == auditv1.REPORTER_STATE_UNBONDING {
			out++
			require.EqualValues(t, bond, r.Bond.Int64())
		}
	}
	require.Equal(t, 1, out)
	require.EqualValues(t, 4*bond+6, res.Bonded.Int64())
	_, err = c.msg.BondReporter(c.Ctx, &auditv1.MsgBondReporter{Reporter: reporterN(1), Amount: math.ZeroInt(), Data: "http://a b"})
	require.ErrorIs(t, err, audit.ErrField)
	_, err = c.msg.BondReporter(c.Ctx, &auditv1.MsgBondReporter{Reporter: reporterN(1), Amount: math.ZeroInt(), Data: strings.Repeat("h", 257)})
	require.ErrorIs(t, err, audit.ErrField)
}

// Epochs that nobody reported in time are left out; those after build on the last final one.
func TestEpochsTooOldAreLeftOut(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 1)
	first := c.honest(t, c.turn(t), nil)
	c.mustPost(t, first, 0)
	c.turn(t)
	third := c.turn(t)
	require.ErrorIs(t, c.post(0, c.honest(t, third, first)), audit.ErrEpoch, "the second can be reported still")
	for c.current(t).Number < 23 {
		c.turn(t)
	}
	require.EqualValues(t, 1, c.finalize(t))
	require.ErrorIs(t, c.post(0, c.honest(t, 2, first)), audit.ErrEpoch, "20 epochs later")
	e := c.honest(t, 3, first)
	c.mustPost(t, e, 0)
	c.blocks(t, 8)
	require.EqualValues(t, 3, c.finalize(t))
}

// An epoch without pools cannot be reported, and stops none of those after it.
func TestEpochsWithoutPoolsAreLeftOut(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 1)
	errNone := errors.New("no pools")
	first := c.honest(t, c.turn(t), nil)
	c.mustPost(t, first, 0)
	second, third := c.turn(t), c.turn(t)
	fourth := c.honest(t, c.turn(t), first)
	c.poolless[third] = errNone
	require.ErrorIs(t, c.post(0, c.honest(t, third, first)), audit.ErrEpoch, "the second can be reported")
	require.ErrorIs(t, c.post(0, fourth), audit.ErrEpoch, "and is not left out behind one without pools")
	c.poolless[second] = errNone
	require.ErrorIs(t, c.post(0, c.honest(t, second, first)), errNone)
	c.mustPost(t, fourth, 0)
	c.blocks(t, 8)
	require.EqualValues(t, 4, c.finalize(t))
}

// A dispute whose fact or pools cannot be read decides nothing and costs nobody.
func TestADisputeOnWhatIsForgottenChangesNothing(t *testing.T) {
	for name, forget := range map[string]func(*court, error){
		"facts": func(c *court, why error) { c.unread[1] = why },
		"pools": func(c *court, why error) { c.poolless[1], c.facts[1] = why, nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCourt(t)
			c.reporters(t, 1)
			c.rich(disputer(0))
			e := c.honest(t, c.turn(t), nil)
			c.mustPost(t, e, 0)
			errGone := errors.New("no longer kept")
			forget(c, errGone)
			before := c.Hash()
			_, err := c.msg.DisputeLeaf(c.Ctx, leafDispute(t, disputer(0), e, 3))
			require.ErrorIs(t, err, errGone)
			_, err = c.msg.DisputeMissing(c.Ctx, missingDispute(t, disputer(0), e, 4))
			require.ErrorIs(t, err, errGone)
			place, err := e.inputs.Place(3)
			require.NoError(t, err)
			_, err = c.msg.DisputeInput(c.Ctx, &auditv1.MsgDisputeInput{Disputer: disputer(0), Report: idOf(e), Device: 3, Input: bytesOf(t, place)})
			require.ErrorIs(t, err, errGone)
			require.Equal(t, before, c.Hash())
		})
	}
}

// A service whose evidence is off chain: the input root commits to it, the chain judges it, and what
// is not shown counts against the reporters.
func TestEvidenceOffChainIsReplayed(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 2)
	epoch := c.turn(t)
	facts := storageFacts(epoch, 2, 4, 6)
	evidence := make(map[uint64][]byte)
	for i := range facts {
		facts[i].Service = score.Energy
		evidence[facts[i].Device] = bytesOf(t, facts[i])
	}
	by := disputer(0)
	c.rich(by)
	honest := say(t, score.Energy, epoch, facts, nil, nil)
	lie := say(t, score.Energy, epoch, facts, nil, func(a []score.Account) []score.Account { a[1].Points++; return a })
	// Evidence that proves nothing, in an input root of its own: its device must have no account.
	junk := say(t, score.Energy, epoch, facts, nil, nil)
	inputs := []report.Input{report.Digest(2, evidence[2]), report.Digest(4, []byte("junk")), report.Digest(6, evidence[6])}
	junk.inputs, _ = report.Build(inputs)
	junk.Inputs = junk.inputs.Root()

	place := func(s *said, device uint64) []byte {
		p, err := s.inputs.Place(device)
		require.NoError(t, err)
		return bytesOf(t, p)
	}
	c.mustPost(t, lie, 0)
	c.mustPost(t, honest, 1)
	m := leafDispute(t, by, lie, 4)
	m.Input, m.Evidence = place(lie, 4), evidence[6]
	_, err := c.msg.DisputeLeaf(c.Ctx, m)
	require.ErrorIs(t, err, audit.ErrProof, "evidence of another device")
	m.Evidence = evidence[4]
	answer, err := c.msg.DisputeLeaf(c.Ctx, m)
	require.NoError(t, err)
	require.True(t, answer.Upheld, answer.Reason)

	m = leafDispute(t, by, honest, 4)
	m.Input, m.Evidence = place(honest, 4), evidence[4]
	answer, err = c.msg.DisputeLeaf(c.Ctx, m)
	require.NoError(t, err)
	require.False(t, answer.Upheld, answer.Reason)

	_, err = c.msg.BondReporter(c.Ctx, &auditv1.MsgBondReporter{Reporter: reporterN(0), Amount: math.NewInt(bond)})
	require.NoError(t, err)
	c.mustPost(t, junk, 0)
	answer, err = c.msg.DisputeInput(c.Ctx, &auditv1.MsgDisputeInput{Disputer: by, Report: idOf(junk), Device: 4, Input: place(junk, 4), Evidence: []byte("junk")})
	require.NoError(t, err)
	require.True(t, answer.Upheld, answer.Reason)

	// Evidence is demanded like any leaf; the answer brings it.
	depth := uint32(report.Depth(1, 3)) + report.PartLevels
	_, err = c.msg.DemandData(c.Ctx, &auditv1.MsgDemandData{Demander: by, Report: idOf(honest), Tree: auditv1.DATA_TREE_INPUT, Index: 1, Depth: depth})
	require.NoError(t, err)
	part, err := honest.inputs.Part(1, uint8(depth))
	require.NoError(t, err)
	serve := &auditv1.MsgServeData{Sender: reporterN(1), Report: idOf(honest), Demander: by, Part: bytesOf(t, part)}
	_, err = c.msg.ServeData(c.Ctx, serve)
	require.ErrorIs(t, err, audit.ErrProof, "the leaf without its evidence")
	serve.Evidence = evidence[4]
	_, err = c.msg.ServeData(c.Ctx, serve)
	require.NoError(t, err)
}

// A dispute of one leaf among many, with all it verifies, stays within 2M gas.
func TestALeafDisputeIsCheap(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 1)
	devices := make([]uint64, 1<<17)
	for i := range devices {
		devices[i] = uint64(i) + 1
	}
	first := c.current(t).Number
	second := first + 1
	for _, epoch := range []uint64{first, second} {
		c.facts[epoch] = storageFacts(epoch, devices...)
		for i := range c.facts[epoch] {
			c.facts[epoch][i].Burned = price.Amount{} // the pool of usage is not made for so many
		}
	}
	c.turn(t)
	before := c.honest(t, first, nil)
	c.mustPost(t, before, 0)
	c.turn(t)
	lie := say(t, score.Storage, second, c.facts[second], before, func(a []score.Account) []score.Account { a[77_777].Points++; return a })
	c.mustPost(t, lie, 0)
	m := leafDispute(t, disputer(0), lie, 77_778)
	size := len(m.Leaf) + len(m.Previous)
	var answer *auditv1.MsgDisputeResponse
	gas := c.gas(func() {
		var err error
		answer, err = c.msg.DisputeLeaf(c.Ctx, m)
		require.NoError(t, err)
	})
	require.True(t, answer.Upheld)
	all := gas + 10*uint64(m.Size())
	t.Logf("%d leaves: proofs of %d bytes, %d gas, with 10 for each byte of the message %d", len(devices), size, gas, all)
	require.Less(t, all, uint64(2_000_000))
}

func TestReportParamsHaveBounds(t *testing.T) {
	c := newCourt(t)
	for _, bad := range []func(*auditv1.Params){
		func(p *auditv1.Params) { p.Report.MinBond = math.ZeroInt() },
		func(p *auditv1.Params) { p.Report.MinBond = math.Int{} },
		func(p *auditv1.Params) { p.Report.DemandDeposit = math.NewInt(-1) },
		func(p *auditv1.Params) { p.Report.DisputeDeposit = math.NewIntWithDecimal(1, 60) },
		func(p *auditv1.Params) { p.Report.MaxReporters = 0 },
		func(p *auditv1.Params) { p.Report.MaxReporters = 129 },
		func(p *auditv1.Params) { p.Report.SlashBps = 999 },
		func(p *auditv1.Params) { p.Report.SlashBps = 10_001 },
		func(p *auditv1.Params) { p.Report.BountyBps = 9_001 },
		func(p *auditv1.Params) { p.Report.WindowBlocks = 1 },
		func(p *auditv1.Params) { p.Report.DeadlineBlocks = 1 },
		func(p *auditv1.Params) { p.Report.ServeBlocks = p.Report.WindowBlocks + 1 },
		func(p *auditv1.Params) {
			p.Report.UnbondingBlocks = p.Report.DeadlineBlocks + 3*p.Report.WindowBlocks - 1
		},
		func(p *auditv1.Params) { p.Report.MaxPending = 1 },
		func(p *auditv1.Params) { p.Report.MaxDemands = 0 },
		func(p *auditv1.Params) { p.Report.MaxEvidenceBytes = 1 << 30 },
		func(p *auditv1.Params) { p.Beacon.RetainEpochs = 8 }, // facts would go before a report is final
		func(p *auditv1.Params) { p.Report.Rules[0].Rules = 7 },
		func(p *auditv1.Params) { p.Report.Rules[0].Service = 77 },
		func(p *auditv1.Params) { p.Report.Rules[0].Epoch = 0 },
		func(p *auditv1.Params) { p.Report.Rules = append(p.Report.Rules, p.Report.Rules[0]) },
		func(p *auditv1.Params) { p.Report.Rules = nil },                // what has begun stays
		func(p *auditv1.Params) { p.Report.Rules[0].Epoch = 1_000_000 }, // likewise
	} {
		params, err := c.keeper.Params(c.Ctx)
		require.NoError(t, err)
		params.Report.Rules = append([]auditv1.RulesFrom{}, params.Report.Rules...)
		params.Report.WindowBlocks = 20
		params.Report.UnbondingBlocks = 100
		bad(&params)
		_, err = c.msg.UpdateParams(c.Ctx, &auditv1.MsgUpdateParams{Authority: governance, Params: params})
		require.ErrorIs(t, err, audit.ErrParams)
	}
}

// A lie that nobody agrees with does not escape with its round: who is asked for its data and does
// not show it is rejected when the round would end.
func TestALoneLieDoesNotEscape(t *testing.T) {
	c := newCourt(t)
	c.reporters(t, 4)
	epoch := c.turn(t)
	honest := c.honest(t, epoch, nil)
	lie := c.honest(t, epoch, nil)
	lie.Output.Hash[0] ^= 1
	c.mustPost(t, honest, 1, 2, 3)
	c.mustPost(t, lie, 0)
	c.blocks(t, 7)
	by := disputer(0)
	c.rich(by)
	_, err := c.msg.DemandData(c.Ctx, &auditv1.MsgDemandData{Demander: by, Report: idOf(lie), Tree: auditv1.DATA_TREE_OUTPUT})
	require.NoError(t, err)
	c.blocks(t, 4)
	require.Zero(t, c.finalize(t), "the window has passed, the demand is open")
	c.blocks(t, 1)
	require.EqualValues(t, epoch, c.finalize(t))
	require.Equal(t, honest.Output, c.finals[0].root)
	require.EqualValues(t, 10_000+bond/2, c.balance(by))
	r, err := c.query.Reporter(c.Ctx, &auditv1.QueryReporterRequest{Address: reporterN(0)})
	require.NoError(t, err)
	require.True(t, r.Reporter.Bond.IsZero())
}
