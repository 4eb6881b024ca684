package reporter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/daemon/reporter"
)

var bond = price.FromUint64(1_000)

// newReporter makes a bonded reporter that is stepped by hand.
func newReporter(tb testing.TB, home string, chain *seat) *reporter.Reporter {
	tb.Helper()
	c := reporter.Config{Home: home, Chain: chain, Listen: "127.0.0.1:0", Sources: chain.sources()}
	if chain.offChain {
		c.Services = []score.Service{score.Energy}
	}
	r, err := reporter.New(c)
	require.NoError(tb, err)
	return r
}

// evidence is that of a court whose facts are off chain: the facts themselves, as encoded.
type evidence struct{ *court }

func (c *court) sources() map[score.Service]reporter.Source {
	if !c.offChain {
		return nil
	}
	return map[score.Service]reporter.Source{score.Energy: evidence{c}}
}

func (e evidence) Evidence(_ context.Context, epoch uint64) ([]reporter.Witness, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []reporter.Witness
	for _, f := range e.facts[epoch] {
		b, err := f.MarshalBinary()
		if err != nil {
			return nil, err
		}
		// Somebody sent what is no evidence, too.
		all = append(all, reporter.Witness{Device: f.Device, Bytes: b}, reporter.Witness{Device: f.Device + 1, Bytes: []byte("noise")})
	}
	return all, nil
}

func (evidence) Replay(_, _ uint64, b []byte) (score.Fact, error) {
	var f score.Fact
	if err := f.UnmarshalBinary(b); err != nil {
		return f, fmt.Errorf("%w: %w", reporter.ErrEvidence, err)
	}
	return f, nil
}

func (c *court) bonded(address, data string) *seat {
	s := c.as(address)
	require.NoError(c.tb, s.BondReporter(c.tb.Context(), bond, data))
	return s
}

// finish steps a reporter through blocks until an epoch is final.
func (c *court) finish(r *reporter.Reporter, epoch uint64) {
	c.tb.Helper()
	for range 10 * (windowBlocks + deadlineBlocks) {
		require.NoError(c.tb, r.Step(c.tb.Context()))
		if f, some := c.lastFinal(); some && f.Statement.Epoch >= epoch {
			return
		}
		c.blocks(1)
	}
	c.tb.Fatalf("epoch %d is not final", epoch)
}

// Every epoch is posted once and made final, on top of the one before, and its archive says what was
// posted.
func TestReporterReportsEveryEpoch(t *testing.T) {
	c := newCourt(t)
	home := t.TempDir()
	r := newReporter(t, home, c.bonded("alice", ""))
	for range 5 {
		c.turn(20)
		require.NoError(t, r.Step(t.Context()))
		c.blocks(2)
	}
	c.finish(r, 5)
	require.Equal(t, 5, c.posts)
	archive, err := reporter.OpenArchive(filepath.Join(home, "reports"))
	require.NoError(t, err)
	manifests, err := archive.Manifests(score.Storage)
	require.NoError(t, err)
	require.Len(t, manifests, 5)
	f, _ := c.lastFinal()
	require.Equal(t, fmt.Sprintf("%x", f.Id), manifests[0].ID)
	verdicts, err := reporter.NewAuditor(c.as("anyone"), archive, nil).Audit(t.Context(), score.Storage, 5)
	require.NoError(t, err)
	require.Len(t, verdicts, 1)
	require.True(t, verdicts[0].Matches)
}

var errKilled = errors.New("killed")

