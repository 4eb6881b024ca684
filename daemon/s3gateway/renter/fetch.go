package renter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// Errors of reading.
var (
	// ErrUnavailable means that fewer pieces can be read now than are needed. The nodes that hold
	// the others may come back.
	ErrUnavailable = errors.New("too few pieces can be read")
	// ErrSegmentCorrupt means that the pieces are those that were stored, and still do not open:
	// the key is another one, or the metadata are damaged.
	ErrSegmentCorrupt = errors.New("segment does not open")
	// ErrRange means that a range leaves the object.
	ErrRange = errors.New("range is outside the object")
)

// Fetch writes bytes off to off+n-1 of the plaintext that segs hold, in order, to w. objectID and key
// are those of Store, and segs are all of its segments. Errors: ErrUnavailable, ErrSegmentCorrupt,
// ErrRange, and those of w as they are; w may have got a part, which is right as far as it goes.
func (e *Engine) Fetch(ctx context.Context, key seal.DataKey, objectID [16]byte, segs []metabase.Segment, off, n int64, w io.Writer) error {
	if off < 0 || n < 0 {
		return fmt.Errorf("%d bytes from %d: %w", n, off, ErrRange)
	}
	if e.Pool.Lease() == nil && len(segs) > 0 { // just started
		if err := e.Leases.Read(ctx); err != nil {
			return fmt.Errorf("reading nodes and lease: %w", err)
		}
	}
	var parts []*segmentRange
	for i, seg := range segs {
		size := int64(seg.PlainSize)
		if off < size && n > 0 {
			take := min(n, size-off)
			r, err := e.newRange(seg, key.Segment(objectID, uint32(i)), int(off), int(take))
			if err != nil {
				return fmt.Errorf("segment %s: %w", seg.ID, err)
			}
			parts = append(parts, r)
			n -= take
			off = 0
		} else {
			off -= min(off, size)
		}
	}
	if n > 0 {
		return fmt.Errorf("%d bytes beyond the end: %w", n, ErrRange)
	}
	return e.deliver(ctx, parts, w)
}

// deliver writes ranges in order, gathering the next ones meanwhile. The first always gets its share
// of the memory budget, those ahead only what is free: a reader that stands still holds up nobody.
func (e *Engine) deliver(ctx context.Context, parts []*segmentRange, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	next := 0
	defer func() {
		cancel()
		for _, r := range parts[:next] {
			r.wait()
		}
	}()
	for i, r := range parts {
		if next <= i {
			release, err := e.acquire(ctx, r.memory())
			if err != nil {
				return err
			}
			r.begin(ctx, release)
			next = i + 1
		}
		for next < len(parts) && next < i+e.Config.Ahead && e.memory.TryAcquire(min(parts[next].memory(), e.Config.Memory)) {
			memory := min(parts[next].memory(), e.Config.Memory)
			parts[next].begin(ctx, func() { e.memory.Release(memory) })
			next++
		}
		err := r.write(ctx, w)
		r.wait()
		if err != nil {
			return fmt.Errorf("reading segment %s: %w", r.segment.ID, err)
		}
	}
	return nil
}

// segmentRange is the reading of one range of one segment.
type segmentRange struct {
	engine   *Engine
	segment  metabase.Segment
	class    erasure.Class
	geometry erasure.Geometry
	sealer   *seal.Sealer
	off, n   int // of the plaintext, what is left to write

	excluded map[int]bool // pieces that were wrong
	done     chan struct{}
	parts    *gathered
	err      error
	release  func()
}

func (e *Engine) newRange(seg metabase.Segment, key seal.SegmentKey, off, n int) (*segmentRange, error) {
	class, ok := erasure.ClassByName(seg.Class)
	if !ok {
		return nil, fmt.Errorf("redundancy class %q is not known: %w", seg.Class, ErrSegmentCorrupt)
	}
	geometry := class.Geometry(int(seg.SealedSize))
	if geometry.Stripes == 0 || len(seg.PieceRoots) != class.Total {
		return nil, fmt.Errorf("%d bytes sealed, %d roots: %w", seg.SealedSize, len(seg.PieceRoots), ErrSegmentCorrupt)
	}
	if size, err := seal.PlaintextSize(int(seg.SealedSize)); err != nil || size != int(seg.PlainSize) {
		return nil, fmt.Errorf("%d bytes sealed, %d plain: %w", seg.SealedSize, seg.PlainSize, ErrSegmentCorrupt)
	}
	sealer, err := key.Sealer()
	if err != nil {
		return nil, err
	}
	return &segmentRange{
		engine: e, segment: seg, class: class, geometry: geometry, sealer: sealer,
		off: off, n: n, excluded: make(map[int]bool),
	}, nil
}

