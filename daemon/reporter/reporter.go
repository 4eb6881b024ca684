package reporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/internal/lifecycle"
	"github.com/cairn-network/cairn/internal/telemetry"
)

// Pace and size unless Config says otherwise.
const (
	defaultPoll = 10 * time.Second
	defaultKeep = 48
	// headStart is how many blocks a reporter waits for each one whose turn is before its own, where
	// one of them is enough.
	headStart = 2
)

// Config of a reporter. Fields without a default must be set.
type Config struct {
	// Home is where the archive lies, in a directory of its own below.
	Home  string
	Chain Chain
	// Services are reported; storage when empty.
	Services []score.Service
	// Sources of evidence, for services that keep it off chain.
	Sources map[score.Service]Source
	// Bond is brought to this much at the start; zero leaves it as it is.
	Bond price.Amount
	// Listen is where data is served, host:port; port 0 for any free one.
	Listen string
	// URL is where others reach what is served; http:// and the address bound when empty.
	URL string
	// StatusListen is the loopback address of status and metrics; empty for none.
	StatusListen string
	// Poll is how often the chain is looked at: 10 s when 0.
	Poll time.Duration
	// Keep is how many epochs of a service the archive holds: 48 when 0.
	Keep int

	// Ready is called once, when data is served and the bond stands; nil for nobody.
	Ready func(Info)
	Clock clock.Clock  // nil for the system's
	Log   *slog.Logger // nil for silence
}

// Info says what runs.
type Info struct {
	Address string `json:"address"` // the account that answers
	URL     string `json:"url"`     // of the data
	Status  string `json:"status"`  // URL
}

// Reporter posts and serves reports.
type Reporter struct {
	Config
	archive *Archive
	ledger  *ledger
	serving chan struct{}
	metrics metrics
	healthy health
}

