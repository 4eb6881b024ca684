package reporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/internal/lifecycle"
	"github.com/cairn-network/cairn/internal/telemetry"
)

// WatcherConfig is what a watcher goes by. Fields without a default must be set.
type WatcherConfig struct {
	Chain Chain
	// Services are watched; storage when empty.
	Services []score.Service
	// Sources of evidence, for services that keep it off chain.
	Sources map[score.Service]Source
	// StatusListen is the loopback address of status and metrics; empty for none.
	StatusListen string
	// Poll is how often the chain is looked at: 10 s when 0.
	Poll time.Duration
	// Found is told what a dispute came to; nil for nobody.
	Found func(Finding)

	// Ready is called once, when the watch begins; nil for nobody.
	Ready func(Info)
	Clock clock.Clock  // nil for the system's
	Log   *slog.Logger // nil for silence
}

// Finding is a report that was rejected at this watcher's word.
type Finding struct {
	Service score.Service
	Epoch   uint64
	Report  [32]byte
	Answer  auditv1.MsgDisputeResponse
}

// Watcher compares every report with what the facts give, and disputes those that differ.
type Watcher struct {
	WatcherConfig
	ledger  *ledger
	metrics metrics
	healthy health

	holds map[[32]byte]bool // reports that were compared and hold
	hunts map[[32]byte]*hunt
}

// hunt is the search for the place where a report is wrong, by parts that its reporters have to show
// on chain.
type hunt struct {
	input bool // it is the inputs' tree that is wrong
	// Parts shown so far of the tree that is hunted through.
	parts      []report.Part
	inputParts []report.InputPart
	// The demand that is open.
	index     uint64
	depth     uint8
	since     int64 // height at which it was made
	dueAt     int64
	demanding bool
}

// NewWatcher makes a watcher.
func NewWatcher(c WatcherConfig) (*Watcher, error) {
	if c.Chain == nil {
		return nil, errors.New("watching: chain must be given")
	}
	if len(c.Services) == 0 {
		c.Services = []score.Service{score.Storage}
	}
	if c.Poll == 0 {
		c.Poll = defaultPoll
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{
		WatcherConfig: c, ledger: newLedger(c.Chain, nil, c.Sources, c.Log), metrics: newMetrics(),
		holds: make(map[[32]byte]bool), hunts: make(map[[32]byte]*hunt),
	}, nil
}

// Run watches until ctx is done.
func (w *Watcher) Run(ctx context.Context) error {
	group := lifecycle.Group{Log: w.Log}
	info := Info{Address: w.Chain.Address()}
	if w.StatusListen != "" {
		status, err := telemetry.Listen(w.StatusListen, w.metrics.registry, w.Log)
		if err != nil {
			return err
		}
		info.Status = "http://" + status.Addr().String()
		status.Check("watching", func(context.Context) error { return w.healthy.err() })
		status.HandleJSON("GET /status", func(context.Context) (any, error) {
			view := map[string]string{"address": w.Chain.Address()}
			if err := w.healthy.err(); err != nil {
				view["error"] = err.Error()
			}
			return view, nil
		})
		group.Add(lifecycle.Part{Name: "status", Run: status.Run, Close: status.Close})
	}
	group.Add(lifecycle.Part{
		Name: "watch",
		Start: func(context.Context) error {
			if w.Ready != nil {
				w.Ready(info)
			}
			return nil
		},
		Run: func(ctx context.Context) error {
			return clock.Every(ctx, w.Clock, w.Poll, func(ctx context.Context) error {
				err := w.Step(ctx)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if w.healthy.set(err); err != nil {
					w.Log.Warn("watching", "error", err)
				}
				return nil
			})
		},
	})
	return group.Run(ctx)
}

// Step compares every report that is open and goes on with every dispute.
func (w *Watcher) Step(ctx context.Context) error {
	var errs []error
	for _, service := range w.Services {
		rounds, next, err := w.Chain.ReportRounds(ctx, service)
		if err != nil {
			return err
		}
		open, err := openRounds(ctx, w.Chain, service, rounds)
		if err != nil {
			return err
		}
		for _, round := range open {
			for _, r := range round.reports {
				if err := w.look(ctx, service, r); err != nil {
					errs = append(errs, fmt.Errorf("%s, epoch %d, report %x: %w", service, round.Epoch, r.Id[:6], err))
				}
			}
			w.metrics.checked.Set(float64(round.Epoch))
		}
		if next > 1 {
			w.ledger.forget(service, next-1)
		}
		w.forget(open)
	}
	return errors.Join(errs...)
}

// forget drops what is known of reports that are no longer open.
func (w *Watcher) forget(open []openRound) {
	there := make(map[[32]byte]bool)
	for _, round := range open {
		for _, r := range round.reports {
			there[toID(r.Id)] = true
		}
	}
	for id := range w.holds {
		if !there[id] {
			delete(w.holds, id)
		}
	}
	for id := range w.hunts {
		if !there[id] {
			delete(w.hunts, id)
		}
	}
}

// look compares one report.
func (w *Watcher) look(ctx context.Context, service score.Service, r auditv1.Report) error {
	id := toID(r.Id)
	if w.holds[id] || r.Status != auditv1.REPORT_STATUS_OPEN {
		return nil
	}
	must, err := w.ledger.epoch(ctx, service, r.Statement.Epoch, toID(r.Statement.Previous))
	if errors.Is(err, errFalse) || errors.Is(err, chainclient.ErrNotFound) {
		return nil // void with what it builds on, which is disputed itself
	}
	if err != nil {
		return err
	}
	if must.ID == id {
		w.holds[id] = true
		return nil
	}
	chainID, err := w.Chain.ChainID(ctx)
	if err != nil {
		return err
	}
	posted, err := chainclient.StatementOf(chainID, r.Statement)
	if err != nil {
		return err
	}
	if w.hunts[id] == nil {
		w.Log.Warn("report differs from what the facts give", "service", service, "epoch", posted.Epoch, "posted", posted.Output, "must", must.Statement.Output)
		if msg, err := w.fromData(ctx, r, posted, must); msg != nil || err != nil {
			if err != nil {
				return err
			}
			return w.dispute(ctx, service, posted, id, msg)
		}
		if w.hunts[id], err = w.resume(ctx, r, posted, posted.Output == must.Statement.Output); err != nil {
			delete(w.hunts, id)
			return err
		}
	}
	return w.hunt(ctx, service, posted, must, id, w.hunts[id])
}

// fromData finds the dispute in the data that the report's reporters serve; nil if they do not serve
// what is under the root that they posted.
func (w *Watcher) fromData(ctx context.Context, r auditv1.Report, posted report.Statement, must *Epoch) (chainclient.Message, error) {
	if posted.Output == must.Statement.Output {
		return nil, nil // the inputs' tree: few files, and parts of it are on chain at once
	}
	var places []string
	for _, p := range r.Posts {
		if p.Data != "" {
			places = append(places, p.Data)
		}
	}
	theirs, err := FetchAccounts(ctx, w.ledger.http, places, posted.Output)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		w.Log.Info("data is not served: it will be demanded on chain", "report", fmt.Sprintf("%x", r.Id[:6]), "error", err)
		return nil, nil
	}
	device, place, err := differenceOf(must.Accounts, theirs)
	if err != nil {
		return nil, err
	}
	return disputeMessage(posted, must, device, place)
}

