package renter

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/core/segment"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// Durability says what Store must reach before it returns a segment.
type Durability uint8

// Durabilities.
const (
	// Optimal demands the class's Optimal receipts.
	Optimal Durability = iota
	// Repairable is content with Repair+2 where the nodes for more are not there; repair adds the
	// rest when they are.
	Repairable
)

// need is how many receipts a segment of a class must have.
func (d Durability) need(c erasure.Class) int {
	if d == Repairable {
		return min(c.Repair+2, c.Optimal)
	}
	return c.Optimal
}

// StoreRequest says how a stream is stored.
type StoreRequest struct {
	// Bucket is the bucket whose piece secret the pieces' ids derive from.
	Bucket string
	// ObjectID is bound into every record; with Key it must be new for every stream.
	ObjectID [16]byte
	Key      seal.DataKey
	// Class is the name of the class wished for; empty lets the engine choose.
	Class string
	// FirstSegment is the number of the first segment under Key.
	FirstSegment int
	Durability   Durability
}

// Store seals r to its end, spreads it over nodes and returns its segments and its length in bytes.
// An empty r has no segments. When Store fails it has discarded what it stored. Errors:
// ErrTooFewNodes when nodes lack, those of r as they are.
func (e *Engine) Store(ctx context.Context, req StoreRequest, r io.Reader) ([]metabase.Segment, int64, error) {
	br := e.readers.Get().(*bufio.Reader)
	br.Reset(r)
	defer func() {
		br.Reset(nil)
		e.readers.Put(br)
	}()
	head, err := br.Peek(SmallObject + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, 0, fmt.Errorf("reading the object: %w", err)
	case len(head) == 0:
		return nil, 0, nil
	}
	small := len(head) <= SmallObject
	class, err := e.readyClass(ctx, req.Class, small)
	if err != nil {
		return nil, 0, err
	}
	run, plain := longRun, segment.PlaintextSize(class)
	if small {
		plain = min(plain, len(head))
		if seal.SealedSize(len(head)) <= class.K*erasure.ShareSize {
			run = shortRun
		}
	}
	s := &storing{engine: e, request: req, class: class, slots: make(chan struct{}, e.Config.Ahead)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	err = s.read(br, run, footprint(class, run, plain))
	if err != nil {
		s.cancel(err)
	}
	s.uploads.Wait()
	if err == nil {
		err = context.Cause(s.ctx)
	}
	if err != nil {
		s.discard()
		return nil, 0, err
	}
	return s.segments, s.size, nil
}

// storing is one Store.
type storing struct {
	engine  *Engine
	request StoreRequest
	class   erasure.Class
	ctx     context.Context
	cancel  context.CancelCauseFunc
	slots   chan struct{} // one token for each segment under way
	uploads sync.WaitGroup
	size    int64

	mu       sync.Mutex         // guards segments while uploads run
	segments []metabase.Segment // in order; those that failed hold what may be stored of them
}

// read cuts the stream into coded segments and hands each to an upload.
func (s *storing) read(br *bufio.Reader, run int, memory int64) error {
	e := s.engine
	coder := newCoder(e.codecs[s.class.Name], &e.slabs)
	for number := s.request.FirstSegment; ; number++ {
		if _, err := br.Peek(1); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the object: %w", err)
		}
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
		release, err := e.acquire(s.ctx, memory)
		if err != nil {
			return context.Cause(s.ctx)
		}
		began := e.Clock.Now()
		sealer, err := s.request.Key.Segment(s.request.ObjectID, uint32(number)).Sealer()
		if err != nil {
			release()
			return err
		}
		c, err := coder.segment(br, sealer, run)
		if err != nil {
			release()
			return err
		}
		e.Metrics.coded(c.plain, e.Clock.Now().Sub(began))
		s.size += int64(c.plain)
		s.upload(c, release)
	}
}

