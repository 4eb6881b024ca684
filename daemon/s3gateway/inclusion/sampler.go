package inclusion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/audits"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// Chain is what a sampler needs of the chain; *chainclient.Client is one.
type Chain interface {
	audits.Chain
	CurrentEpoch(ctx context.Context) (auditv1.Epoch, error)
	// Epoch gives one that is still kept.
	Epoch(ctx context.Context, number uint64) (auditv1.Epoch, error)
	StorageParams(ctx context.Context) (storagev1.Params, error)
	// StorageChallenge has the commitment in force in an epoch; ErrNotFound where there is none.
	StorageChallenge(ctx context.Context, device, epoch uint64) (storagev1.Challenge, error)
	AuditInclusion(ctx context.Context, receipt []byte) (storagev1.MsgAuditInclusionResponse, error)
}

// Network asks nodes off chain, and learns what was found.
type Network interface {
	// Inclusion makes a device show a receipt's piece in the tree with a root, in force in an epoch.
	Inclusion(ctx context.Context, r piece.Receipt, epoch uint64, root merkle.Node) error
	// Wanted says whether a segment is still stored under a lease. A piece that the segment gave up because
	// its node lost it is owed all the same.
	Wanted(ctx context.Context, id metabase.SegmentID, lease uint64) (bool, error)
	// Missing is told of a piece that its device did not show, and that should be rebuilt elsewhere.
	Missing(id metabase.SegmentID, p metabase.Piece)
}

// Config sets the pace. Zero values take the defaults of DefaultConfig.
type Config struct {
	// Interval is the time between two looks at the chain.
	Interval time.Duration
	// Samples is how many pieces are asked for in an epoch.
	Samples int
	// Audits is how many of an epoch's pieces may be taken to the chain; each holds up a deposit.
	Audits int
}

// DefaultConfig asks for a few pieces an epoch.
func DefaultConfig() Config { return Config{Interval: 15 * time.Second, Samples: 8, Audits: 2} }

const (
	// tries is how often a node that cannot be reached is asked before its piece goes to the chain; the
	// time between two grows fourfold.
	tries = 3
	// askTime bounds one question.
	askTime = 20 * time.Second
	// mostPatience bounds the epochs for which a device is not taken to the chain after it answered there.
	mostPatience = 1024
)

// Deps are what a sampler works with.
type Deps struct {
	Config   Config
	Book     *Book
	Chain    Chain
	Network  Network
	Clock    clock.Clock
	Log      *slog.Logger
	Registry prometheus.Registerer // nil for none
}

// Status counts since the start.
type Status struct {
	Shown  uint64 `json:"shown"`  // pieces that their nodes showed in their trees
	Denied uint64 `json:"denied"` // that they did not
	Audits uint64 `json:"audits"` // taken to the chain
	Caught uint64 `json:"caught"` // of those, faults
}

// Sampler asks. One goroutine runs it; Status may be called by others.
type Sampler struct {
	Deps
	follower audits.Follower

	epoch    uint64
	drawn    bool
	open     []*sample
	audited  int // in this epoch
	reached  bool
	patience map[uint64]patience
	pending  map[uint64]sample // by audit: what was asked for

	mu     sync.Mutex
	status Status
}

// patience is for how long a device is not taken to the chain: it answered there before, at the cost of a
// deposit.
type patience struct {
	answers int
	until   uint64 // epoch
}

// sample is a piece that is asked for.
type sample struct {
	Entry
	tries  int
	next   time.Time
	done   bool
	denied error
}

// New makes a sampler.
func New(d Deps) *Sampler {
	def := DefaultConfig()
	if d.Config.Interval <= 0 {
		d.Config.Interval = def.Interval
	}
	if d.Config.Samples <= 0 {
		d.Config.Samples = def.Samples
	}
	if d.Config.Audits <= 0 {
		d.Config.Audits = def.Audits
	}
	s := &Sampler{Deps: d, patience: make(map[uint64]patience), pending: make(map[uint64]sample)}
	s.follower = audits.Follower{Chain: d.Chain, Clock: d.Clock, Log: d.Log, Ended: s.ended}
	if d.Registry != nil {
		s.register(d.Registry)
	}
	return s
}

