package audit_test

import (
	"errors"
	"testing"

	"cosmossdk.io/math"
	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// check holds every invariant, and that no coin was made or lost.
func (c *court) check(tb stage.Fataler) {
	if err := errors.Join(modkit.Check(c.Ctx, c.keeper.Invariants()), c.Bank.Check(c.Ctx)); err != nil {
		tb.Fatalf("%v", err)
	}
}

// INV-AUDIT-BOND, INV-REPORT and the conservation of coins hold after any sequence of bonds, reports
// honest and false, disputes right and wrong, demands, answers, blocks and restarts; a message that
// fails changes nothing; what becomes final is honest, because somebody disputes in time; and at the
// end every bond that is left comes back.
func TestReportMachine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := newCourt(t)
		for n := range 5 {
			c.rich(reporterN(n))
		}
		c.rich(disputer(0), disputer(1))
		said := make(map[string]*saidOf)
		try := func(msg proto.Message) error {
			before := c.Hash()
			err := stage.Deliver(c.Ctx, &auditv1.Msg_serviceDesc, c.msg, msg)
			if err != nil && c.Hash() != before {
				r.Fatalf("%T gives %v, and the state has changed", msg, err)
			}
			return err
		}
		anyone := func(r *rapid.T) string {
			return rapid.SampledFrom([]string{disputer(0), disputer(1), reporterN(0), reporterN(1)}).Draw(r, "who")
		}
		// open draws a report that is in the state.
		open := func(r *rapid.T) *saidOf {
			g, err := c.keeper.ExportGenesis(c.Ctx)
			if err != nil || len(g.Reports.Reports) == 0 {
				return nil
			}
			return said[string(rapid.SampledFrom(g.Reports.Reports).Draw(r, "report").Id)]
		}
		truth := func(epoch uint64, on *saidOf) *saidOf {
			var base *saidT
			if on != nil {
				base = on.saidT
			}
			return &saidOf{saidT: c.honest(r, epoch, base), honest: on == nil || on.honest}
		}
		r.Repeat(map[string]func(*rapid.T){
			"bond": func(r *rapid.T) {
				_ = try(&auditv1.MsgBondReporter{
					Reporter: reporterN(rapid.IntRange(0, 4).Draw(r, "n")), Amount: math.NewInt(rapid.Int64Range(-1, 900).Draw(r, "amount")), Data: "http://x",
				})
			},
			"unbond": func(r *rapid.T) {
				if rapid.IntRange(0, 3).Draw(r, "seldom") == 0 {
					_ = try(&auditv1.MsgUnbondReporter{Reporter: reporterN(rapid.IntRange(0, 4).Draw(r, "n"))})
				}
			},
			"withdraw": func(r *rapid.T) {
				_ = try(&auditv1.MsgWithdrawBond{Reporter: reporterN(rapid.IntRange(0, 4).Draw(r, "n"))})
			},
			"post": func(r *rapid.T) {
				current := c.current(r).Number
				if current < 2 {
					return
				}
				epoch := rapid.Uint64Range(1, current-1).Draw(r, "epoch")
				var on *saidOf
				g, err := c.keeper.ExportGenesis(c.Ctx)
				require.NoError(r, err)
				for _, f := range g.Reports.Finals {
					if f.Statement.Epoch == epoch-1 {
						on = said[string(f.Id)]
					}
				}
				for _, o := range g.Reports.Reports {
					if o.Statement.Epoch == epoch-1 && (on == nil || rapid.Bool().Draw(r, "other base")) {
						on = said[string(o.Id)]
					}
				}
				if epoch > 1 && on == nil {
					return
				}
				s := truth(epoch, on)
				if rapid.IntRange(0, 2).Draw(r, "lie") == 0 {
					l := lies[rapid.IntRange(0, 3).Draw(r, "which")]
					var base *saidT
					if on != nil {
						base = on.saidT
					}
					s = &saidOf{saidT: say(r, score.Storage, epoch, c.facts[epoch], base, l.lie)}
				}
				if err := try(&auditv1.MsgPostReport{Reporter: reporterN(rapid.IntRange(0, 4).Draw(r, "n")), Statement: encode(s.Statement)}); err == nil {
					said[string(idOf(s.saidT))] = s
				}
			},
			"dispute": func(r *rapid.T) {
				s := open(r)
				if s == nil {
					return
				}
				leaves := s.output.Leaves()
				if rapid.Bool().Draw(r, "missing") {
					device := rapid.Uint64Range(1, 15).Draw(r, "device")
					if _, found := s.output.Find(device); !found {
						_ = try(missingDispute(r, anyone(r), s.saidT, device))
					}
				} else if len(leaves) > 0 {
					_ = try(leafDispute(r, anyone(r), s.saidT, rapid.SampledFrom(leaves).Draw(r, "leaf").Device))
				}
			},
			"demand": func(r *rapid.T) {
				if s := open(r); s != nil {
					_ = try(&auditv1.MsgDemandData{Demander: anyone(r), Report: idOf(s.saidT), Tree: auditv1.DATA_TREE_OUTPUT, Index: rapid.Uint64Range(0, 6).Draw(r, "index")})
				}
			},
			"serve": func(r *rapid.T) {
				g, err := c.keeper.ExportGenesis(c.Ctx)
				require.NoError(r, err)
				if len(g.Reports.Demands) == 0 {
					return
				}
				d := rapid.SampledFrom(g.Reports.Demands).Draw(r, "demand")
				part, err := said[string(d.Report)].output.Part(d.Index, uint8(d.Depth))
				require.NoError(r, err)
				_ = try(&auditv1.MsgServeData{Sender: anyone(r), Report: d.Report, Demander: d.Demander, Part: bytesOf(r, part)})
			},
			"withheld": func(r *rapid.T) {
				g, err := c.keeper.ExportGenesis(c.Ctx)
				require.NoError(r, err)
				if len(g.Reports.Demands) == 0 || !rapid.Bool().Draw(r, "report it") {
					return
				}
				d := rapid.SampledFrom(g.Reports.Demands).Draw(r, "demand")
				_ = try(&auditv1.MsgReportWithheld{Sender: disputer(1), Report: d.Report, Demander: d.Demander})
			},
			"block": func(r *rapid.T) {
				// Somebody honest looks at every report before its window ends.
				g, err := c.keeper.ExportGenesis(c.Ctx)
				require.NoError(r, err)
				for _, o := range g.Reports.Reports {
					if s := said[string(o.Id)]; !s.honest && o.Status == auditv1.REPORT_STATUS_OPEN {
						c.expose(r, s)
					}
				}
				if epoch := c.current(r).Number; c.facts[epoch] == nil {
					c.facts[epoch] = storageFacts(epoch, 1, 2, 3, 5, 8, 13)
				}
				c.blocks(r, rapid.IntRange(1, 4).Draw(r, "blocks"))
				c.Commit()
			},
			"finalize": func(r *rapid.T) {
				_ = try(&auditv1.MsgFinalize{Sender: disputer(1), Service: 1})
				for _, f := range c.finals {
					for _, s := range said {
						if s.Output == f.root && s.Epoch == f.epoch && !s.honest {
							r.Fatalf("a lie about epoch %d is final", f.epoch)
						}
					}
				}
			},
			"restart": func(r *rapid.T) { c.restart(r) },
			"":        func(r *rapid.T) { c.check(r) },
		})

		// All leave: rounds end or grow too old, and every bond comes back.
		for n := range 5 {
			_ = try(&auditv1.MsgUnbondReporter{Reporter: reporterN(n)})
		}
		for c.current(r).Number < 60 && !c.over(r) {
			c.skip(r)
			c.Commit()
			_ = try(&auditv1.MsgFinalize{Sender: disputer(1), Service: 1})
			g, err := c.keeper.ExportGenesis(c.Ctx)
			require.NoError(r, err)
			for _, d := range g.Reports.Demands {
				_ = try(&auditv1.MsgReportWithheld{Sender: disputer(1), Report: d.Report, Demander: d.Demander})
			}
		}
		for range 12 {
			c.skip(r)
		}
		for n := range 5 {
			if err := try(&auditv1.MsgWithdrawBond{Reporter: reporterN(n)}); err != nil && !errors.Is(err, audit.ErrNotBonded) {
				r.Fatalf("reporter %d: %v", n, err)
			}
		}
		if left := c.held(); left != 0 {
			r.Fatalf("%d is left in the module's account", left)
		}
		c.check(r)
	})
}