// Wherever a reporter is killed, before or after any call of the chain, the next run on the same home
// goes on: each epoch is posted once, demands are answered, and reports become final.
func TestReporterKilledAtAnyCallGoesOn(t *testing.T) {
	for _, after := range []bool{false, true} {
		for kill := 1; ; kill++ {
			c := newCourt(t)
			home := t.TempDir()
			chain := c.bonded("alice", "")
			calls, killed := 0, false
			count := func(string) error {
				if calls++; killed || calls >= kill {
					killed = true
					return errKilled
				}
				return nil
			}
			if after {
				chain.after = count
			} else {
				chain.before = count
			}
			work := func(r *reporter.Reporter) error {
				for range 3 {
					c.turn(10)
					for range 3 {
						if err := r.Step(t.Context()); killed {
							return err
						}
						c.blocks(1)
					}
				}
				demand(t, c, "carol", auditv1.DATA_TREE_OUTPUT, 0)
				if err := r.Step(t.Context()); killed {
					return err
				}
				for range 2 * windowBlocks {
					if err := r.Step(t.Context()); killed {
						return err
					}
					c.blocks(1)
				}
				return nil
			}
			err := work(newReporter(t, home, chain))
			if !killed {
				require.NoError(t, err)
				require.Greater(t, kill, 6, "the reporter was never killed")
				break
			}
			if err != nil { // it is gone; what it would have done next it does not do
				require.ErrorIs(t, err, errKilled)
			}
			for c.epoch < 4 {
				c.turn(10)
			}
			c.finish(newReporter(t, home, c.as("alice")), 3)
			require.Equal(t, 3, c.posts, "killed at call %d, after it %t: epochs were posted twice or not at all", kill, after)
			for id := range c.demands {
				require.Empty(t, c.demands[id], "killed at call %d, after it %t: a demand was not answered", kill, after)
			}
		}
	}
}

// demand asks for a part of the newest report as an account.
func demand(tb testing.TB, c *court, account string, tree auditv1.DataTree, depth uint32) [32]byte {
	tb.Helper()
	require.NotEmpty(tb, c.rounds)
	round := c.rounds[len(c.rounds)-1]
	id := [32]byte(round.Reports[0])
	_, err := c.as(account).DemandData(tb.Context(), &auditv1.MsgDemandData{Report: id[:], Tree: tree, Depth: depth})
	require.NoError(tb, err)
	return id
}

// run starts a reporter's servers beside its steps and gives what it says once it is ready.
func run(t *testing.T, c reporter.Config) reporter.Info {
	t.Helper()
	ready := make(chan reporter.Info, 1)
	c.Ready = func(i reporter.Info) { ready <- i }
	c.Listen, c.StatusListen, c.Bond = "127.0.0.1:0", "127.0.0.1:0", bond
	r, err := reporter.New(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the reporter ended with %v", err)
		}
	})
	select {
	case i := <-ready:
		return i
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	return reporter.Info{}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url) //nolint:gosec // a test's own server
	require.NoError(t, err)
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(b)
}

// eventually waits until a condition holds; it fails after a minute.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, time.Minute, 5*time.Millisecond, what)
}

// A reporter that starts anew serves the proofs of claims at once, before there is anything new to
// compute: from its own files, or from those of another where its own are damaged.
func TestClaimsAreProvedAfterARestart(t *testing.T) {
	c := newCourt(t)
	home := t.TempDir()
	r := newReporter(t, home, c.bonded("alice", ""))
	c.turn(30)
	c.finish(r, 1)
	f, _ := c.lastFinal()
	root := fmt.Sprintf("%x", f.Statement.Output.Hash)

	proves := func(url string) bool {
		status, body := get(t, url+"/v1/accounts/"+root+"/proof/4")
		if status != http.StatusOK {
			return false
		}
		var view reporter.ProofView
		require.NoError(t, json.Unmarshal([]byte(body), &view))
		var p report.Proof
		require.NoError(t, p.UnmarshalBinary(view.Proof))
		require.EqualValues(t, 4, p.Leaf.Device)
		return true
	}
	again := run(t, reporter.Config{Home: home, Chain: c.as("alice"), Poll: time.Millisecond})
	eventually(t, "a claim's proof after a restart", func() bool { return proves(again.URL) })
	status, _ := get(t, again.URL+"/v1/accounts/"+root+"/proof/5")
	require.Equal(t, http.StatusNotFound, status)
	status, _ = get(t, again.URL+"/v1/accounts/"+root+"/proof/x")
	require.Equal(t, http.StatusBadRequest, status)

	damaged := t.TempDir()
	require.NoError(t, os.CopyFS(damaged, os.DirFS(home)))
	file := filepath.Join(damaged, "reports", "accounts", root)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	b[40] ^= 1
	require.NoError(t, os.WriteFile(file, b, 0o600))
	other := run(t, reporter.Config{Home: damaged, Chain: c.as("bob"), Poll: time.Millisecond})
	eventually(t, "a claim's proof by another's accounts", func() bool { return proves(other.URL) })
}

