// Package repair keeps what the gateway stored alive: it finds nodes that are gone and pieces that
// are lost or wrong, rebuilds them elsewhere, and deletes what nobody needs any more.
// docs/spec/repair.md is its specification.
//
// # Mental model
//
// A Service does one thing over and over, Step, and every part of it can be cut off anywhere: what
// is to be done follows from the metabase and from what nodes answer, never from memory alone.
//
//  1. Probe: every node is asked for a sign of life. Who does not answer is away; who has not for
//     long enough is lost (renter.Pool).
//  2. Judge: the risk of each segment that the changes touch is computed anew (core/risk) and kept
//     in the metabase, which so is a queue in order of urgency.
//  3. Rebuild: the most urgent segments get new pieces, checked against their roots. First all that
//     stand at their repair threshold, then those that lack pieces for good.
//  4. Check: a few random pieces are challenged; nodes' lists are compared with the metabase, exactly.
//  5. Sweep: pieces that no segment names are deleted, and devices that leave and hold nothing any
//     more are told to the lease service, which ends paying for them.
//
// # Invariants
//
//   - INV-REPAIR-1: a piece leaves a segment's list only when its node is lost, said itself that it
//     does not have it, or gave wrong bytes for it; or when its node is jailed or leaves, and Optimal
//     pieces lie healthy elsewhere.
//   - INV-REPAIR-2: a segment's list names a new piece only after its receipt is here.
//   - INV-REPAIR-3: nothing is deleted from a node that the metabase names, or that has been unknown
//     for less than the grace: it may belong to an upload under way.
package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/risk"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/internal/clock"
)

// Config sets the pace. Zero values take the defaults of DefaultConfig.
type Config struct {
	// Interval is the time between steps.
	Interval time.Duration
	// Parallel is how many segments are rebuilt at once.
	Parallel int
	// PerStep bounds the segments rebuilt in one step.
	PerStep int
	// Judged bounds the segments whose risk a step computes in its round through all of them.
	Judged int
	// Audits is how many random pieces a step challenges.
	Audits int
	// Compare is the time between two comparisons of a node's list with the metabase.
	Compare time.Duration
	// Grace is how long a piece must have been unknown before it is deleted.
	Grace time.Duration
	// Linger is how long pieces of deleted objects stay, for reads under way.
	Linger time.Duration
}

// DefaultConfig suits a gateway with some million segments.
func DefaultConfig() Config {
	return Config{
		Interval: 30 * time.Second, Parallel: 2, PerStep: 64, Judged: 20_000, Audits: 8,
		Compare: 6 * time.Hour, Grace: 48 * time.Hour, Linger: 10 * time.Minute,
	}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	for _, f := range []struct{ to, from *time.Duration }{
		{&c.Interval, &d.Interval}, {&c.Compare, &d.Compare}, {&c.Grace, &d.Grace}, {&c.Linger, &d.Linger},
	} {
		if *f.to <= 0 {
			*f.to = *f.from
		}
	}
	for _, f := range []struct{ to, from *int }{
		{&c.Parallel, &d.Parallel}, {&c.PerStep, &d.PerStep}, {&c.Judged, &d.Judged}, {&c.Audits, &d.Audits},
	} {
		if *f.to <= 0 {
			*f.to = *f.from
		}
	}
	return c
}

// Deps are what a service works with.
type Deps struct {
	Config   Config
	DB       *metabase.DB
	Engine   *renter.Engine
	Pool     *renter.Pool
	Links    *renter.Links
	Clock    clock.Clock
	Log      *slog.Logger
	Registry prometheus.Registerer // nil for none
	// Released is told of pieces before their deletion is asked for, with which their provider gets a
	// signed release; nil for nobody.
	Released func(device, lease uint64, ids []piece.ID)
}

// Service repairs. Step and Run are for one goroutine; Report and Status for any.
type Service struct {
	Deps
	metrics metrics

	suspects chan suspect

	// Of the one goroutine that steps.
	standing map[uint64]risk.State // of devices when their segments were last judged
	cursor   metabase.SegmentID    // of the round through all segments
	counting counts
	compared map[uint64]time.Time              // devices by the time of their last comparison
	unknown  map[uint64]map[piece.ID]time.Time // pieces that the metabase does not name, since when
	waiting  map[metabase.SegmentID]delay      // segments whose last rebuilding failed
	empty    map[uint64]time.Time              // devices that leave by the time since when they hold nothing

	mu     sync.Mutex // guards status
	status Status
}