// saidT is a said under a name that the machine's map does not hide.
type saidT = said

// saidOf is what was said, and whether it is what the facts give.
type saidOf struct {
	*saidT
	honest bool
}

// skip runs an epoch without a look at the invariants.
func (c *court) skip(tb require.TestingT) {
	for epoch := c.current(tb).Number; c.current(tb).Number == epoch; {
		c.Pass(1)
		require.NoError(tb, c.keeper.Advance(c.Ctx, c.votes(tb, 0)))
	}
}

// over says whether no round is open.
func (c *court) over(tb require.TestingT) bool {
	g, err := c.keeper.ExportGenesis(c.Ctx)
	require.NoError(tb, err)
	return len(g.Reports.Rounds) == 0
}

// expose has a false report rejected, unless it is void already.
func (c *court) expose(tb *rapid.T, s *saidOf) {
	c.rich(disputer(8))
	honest := say(tb, score.Storage, s.Epoch, c.facts[s.Epoch], nil, nil)
	honest.previous = s.previous
	var err error
	honest.output, err = plan(score.Storage, s.Epoch).Compute(c.facts[s.Epoch], s.previous.Leaves())
	require.NoError(tb, err)
	for _, a := range s.output.Leaves() {
		i, found := honest.output.Find(a.Device)
		if !found || honest.output.Leaves()[i] != a {
			c.expect(tb, func() (*auditv1.MsgDisputeResponse, error) {
				return c.msg.DisputeLeaf(c.Ctx, leafDispute(tb, disputer(8), s.saidT, a.Device))
			})
			return
		}
	}
	for _, a := range honest.output.Leaves() {
		if _, found := s.output.Find(a.Device); !found {
			c.expect(tb, func() (*auditv1.MsgDisputeResponse, error) {
				return c.msg.DisputeMissing(c.Ctx, missingDispute(tb, disputer(8), s.saidT, a.Device))
			})
			return
		}
	}
	// It is what the facts give on top of a lie, and void with it.
}