// span is where the rest of the range lies: its first record, in the sealed segment, and in every
// piece.
func (r *segmentRange) span() (record, sealedOff, sealedLen, pieceOff, pieceLen int, err error) {
	record, _, sealedOff, sealedLen, err = seal.RecordsFor(int(r.segment.SealedSize), r.off, r.n)
	if err == nil {
		_, _, pieceOff, pieceLen, err = r.geometry.StripesFor(sealedOff, sealedLen)
	}
	return record, sealedOff, sealedLen, pieceOff, pieceLen, err
}

// spares are the pieces asked for beyond those needed where the parts are small.
const spares = 2

func (r *segmentRange) memory() int64 {
	_, _, _, _, pieceLen, err := r.span()
	if err != nil {
		return 0
	}
	return int64(pieceLen) * int64(r.class.K+spares)
}

// begin gathers in the background.
func (r *segmentRange) begin(ctx context.Context, release func()) {
	r.release = release
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		_, sealedOff, sealedLen, pieceOff, pieceLen, err := r.span()
		if err != nil {
			r.err = err
			return
		}
		r.parts, r.err = r.engine.gather(ctx, gatherRequest{
			segment: &r.segment, class: r.class, off: pieceOff, n: pieceLen, excluded: r.excluded,
			holds: func(i int) bool { return r.geometry.Holds(i, sealedOff, sealedLen) },
		})
	}()
}

// wait ends the reading and gives back what it holds. It may be called more than once.
func (r *segmentRange) wait() {
	<-r.done
	if r.parts != nil {
		r.parts.free()
		r.parts = nil
	}
	if r.release != nil {
		r.release()
		r.release = nil
	}
}

// write decodes, opens and writes the range. When the bytes do not open it finds the pieces that
// lie, and reads the rest of the range without them.
func (r *segmentRange) write(ctx context.Context, w io.Writer) error {
	for {
		<-r.done
		if r.err != nil {
			return r.err
		}
		err := r.open(w)
		if !errors.Is(err, seal.ErrCorrupt) {
			return err
		}
		if err := r.convict(ctx); err != nil {
			return err
		}
		release := r.release
		r.parts.free()
		r.parts = nil
		r.begin(ctx, release)
	}
}

// window is how many stripes are decoded and opened at a time, as bytes of sealed data: enough to
// make calls cheap, few enough to stay in the cache.
const window = 256 << 10

// open decodes what was gathered, window by window, and writes it. off and n move along, so that a
// second attempt goes on where the first stopped.
func (r *segmentRange) open(w io.Writer) error {
	codec := r.engine.codecs[r.class.Name]
	record, sealedOff, sealedLen, pieceOff, _, err := r.span()
	if err != nil {
		return err
	}
	stripe := r.class.K * erasure.ShareSize
	step := max(1, window/stripe) * stripe
	e := r.engine
	sealed, plain := e.slabs.get(step), e.slabs.get(step)
	defer e.slabs.put(sealed)
	defer e.slabs.put(plain)
	last := seal.Records(int(r.segment.PlainSize)) - 1
	for sealedLen > 0 {
		// Windows end at stripes, so that every one but the first and last is made of whole ones.
		n := min(sealedLen, step-sealedOff%stripe)
		_, _, off, length, err := r.geometry.StripesFor(sealedOff, n)
		if err != nil {
			return err
		}
		in := (*sealed)[:n]
		if err := codec.DecodeRange(in, r.geometry, sealedOff, r.parts.window(off-pieceOff, length)); err != nil {
			return err
		}
		out := (*plain)[:0]
		for at := 0; at < n; at += seal.RecordSize {
			place := seal.Inner
			if record == last {
				place = seal.Final
			}
			if out, err = r.sealer.OpenRecord(out, record, place, in[at:min(at+seal.RecordSize, n)]); err != nil {
				return err
			}
			record++
		}
		// What the first record holds before the range, and the last one after it, is not asked for.
		out = out[r.skip(sealedOff):]
		out = out[:min(len(out), r.n)]
		if _, err := w.Write(out); err != nil {
			return err
		}
		r.off += len(out)
		r.n -= len(out)
		sealedOff += n
		sealedLen -= n
	}
	return nil
}

// skip is how many bytes of plaintext lie between the record at sealedOff and off.
func (r *segmentRange) skip(sealedOff int) int {
	record := sealedOff / seal.RecordSize
	if record == 0 {
		return r.off
	}
	return r.off - (seal.Room(0) + (record-1)*seal.Room(1))
}

// convict finds which of the gathered pieces are not what was stored, and keeps them out of the next
// attempt. ErrSegmentCorrupt when none is.
func (r *segmentRange) convict(ctx context.Context) error {
	e := r.engine
	guilty := 0
	for index, part := range r.parts.data {
		if part == nil {
			continue
		}
		wrong, err := e.lies(ctx, r.segment, r.geometry, index, r.parts.device[index], r.parts.off, part)
		if err != nil {
			// It does not let itself be checked now; the read can do without it.
			r.excluded[index] = true
			guilty++
			continue
		}
		if wrong {
			r.excluded[index] = true
			guilty++
			e.accuse(r.segment, metabase.Piece{Index: uint8(index), Device: r.parts.device[index]})
		}
	}
	if guilty == 0 {
		return ErrSegmentCorrupt
	}
	return nil
}