// suspect is a piece that a reader found wrong or missing.
type suspect struct {
	segment metabase.SegmentID
	piece   metabase.Piece
}

// Status sums up how the stored segments stand, as of the last round through all of them.
type Status struct {
	Segments uint64 `json:"segments"`
	Healthy  uint64 `json:"healthy"`  // all Optimal pieces on nodes that answer
	Degraded uint64 `json:"degraded"` // fewer, and readable
	Lost     uint64 `json:"lost"`     // fewer than K pieces left
	Queue    uint64 `json:"queue"`    // to be rebuilt, those included that wait for their next attempt
	Rebuilt  uint64 `json:"rebuilt"`  // pieces, since the start
	Copied   uint64 `json:"copied"`   // pieces, off devices that leave, since the start
	Deleted  uint64 `json:"deleted"`  // pieces, since the start
}

type counts struct{ segments, healthy, degraded, lost uint64 }

// New makes a service.
func New(d Deps) *Service {
	d.Config = d.Config.withDefaults()
	return &Service{
		Deps: d, metrics: newMetrics(d.Registry), suspects: make(chan suspect, 1024),
		standing: make(map[uint64]risk.State), compared: make(map[uint64]time.Time),
		unknown: make(map[uint64]map[piece.ID]time.Time), waiting: make(map[metabase.SegmentID]delay),
		empty: make(map[uint64]time.Time),
	}
}

// delay keeps a segment from being tried over and over: reading its pieces costs money.
type delay struct {
	failures int
	until    time.Time
}

// longestDelay bounds the time between two attempts.
const longestDelay = 10 * time.Minute

// postpone puts off the next attempt for a segment, each time for twice as long.
func (s *Service) postpone(id metabase.SegmentID) {
	d := s.waiting[id]
	wait := min(longestDelay, s.Config.Interval<<min(d.failures, 16))
	d.failures++
	d.until = s.Clock.Now().Add(wait)
	s.waiting[id] = d
}

// Report queues a piece that is wrong or missing. It never blocks: what does not fit is found again
// by the next reader or comparison.
func (s *Service) Report(id metabase.SegmentID, p metabase.Piece) {
	select {
	case s.suspects <- suspect{id, p}:
	default:
	}
}

// Status returns the present figures.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Service) note(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

// Run steps until ctx is done. Errors are logged: the next step tries again.
func (s *Service) Run(ctx context.Context) error {
	return clock.Every(ctx, s.Clock, s.Config.Interval, func(ctx context.Context) error {
		if err := s.Step(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("repairing", "error", err)
		}
		return nil
	})
}

// Step does one round of everything. An error of one part does not keep the others from their work.
func (s *Service) Step(ctx context.Context) error {
	if s.Pool.Lease() == nil {
		return nil
	}
	var errs []error
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"probing nodes", s.probe},
		{"looking at suspects", s.examine},
		{"judging segments", s.judge},
		{"rebuilding", s.rebuild},
		{"auditing", s.audit},
		{"comparing lists", s.compare},
		{"sweeping", s.sweep},
		{"vacating devices", s.vacate},
	} {
		if err := part.do(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			errs = append(errs, fmt.Errorf("%s: %w", part.name, err))
		}
	}
	return errors.Join(errs...)
}

// devices are those that this lease reaches.
func (s *Service) devices() []uint64 {
	lease := s.Pool.Lease()
	if lease == nil {
		return nil
	}
	var list []uint64
	for _, d := range s.Pool.Devices() {
		if _, ok := lease.Items[d]; ok {
			list = append(list, d)
		}
	}
	return list
}

// probe asks every node for a sign of life; who is silent for long is lost.
func (s *Service) probe(ctx context.Context) error {
	lease := s.Pool.Lease()
	var group errgroup.Group
	group.SetLimit(32)
	for _, device := range s.devices() {
		group.Go(func() error {
			// The pool is told by Links; a node that is away is no error of ours.
			_ = s.Links.Probe(ctx, device, lease.ID)
			return nil
		})
	}
	_ = group.Wait()
	for _, device := range s.Pool.Age() {
		s.Log.Warn("node counts as lost: its pieces will be rebuilt", "device", device)
	}
	return ctx.Err()
}