// disputeMessage says on chain what is wrong with a device's place in a report.
func disputeMessage(posted report.Statement, must *Epoch, device uint64, place report.Place) (chainclient.Message, error) {
	id := posted.ID()
	before, err := must.Previous.Place(device)
	if err != nil {
		return nil, err
	}
	previous, err := before.MarshalBinary()
	if err != nil {
		return nil, err
	}
	input, evidence, err := must.prove(posted, device)
	if err != nil {
		return nil, err
	}
	if place.Proof != nil {
		leaf, err := place.Proof.MarshalBinary()
		return &auditv1.MsgDisputeLeaf{Report: id[:], Leaf: leaf, Previous: previous, Input: input, Evidence: evidence}, err
	}
	absence, err := place.Absent.MarshalBinary()
	return &auditv1.MsgDisputeMissing{Report: id[:], Device: device, Absence: absence, Previous: previous, Input: input, Evidence: evidence}, err
}

// dispute sends a dispute.
func (w *Watcher) dispute(ctx context.Context, service score.Service, posted report.Statement, id [32]byte, msg chainclient.Message) error {
	answer, err := w.Chain.Dispute(ctx, msg)
	switch {
	case errors.Is(err, chainclient.ErrReportRejected), errors.Is(err, chainclient.ErrNoReport):
		return nil // another was first
	case err != nil:
		return err
	case !answer.Upheld:
		w.holds[id] = true // do not pay for it twice
		return fmt.Errorf("the chain says that the report holds: %s", answer.Reason)
	}
	w.metrics.disputed.Inc()
	delete(w.hunts, id)
	w.Log.Warn("report rejected", "service", service, "epoch", posted.Epoch, "reason", answer.Reason, "bounty", answer.Bounty)
	if w.Found != nil {
		w.Found(Finding{Service: service, Epoch: posted.Epoch, Report: id, Answer: answer})
	}
	return nil
}

