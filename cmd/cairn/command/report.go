package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/daemon/reporter"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/config"
)

// Names of the files in home/run of those who keep rewards honest.
const (
	reporterRun = "reporter.json"
	watcherRun  = "watcher.json"
)

// patientChain is a client for a daemon: a node that is away is waited for.
func (s *session) patientChain(home config.Home, account *wallet.Account) (*chainclient.Client, error) {
	endpoint, trust, err := s.endpoint(home)
	if err != nil {
		return nil, err
	}
	logger, err := s.logger()
	if err != nil {
		return nil, err
	}
	chain, err := chainclient.New(chainclient.Config{Endpoint: endpoint, Trust: trust, Account: account, Patience: -1, Log: logger})
	return chain, s.explain(err)
}

func (s *session) report() *cobra.Command {
	var (
		bond, listen, url, status, readyFile string
		poll                                 time.Duration
		keep                                 int
	)
	c := &cobra.Command{
		Use: "report", Short: "Compute and post the rewards of every epoch, with a bond behind them",
		Long: `Follows the chain's epochs until it is stopped: computes what every device earned from the facts
that the chain recorded, posts the root of it with your bond behind it, serves the data to anyone,
answers demands for it on chain, and makes reports final. It goes on where an earlier run ended.

A report that says anything but what the facts give is rejected as soon as somebody shows it, and the
bond behind it is lost. This program computes; it has no way to post anything else.`,
		Example: `  cairn report --bond 1000CAIRN --listen 0.0.0.0:7300 --url http://my.host:7300`,
		Args:    cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			home, err := s.home()
			if err != nil {
				return err
			}
			account, err := s.account(home)
			if err != nil {
				return err
			}
			chain, err := s.patientChain(home, account)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, chain.Close()) }()
			logger, err := s.logger()
			if err != nil {
				return err
			}
			cfg := reporter.Config{
				Home: home.Path(), Chain: chain, Listen: listen, URL: url, StatusListen: status, Poll: poll, Keep: keep, Log: logger,
			}
			if bond != "" {
				if cfg.Bond, err = price.Parse(bond); err != nil {
					return cli.Hint(err, "such as --bond 1000CAIRN")
				}
			} else if _, err := chain.Reporter(c.Context(), account.Address()); errors.Is(err, chainclient.ErrNotFound) {
				return cli.Hint(errors.New("this account has no bond as a reporter"), "say how much stands behind your reports: --bond 1000CAIRN (it comes back after you leave)")
			} else if err != nil {
				return s.explain(err)
			}
			ready := make(chan reporter.Info, 1)
			cfg.Ready = func(i reporter.Info) { ready <- i }
			r, err := reporter.New(cfg)
			if err != nil {
				return err
			}
			return s.runUntilDone(c.Context(), home, reporterRun, readyFile, ready, r.Run, func(w writer, i reporter.Info) {
				fmt.Fprintf(w, "reporting  as %s\nserving    %s\nstatus     %s/status\n", i.Address, i.URL, i.Status)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&bond, "bond", "", "bring the bond to this much, such as 1000CAIRN")
	f.StringVar(&listen, "listen", "127.0.0.1:7300", "address to serve data on")
	f.StringVar(&url, "url", "", "where others reach what is served (default http:// and the address listened on)")
	f.StringVar(&status, "status-listen", "127.0.0.1:0", "loopback address of status and metrics")
	f.DurationVar(&poll, "poll", 10*time.Second, "how often to look at the chain")
	f.IntVar(&keep, "keep", 48, "epochs whose data is kept")
	f.StringVar(&readyFile, "ready-file", "", "file to write once data is served")
	return c
}

