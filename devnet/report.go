package devnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"cosmossdk.io/math"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/reporter"
)

// Who keeps a devnet's rewards honest, and with what.
const (
	reporterBond = "1000CAIRN"
	reportPoll   = time.Second
	reportKeep   = 40 // epochs, twenty minutes
)

// reportTerms shortens the terms of reports to what people can watch: an epoch is final some 15
// blocks after its end.
func reportTerms(p *auditv1.ReportParams) {
	p.MinBond = math.NewIntWithDecimal(100, 18)
	p.WindowBlocks, p.DeadlineBlocks, p.ServeBlocks, p.UnbondingBlocks = 12, 20, 8, 120
	p.DemandDeposit, p.DisputeDeposit = math.NewIntWithDecimal(1, 18), math.NewIntWithDecimal(1, 18)
}

func reporterName(i int) string { return fmt.Sprintf("reporter-%d", i) }

const watcherName = "watcher"

func (n *Network) reporterHome(i int) string { return filepath.Join(n.config.Home, reporterName(i)) }
func (n *Network) watcherHome() string       { return filepath.Join(n.config.Home, watcherName) }

// chainAs is a client of the network that signs for an account.
func (n *Network) chainAs(name string) (*chainclient.Client, error) {
	account, err := wallet.FromMnemonic(n.state.account(name).Mnemonic)
	if err != nil {
		return nil, fmt.Errorf("opening the account of %s: %w", name, err)
	}
	return chainclient.New(chainclient.Config{Endpoint: loopback(n.ports.GRPC), Account: account, Patience: -1, Log: n.log.With("member", name)})
}

func (n *Network) newReporter(i int) *member {
	m := &member{role: "reporter", name: reporterName(i), log: n.log}
	data, status := n.ports.reporter(i)
	home := n.reporterHome(i)
	if n.config.Processes {
		l := launch{program: n.program("cairn"), log: n.logFile(m.name), args: []string{
			"report", "--home", home, "--node", loopback(n.ports.GRPC), "--bond", reporterBond,
			"--listen", loopback(data), "--status-listen", loopback(status),
			"--poll", reportPoll.String(), "--keep", fmt.Sprint(reportKeep),
		}}
		l.readyFile(filepath.Join(home, "ready.json"))
		m.asProcess(l)
		return m
	}
	m.run = func(ctx context.Context, ready func(info)) (err error) {
		chain, err := n.chainAs(m.name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, chain.Close()) }()
		bond, err := price.Parse(reporterBond)
		if err != nil {
			return fmt.Errorf("bond of %s: %w", m.name, err)
		}
		r, err := reporter.New(reporter.Config{
			Home: home, Chain: chain, Bond: bond, Listen: loopback(data), StatusListen: loopback(status),
			Poll: reportPoll, Keep: reportKeep, Log: n.log.With("member", m.name),
			Ready: func(i reporter.Info) { ready(info{PID: os.Getpid(), Endpoint: i.URL}) },
		})
		if err != nil {
			return err
		}
		return r.Run(ctx)
	}
	return m
}

func (n *Network) newWatcher() *member {
	m := &member{role: "watcher", name: watcherName, log: n.log}
	status := n.ports.watcher()
	if n.config.Processes {
		l := launch{program: n.program("cairn"), log: n.logFile(m.name), args: []string{
			"watch", "--home", n.watcherHome(), "--node", loopback(n.ports.GRPC),
			"--status-listen", loopback(status), "--poll", reportPoll.String(),
		}}
		l.readyFile(filepath.Join(n.watcherHome(), "ready.json"))
		m.asProcess(l)
		return m
	}
	m.run = func(ctx context.Context, ready func(info)) (err error) {
		chain, err := n.chainAs(m.name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, chain.Close()) }()
		w, err := reporter.NewWatcher(reporter.WatcherConfig{
			Chain: chain, StatusListen: loopback(status), Poll: reportPoll, Log: n.log.With("member", m.name),
			Ready: func(reporter.Info) { ready(info{PID: os.Getpid()}) },
		})
		if err != nil {
			return err
		}
		return w.Run(ctx)
	}
	return m
}