// Health, status and metrics say whether reporting works.
func TestStatusOfAReporter(t *testing.T) {
	c := newCourt(t)
	c.turn(5)
	chain := c.as("alice")
	broken := make(chan struct{})
	chain.before = func(call string) error {
		select {
		case <-broken:
			if call == "rounds" {
				return errors.New("the node has gone")
			}
		default:
		}
		return nil
	}
	info := run(t, reporter.Config{Home: t.TempDir(), Chain: chain, Poll: time.Millisecond})
	eventually(t, "a post in the metrics", func() bool {
		_, body := get(t, info.Status+"/metrics")
		return strings.Contains(body, "cairn_report_posted_total 1\n") && strings.Contains(body, "cairn_report_epoch 1\n")
	})
	status, _ := get(t, info.Status+"/healthz")
	require.Equal(t, http.StatusOK, status)
	_, body := get(t, info.Status+"/status")
	require.Contains(t, body, `"epoch": 1`)
	close(broken)
	eventually(t, "bad health", func() bool {
		status, _ := get(t, info.Status+"/healthz")
		return status == http.StatusServiceUnavailable
	})
	_, body = get(t, info.Status+"/status")
	require.Contains(t, body, "the node has gone")
}

// Facts that are not those of the epoch are never posted: there would be no account that others agree
// with.
func TestBadFactsAreNotReported(t *testing.T) {
	for name, spoil := range map[string]func([]score.Fact){
		"out of order":      func(f []score.Fact) { f[2], f[3] = f[3], f[2] },
		"twice":             func(f []score.Fact) { f[2].Device = f[1].Device },
		"of another epoch":  func(f []score.Fact) { f[4].Epoch++ },
		"of other services": func(f []score.Fact) { f[0].Service = score.Compute },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCourt(t)
			r := newReporter(t, t.TempDir(), c.bonded("alice", ""))
			spoil(c.facts[c.turn(6)])
			err := r.Step(t.Context())
			// Between two ranges that are computed at the same time the tree is what tells.
			require.True(t, errors.Is(err, report.ErrFacts) || errors.Is(err, report.ErrLeaves), err)
			require.Zero(t, c.posts)
		})
	}
}

// Accounts that are not under the root asked for are refused, whatever their server sends, and the
// next place is asked.
func TestBadAccountsAreNotTaken(t *testing.T) {
	tree, err := report.Build([]score.Account{{Device: 1, Epoch: 1}, {Device: 2, Epoch: 1}})
	require.NoError(t, err)
	var good []byte
	for _, l := range tree.Leaves() {
		good = l.Append(good)
	}
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	right := serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) })
	for name, place := range map[string]string{
		"nothing":     serve(func(http.ResponseWriter, *http.Request) {}),
		"an error":    serve(http.NotFound),
		"cut short":   serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good[:len(good)-1]) }),
		"too much":    serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(append(good[:len(good):len(good)], 0)) }),
		"other bytes": serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, len(good))) }),
		"another tree": serve(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append(good[score.AccountBytes:len(good):len(good)], good[:score.AccountBytes]...))
		}),
		"no URL":       "file:///etc/passwd",
		"no host":      "http://",
		"nobody there": "http://127.0.0.1:1",
		"without end": serve(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := reporter.FetchAccounts(t.Context(), http.DefaultClient, []string{place}, tree.Root())
			require.ErrorIs(t, err, reporter.ErrUnavailable)
			got, err := reporter.FetchAccounts(t.Context(), http.DefaultClient, []string{place, right}, tree.Root())
			require.NoError(t, err)
			require.Equal(t, tree.Root(), got.Root())
		})
	}
}

// Where a service's evidence is off chain, a demand for one input is answered with the evidence that
// it commits to; noise is left out of what is reported.
func TestEvidenceIsServedOnDemand(t *testing.T) {
	c := newCourt(t)
	c.offChain = true
	r := newReporter(t, t.TempDir(), c.bonded("alice", ""))
	c.turn(6)
	require.NoError(t, r.Step(t.Context()))
	require.Equal(t, 1, c.posts)
	id := demand(t, c, "carol", auditv1.DATA_TREE_INPUT, report.MaxDepth)
	demand(t, c, "dave", auditv1.DATA_TREE_INPUT, 0)
	demand(t, c, "erin", auditv1.DATA_TREE_OUTPUT, 1)
	require.NoError(t, r.Step(t.Context()))
	require.Empty(t, c.demands[id])
	require.Len(t, c.served, 3)
	require.EqualValues(t, 6, c.reports[id].Statement.Inputs)
}