// upload sends a segment in the background.
func (s *storing) upload(c *coded, release func()) {
	s.mu.Lock()
	at := len(s.segments)
	s.segments = append(s.segments, metabase.Segment{})
	s.mu.Unlock()
	s.uploads.Go(func() {
		seg, err := s.engine.place(s.ctx, s.request, c, func() {
			c.free(&s.engine.slabs)
			release()
		})
		s.mu.Lock()
		s.segments[at] = seg
		s.mu.Unlock()
		if err != nil {
			s.cancel(err)
		}
		<-s.slots
	})
}

// discard queues what was stored for deletion, though the caller's context may be over.
func (s *storing) discard() {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), patience)
	defer cancel()
	stored := slices.DeleteFunc(s.segments, func(seg metabase.Segment) bool { return len(seg.Pieces) == 0 })
	if err := s.engine.Release(ctx, stored); err != nil {
		// The node's list differs from the metabase from now on; repair's comparison finds it.
		s.engine.Log.Warn("discarding an unfinished object", "error", err)
	}
}

// readyClass is Class, after the lease was given a chance to provide nodes.
func (e *Engine) readyClass(ctx context.Context, wish string, small bool) (erasure.Class, error) {
	c, err := e.Class(wish, small)
	if err != nil || e.Pool.Groups() >= c.Optimal {
		return c, err
	}
	if err := e.summon(ctx); err != nil {
		return c, err
	}
	return e.Class(wish, small)
}

// summon does what can be done at once about too few nodes: it asks those that were offline again,
// and lets the lease service open, widen and refill the lease.
func (e *Engine) summon(ctx context.Context) error {
	var probes sync.WaitGroup
	lease := e.Pool.Lease()
	wanting := lease == nil
	for _, c := range e.Pool.Candidates() {
		switch c.Excluded {
		case ReasonOffline:
			if lease != nil {
				probes.Go(func() { _ = e.Links.Probe(ctx, c.Device, lease.ID) })
			}
		case ReasonNoLease, ReasonFull, ReasonUnpaid:
			wanting = true
		}
	}
	var err error
	if wanting {
		err = e.Leases.Step(ctx)
	}
	probes.Wait()
	if err != nil {
		return fmt.Errorf("leasing storage: %w", err)
	}
	return ctx.Err()
}

// place stores the pieces of a coded segment on nodes. Where it fails, it returns the segment with
// every piece that some node may hold. free is called when nobody reads c any more, which may be
// after place has returned.
func (e *Engine) place(ctx context.Context, req StoreRequest, c *coded, free func()) (metabase.Segment, error) {
	var id metabase.SegmentID
	rand.Read(id[:])
	seg := metabase.Segment{
		ID: id, Bucket: req.Bucket, Class: c.class.Name,
		PlainSize: uint32(c.plain), SealedSize: uint32(c.geometry.SegmentSize),
		Root: segment.Root(c.roots), PieceRoots: c.roots,
	}
	lease := e.Pool.Lease()
	if lease == nil {
		free()
		return seg, NewPlacement(c.class, e.Pool.config.Policy, e.Pool.Candidates(), nil, rng()).Shortage(0)
	}
	seg.Lease = lease.ID
	queue := make([]int, c.class.Total)
	for i := range queue {
		queue[i] = i
	}
	u := e.newUpload(&seg, c.class, nil)
	u.queue, u.want, u.need = queue, c.class.Optimal, req.Durability.need(c.class)
	u.data, u.size = c.piece, c.geometry.PieceSize
	err := u.run(ctx)
	seg.Pieces = u.stored
	if err != nil && req.Class == "" && errors.Is(err, ErrTooFewNodes) && relabel(&seg) {
		e.Metrics.degraded()
		e.Log.Warn("segment stored in a smaller class", "segment", seg.ID, "class", seg.Class, "reason", err)
		err = nil
	}
	if err != nil {
		for _, p := range u.running {
			seg.Pieces = append(seg.Pieces, metabase.Piece{Index: uint8(p.index), Device: p.node.Device})
		}
	}
	e.stray.Go(func() {
		u.puts.Wait()
		free()
	})
	if class, ok := erasure.ClassByName(seg.Class); ok {
		seg.Risk = e.Pool.Risk(class, seg.Pieces, u.placement.Regions())
	}
	return seg, err
}