func (s *session) watch() *cobra.Command {
	var (
		status, readyFile string
		poll              time.Duration
	)
	c := &cobra.Command{
		Use: "watch", Short: "Recompute every report of rewards and dispute the false ones",
		Long: `Recomputes every report until it is stopped. One that differs from what the facts give is disputed
on chain, at the place where it differs; where the data behind it is not served, it is demanded on
chain first. Whoever shows that a report is false gets a share of the bonds behind it.`,
		Args: cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			home, err := s.home()
			if err != nil {
				return err
			}
			account, err := s.account(home)
			if err != nil {
				return err
			}
			chain, err := s.patientChain(home, account)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, chain.Close()) }()
			logger, err := s.logger()
			if err != nil {
				return err
			}
			ready := make(chan reporter.Info, 1)
			w, err := reporter.NewWatcher(reporter.WatcherConfig{
				Chain: chain, StatusListen: status, Poll: poll, Log: logger,
				Ready: func(i reporter.Info) { ready <- i },
			})
			if err != nil {
				return err
			}
			return s.runUntilDone(c.Context(), home, watcherRun, readyFile, ready, w.Run, func(w writer, i reporter.Info) {
				fmt.Fprintf(w, "watching  as %s\nstatus    %s/status\n", i.Address, i.Status)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&status, "status-listen", "127.0.0.1:0", "loopback address of status and metrics")
	f.DurationVar(&poll, "poll", 10*time.Second, "how often to look at the chain")
	f.StringVar(&readyFile, "ready-file", "", "file to write once the watch begins")
	return c
}

// runUntilDone runs a daemon, and says what runs once it is ready.
func (s *session) runUntilDone(ctx context.Context, home config.Home, name, readyFile string, ready <-chan reporter.Info, run func(context.Context) error, show func(writer, reporter.Info)) error {
	group, ctx := errgroup.WithContext(ctx)
	ended := make(chan struct{})
	group.Go(func() error {
		defer close(ended)
		if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			return s.explain(err)
		}
		return nil
	})
	group.Go(func() error {
		var i reporter.Info
		select {
		case i = <-ready:
		case <-ended:
			return nil
		}
		r := running{Address: i.Address, Status: i.Status + "/status", Endpoint: i.URL}
		withdraw, err := announce(home, name, readyFile, r)
		if err != nil {
			return err
		}
		defer withdraw()
		if err := s.Show(r, func(w writer) { show(w, i) }); err != nil {
			return err
		}
		<-ended
		return nil
	})
	return group.Wait()
}

// auditor is a way to recompute epochs.
func (s *session) auditor(home config.Home) (*reporter.Auditor, func() error, error) {
	chain, err := s.chain(home, nil)
	if err != nil {
		return nil, nil, err
	}
	logger, err := s.logger()
	if err != nil {
		return nil, nil, errors.Join(err, chain.Close())
	}
	return reporter.NewAuditor(chain, nil, logger), chain.Close, nil
}

// errDiffers makes `cairn audit` end with status 1.
var errDiffers = errors.New("a report differs from what the facts give")

func (s *session) audit() *cobra.Command {
	service := score.Storage.String()
	c := &cobra.Command{
		Use: "audit EPOCH", Short: "Recompute the rewards of an epoch and compare them with what was reported",
		Long: `Recomputes the rewards of an epoch from the facts that the chain recorded, with the same rules that
the chain replays in a dispute, and says "matches", or which device's account differs and how. Ends
with status 1 if anything differs.`,
		Example: `  cairn audit 120
  cairn audit 120 --service storage --json`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) (err error) {
			epoch, of, err := parseEpoch(args[0], service)
			if err != nil {
				return err
			}
			home, err := s.home()
			if err != nil {
				return err
			}
			auditor, closeChain, err := s.auditor(home)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closeChain()) }()
			verdicts, err := auditor.Audit(c.Context(), of, epoch)
			if err != nil {
				return s.explainAudit(err)
			}
			if err := s.Show(verdicts, func(w writer) { printVerdicts(w, verdicts) }); err != nil {
				return err
			}
			for _, v := range verdicts {
				if !v.Matches && v.Status != "rejected" {
					return errDiffers
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&service, "service", service, "storage, wireless, compute or energy")
	return c
}

func printVerdicts(w writer, verdicts []reporter.Verdict) {
	for _, v := range verdicts {
		if v.Matches {
			fmt.Fprintf(w, "matches  epoch %d of %s (%s)\n         %s\n", v.Epoch, v.Service, v.Status, v.Posted)
			continue
		}
		fmt.Fprintf(w, "DIFFERS  epoch %d of %s (%s)\n         posted    %s\n", v.Epoch, v.Service, v.Status, v.Posted)
		if v.Computed != "" {
			fmt.Fprintf(w, "         computed  %s\n", v.Computed)
		}
		if v.Device > 0 {
			fmt.Fprintf(w, "         device %d: %s\n", v.Device, v.Reason)
		} else {
			fmt.Fprintf(w, "         %s\n", v.Reason)
		}
		for _, side := range []struct {
			name string
			a    *score.Account
		}{{"posted", v.Have}, {"rules give", v.Want}} {
			if side.a != nil {
				fmt.Fprintf(w, "           %-10s  %d points (%s), earned %s, paid %s, held %s\n",
					side.name, side.a.Points, side.a.Reason, side.a.Earned.Format(), side.a.Paid.Format(), side.a.Held().Format())
			}
		}
	}
}

