package possession

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/audits"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// WatchChain is what a watcher needs of the chain; *chainclient.Client is one.
type WatchChain interface {
	audits.Chain
	CurrentEpoch(ctx context.Context) (auditv1.Epoch, error)
	StorageChallenge(ctx context.Context, device, epoch uint64) (storagev1.Challenge, error)
	Standings(ctx context.Context) ([]storagev1.Standing, error)
	Escalate(ctx context.Context, m *storagev1.MsgEscalate) (storagev1.MsgEscalateResponse, error)
}

// Peers reaches other devices off chain.
type Peers interface {
	// Ask makes a device show what a question asks for. An error says why it was not shown.
	Ask(ctx context.Context, device uint64, q wire.Question) error
}

const (
	// peerQuestions is how many positions a device is asked for in an epoch, drawn out of those that it
	// might be asked for.
	peerQuestions = 4
	// peerTries is how often a question is asked before it goes to the chain. The time between two tries
	// grows fourfold, so that a device that restarts is not taken for one that has lost its data.
	peerTries = 3
	// peerTime bounds one question, connecting included.
	peerTime = 20 * time.Second
	// peerParallel is how many devices are asked at once.
	peerParallel = 4
	// mostPatience bounds the epochs for which a device is not taken to the chain, after it answered there
	// what it had not answered off chain: each such answer costs the deposit.
	mostPatience = 1024
)

// Watcher asks the devices that each epoch's beacon draws for this one, off chain, and takes to the chain
// what they do not show. One goroutine runs it.
type Watcher struct {
	Device uint64
	Chain  WatchChain
	Peers  Peers
	Clock  clock.Clock
	Log    *slog.Logger
	// Every is the time between steps.
	Every time.Duration
	// Stats, if set, is told of every change of its figures.
	Stats func(WatchStats)

	follower *audits.Follower
	epoch    uint64
	listed   bool
	open     []*inquiry
	patience map[uint64]patience // by device
	stats    WatchStats
}

// WatchStats are counts since the start.
type WatchStats struct {
	Asked     uint64 `json:"peers_asked"`     // devices that showed everything
	Escalated uint64 `json:"peers_escalated"` // questions taken to the chain
	Caught    uint64 `json:"peers_caught"`    // of those, faults
}

// patience is for how long a device is not taken to the chain.
type patience struct {
	answers int
	until   uint64 // epoch
}

// inquiry is one drawn device in one epoch.
type inquiry struct {
	device  uint64
	indexes []uint32
	tries   int
	next    time.Time
	index   uint32 // that was not shown
	done    bool
}

// Run works until ctx is done.
func (w *Watcher) Run(ctx context.Context) error {
	return clock.Every(ctx, w.Clock, w.Every, func(ctx context.Context) error {
		err := w.Step(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.Log.Warn("watching peers", "error", err)
		}
		return nil
	})
}

// Step does what is due now.
func (w *Watcher) Step(ctx context.Context) error {
	if w.follower == nil {
		w.follower = &audits.Follower{Chain: w.Chain, Clock: w.Clock, Log: w.Log, Ended: w.ended}
		w.patience = make(map[uint64]patience)
	}
	epoch, err := w.Chain.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	var errs []error
	if epoch.Number != w.epoch || w.waits() {
		errs = append(errs, w.follower.Step(ctx))
	}
	if epoch.Number != w.epoch {
		w.epoch, w.listed, w.open = epoch.Number, false, nil
	}
	if !w.listed {
		if err := w.list(ctx); err != nil {
			return errors.Join(append(errs, err)...)
		}
		w.listed = true
	}
	return errors.Join(append(errs, w.ask(ctx))...)
}

// waits says whether an audit of this node is past its deadline.
func (w *Watcher) waits() bool {
	now := w.Clock.Now().Unix()
	for _, a := range w.follower.Open() {
		if a.Deadline < now {
			return true
		}
	}
	return false
}