// lies tells whether a part is not what the piece's root says. A part of less than the piece is
// compared with the whole, which is fetched for that.
func (e *Engine) lies(ctx context.Context, seg metabase.Segment, g erasure.Geometry, index int, device uint64, off int, part []byte) (bool, error) {
	if len(part) == g.PieceSize {
		return piece.RootOf(part) != seg.PieceRoots[index], nil
	}
	whole := e.slabs.get(erasure.MaxPiece)
	defer e.slabs.put(whole)
	b := (*whole)[:g.PieceSize]
	err := e.Links.Do(ctx, device, seg.Lease, func(conn *wire.Conn) error {
		_, err := conn.GetBytes(ctx, e.PieceID(seg.Bucket, seg.ID, uint8(index)), 0, b)
		return err
	})
	if err != nil {
		e.Links.Blame(device, err)
		return false, err
	}
	return piece.RootOf(b) != seg.PieceRoots[index] || string(b[off:off+len(part)]) != string(part), nil
}

// accuse counts a wrong piece and tells whoever repairs.
func (e *Engine) accuse(seg metabase.Segment, p metabase.Piece) {
	e.Pool.Caught(p.Device)
	e.Metrics.foundCorrupt()
	e.Log.Warn("node returned a corrupt piece", "segment", seg.ID, "piece", p.Index, "device", p.Device)
	if e.Corrupt != nil {
		e.Corrupt(seg.ID, p)
	}
}

// gatherRequest asks for the same bytes of enough pieces of a segment to restore what a reader wants.
type gatherRequest struct {
	segment  *metabase.Segment
	class    erasure.Class
	off, n   int              // in every piece
	holds    func(i int) bool // whether data piece i is enough for its part of the range
	excluded map[int]bool     // pieces not to ask for
	verify   bool             // compare whole pieces with their roots as they come
}

// gathered are the parts that came.
type gathered struct {
	pool   *slabPool
	off    int
	data   [][]byte // by piece; nil where missing
	device []uint64
	slabs  []*[]byte
	view   [][]byte
}

// window returns n bytes from off on of every part.
func (g *gathered) window(off, n int) [][]byte {
	if g.view == nil {
		g.view = make([][]byte, len(g.data))
	}
	for i, d := range g.data {
		g.view[i] = nil
		if d != nil {
			g.view[i] = d[off : off+n]
		}
	}
	return g.view
}

func (g *gathered) free() {
	for _, s := range g.slabs {
		g.pool.put(s)
	}
	g.slabs = nil
}

// partSlab rounds the size of a part up to one of few, so that slabs are shared.
func partSlab(n int) int {
	for _, size := range []int{erasure.ShareSize, wireFrame, 256 << 10} {
		if n <= size {
			return size
		}
	}
	return erasure.MaxPiece
}

// get is one part on its way.
type get struct {
	index  int
	device uint64
	slab   *[]byte
	cancel context.CancelFunc
}

type getResult struct {
	get  *get
	took time.Duration
	err  error
}

// gather reads parts until a reader can do with them: all data pieces that hold the range, or any K.
// It asks the best nodes first, one more for each that fails, spares at once where parts are small,
// and one more whenever the rest takes longer than three quarters of such gets did lately.
func (e *Engine) gather(ctx context.Context, q gatherRequest) (*gathered, error) {
	order := e.order(q)
	out := &gathered{
		pool: &e.slabs, off: q.off, data: make([][]byte, q.class.Total), device: make([]uint64, q.class.Total),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan getResult, len(order))
	var running []*get
	start := func() bool {
		if len(order) == 0 {
			return false
		}
		p := order[0]
		order = order[1:]
		running = append(running, e.startGet(ctx, q, p, results))
		return true
	}
	ready := func(counted func(i int) bool) bool {
		have, missing := 0, 0
		for i := range q.class.Total {
			switch {
			case counted(i):
				have++
			case i < q.class.K && q.holds(i):
				missing++
			}
		}
		return missing == 0 || have >= q.class.K
	}
	came := func(i int) bool { return out.data[i] != nil }
	hoped := func(i int) bool {
		return came(i) || slices.ContainsFunc(running, func(g *get) bool { return g.index == i })
	}
	for !ready(hoped) && start() {
	}
	if q.n <= wireFrame && len(running) >= q.class.K {
		for range spares {
			start()
		}
	}
	timer := e.Clock.NewTimer(e.hedgeAfter(q.n))
	defer timer.Stop()
	var failures error
	for !ready(came) {
		if len(running) == 0 {
			out.free()
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, failures)
		}
		select {
		case r := <-results:
			at := slices.Index(running, r.get)
			running = slices.Delete(running, at, at+1)
			r.get.cancel()
			if r.err == nil {
				out.data[r.get.index] = (*r.get.slab)[:q.n]
				out.device[r.get.index] = r.get.device
				out.slabs = append(out.slabs, r.get.slab)
				continue
			}
			e.slabs.put(r.get.slab)
			failures = errors.Join(failures, r.err)
			for !ready(hoped) && start() {
			}
		case <-timer.C():
			// One more node; where single shares were asked for, as many as decoding takes.
			if start() {
				e.Metrics.hedgedGet()
			}
			for without := len(running) > 0; without && !ready(func(i int) bool { return hoped(i) && i != running[0].index }) && start(); {
			}
			timer.Reset(e.hedgeAfter(q.n))
		case <-ctx.Done():
			e.strand(running, results)
			out.free()
			return nil, ctx.Err()
		}
	}
	cancel()
	e.strand(running, results)
	return out, nil
}