// explainAudit says what a person can do about an epoch that cannot be recomputed.
func (s *session) explainAudit(err error) error {
	switch {
	case errors.Is(err, reporter.ErrUnknownRoot):
		return cli.Hint(err, "an epoch is reported soon after its end; roots of old epochs are forgotten")
	case errors.Is(err, reporter.ErrUnavailable):
		return cli.Hint(err, "no reporter that the chain knows serves the accounts before: try again when one does")
	default:
		return s.explain(err)
	}
}

func parseEpoch(text, service string) (uint64, score.Service, error) {
	epoch, err := strconv.ParseUint(text, 10, 64)
	if err != nil || epoch == 0 {
		return 0, 0, cli.Hint(fmt.Errorf("epoch %q is not a number from 1", text), "cairnd query audit current-epoch shows the running one")
	}
	of, err := score.ParseService(service)
	if err != nil {
		return 0, 0, cli.Hint(err, "one of: storage, wireless, compute, energy")
	}
	return epoch, of, nil
}

// deviceWhy is `cairn device why`.
func (s *session) deviceWhy() *cobra.Command {
	service := score.Storage.String()
	c := &cobra.Command{
		Use: "why ID EPOCH", Short: "Explain what a device earned in an epoch, and prove it",
		Example: `  cairn device why 7 120`,
		Args:    cobra.ExactArgs(2), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) (err error) {
			id, err := deviceID(args[0])
			if err != nil {
				return err
			}
			epoch, of, err := parseEpoch(args[1], service)
			if err != nil {
				return err
			}
			home, err := s.home()
			if err != nil {
				return err
			}
			auditor, closeChain, err := s.auditor(home)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closeChain()) }()
			why, err := auditor.Why(c.Context(), of, epoch, id)
			if err != nil {
				return s.explainAudit(err)
			}
			return s.Show(why, func(w writer) { printWhy(w, why) })
		},
	}
	c.Flags().StringVar(&service, "service", service, "storage, wireless, compute or energy")
	return c
}

func printWhy(w writer, y reporter.Why) {
	fmt.Fprintf(w, "device    %d in epoch %d of %s\n", y.Device, y.Epoch, y.Service)
	if f := y.Fact; f == nil {
		fmt.Fprintln(w, "facts     none: the chain recorded nothing of it in this epoch")
	} else {
		challenge := "not challenged in this epoch"
		switch {
		case f.Missed():
			challenge = "challenged, and no answer came in time"
		case f.Challenged && f.Failed > 0:
			challenge = fmt.Sprintf("challenged: %d answers passed, %d failed", f.Passed, f.Failed)
		case f.Challenged:
			challenge = "challenged, and passed"
		}
		fmt.Fprintf(w, "facts     %s\n          proved %s, leased %s, tier %d, need %d.%03d, burned %s, bond %s\n",
			challenge, config.Bytes(f.Proved), config.Bytes(f.Leased), f.Tier, f.Need/1000, f.Need%1000, f.Burned.Format(), f.Bond.Format())
	}
	fmt.Fprintf(w, "rules     version %d: %d points of %d\nreason    %s: %s\n", y.Rules, y.Points, y.OfAll, y.Reason, y.Meaning)
	fmt.Fprintf(w, "earned    %s in this epoch, of that %s held back\n", y.Earned.Format(), y.Held.Format())
	fmt.Fprintf(w, "so far    %s earned, %s to claim or claimed, %s held back, %s forfeited\n",
		y.Account.Earned.Format(), y.Account.Paid.Format(), y.Account.Held().Format(), y.Account.Forfeited().Format())
	matches := "the reported root is what the facts give"
	if !y.Matches {
		matches = "THE REPORTED ROOT IS NOT WHAT THE FACTS GIVE: cairn audit shows how"
	}
	fmt.Fprintf(w, "proof     leaf %d of %d under %s (%s), %d bytes\n          %s\n", y.Leaf, y.Leaves, y.Root, y.Status, len(y.Proof), matches)
}