// relabel turns a segment of the small class into one of the dev class if it has the pieces for
// that. The two have the same K, and so the same pieces 0 to 9 (a row of the code's matrix depends on
// K and its number alone); nodes that died since the class was chosen cost pieces, not the write.
func relabel(seg *metabase.Segment) bool {
	if seg.Class != erasure.Small.Name {
		return false
	}
	var pieces []metabase.Piece
	for _, p := range seg.Pieces {
		if int(p.Index) < erasure.Dev.Total {
			pieces = append(pieces, p)
		}
	}
	if len(pieces) < erasure.Dev.Optimal {
		return false
	}
	seg.Class, seg.Pieces = erasure.Dev.Name, pieces
	seg.PieceRoots = seg.PieceRoots[:erasure.Dev.Total]
	seg.Root = segment.Root(seg.PieceRoots)
	return true
}

func (e *Engine) newUpload(seg *metabase.Segment, class erasure.Class, kept []Node) *upload {
	candidates := e.Pool.Candidates()
	return &upload{
		engine: e, segment: seg, class: class,
		placement: NewPlacement(class, e.Pool.config.Policy, candidates, kept, rng()),
		results:   make(chan putResult, class.Total+len(candidates)),
	}
}

// upload is the spreading of pieces of one segment.
type upload struct {
	engine    *Engine
	segment   *metabase.Segment // whose pieces; not changed
	class     erasure.Class
	placement *Placement
	need      int                      // receipts without which it fails
	want      int                      // receipts at which it is done
	data      func(index int) [][]byte // a piece's bytes
	size      int                      // of a piece

	puts    sync.WaitGroup
	results chan putResult
	running []*put
	queue   []int            // pieces that nobody was given, those beyond want are spare
	stored  []metabase.Piece // that receipts came for
	took    []time.Duration  // of the puts that went well, ascending
}

// put is one piece on its way to one node.
type put struct {
	index  int
	node   Node
	began  time.Time
	cancel context.CancelFunc
}

type putResult struct {
	put  *put
	took time.Duration
	err  error
}