func (s *Sampler) register(r prometheus.Registerer) {
	for name, of := range map[string]struct {
		help string
		get  func(Status) uint64
	}{
		"shown_total":  {"Pieces that nodes showed in their committed trees.", func(s Status) uint64 { return s.Shown }},
		"denied_total": {"Pieces that nodes did not show in their committed trees.", func(s Status) uint64 { return s.Denied }},
		"audits_total": {"Inclusion audits opened on the chain.", func(s Status) uint64 { return s.Audits }},
		"faults_total": {"Inclusion audits that ended with a fault.", func(s Status) uint64 { return s.Caught }},
	} {
		r.MustRegister(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Namespace: "cairn", Subsystem: "inclusion", Name: name, Help: of.help},
			func() float64 { return float64(of.get(s.Status())) },
		))
	}
}

// Status tells what was found so far.
func (s *Sampler) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Sampler) count(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

// Run works until ctx is done, and saves the book.
func (s *Sampler) Run(ctx context.Context) error {
	err := clock.Every(ctx, s.Clock, s.Config.Interval, func(ctx context.Context) error {
		err := s.Step(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.Log.Warn("asking for pieces by their receipts", "error", err)
		}
		return nil
	})
	return errors.Join(err, s.Book.Save())
}

// Step does what is due now.
func (s *Sampler) Step(ctx context.Context) error {
	epoch, err := s.Chain.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	var errs []error
	if epoch.Number != s.epoch || s.waits() {
		errs = append(errs, s.follower.Step(ctx))
	}
	if epoch.Number != s.epoch {
		s.epoch, s.drawn, s.open, s.audited, s.reached = epoch.Number, false, nil, 0, false
		errs = append(errs, s.Book.Save())
	}
	if !s.drawn {
		if err := s.draw(ctx); err != nil {
			return errors.Join(append(errs, err)...)
		}
		s.drawn = true
	}
	for _, x := range s.open {
		if x.done || s.Clock.Now().Before(x.next) {
			continue
		}
		if err := s.ask(ctx, x); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// waits says whether an audit of this account is past its deadline.
func (s *Sampler) waits() bool {
	now := s.Clock.Now().Unix()
	for _, a := range s.follower.Open() {
		if a.Deadline < now {
			return true
		}
	}
	return false
}

// draw chooses the epoch's samples: one of each device in turn, devices in random order.
func (s *Sampler) draw(ctx context.Context) error {
	params, err := s.Chain.StorageParams(ctx)
	if err != nil {
		return err
	}
	settle := uint64(params.Possession.SettleEpochs)
	if s.epoch <= settle {
		return nil
	}
	settled, err := s.Chain.Epoch(ctx, s.epoch-settle)
	if err != nil {
		return err
	}
	now := s.Clock.Now().Unix()
	chosen := make(map[piece.ID]bool)
	may := func(e Entry) bool { return e.Receipt.IssuedAt < settled.StartTime.Unix() && !chosen[e.Receipt.ID] }
	devices := s.Book.Devices()
	rand.Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] })
	for len(s.open) < s.Config.Samples && len(devices) > 0 {
		left := devices[:0]
		for _, device := range devices {
			if len(s.open) == s.Config.Samples {
				break
			}
			e, ok := s.Book.Draw(device, may)
			if !ok {
				continue
			}
			left = append(left, device)
			wanted := e.Receipt.Expiry > now
			if wanted {
				if wanted, err = s.Network.Wanted(ctx, e.Segment, e.Receipt.Lease); err != nil {
					return err
				}
			}
			if !wanted { // deleted, moved, or expired: no evidence of anything
				s.Book.Remove(e)
				continue
			}
			chosen[e.Receipt.ID] = true
			s.open = append(s.open, &sample{Entry: e})
		}
		devices = left
	}
	return nil
}

