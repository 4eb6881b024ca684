package reporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// errFalse says that what a statement builds on is not what the facts give.
var errFalse = errors.New("it builds on a report that does not hold")

// ledger computes epochs, and keeps the newest in memory.
type ledger struct {
	chain   Chain
	archive *Archive // nil for none
	http    *http.Client
	workers int
	log     *slog.Logger
	sources map[score.Service]Source // of services with evidence off chain

	mu     sync.Mutex
	epochs map[key]*Epoch
	// fetched are accounts under final roots.
	fetched map[report.Root]*report.Tree[score.Account]
}

// key is an epoch by what it builds on.
type key struct {
	service  score.Service
	epoch    uint64
	previous [32]byte
}

// newHTTPClient follows no redirects: what a report names is where its data lies.
func newHTTPClient() *http.Client {
	return &http.Client{
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, DisableCompression: true},
	}
}

func newLedger(chain Chain, archive *Archive, sources map[score.Service]Source, log *slog.Logger) *ledger {
	return &ledger{
		chain: chain, archive: archive, http: newHTTPClient(), workers: runtime.GOMAXPROCS(0), log: log, sources: sources,
		epochs: make(map[key]*Epoch), fetched: make(map[report.Root]*report.Tree[score.Account]),
	}
}

// epoch gives an epoch as it must be reported on top of a statement; computed once. errFalse where
// that statement is not what must be reported for its own epoch.
func (l *ledger) epoch(ctx context.Context, service score.Service, number uint64, previous [32]byte) (*Epoch, error) {
	k := key{service, number, previous}
	l.mu.Lock()
	e := l.epochs[k]
	l.mu.Unlock()
	if e != nil {
		return e, nil
	}
	before, err := l.accounts(ctx, service, previous)
	if err != nil {
		return nil, err
	}
	chainID, err := l.chain.ChainID(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := l.chain.ReportPlan(ctx, service, number)
	if err != nil {
		return nil, err
	}
	facts, evidence, err := l.known(ctx, service, number)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if e, err = compute(ctx, chainID, plan, facts, evidence, before, previous, l.workers); err != nil {
		return nil, err
	}
	l.log.Debug("epoch computed", "service", service, "epoch", number, "facts", len(facts), "root", e.Statement.Output, "took", time.Since(begun))
	l.mu.Lock()
	l.epochs[k] = e
	l.mu.Unlock()
	return e, nil
}

// accounts gives the accounts that a statement leaves.
func (l *ledger) accounts(ctx context.Context, service score.Service, id [32]byte) (*report.Tree[score.Account], error) {
	if id == [32]byte{} {
		return emptyTree(), nil
	}
	l.mu.Lock()
	for _, e := range l.epochs {
		if e.ID == id {
			l.mu.Unlock()
			return e.Accounts, nil
		}
	}
	l.mu.Unlock()
	chainID, err := l.chain.ChainID(ctx)
	if err != nil {
		return nil, err
	}
	final, err := l.chain.FinalReport(ctx, service)
	if err != nil && !errors.Is(err, chainclient.ErrNotFound) {
		return nil, err
	}
	if err == nil && [32]byte(final.Id) == id {
		s, err := chainclient.StatementOf(chainID, final.Statement)
		if err != nil {
			return nil, err
		}
		return l.under(ctx, s.Output)
	}
	r, _, err := l.chain.Report(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := chainclient.StatementOf(chainID, r.Statement)
	if err != nil {
		return nil, err
	}
	e, err := l.epoch(ctx, service, s.Epoch, s.Previous)
	if err != nil {
		return nil, err
	}
	if e.ID != id {
		return nil, fmt.Errorf("report %x of epoch %d: %w", id[:6], s.Epoch, errFalse)
	}
	return e.Accounts, nil
}

// under gives the accounts under a root that is final: from memory, the archive, or whoever serves
// them.
func (l *ledger) under(ctx context.Context, root report.Root) (*report.Tree[score.Account], error) {
	l.mu.Lock()
	tree := l.fetched[root]
	l.mu.Unlock()
	if tree != nil {
		return tree, nil
	}
	var err error
	if l.archive != nil {
		tree, err = l.archive.Accounts(root)
	}
	if tree == nil {
		if err != nil && !errors.Is(err, ErrNotKept) {
			return nil, err
		}
		places, err := l.places(ctx)
		if err != nil {
			return nil, err
		}
		if tree, err = FetchAccounts(ctx, l.http, places, root); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	l.fetched = map[report.Root]*report.Tree[score.Account]{root: tree} // the last is what is built on
	l.mu.Unlock()
	return tree, nil
}

// places are where reporters serve data.
func (l *ledger) places(ctx context.Context) ([]string, error) {
	reporters, err := l.chain.Reporters(ctx)
	if err != nil {
		return nil, err
	}
	var places []string
	for _, r := range reporters {
		if r.Data != "" {
			places = append(places, r.Data)
		}
	}
	return places, nil
}

// forget drops epochs of a service below one from memory.
func (l *ledger) forget(service score.Service, below uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.epochs {
		if k.service == service && k.epoch < below {
			delete(l.epochs, k)
		}
	}
}

// tree gives the accounts under a root's hash if they are in memory.
func (l *ledger) tree(hash string) *report.Tree[score.Account] {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.epochs {
		if hexHash(e.Accounts.Root()) == hash {
			return e.Accounts
		}
	}
	for root, tree := range l.fetched {
		if hexHash(root) == hash {
			return tree
		}
	}
	return nil
}