// run starts as many puts as receipts are wanted and adds spare pieces on other nodes when three
// quarters are done and the rest takes half as long again: a spare that nobody needs costs the
// renter's uplink as much as one that is needed.
func (u *upload) run(ctx context.Context) error {
	e := u.engine
	defer func() {
		for _, p := range u.running {
			p.cancel()
		}
	}()
	for range u.want {
		if !u.startNext(ctx) {
			break
		}
	}
	timer := e.Clock.NewTimer(time.Hour)
	defer timer.Stop()
	hedged := false
	for len(u.stored) < u.want {
		if len(u.running) == 0 {
			return u.settle()
		}
		if wait, ok := u.patience(hedged); ok {
			timer.Reset(wait)
		}
		select {
		case r := <-u.results:
			at := slices.Index(u.running, r.put)
			if at < 0 {
				continue // given up; the piece went to another node
			}
			u.running = slices.Delete(u.running, at, at+1)
			r.put.cancel()
			if r.err == nil {
				u.stored = append(u.stored, metabase.Piece{Index: uint8(r.put.index), Device: r.put.node.Device})
				at, _ := slices.BinarySearch(u.took, r.took)
				u.took = slices.Insert(u.took, at, r.took)
				continue
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			why := e.Links.Blame(r.put.node.Device, r.err)
			e.Log.Debug("piece refused", "segment", u.segment.ID, "piece", r.put.index, "device", r.put.node.Device, "why", why, "error", r.err)
			e.Metrics.putFailed(why)
			u.placement.Fail(r.put.node, why)
			u.start(ctx, r.put.index)
		case <-timer.C():
			if !hedged {
				hedged = true
				for range u.want - len(u.stored) {
					if u.startNext(ctx) {
						e.Metrics.hedgedPut()
					}
				}
				continue
			}
			u.abandonStalled(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// settle decides when nothing is under way any more and the pieces wanted are not all there.
func (u *upload) settle() error {
	if len(u.stored) >= u.need {
		u.engine.Metrics.degraded()
		u.engine.Log.Warn("segment stored with fewer pieces than optimal", "segment", u.segment.ID, "pieces", len(u.stored), "wanted", u.want)
		return nil
	}
	return fmt.Errorf("storing a segment of %d bytes: %w", u.segment.PlainSize, u.placement.Shortage(len(u.stored)))
}

// patience is how long to wait for the next result before doing something about slow nodes; false
// while there is nothing to compare them with.
func (u *upload) patience(hedged bool) (time.Duration, bool) {
	if len(u.took) == 0 || (!hedged && 4*len(u.took) < 3*u.want) {
		return 0, false
	}
	began := u.running[0].began
	for _, p := range u.running {
		if p.began.Before(began) {
			began = p.began
		}
	}
	return u.limit(hedged) - u.engine.Clock.Now().Sub(began), true
}

// limit is how long a put may take before a spare joins it, or, once spares were added, before it
// is given up.
func (u *upload) limit(hedged bool) time.Duration {
	if hedged {
		return u.engine.Config.Stall + 4*u.took[len(u.took)/2]
	}
	const least = 20 * time.Millisecond
	slowest := u.took[len(u.took)-1]
	return max(least, slowest+slowest/2)
}

// abandonStalled gives the pieces of nodes that stand still to others.
func (u *upload) abandonStalled(ctx context.Context) {
	now, limit := u.engine.Clock.Now(), u.limit(true)
	for _, p := range slices.Clone(u.running) {
		if now.Sub(p.began) < limit {
			continue
		}
		p.cancel()
		at := slices.Index(u.running, p)
		u.running = slices.Delete(u.running, at, at+1)
		u.engine.Pool.Failed(p.node.Device)
		u.engine.Metrics.stalled()
		u.placement.Fail(p.node, ReasonFailed)
		u.start(ctx, p.index)
	}
}

// startNext starts the next piece of the queue; false when there is none, or no node for it.
func (u *upload) startNext(ctx context.Context) bool {
	if len(u.queue) == 0 || !u.start(ctx, u.queue[0]) {
		return false
	}
	u.queue = u.queue[1:]
	return true
}

// start sends a piece to the next best node; false when there is none.
func (u *upload) start(ctx context.Context, index int) bool {
	node, ok := u.placement.Next()
	if !ok {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &put{index: index, node: node, began: u.engine.Clock.Now(), cancel: cancel}
	u.running = append(u.running, p)
	u.puts.Go(func() {
		err := u.put(ctx, p)
		u.results <- putResult{put: p, took: u.engine.Clock.Now().Sub(p.began), err: err}
	})
	return true
}

// put stores one piece and returns when a verified receipt is here.
func (u *upload) put(ctx context.Context, p *put) error {
	e := u.engine
	id := e.PieceID(u.segment.Bucket, u.segment.ID, uint8(p.index))
	size := int64(u.size)
	var took time.Duration
	var receipt piece.SignedReceipt
	err := e.Links.Do(ctx, p.node.Device, u.segment.Lease, func(conn *wire.Conn) (err error) {
		began := e.Clock.Now()
		receipt, err = conn.PutBytes(ctx, id, u.segment.Expiry, &u.segment.PieceRoots[p.index], u.data(p.index)...)
		took = e.Clock.Now().Sub(began)
		return err
	})
	if err != nil {
		return err
	}
	e.Pool.Succeeded(p.node.Device, smallOnly(size, took))
	e.Pool.AddBytes(p.node.Device, size, 1)
	e.Metrics.put(size, took)
	if e.Receipt != nil {
		e.Receipt(u.segment.ID, uint8(p.index), receipt)
	}
	return nil
}

// smallOnly is the time of a transfer that says something about the node rather than the line.
func smallOnly(size int64, took time.Duration) time.Duration {
	if size > wireFrame {
		return 0
	}
	return took
}

// StoreBytes is Store of a slice.
func (e *Engine) StoreBytes(ctx context.Context, req StoreRequest, b []byte) ([]metabase.Segment, error) {
	segs, _, err := e.Store(ctx, req, bytes.NewReader(b))
	return segs, err
}