// ask asks for one piece off chain, and decides what follows. The chain's own failures are returned.
func (s *Sampler) ask(ctx context.Context, x *sample) error {
	if x.denied == nil {
		root, err := s.inForce(ctx, x.Receipt.Device)
		if err != nil {
			return err
		}
		one, cancel := context.WithTimeout(ctx, askTime)
		err = s.Network.Inclusion(one, x.Receipt.Receipt, s.epoch, root)
		cancel()
		switch {
		case err == nil:
			s.reached, x.done = true, true
			s.count(func(st *Status) { st.Shown++ })
			return nil
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, wire.ErrNotFound), errors.Is(err, wire.ErrCorrupt):
			s.reached, x.denied = true, err
		default:
			x.tries++
			x.next = s.Clock.Now().Add(s.Config.Interval << (2 * (x.tries - 1)))
			if x.tries < tries {
				return nil
			}
			if !s.reached { // perhaps it is this gateway that reaches nobody
				x.done = true
				return nil
			}
			x.denied = err
		}
		s.count(func(st *Status) { st.Denied++ })
		s.Log.Warn("a node does not show a piece that it gave a receipt for", "device", x.Receipt.Device, "segment", x.Segment, "piece", x.Index, "error", x.denied)
		if errors.Is(x.denied, wire.ErrNotFound) || errors.Is(x.denied, wire.ErrCorrupt) {
			s.Network.Missing(x.Segment, metabase.Piece{Index: x.Index, Device: x.Receipt.Device})
		}
	}
	return s.audit(ctx, x)
}

// inForce gives the root of the tree that a device is held to in this epoch.
func (s *Sampler) inForce(ctx context.Context, device uint64) (root merkle.Node, err error) {
	c, err := s.Chain.StorageChallenge(ctx, device, s.epoch)
	if errors.Is(err, chainclient.ErrNotFound) || err == nil && c.Commitment == nil {
		return merkle.Empty, nil // nothing is in it
	}
	if err != nil {
		return root, err
	}
	root.Sum = c.Commitment.Total
	copy(root.Hash[:], c.Commitment.Root)
	return root, nil
}

// audit takes a piece to the chain.
func (s *Sampler) audit(ctx context.Context, x *sample) error {
	if s.audited >= s.Config.Audits || s.epoch < s.patience[x.Receipt.Device].until {
		x.done = true
		return nil
	}
	raw, err := x.Receipt.MarshalBinary()
	if err != nil {
		return err
	}
	r, err := s.Chain.AuditInclusion(ctx, raw)
	switch {
	case err == nil:
		x.done = true
		s.audited++
		s.pending[r.Audit] = *x
		s.count(func(st *Status) { st.Audits++ })
		s.Log.Info("asked a node on chain for a piece that it gave a receipt for", "audit", r.Audit, "device", x.Receipt.Device)
		return s.follower.Step(ctx)
	case errors.As(err, new(*chainclient.Error)):
		// The lease has ended, enough audits wait, or the receipt has expired meanwhile.
		x.done = true
		s.Log.Debug("an inclusion audit was not taken", "device", x.Receipt.Device, "error", err)
		return nil
	}
	return fmt.Errorf("auditing device %d: %w", x.Receipt.Device, err)
}

// ended learns how an audit ended.
func (s *Sampler) ended(a storagev1.Audit, o audits.Outcome) {
	x, known := s.pending[a.Id]
	delete(s.pending, a.Id)
	if o == audits.Failed {
		delete(s.patience, a.Device)
		s.count(func(st *Status) { st.Caught++ })
		if known {
			s.Book.Remove(x.Entry)
			s.Network.Missing(x.Segment, metabase.Piece{Index: x.Index, Device: a.Device})
		}
		return
	}
	p := s.patience[a.Device]
	p.answers++
	p.until = s.epoch + min(mostPatience, uint64(1)<<min(p.answers, 10))
	s.patience[a.Device] = p
}