// hunt goes on with the search through parts shown on chain: it reads the answer to its demand,
// reports that there is none in time, makes the next demand, or disputes what it found.
func (w *Watcher) hunt(ctx context.Context, service score.Service, posted report.Statement, must *Epoch, id [32]byte, h *hunt) error {
	if h.demanding {
		done, err := w.await(ctx, service, posted, id, h)
		if err != nil || !done {
			return err
		}
	}
	var (
		msg  chainclient.Message
		need *need
		err  error
	)
	if h.input {
		var device uint64
		var place report.InputPlace
		if device, place, need, err = difference(must.Inputs, posted.Inputs, h.inputParts); err == nil && need == nil {
			var input []byte
			input, err = place.MarshalBinary()
			msg = &auditv1.MsgDisputeInput{Report: id[:], Device: device, Input: input}
		}
	} else {
		var device uint64
		var place report.Place
		if device, place, need, err = difference(must.Accounts, posted.Output, h.parts); err == nil && need == nil {
			msg, err = disputeMessage(posted, must, device, place)
		}
	}
	if err != nil {
		return err
	}
	if need == nil {
		return w.dispute(ctx, service, posted, id, msg)
	}
	tree := auditv1.DATA_TREE_OUTPUT
	if h.input {
		tree = auditv1.DATA_TREE_INPUT
	}
	block, err := w.Chain.LatestBlock(ctx)
	if err != nil {
		return err
	}
	dueAt, err := w.Chain.DemandData(ctx, &auditv1.MsgDemandData{Report: id[:], Tree: tree, Index: need.index, Depth: uint32(need.depth)})
	if errors.Is(err, chainclient.ErrDemanded) {
		delete(w.hunts, id) // by another run of this watcher: the next step goes on from what is on chain
		return nil
	}
	if err != nil {
		return err
	}
	w.metrics.demanded.Inc()
	h.demanding, h.index, h.depth, h.since, h.dueAt = true, need.index, need.depth, block.Height, dueAt
	return nil
}

// resumeTerms is how many terms for an answer a watcher looks back for what an earlier run of it was
// shown: three demands lead to any leaf.
const resumeTerms = 4

// resume makes a hunt of what is on chain already: the demand of an earlier run of this watcher that is
// open, and the parts that it was shown.
func (w *Watcher) resume(ctx context.Context, r auditv1.Report, posted report.Statement, input bool) (*hunt, error) {
	h := &hunt{input: input}
	id := toID(r.Id)
	params, err := w.Chain.AuditParams(ctx)
	if err != nil {
		return nil, err
	}
	block, err := w.Chain.LatestBlock(ctx)
	if err != nil {
		return nil, err
	}
	_, demands, err := w.Chain.Report(ctx, id)
	if err != nil {
		return nil, err
	}
	term := int64(params.Report.ServeBlocks)
	for _, d := range demands {
		if d.Demander == w.Chain.Address() && (d.Tree == auditv1.DATA_TREE_INPUT) == input {
			h.demanding, h.index, h.depth, h.since, h.dueAt = true, d.Index, uint8(d.Depth), d.DueAt-term, d.DueAt
		}
	}
	since := max(1, block.Height-resumeTerms*term)
	if len(r.Posts) > 0 {
		since = max(since, r.Posts[0].Height)
	}
	parts, err := w.Chain.ServedParts(ctx, id, w.Chain.Address(), since, block.Height)
	if err != nil {
		return nil, err
	}
	for _, b := range parts {
		h.take(posted, b)
	}
	return h, nil
}

// take keeps a part that was shown if it is one of the tree that is hunted through.
func (h *hunt) take(posted report.Statement, b []byte) {
	if h.input {
		var p report.InputPart
		if p.UnmarshalBinary(b) == nil && p.Verify(posted.Inputs, p.Index, p.Depth) == nil {
			h.inputParts = append(h.inputParts, p)
		}
		return
	}
	var p report.Part
	if p.UnmarshalBinary(b) == nil && p.Verify(posted.Output, p.Index, p.Depth) == nil {
		h.parts = append(h.parts, p)
	}
}

// await looks whether the hunt's demand was answered. False while it is open.
func (w *Watcher) await(ctx context.Context, service score.Service, posted report.Statement, id [32]byte, h *hunt) (bool, error) {
	_, demands, err := w.Chain.Report(ctx, id)
	if err != nil {
		return false, err
	}
	block, err := w.Chain.LatestBlock(ctx)
	if err != nil {
		return false, err
	}
	for _, d := range demands {
		if d.Demander != w.Chain.Address() {
			continue
		}
		if block.Height <= d.DueAt {
			return false, nil
		}
		return false, w.dispute(ctx, service, posted, id, &auditv1.MsgReportWithheld{Report: id[:], Demander: w.Chain.Address()})
	}
	parts, err := w.Chain.ServedParts(ctx, id, w.Chain.Address(), h.since, min(block.Height, h.dueAt))
	if err != nil {
		return false, err
	}
	h.demanding = false
	for _, b := range parts { // one that was missed is demanded again
		h.take(posted, b)
	}
	return true, nil
}