// strand takes back the memory of gets that nobody waits for once they have ended.
func (e *Engine) strand(running []*get, results <-chan getResult) {
	if len(running) == 0 {
		return
	}
	e.stray.Go(func() {
		for range running {
			r := <-results
			r.get.cancel()
			e.slabs.put(r.get.slab)
		}
	})
}

// hedgeAfter is how long to wait for parts of n bytes before asking one more node.
func (e *Engine) hedgeAfter(n int) time.Duration {
	const least, unknown = 20 * time.Millisecond, 300 * time.Millisecond
	p75 := e.times.p75(n)
	if p75 == 0 {
		return unknown
	}
	return max(least, 2*p75)
}

// startGet reads one part in the background.
func (e *Engine) startGet(ctx context.Context, q gatherRequest, p metabase.Piece, results chan<- getResult) *get {
	ctx, cancel := context.WithCancel(ctx)
	g := &get{index: int(p.Index), device: p.Device, slab: e.slabs.get(partSlab(q.n)), cancel: cancel}
	began := e.Clock.Now()
	go func() {
		err := e.get(ctx, q, p, (*g.slab)[:q.n])
		results <- getResult{get: g, took: e.Clock.Now().Sub(began), err: err}
	}()
	return g
}

func (e *Engine) get(ctx context.Context, q gatherRequest, p metabase.Piece, dst []byte) error {
	var took time.Duration
	err := e.Links.Do(ctx, p.Device, q.segment.Lease, func(conn *wire.Conn) error {
		began := e.Clock.Now()
		_, err := conn.GetBytes(ctx, e.PieceID(q.segment.Bucket, q.segment.ID, p.Index), int64(q.off), dst)
		took = e.Clock.Now().Sub(began)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			e.Links.Blame(p.Device, err)
			if errors.Is(err, wire.ErrNotFound) || errors.Is(err, wire.ErrCorrupt) {
				e.accuse(*q.segment, p)
			}
		}
		return err
	}
	if q.verify && piece.RootOf(dst) != q.segment.PieceRoots[p.Index] {
		e.accuse(*q.segment, p)
		return fmt.Errorf("piece %d of segment %s from device %d: %w", p.Index, q.segment.ID, p.Device, wire.ErrCorrupt)
	}
	e.times.add(len(dst), took)
	e.Pool.Succeeded(p.Device, smallOnly(int64(len(dst)), took))
	e.Metrics.got(int64(len(dst)), took)
	return nil
}

// order lists the pieces to ask for, best first: data pieces that hold the range on nodes about as
// quick as others, as they need no decoding; then the quickest; nodes that seem offline last.
func (e *Engine) order(q gatherRequest) []metabase.Piece {
	type ranked struct {
		piece metabase.Piece
		cost  float64
	}
	list := make([]ranked, 0, len(q.segment.Pieces))
	var costs []float64
	for _, p := range q.segment.Pieces {
		if int(p.Index) >= q.class.Total || q.excluded[int(p.Index)] {
			continue
		}
		cost := e.Pool.Cost(p.Device)
		list = append(list, ranked{p, cost})
		if !math.IsInf(cost, 1) {
			costs = append(costs, cost)
		}
	}
	median := 0.0
	if len(costs) > 0 {
		slices.Sort(costs)
		median = costs[len(costs)/2]
	}
	for i, r := range list {
		const bearable = 3
		if int(r.piece.Index) < q.class.K && q.holds(int(r.piece.Index)) && r.cost <= bearable*median {
			list[i].cost = -1
		}
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return cmp.Compare(a.cost, b.cost) })
	order := make([]metabase.Piece, len(list))
	for i, r := range list {
		order[i] = r.piece
	}
	return order
}
