package adversary

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/daemon/reporter"
	"github.com/cairn-network/cairn/devnet"
	"github.com/cairn-network/cairn/devnet/devnettest"
)

// liar bonds anew for each lie and posts it for an epoch that honest reporters report, too.
type liar struct {
	*chainclient.Client
	t      *testing.T
	places []string // where honest reporters serve
	lied   uint64   // last epoch lied about
}

// truth is the newest epoch that has a round, as it must be.
func (l *liar) truth(ctx context.Context) (report.Statement, *report.Tree[score.Account]) {
	for {
		rounds, _, err := l.ReportRounds(ctx, score.Storage)
		require.NoError(l.t, err)
		if len(rounds) > 0 && rounds[len(rounds)-1].Epoch > l.lied {
			epoch := rounds[len(rounds)-1].Epoch
			_, reports, err := l.ReportRound(ctx, score.Storage, epoch)
			if err == nil {
				chainID, err := l.ChainID(ctx)
				require.NoError(l.t, err)
				s, err := chainclient.StatementOf(chainID, reports[0].Statement)
				require.NoError(l.t, err)
				tree, err := reporter.FetchAccounts(ctx, http.DefaultClient, l.places, s.Output)
				require.NoError(l.t, err)
				l.lied = epoch
				return s, tree
			}
		}
		wait(ctx, l.t)
	}
}

func wait(ctx context.Context, t *testing.T) {
	t.Helper()
	select {
	case <-time.After(200 * time.Millisecond):
	case <-ctx.Done():
		t.Fatal("the network did not do it in time")
	}
}

// outcome waits until a report is rejected and gives why.
func (l *liar) outcome(ctx context.Context, id [32]byte, meanwhile func()) string {
	for {
		r, _, err := l.Report(ctx, id)
		if errors.Is(err, chainclient.ErrNotFound) {
			return "rejected as its round ended" // or it escaped: the bond says which
		}
		require.NoError(l.t, err)
		if r.Status == auditv1.REPORT_STATUS_REJECTED {
			return r.Rejected
		}
		require.Zero(l.t, r.AgreedAt, "honest reporters agree with a lie")
		meanwhile()
		wait(ctx, l.t)
	}
}

// Every kind of false root is found by the watcher of a running network, by itself, and costs its
// reporter the bond: data served, data shown only where it is demanded on chain, data withheld, sums
// that are none. The honest report of the same epoch becomes final.
func TestARootLiarLosesItsBond(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network for minutes")
	}
	config := devnet.Config{Storage: 3, StorageSize: 64 << 20}
	devnettest.Run(t, config, func(t *testing.T, n *devnet.Network) {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
		defer cancel()
		account := func(name string) *wallet.Account {
			for _, a := range n.Ready().Accounts {
				if a.Name == name {
					w, err := wallet.FromMnemonic(a.Mnemonic)
					require.NoError(t, err)
					return w
				}
			}
			t.Fatalf("no account %s", name)
			return nil
		}
		chain, err := chainclient.New(chainclient.Config{Endpoint: n.Ready().GRPC, Account: account("alice"), Patience: -1})
		require.NoError(t, err)
		defer chain.Close()
		l := &liar{Client: chain, t: t}
		reporters, err := chain.Reporters(ctx)
		require.NoError(t, err)
		for _, r := range reporters {
			l.places = append(l.places, r.Data)
		}
		watcher := account("watcher").Address()
		bond := price.Amount{Lo: 0x6bc75e2d63100000, Hi: 5} // 100 CAIRN

		var served []byte
		data := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if served == nil || !strings.HasPrefix(r.URL.Path, "/v1/accounts/") {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write(served)
		}))
		defer data.Close()

		for _, lie := range []struct {
			name   string
			served bool // over HTTP
			shown  bool // on chain when demanded
			twist  func(*report.Statement)
		}{
			{name: "an account of its own making, served", served: true},
			{name: "an account of its own making, shown on demand", shown: true},
			{name: "sums that are none", twist: func(s *report.Statement) { s.Output.Points++ }},
			{name: "withheld"},
		} {
			t.Run(lie.name, func(t *testing.T) {
				l.t = t
				require.NoError(t, chain.BondReporter(ctx, bond, data.URL))
				before, err := chain.Balance(ctx, watcher)
				require.NoError(t, err)
				s, tree := l.truth(ctx)
				accounts := append([]score.Account{}, tree.Leaves()...)
				for len(accounts) < 2 || accounts[len(accounts)-1].Device < 100 {
					accounts = append(accounts, score.Account{Device: 100 + uint64(len(accounts)), Epoch: s.Epoch, Points: 1})
				}
				lying, err := report.Build(accounts)
				require.NoError(t, err)
				s.Output = lying.Root()
				s.Inputs.Leaves, s.Inputs.Hash = uint64(len(accounts)), [32]byte{1}
				if lie.twist != nil {
					lie.twist(&s)
				}
				if served = nil; lie.served {
					for _, a := range accounts {
						served = a.Append(served)
					}
				}
				require.NoError(t, chain.PostReport(ctx, s, data.URL))
				id := s.ID()
				why := l.outcome(ctx, id, func() {
					if !lie.shown {
						return
					}
					_, demands, err := chain.Report(ctx, id)
					require.NoError(t, err)
					for _, d := range demands {
						part, err := lying.Part(d.Index, uint8(d.Depth))
						require.NoError(t, err)
						b, err := part.MarshalBinary()
						require.NoError(t, err)
						err = chain.ServeData(ctx, &auditv1.MsgServeData{Report: id[:], Demander: d.Demander, Part: b})
						require.NoError(t, err)
					}
				})
				left, err := chain.Reporter(ctx, chain.Address())
				require.NoError(t, err)
				require.True(t, left.Bond.IsZero(), "the liar keeps %s", left.Bond)
				after, err := chain.Balance(ctx, watcher)
				require.NoError(t, err)
				gain, less := after.Sub(before)
				require.False(t, less, "the watcher ends poorer")
				t.Logf("liar lost %s, watcher gained %s: %s", bond.Format(), gain.Format(), why)
				for {
					final, err := chain.FinalReport(ctx, score.Storage)
					if err == nil && final.Statement.Epoch >= s.Epoch {
						return
					}
					wait(ctx, t)
				}
			})
		}
	})
}