// New makes a reporter.
func New(c Config) (*Reporter, error) {
	if c.Home == "" || c.Chain == nil || c.Listen == "" {
		return nil, errors.New("reporting: home, chain and listen must be given")
	}
	if len(c.Services) == 0 {
		c.Services = []score.Service{score.Storage}
	}
	if c.Poll == 0 {
		c.Poll = defaultPoll
	}
	if c.Keep == 0 {
		c.Keep = defaultKeep
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	archive, err := OpenArchive(filepath.Join(c.Home, "reports"))
	if err != nil {
		return nil, err
	}
	return &Reporter{
		Config: c, archive: archive, ledger: newLedger(c.Chain, archive, c.Sources, c.Log),
		serving: make(chan struct{}, maxServing), metrics: newMetrics(),
	}, nil
}

func (r *Reporter) treeOf(hash string) *report.Tree[score.Account] { return r.ledger.tree(hash) }

// Run serves and reports until ctx is done.
func (r *Reporter) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", r.Listen)
	if err != nil {
		return fmt.Errorf("listening for those who ask for data: %w", err)
	}
	if r.URL == "" {
		r.URL = "http://" + listener.Addr().String()
	}
	group := lifecycle.Group{Log: r.Log}
	group.Add(lifecycle.Part{Name: "data", Run: func(ctx context.Context) error { return serveHTTP(ctx, listener, r.handler()) }})
	info := Info{Address: r.Chain.Address(), URL: r.URL}
	if r.StatusListen != "" {
		status, err := telemetry.Listen(r.StatusListen, r.metrics.registry, r.Log)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		info.Status = "http://" + status.Addr().String()
		status.Check("reporting", func(context.Context) error { return r.healthy.err() })
		status.HandleJSON("GET /status", func(ctx context.Context) (any, error) { return r.status(ctx) })
		group.Add(lifecycle.Part{Name: "status", Run: status.Run, Close: status.Close})
	}
	group.Add(lifecycle.Part{Name: "bond", Start: func(ctx context.Context) error {
		if err := r.bond(ctx); err != nil {
			return err
		}
		if r.Ready != nil {
			r.Ready(info)
		}
		return nil
	}})
	group.Add(lifecycle.Part{Name: "reports", Run: func(ctx context.Context) error {
		return clock.Every(ctx, r.Clock, r.Poll, func(ctx context.Context) error {
			err := r.Step(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if r.healthy.set(err); err != nil {
				r.Log.Warn("reporting", "error", err)
			}
			return nil
		})
	}})
	return group.Run(ctx)
}

// status is what the status page shows.
func (r *Reporter) status(context.Context) (any, error) {
	type view struct {
		Address string     `json:"address"`
		URL     string     `json:"url"`
		Error   string     `json:"error,omitempty"`
		Epochs  []Manifest `json:"epochs"`
	}
	v := view{Address: r.Chain.Address(), URL: r.URL, Epochs: []Manifest{}}
	if err := r.healthy.err(); err != nil {
		v.Error = err.Error()
	}
	for _, s := range r.Services {
		m, err := r.archive.Manifests(s)
		if err != nil {
			return nil, err
		}
		v.Epochs = append(v.Epochs, m[:min(len(m), 10)]...)
	}
	return v, nil
}

// bond brings the bond to what is configured and says where the data lies.
func (r *Reporter) bond(ctx context.Context) error {
	has := auditv1.Reporter{}
	var bonded price.Amount
	switch known, err := r.Chain.Reporter(ctx, r.Chain.Address()); {
	case err == nil:
		has = known
		if bonded, err = price.FromBig(has.Bond.BigInt()); err != nil {
			return fmt.Errorf("reading the bond: %w", err)
		}
	case !errors.Is(err, chainclient.ErrNotFound):
		return err
	}
	more, less := r.Bond.Sub(bonded)
	if less {
		more = price.Amount{}
	}
	if more.IsZero() && has.State == auditv1.REPORTER_STATE_BONDED && has.Data == r.URL {
		return nil
	}
	if err := r.Chain.BondReporter(ctx, more, r.URL); err != nil {
		return err
	}
	r.Log.Info("bonded", "added", more.Format(), "data", r.URL)
	return nil
}

// Step does what is to be done now for every service: report, answer demands, make final.
func (r *Reporter) Step(ctx context.Context) error {
	var errs []error
	for _, s := range r.Services {
		if err := r.step(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Reporter) step(ctx context.Context, service score.Service) error {
	rounds, next, err := r.Chain.ReportRounds(ctx, service)
	if err != nil {
		return err
	}
	if next == 0 {
		return nil // not reported on this chain
	}
	reports, err := r.reports(ctx, service, rounds)
	if err != nil {
		return err
	}
	// What others wait for comes first: a demand has a deadline.
	errs := []error{r.answer(ctx, service, reports), r.finalize(ctx, service, reports), r.remember(ctx, service)}
	errs = append(errs, r.report(ctx, service, next, reports))
	errs = append(errs, r.archive.Prune(service, r.Keep))
	if next > 1 {
		r.ledger.forget(service, next-1)
	}
	return errors.Join(errs...)
}

// remember keeps the accounts of the newest final report in memory, so that claims can be proved by
// it: also after a restart, and where another reporter's word became final.
func (r *Reporter) remember(ctx context.Context, service score.Service) error {
	final, err := r.Chain.FinalReport(ctx, service)
	if errors.Is(err, chainclient.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := r.ledger.accounts(ctx, service, toID(final.Id)); err != nil {
		return fmt.Errorf("fetching the accounts of final epoch %d: %w", final.Statement.Epoch, err)
	}
	return nil
}

// openRound is a round with its reports.
type openRound struct {
	auditv1.Round
	reports []auditv1.Report
}

func (r *Reporter) reports(ctx context.Context, service score.Service, rounds []auditv1.Round) ([]openRound, error) {
	return openRounds(ctx, r.Chain, service, rounds)
}

func openRounds(ctx context.Context, chain Chain, service score.Service, rounds []auditv1.Round) ([]openRound, error) {
	var all []openRound
	for _, round := range rounds {
		_, reports, err := chain.ReportRound(ctx, service, round.Epoch)
		if errors.Is(err, chainclient.ErrNotFound) {
			continue // final meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, openRound{round, reports})
	}
	return all, nil
}

// postOf gives the place of an account among those who posted a report.
func postOf(report auditv1.Report, account string) (turn int, posted bool) {
	turn = slices.IndexFunc(report.Posts, func(p auditv1.ReportPost) bool { return p.Reporter == account })
	return turn, turn >= 0
}

// report computes and posts every epoch that is over and not final.
func (r *Reporter) report(ctx context.Context, service score.Service, next uint64, rounds []openRound) error {
	current, err := r.Chain.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	params, err := r.Chain.AuditParams(ctx)
	if err != nil {
		return err
	}
	var previous [32]byte
	switch final, err := r.Chain.FinalReport(ctx, service); {
	case err == nil:
		previous = [32]byte(final.Id)
		next = final.Statement.Epoch + 1
	case !errors.Is(err, chainclient.ErrNotFound):
		return err
	}
	for epoch := next; epoch < current.Number; epoch++ {
		if current.Number-epoch > uint64(params.Beacon.RetainEpochs)/2 {
			continue // too old: what follows builds on what is before
		}
		if epoch-next >= uint64(params.Report.MaxPending) {
			return nil
		}
		e, err := r.ledger.epoch(ctx, service, epoch, previous)
		if err != nil {
			return fmt.Errorf("computing epoch %d: %w", epoch, err)
		}
		previous = e.ID
		if r.postedAlready(rounds, e) {
			continue
		}
		if err := r.archive.Keep(e); err != nil {
			return err
		}
		err = r.Chain.PostReport(ctx, e.Statement, r.URL)
		switch {
		case err == nil:
			r.metrics.posted.Inc()
			r.metrics.epoch.Set(float64(epoch))
			r.Log.Info("reported", "service", service, "epoch", epoch, "root", e.Statement.Output)
		case errors.Is(err, chainclient.ErrReportPosted):
			// By an earlier run, or another word was given: the round shows which.
		default:
			return err
		}
	}
	return nil
}

func (r *Reporter) postedAlready(rounds []openRound, e *Epoch) bool {
	for _, round := range rounds {
		if round.Epoch != e.Plan.Epoch {
			continue
		}
		for _, report := range round.reports {
			if _, posted := postOf(report, r.Chain.Address()); posted && bytes.Equal(report.Id, e.ID[:]) {
				return true
			}
		}
	}
	return false
}

// answer serves what is demanded of this reporter's reports.
func (r *Reporter) answer(ctx context.Context, service score.Service, rounds []openRound) error {
	for _, round := range rounds {
		for _, report := range round.reports {
			turn, posted := postOf(report, r.Chain.Address())
			if !posted || report.DemandsOpen == 0 || report.Status != auditv1.REPORT_STATUS_OPEN {
				continue
			}
			if err := r.answerReport(ctx, service, round.Epoch, report, turn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Reporter) answerReport(ctx context.Context, service score.Service, epoch uint64, of auditv1.Report, turn int) error {
	e, err := r.ledger.epoch(ctx, service, epoch, toID(of.Statement.Previous))
	if err != nil {
		return fmt.Errorf("computing epoch %d, whose data is demanded: %w", epoch, err)
	}
	if !bytes.Equal(e.ID[:], of.Id) {
		return fmt.Errorf("data of report %x is demanded, and it is not what the facts give", of.Id)
	}
	block, err := r.Chain.LatestBlock(ctx)
	if err != nil {
		return err
	}
	params, err := r.Chain.AuditParams(ctx)
	if err != nil {
		return err
	}
	_, demands, err := r.Chain.Report(ctx, e.ID)
	if err != nil {
		return err
	}
	for _, d := range demands {
		asked := d.DueAt - int64(params.Report.ServeBlocks)
		if block.Height < asked+int64(turn)*headStart && block.Height+headStart < d.DueAt {
			continue // another's turn
		}
		part, evidence, err := partOf(e, d)
		if err != nil {
			return err
		}
		err = r.Chain.ServeData(ctx, &auditv1.MsgServeData{Report: of.Id, Demander: d.Demander, Part: part, Evidence: evidence})
		if errors.Is(err, chainclient.ErrNoDemand) {
			continue // answered by another
		}
		if err != nil {
			return err
		}
		r.metrics.served.Inc()
		r.Log.Info("data served", "epoch", epoch, "demander", d.Demander, "index", d.Index, "depth", d.Depth)
	}
	return nil
}

func toID(b []byte) (id [32]byte) {
	copy(id[:], b)
	return id
}

// partOf is the part of an epoch that a demand asks for, as encoded. A part that shows a single input
// comes with the evidence that it commits to, where that is off chain.
func partOf(e *Epoch, d auditv1.Demand) (part, evidence []byte, err error) {
	if d.Tree != auditv1.DATA_TREE_INPUT {
		shown, err := e.Accounts.Part(d.Index, uint8(d.Depth))
		if err != nil {
			return nil, nil, err
		}
		part, err = shown.MarshalBinary()
		return part, nil, err
	}
	shown, err := e.Inputs.Part(d.Index, uint8(d.Depth))
	if err != nil {
		return nil, nil, err
	}
	if len(shown.Below) == 1 && shown.Below[0].Leaf != nil {
		evidence = e.evidence(shown.Below[0].Leaf.Device)
	}
	part, err = shown.MarshalBinary()
	return part, evidence, err
}

// finalize makes the oldest round final if it is due and nobody whose turn is before did.
func (r *Reporter) finalize(ctx context.Context, service score.Service, rounds []openRound) error {
	if len(rounds) == 0 {
		return nil
	}
	block, err := r.Chain.LatestBlock(ctx)
	if err != nil {
		return err
	}
	params, err := r.Chain.AuditParams(ctx)
	if err != nil {
		return err
	}
	for _, report := range rounds[0].reports {
		turn, posted := postOf(report, r.Chain.Address())
		if !posted || report.Status != auditv1.REPORT_STATUS_OPEN || report.DemandsOpen > 0 {
			continue
		}
		dueAt := report.FinalAt
		if report.AgreedAt == 0 { // agreement may come with the deadline
			dueAt = rounds[0].OpenedAt + int64(params.Report.DeadlineBlocks)
		}
		if block.Height < dueAt+int64(turn)*headStart || report.AgreedAt == 0 && (block.Height-dueAt)%headStartRepeat != 0 {
			continue
		}
		epoch, err := r.Chain.FinalizeReports(ctx, service)
		if err != nil {
			return err
		}
		r.metrics.final.Set(float64(epoch))
		r.Log.Info("final", "service", service, "epoch", epoch)
		return nil
	}
	return nil
}

// headStartRepeat is how many blocks lie between attempts to have a round agreed after its deadline.
const headStartRepeat = 10

// serveHTTP serves until ctx is done.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 10 * time.Minute,
		MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving data: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// metrics of a reporter or watcher.
type metrics struct {
	registry                           *prometheus.Registry
	posted, served, disputed, demanded prometheus.Counter
	epoch, final, checked              prometheus.Gauge
}

func newMetrics() metrics {
	m := metrics{registry: telemetry.NewRegistry()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "cairn", Subsystem: "report", Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "cairn", Subsystem: "report", Name: name, Help: help})
		m.registry.MustRegister(g)
		return g
	}
	m.posted = counter("posted_total", "Reports posted.")
	m.served = counter("served_total", "Demands for data answered on chain.")
	m.disputed = counter("disputed_total", "Disputes sent.")
	m.demanded = counter("demanded_total", "Demands for data made on chain.")
	m.epoch = gauge("epoch", "Newest epoch reported.")
	m.final = gauge("final_epoch", "Newest final epoch.")
	m.checked = gauge("checked_epoch", "Newest epoch whose reports were compared.")
	return m
}
