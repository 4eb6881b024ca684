package reporter_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/daemon/reporter"
)

// lie is a false report and what its reporter shows of it.
type lie struct {
	statement report.Statement
	accounts  *report.Tree[score.Account] // nil for none
	inputs    *report.Tree[report.Input]
}

// lies are made from the accounts and inputs that a report of the epoch must have.
var lies = map[string]func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie{
	"a leaf": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		a := &accounts[len(accounts)*2/3]
		a.Earned, _ = a.Earned.Add(price.FromUint64(5))
		a.Paid, _ = a.Paid.Add(price.FromUint64(5))
		return twist(t, s, accounts, inputs)
	},
	"the last leaf": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		accounts[len(accounts)-1].Points++
		return twist(t, s, accounts, inputs)
	},
	"a missing leaf": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		i := len(accounts) / 2
		return twist(t, s, slices.Delete(accounts, i, i+1), inputs)
	},
	"the first leaf missing": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		return twist(t, s, accounts[1:], inputs)
	},
	"the last leaf missing": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		return twist(t, s, accounts[:len(accounts)-1], inputs)
	},
	"a leaf of nobody": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		return twist(t, s, append(accounts, score.Account{Device: 1 << 40, Epoch: s.Epoch}), inputs)
	},
	"sums": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		l := twist(t, s, accounts, inputs)
		l.statement.Output.Earned, _ = l.statement.Output.Earned.Add(price.FromUint64(1))
		return l
	},
	"withheld": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		l := twist(t, s, accounts, inputs)
		l.statement.Output.Hash[3] ^= 1
		l.accounts = nil
		return l
	},
	"an input": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		inputs[len(inputs)/3].Digest[0] ^= 1
		return twist(t, s, accounts, inputs)
	},
	"a missing input": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		return twist(t, s, accounts, inputs[:len(inputs)-1])
	},
	"inputs withheld": func(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
		l := twist(t, s, accounts, inputs)
		l.statement.Inputs.Hash[0] ^= 1
		l.inputs = nil
		return l
	},
}

func twist(t *testing.T, s report.Statement, accounts []score.Account, inputs []report.Input) lie {
	t.Helper()
	output, err := report.Build(accounts)
	require.NoError(t, err)
	in, err := report.Build(inputs)
	require.NoError(t, err)
	s.Output, s.Inputs = output.Root(), in.Root()
	return lie{s, output, in}
}

// answer shows what is demanded of a lie, if its reporter can and wants to.
func (c *court) answer(t *testing.T, l lie) {
	t.Helper()
	id := l.statement.ID()
	for demander, d := range c.demands[id] {
		var b []byte
		switch {
		case d.Tree == auditv1.DATA_TREE_OUTPUT && l.accounts != nil:
			part, err := l.accounts.Part(d.Index, uint8(d.Depth))
			require.NoError(t, err)
			b, err = part.MarshalBinary()
			require.NoError(t, err)
		case d.Tree == auditv1.DATA_TREE_INPUT && l.inputs != nil:
			part, err := l.inputs.Part(d.Index, uint8(d.Depth))
			require.NoError(t, err)
			b, err = part.MarshalBinary()
			require.NoError(t, err)
		default:
			continue
		}
		// The chain refuses parts of sums that are none.
		_ = c.as("mallory").ServeData(t.Context(), &auditv1.MsgServeData{Report: id[:], Demander: demander, Part: b})
	}
}

func newWatcher(t *testing.T, chain *seat, found func(reporter.Finding)) *reporter.Watcher {
	t.Helper()
	c := reporter.WatcherConfig{Chain: chain, Found: found, Sources: chain.sources()}
	if chain.offChain {
		c.Services = []score.Service{score.Energy}
	}
	w, err := reporter.NewWatcher(c)
	require.NoError(t, err)
	return w
}

// tell posts a lie about the epoch that an honest reporter has just posted.
func (c *court) tell(t *testing.T, data string, makes func(*testing.T, report.Statement, []score.Account, []report.Input) lie) lie {
	t.Helper()
	honest := c.reports[[32]byte(c.rounds[len(c.rounds)-1].Reports[0])]
	s, err := chainclient.StatementOf(chainID, honest.Statement)
	require.NoError(t, err)
	var before []score.Account
	for epoch := uint64(1); ; epoch++ {
		tree, err := c.plan(epoch).Compute(c.facts[epoch], before)
		require.NoError(t, err)
		if before = tree.Leaves(); epoch == s.Epoch {
			break
		}
	}
	var inputs []report.Input
	if c.offChain {
		for _, f := range c.facts[s.Epoch] {
			b, err := f.MarshalBinary()
			require.NoError(t, err)
			inputs = append(inputs, report.Digest(f.Device, b))
		}
	} else {
		inputs, err = report.Inputs(c.facts[s.Epoch])
		require.NoError(t, err)
	}
	l := makes(t, s, slices.Clone(before), inputs)
	require.NotEqual(t, s, l.statement, "that is the truth")
	liar := c.as("mallory")
	if c.reporters["mallory"] == nil {
		liar = c.bonded("mallory", data)
	}
	require.NoError(t, liar.PostReport(t.Context(), l.statement, data))
	return l
}