// list finds the devices that the epoch's beacon drew for this one.
func (w *Watcher) list(ctx context.Context) error {
	own, err := w.Chain.StorageChallenge(ctx, w.Device, w.epoch)
	if err != nil && !errors.Is(err, chainclient.ErrNotFound) {
		return err
	}
	// Who holds nothing itself is not let ask.
	if own.Weak || own.Commitment == nil {
		return nil
	}
	standings, err := w.Chain.Standings(ctx)
	if err != nil {
		return err
	}
	e := eraOf(&own)
	for _, peer := range standings {
		draw := challenge.NewPeer(e.beacon, e.epoch, w.Device, peer.Device)
		if peer.Device == w.Device || !draw.Due(e.odds) {
			continue
		}
		q := &inquiry{device: peer.Device}
		for _, i := range rand.Perm(challenge.PeerPositions)[:peerQuestions] {
			q.indexes = append(q.indexes, uint32(i))
		}
		w.open = append(w.open, q)
	}
	return nil
}

// ask goes through the devices that have not shown everything yet.
func (w *Watcher) ask(ctx context.Context) error {
	var due []*inquiry
	for _, q := range w.open {
		if !q.done && !w.Clock.Now().Before(q.next) {
			due = append(due, q)
		}
	}
	results := make([]error, len(due))
	var group errgroup.Group
	group.SetLimit(peerParallel)
	for i, q := range due {
		group.Go(func() error {
			results[i] = w.inquire(ctx, q)
			return nil
		})
	}
	_ = group.Wait() // results tell
	var errs []error
	for i, q := range due {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if results[i] == nil {
			if q.done {
				w.count(func(s *WatchStats) { s.Asked++ })
			}
			continue
		}
		q.tries++
		q.next = w.Clock.Now().Add(w.Every << (2 * (q.tries - 1)))
		if q.tries < peerTries {
			w.Log.Debug("a drawn device did not show a chunk", "device", q.device, "try", q.tries, "error", results[i])
			continue
		}
		errs = append(errs, w.escalate(ctx, q, results[i]))
	}
	return errors.Join(errs...)
}

// inquire asks one device for what it has not shown yet.
func (w *Watcher) inquire(ctx context.Context, q *inquiry) error {
	c, err := w.Chain.StorageChallenge(ctx, q.device, w.epoch)
	switch {
	case errors.Is(err, chainclient.ErrNotFound), err == nil && nodeOf(c.Commitment).Sum == 0:
		q.done, q.indexes = true, nil // nothing is in force
		return nil
	case err != nil:
		q.next = w.Clock.Now().Add(w.Every)
		return nil // the chain's failure is not the device's
	}
	e := eraOf(&c)
	draw := challenge.NewPeer(e.beacon, e.epoch, w.Device, q.device)
	for len(q.indexes) > 0 {
		q.index = q.indexes[0]
		one, cancel := context.WithTimeout(ctx, peerTime)
		err := w.Peers.Ask(one, q.device, wire.Question{
			Epoch: w.epoch, Index: q.index, Root: e.root, Position: draw.Position(q.index, e.root.Sum),
		})
		cancel()
		if err != nil {
			return err
		}
		q.indexes = q.indexes[1:]
	}
	q.done = true
	return nil
}

// escalate takes a question to the chain.
func (w *Watcher) escalate(ctx context.Context, q *inquiry, why error) error {
	if w.epoch < w.patience[q.device].until {
		q.done = true
		return nil
	}
	_, err := w.Chain.Escalate(ctx, &storagev1.MsgEscalate{Challenger: w.Device, Device: q.device, Epoch: w.epoch, Index: q.index})
	switch {
	case err == nil:
		w.Log.Info("asked a device on chain for what it did not show", "device", q.device, "epoch", w.epoch, "index", q.index, "error", why)
		w.count(func(s *WatchStats) { s.Escalated++ })
		q.done = true
		return w.follower.Step(ctx)
	case errors.As(err, new(*chainclient.Error)):
		// Somebody else asks it already, it has left, or the epoch is over: nothing is left to do here.
		w.Log.Debug("a question was not taken on chain", "device", q.device, "error", err)
		q.done = true
		return nil
	}
	return fmt.Errorf("taking device %d to the chain: %w", q.device, err)
}

// ended learns how an audit ended.
func (w *Watcher) ended(a storagev1.Audit, o audits.Outcome) {
	if o == audits.Failed {
		delete(w.patience, a.Device)
		w.count(func(s *WatchStats) { s.Caught++ })
		return
	}
	p := w.patience[a.Device]
	p.answers++
	p.until = w.epoch + min(mostPatience, uint64(1)<<min(p.answers, 10))
	w.patience[a.Device] = p
}

func (w *Watcher) count(change func(*WatchStats)) {
	change(&w.stats)
	if w.Stats != nil {
		w.Stats(w.stats)
	}
}