func (c *court) expect(tb *rapid.T, dispute func() (*auditv1.MsgDisputeResponse, error)) {
	answer, err := dispute()
	if errors.Is(err, audit.ErrVoid) {
		return
	}
	if err != nil || !answer.Upheld {
		tb.Fatalf("a lie stands: %v, %v", answer, err)
	}
}

// played is a court in which every message has something to act on, and a good message of each kind.
func played(tb testing.TB) stage.Play {
	c := newCourt(tb)
	c.params(tb, func(p *auditv1.ReportParams) { p.MaxReporters = 6 })
	c.rich(disputer(0), disputer(1))
	c.reporters(tb, 6)
	gone := reporterN(5)
	_, err := c.msg.UnbondReporter(c.Ctx, &auditv1.MsgUnbondReporter{Reporter: gone})
	require.NoError(tb, err)
	for range 5 { // 60 blocks and more
		c.turn(tb)
		c.blocks(tb, 6)
	}
	honest := c.honest(tb, 1, nil)
	lie := say(tb, score.Storage, 1, c.facts[1], nil, lies[0].lie)
	missing := say(tb, score.Storage, 1, c.facts[1], nil, lies[2].lie)
	greedy := say(tb, score.Storage, 1, c.facts[1], nil, nil)
	lies[4].twist(greedy)
	c.mustPost(tb, honest, 0)
	c.mustPost(tb, lie, 1)
	c.mustPost(tb, missing, 2)
	c.mustPost(tb, greedy, 3)
	_, err = c.msg.DemandData(c.Ctx, &auditv1.MsgDemandData{Demander: disputer(0), Report: idOf(lie), Tree: auditv1.DATA_TREE_OUTPUT})
	require.NoError(tb, err)
	c.blocks(tb, 5)
	_, err = c.msg.DemandData(c.Ctx, &auditv1.MsgDemandData{Demander: disputer(1), Report: idOf(honest), Tree: auditv1.DATA_TREE_OUTPUT, Index: 1})
	require.NoError(tb, err)

	part, err := honest.output.Part(1, 0)
	require.NoError(tb, err)
	place, err := honest.inputs.Place(3)
	require.NoError(tb, err)
	l, _ := greedy.output.Over(0, 4)
	r, _ := greedy.output.Over(4, 2)
	fault := report.Fault{Kind: report.FaultSums, Path: report.Path{Leaves: 6}, Node: greedy.Output, Left: l, Right: r}
	key := beaconKey(0)
	public, proof := key.Public(), key.ProveOwner(stage.ChainID, [20]byte(stage.Account(0)))
	return stage.Play{Stage: c.Stage, Service: &auditv1.Msg_serviceDesc, Server: c.msg, Check: c.check, Samples: []proto.Message{
		&auditv1.MsgAnnounceBeaconKey{Operator: stage.Spell(stage.Account(0)), Key: public[:], Proof: proof[:]},
		&auditv1.MsgUpdateParams{Authority: governance, Params: courtParams()},
		&auditv1.MsgBondReporter{Reporter: reporterN(0), Amount: math.NewInt(5), Data: "https://reports.example:7300"},
		&auditv1.MsgUnbondReporter{Reporter: reporterN(1)},
		&auditv1.MsgWithdrawBond{Reporter: gone},
		&auditv1.MsgPostReport{Reporter: reporterN(4), Statement: encode(honest.Statement), Data: "http://x"},
		&auditv1.MsgFinalize{Sender: disputer(0), Service: 1},
		leafDispute(tb, disputer(0), lie, 3),
		missingDispute(tb, disputer(0), missing, 5),
		&auditv1.MsgDisputeTree{Disputer: disputer(0), Report: idOf(greedy), Tree: auditv1.DATA_TREE_OUTPUT, Fault: bytesOf(tb, fault)},
		&auditv1.MsgDisputeInput{Disputer: disputer(0), Report: idOf(honest), Device: 3, Input: bytesOf(tb, place)},
		&auditv1.MsgDemandData{Demander: disputer(0), Report: idOf(honest), Tree: auditv1.DATA_TREE_INPUT, Index: 2},
		&auditv1.MsgServeData{Sender: reporterN(0), Report: idOf(honest), Demander: disputer(1), Part: bytesOf(tb, part)},
		&auditv1.MsgReportWithheld{Sender: disputer(1), Report: idOf(lie), Demander: disputer(0)},
	}}
}

func TestEveryMessageHasASample(t *testing.T) { played(t).TestSamples(t) }

// Messages with one field spoiled are refused with a registered error and change nothing, or are
// good after all and keep the invariants.
func TestSpoiledMessages(t *testing.T) { played(t).TestMutations(t) }

func FuzzMessages(f *testing.F) { played(f).Fuzz(f) }