// Every lie is disputed by the watcher alone and costs its reporter the bond, whether the data is
// served, shown only where it is demanded on chain, or not at all, in trees of one part and of many;
// the honest report of the epoch becomes final. A watcher that is killed at every step does as well.
func TestWatcherDisputesEveryLie(t *testing.T) {
	for name, makes := range lies {
		for _, devices := range []int{3, 700} {
			for _, way := range []string{"served", "shown on demand", "killed at each step"} {
				t.Run(strings.Join([]string{name, map[int]string{3: "one part", 700: "many parts"}[devices], way}, "/"), func(t *testing.T) {
					c := newCourt(t)
					honest := newReporter(t, t.TempDir(), c.bonded("alice", ""))
					c.turn(devices)
					require.NoError(t, honest.Step(t.Context()))
					c.turn(devices)
					require.NoError(t, honest.Step(t.Context()))
					var l lie
					data := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						if way != "served" || l.accounts == nil {
							http.Error(w, "no", http.StatusNotFound)
							return
						}
						for _, a := range l.accounts.Leaves() {
							_, _ = w.Write(a.Append(nil))
						}
					}))
					defer data.Close()
					l = c.tell(t, data.URL, makes)
					id := l.statement.ID()

					var found []reporter.Finding
					saw := func(f reporter.Finding) { found = append(found, f) }
					w := newWatcher(t, c.as("watcher"), saw)
					for range 20 * serveBlocks {
						if c.reports[id].Status != auditv1.REPORT_STATUS_OPEN {
							break
						}
						if way == "killed at each step" {
							w = newWatcher(t, c.as("watcher"), saw)
						}
						require.NoError(t, w.Step(t.Context()))
						c.answer(t, l)
						c.blocks(1)
					}
					require.Equal(t, auditv1.REPORT_STATUS_REJECTED, c.reports[id].Status)
					require.Len(t, found, 1)
					require.True(t, c.reporters["mallory"].Bond.IsZero())
					require.Equal(t, bounty, c.bounties["watcher"])
					c.finish(honest, 2)
					require.False(t, c.reporters["alice"].Bond.IsZero())
				})
			}
		}
	}
}

// A watcher leaves alone what is right, and what is void with the lie that it builds on.
func TestWatcherLeavesTheTruthAlone(t *testing.T) {
	c := newCourt(t)
	r := newReporter(t, t.TempDir(), c.bonded("alice", ""))
	chain := c.as("watcher")
	chain.after = func(call string) error {
		t.Errorf("the watcher sent a message: %s", call)
		return nil
	}
	w := newWatcher(t, chain, nil)
	for epoch := uint64(1); epoch <= 4; epoch++ {
		c.turn(50)
		require.NoError(t, r.Step(t.Context()))
		require.NoError(t, w.Step(t.Context()))
	}
	c.finish(r, 4)
	require.NoError(t, w.Step(t.Context()))
}

// A report on top of a lie is not disputed for its own: it goes with the lie.
func TestWatcherDisputesTheLieAndNotWhatBuildsOnIt(t *testing.T) {
	c := newCourt(t)
	honest := newReporter(t, t.TempDir(), c.bonded("alice", ""))
	c.turn(10)
	require.NoError(t, honest.Step(t.Context()))
	l := c.tell(t, "", lies["a leaf"])
	on := l.statement
	c.turn(10)
	on.Epoch, on.Previous = 2, l.statement.ID()
	require.NoError(t, c.as("mallory").PostReport(t.Context(), on, ""))
	require.NoError(t, honest.Step(t.Context()))
	w := newWatcher(t, c.as("watcher"), nil)
	for range 10 * serveBlocks {
		require.NoError(t, w.Step(t.Context()))
		c.answer(t, l)
		c.blocks(1)
	}
	require.Equal(t, auditv1.REPORT_STATUS_REJECTED, c.reports[l.statement.ID()].Status)
	require.Equal(t, auditv1.REPORT_STATUS_OPEN, c.reports[on.ID()].Status)
	c.finish(honest, 2)
}

// A lie that nobody disputes in time, with less than a third of the bond behind it, is dropped when the
// epoch becomes final: it pays nothing and holds nothing up (docs/spec/audit.md, "What is promised").
func TestALoneLieDelaysNothing(t *testing.T) {
	finalAt := func(lied bool) int64 {
		c := newCourt(t)
		var all []*reporter.Reporter
		for _, name := range []string{"alice", "bob", "carol"} {
			all = append(all, newReporter(t, t.TempDir(), c.bonded(name, "")))
		}
		c.bonded("mallory", "")
		c.turn(10)
		require.NoError(t, all[0].Step(t.Context()))
		if lied {
			c.tell(t, "", lies["withheld"])
		}
		require.NoError(t, all[1].Step(t.Context()))
		require.NoError(t, all[2].Step(t.Context()))
		c.finish(all[0], 1)
		f, _ := c.lastFinal()
		require.Empty(t, c.rounds)
		tree, err := c.plan(1).Compute(c.facts[1], nil)
		require.NoError(t, err)
		root := tree.Root()
		require.Equal(t, root.Hash[:], f.Statement.Output.Hash)
		return f.Height
	}
	require.Equal(t, finalAt(false), finalAt(true))
}

// Where evidence is off chain, the watcher brings it with the dispute of a leaf.
func TestWatcherBringsEvidence(t *testing.T) {
	for _, name := range []string{"a leaf", "a missing leaf"} {
		t.Run(name, func(t *testing.T) {
			c := newCourt(t)
			c.offChain = true
			honest := newReporter(t, t.TempDir(), c.bonded("alice", ""))
			c.turn(20)
			require.NoError(t, honest.Step(t.Context()))
			l := c.tell(t, "", lies[name])
			w := newWatcher(t, c.as("watcher"), nil)
			for range 5 * serveBlocks {
				require.NoError(t, w.Step(t.Context()))
				c.answer(t, l)
				c.blocks(1)
			}
			require.Equal(t, auditv1.REPORT_STATUS_REJECTED, c.reports[l.statement.ID()].Status)
		})
	}
}