// examine drops pieces that readers found wrong or missing.
func (s *Service) examine(ctx context.Context) error {
	for {
		select {
		case x := <-s.suspects:
			if err := s.drop(ctx, x.segment, x.piece); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// drop takes a piece out of its segment, if it is still in it. It does not become garbage: its device
// does not have it, or not as it should, and deleting it would sign a release, which would excuse the
// device from an inclusion audit of the very piece that it lost. What is there all the same goes with the
// pieces that nobody names, when the grace is over.
func (s *Service) drop(ctx context.Context, id metabase.SegmentID, p metabase.Piece) error {
	err := s.DB.UpdateSegment(ctx, id, map[uint64]bool{p.Device: true}, func(seg *metabase.Segment) error {
		kept := seg.Pieces[:0:0]
		for _, q := range seg.Pieces {
			if q.Index != p.Index || q.Device != p.Device {
				kept = append(kept, q)
			}
		}
		if len(kept) == len(seg.Pieces) {
			return errUnchanged
		}
		seg.Pieces = kept
		s.rate(seg)
		return nil
	})
	if errors.Is(err, metabase.ErrNoSegment) || errors.Is(err, errUnchanged) {
		return nil
	}
	if err == nil {
		s.metrics.dropped.Inc()
		s.Log.Info("piece given up", "segment", id, "piece", p.Index, "device", p.Device)
	}
	return err
}

// errUnchanged ends an update that has nothing to write.
var errUnchanged = errors.New("nothing to change")

// rate sets a segment's risk from how its nodes stand now.
func (s *Service) rate(seg *metabase.Segment) {
	class, ok := erasure.ClassByName(seg.Class)
	if !ok {
		return
	}
	seg.Risk = s.Pool.Risk(class, seg.Pieces, s.Pool.Regions(class))
	for _, p := range seg.Pieces {
		switch s.Pool.PieceStanding(p.Device) {
		case risk.Lost, risk.Leaving:
			seg.Risk = min(seg.Risk, renter.RiskNone-1) // perhaps whole without it, but the list is not right
		}
	}
	if lease := s.Pool.Lease(); lease != nil && seg.Lease != lease.ID {
		seg.Risk = min(seg.Risk, renter.RepairNow) // the lease that pays for it will end
	}
}

// judge computes the risk of the segments on devices whose standing changed, and goes on with the
// round through all of them, which also counts.
func (s *Service) judge(ctx context.Context) error {
	for _, device := range s.Pool.Devices() {
		now := s.Pool.PieceStanding(device)
		if before, ok := s.standing[device]; ok && before == now || !ok && now == risk.Healthy {
			s.standing[device] = now
			continue
		}
		if err := s.judgeDevice(ctx, device); err != nil {
			return err
		}
		s.standing[device] = now
		clear(s.waiting) // what failed may work now
	}
	return s.round(ctx)
}

func (s *Service) judgeDevice(ctx context.Context, device uint64) error {
	const page = 512
	var after metabase.SegmentID
	for {
		ids, err := s.DB.SegmentsOnDevice(ctx, device, after, page)
		if err != nil || len(ids) == 0 {
			return err
		}
		segs, err := s.DB.Segments(ctx, ids...)
		if errors.Is(err, metabase.ErrNoSegment) { // deleted meanwhile: one at a time
			segs, err = s.existing(ctx, ids)
		}
		if err != nil {
			return err
		}
		for _, seg := range segs {
			if err := s.reweigh(ctx, seg); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
}

func (s *Service) existing(ctx context.Context, ids []metabase.SegmentID) ([]metabase.Segment, error) {
	var list []metabase.Segment
	for _, id := range ids {
		segs, err := s.DB.Segments(ctx, id)
		if errors.Is(err, metabase.ErrNoSegment) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, segs...)
	}
	return list, nil
}

// reweigh writes a segment's risk where it has changed.
func (s *Service) reweigh(ctx context.Context, seg metabase.Segment) error {
	was := seg.Risk
	s.rate(&seg)
	if seg.Risk == was {
		return nil
	}
	err := s.DB.UpdateSegment(ctx, seg.ID, nil, func(now *metabase.Segment) error {
		s.rate(now)
		return nil
	})
	if errors.Is(err, metabase.ErrNoSegment) {
		return nil
	}
	return err
}

// round judges the next segments of the round through all of them.
func (s *Service) round(ctx context.Context) error {
	var changed []metabase.Segment
	n, ended := 0, true
	err := s.DB.EachSegment(ctx, s.cursor, func(seg metabase.Segment) bool {
		if n++; n > s.Config.Judged {
			ended = false
			return false
		}
		s.cursor = seg.ID
		was := seg.Risk
		s.rate(&seg)
		s.count(seg)
		if seg.Risk != was {
			changed = append(changed, seg)
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, seg := range changed {
		seg.Risk = 0 // what is stored differs, whatever it was
		if err := s.reweigh(ctx, seg); err != nil {
			return err
		}
	}
	if ended {
		c := s.counting
		s.cursor, s.counting = metabase.SegmentID{}, counts{}
		s.note(func(st *Status) {
			st.Segments, st.Healthy, st.Degraded, st.Lost = c.segments, c.healthy, c.degraded, c.lost
		})
		s.metrics.segments(c)
	}
	return nil
}

// count adds a segment to the figures of the round.
func (s *Service) count(seg metabase.Segment) {
	class, ok := erasure.ClassByName(seg.Class)
	if !ok {
		return
	}
	healthy, left := 0, 0
	for _, p := range seg.Pieces {
		switch s.Pool.PieceStanding(p.Device) {
		case risk.Healthy:
			healthy++
			left++
		case risk.Away, risk.Leaving:
			left++
		}
	}
	s.counting.segments++
	switch {
	case left < class.K:
		s.counting.lost++
	case healthy < class.Optimal:
		s.counting.degraded++
	default:
		s.counting.healthy++
	}
}

// rebuild restores the most urgent segments.
func (s *Service) rebuild(ctx context.Context) error {
	// Those that wait for their next attempt must not hide the ones behind them.
	ids, err := s.DB.SegmentsByRisk(ctx, renter.RiskNone-1, s.Config.PerStep+len(s.waiting))
	if err != nil {
		return err
	}
	var queue []metabase.Segment
	waiting := 0
	for _, id := range ids {
		segs, err := s.DB.Segments(ctx, id)
		if errors.Is(err, metabase.ErrNoSegment) {
			continue
		}
		if err != nil {
			return err
		}
		if p := s.plan(segs[0]); p.want > 0 || len(p.lost)+len(p.left) > 0 {
			waiting++
			if s.Clock.Now().Before(s.waiting[id].until) {
				continue
			}
			queue = append(queue, segs[0])
		}
	}
	s.note(func(st *Status) { st.Queue = uint64(waiting) })
	s.metrics.queue.Set(float64(waiting))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.Config.Parallel)
	results := make([]error, len(queue))
	for i, seg := range queue {
		group.Go(func() error {
			results[i] = s.restore(ctx, seg)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var errs []error
	for i, seg := range queue {
		if results[i] == nil {
			delete(s.waiting, seg.ID)
			continue
		}
		s.postpone(seg.ID)
		errs = append(errs, fmt.Errorf("segment %s: %w", seg.ID, results[i]))
	}
	return summary(errs)
}

// summary keeps a report short when everything fails for one reason.
func summary(errs []error) error {
	const most = 3
	if len(errs) <= most {
		return errors.Join(errs...)
	}
	return fmt.Errorf("%w, and %d more", errors.Join(errs[:most]...), len(errs)-most)
}

// plan is what a segment needs.
type plan struct {
	kept []metabase.Piece // stay in the list
	lost map[uint64]bool  // devices whose pieces leave it and are not deleted
	left map[uint64]bool  // devices whose pieces leave it and are deleted
	want int              // pieces to add
}

// plan decides. Pieces on nodes that are away stay and are not replaced, as most come back; at the
// repair threshold they are replaced as if they did not. Pieces on leaving nodes are replaced while
// they can still be read, and leave the list when that is done.
func (s *Service) plan(seg metabase.Segment) plan {
	class, ok := erasure.ClassByName(seg.Class)
	if !ok {
		return plan{}
	}
	if lease := s.Pool.Lease(); lease != nil && seg.Lease != lease.ID {
		return plan{want: class.Optimal}
	}
	urgent := s.Pool.Risk(class, seg.Pieces, s.Pool.Regions(class)) <= renter.RepairNow
	p := plan{lost: make(map[uint64]bool), left: make(map[uint64]bool)}
	counted, healthy := 0, 0
	for _, q := range seg.Pieces {
		switch s.Pool.PieceStanding(q.Device) {
		case risk.Lost:
			p.lost[q.Device] = true
			continue
		case risk.Healthy:
			counted++
			healthy++
		case risk.Away:
			if !urgent {
				counted++
			}
		}
		p.kept = append(p.kept, q)
	}
	p.want = max(0, min(class.Optimal-counted, class.Total-len(p.kept)))
	if healthy >= class.Optimal {
		for _, q := range p.kept {
			if s.Pool.PieceStanding(q.Device) == risk.Leaving {
				p.left[q.Device] = true
			}
		}
	}
	return p
}

// copy moves pieces off devices that leave, as many as the plan wants: read from these devices themselves
// as long as they answer, and not rebuilt from K others. What cannot be read there is left to rebuilding.
func (s *Service) copy(ctx context.Context, seg metabase.Segment, p *plan) map[metabase.Piece]metabase.Piece {
	copied := make(map[metabase.Piece]metabase.Piece)
	for at, q := range p.kept {
		if p.want == 0 || ctx.Err() != nil {
			break
		}
		if s.Pool.PieceStanding(q.Device) != risk.Leaving || !s.Pool.Online(q.Device) {
			continue
		}
		to, err := s.Engine.Copy(ctx, seg, q, p.kept)
		if err != nil {
			s.Log.Debug("a piece could not be copied", "segment", seg.ID, "piece", q.Index, "device", q.Device, "error", err)
			continue
		}
		copied[q], p.kept[at] = to, to
		p.want--
	}
	return copied
}

// restore rebuilds one segment and commits its new list.
func (s *Service) restore(ctx context.Context, seg metabase.Segment) error {
	p := s.plan(seg)
	copied := s.copy(ctx, seg, &p)
	lease, added, err := seg.Lease, []metabase.Piece(nil), error(nil)
	if p.want > 0 || len(copied) == 0 {
		lease, added, err = s.Engine.Rebuild(ctx, seg, p.kept, p.want)
	}
	moved := lease != seg.Lease && lease != 0
	if moved && len(added) < p.want {
		// A segment moves to a new lease whole or not at all; the comparison of lists finds the rest.
		return errors.Join(err, fmt.Errorf("%d of %d pieces under lease %d", len(added), p.want, lease))
	}
	if len(added)+len(copied) == 0 && (err != nil || len(p.lost)+len(p.left) == 0) {
		return err
	}
	commit := s.DB.UpdateSegment(ctx, seg.ID, p.lost, func(now *metabase.Segment) error {
		if moved {
			now.Lease, now.Pieces = lease, nil
		}
		holds := make(map[uint8]bool)
		kept := now.Pieces[:0:0]
		for _, q := range now.Pieces {
			if to, ok := copied[q]; ok {
				q = to
			} else if p.lost[q.Device] || p.left[q.Device] {
				continue
			}
			kept = append(kept, q)
			holds[q.Index] = true
		}
		for _, q := range added {
			if !holds[q.Index] {
				kept = append(kept, q)
			}
		}
		now.Pieces = kept
		s.rate(now)
		return nil
	})
	if errors.Is(commit, metabase.ErrNoSegment) {
		// The object was deleted meanwhile: what was added belongs to nobody.
		for _, q := range copied {
			added = append(added, q)
		}
		seg.Pieces, seg.Lease = added, lease
		return s.DB.Discard(ctx, []metabase.Segment{seg})
	}
	if commit != nil {
		return errors.Join(err, commit)
	}
	s.note(func(st *Status) {
		st.Rebuilt += uint64(len(added))
		st.Copied += uint64(len(copied))
	})
	s.metrics.rebuilt.Add(float64(len(added)))
	s.metrics.copied.Add(float64(len(copied)))
	s.Log.Info("segment repaired", "segment", seg.ID, "added", len(added), "copied", len(copied), "lost", len(p.lost), "left", len(p.left), "wanted", p.want)
	return err
}
