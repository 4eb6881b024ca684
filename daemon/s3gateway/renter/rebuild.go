package renter

import (
	"context"
	"fmt"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/segment"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// Rebuild makes want more pieces of a segment and stores them, under the present lease, on nodes that
// are independent of each other and of those that hold kept; a segment of another lease keeps none.
// It reads any K pieces, whole, each checked against its root, and opens none: no key is needed. It
// returns the lease and the new pieces, which are fewer than want where nodes lack; ErrTooFewNodes when
// there is none at all, ErrUnavailable when K pieces cannot be read.
//
// INV-REBUILD-1: what is stored matches the segment's root. Roots are compared before anything is
// sent, and the root over all of them with the segment's before anything is read.
func (e *Engine) Rebuild(ctx context.Context, seg metabase.Segment, kept []metabase.Piece, want int) (lease uint64, added []metabase.Piece, err error) {
	class, ok := erasure.ClassByName(seg.Class)
	if !ok {
		return 0, nil, fmt.Errorf("redundancy class %q is not known: %w", seg.Class, ErrSegmentCorrupt)
	}
	geometry := class.Geometry(int(seg.SealedSize))
	if geometry.Stripes == 0 || len(seg.PieceRoots) != class.Total || segment.Root(seg.PieceRoots) != seg.Root {
		return 0, nil, fmt.Errorf("roots of segment %s do not match: %w", seg.ID, ErrSegmentCorrupt)
	}
	queue := unheld(class, kept)
	if want = min(want, len(queue)); want <= 0 {
		return seg.Lease, nil, nil
	}
	current := e.Pool.Lease()
	if current == nil || current.ID != seg.Lease && len(kept) > 0 {
		return 0, nil, fmt.Errorf("segment %s lies under lease %d, which is not the present one: %w", seg.ID, seg.Lease, ErrNotInLease)
	}
	target := seg
	target.Lease = current.ID
	u := e.newUpload(&target, class, e.nodes(kept))
	if u.placement.Exhausted() { // before anything is read, and paid, for nothing
		return 0, nil, fmt.Errorf("rebuilding segment %s: %w", seg.ID, u.placement.Shortage(len(kept)))
	}
	release, err := e.acquire(ctx, int64(class.Total)*int64(geometry.PieceSize))
	if err != nil {
		return 0, nil, err
	}
	got, err := e.gather(ctx, gatherRequest{
		segment: &seg, class: class, n: geometry.PieceSize, verify: true,
		holds: func(int) bool { return true },
	})
	if err != nil {
		release()
		return 0, nil, err
	}
	free := func() {
		got.free()
		release()
	}
	// Spare pieces beyond want replace slow nodes, as in Store; they cost no reading.
	const spare = 2
	queue = queue[:min(len(queue), want+spare)]
	var missing []int
	for _, i := range queue {
		if got.data[i] == nil {
			missing = append(missing, i)
		}
	}
	if err := e.codecs[class.Name].Rebuild(got.data, missing); err != nil {
		free()
		return 0, nil, fmt.Errorf("rebuilding segment %s: %w", seg.ID, err)
	}
	for _, i := range missing {
		if piece.RootOf(got.data[i]) != seg.PieceRoots[i] {
			free()
			return 0, nil, fmt.Errorf("piece %d of segment %s was rebuilt with another root: %w", i, seg.ID, ErrSegmentCorrupt)
		}
	}
	u.queue, u.want, u.need = queue, want, 1
	u.data, u.size = func(i int) [][]byte { return [][]byte{got.data[i]} }, geometry.PieceSize
	err = u.run(ctx)
	e.stray.Go(func() {
		u.puts.Wait()
		free()
	})
	return current.ID, u.stored, err
}

// Copy stores a piece anew, under the same index, on a node that is independent of those that hold kept:
// read from where it lies, at the price of one piece and not of the K that rebuilding reads. It returns
// the new place. What it read is held against the segment's roots first (INV-REBUILD-1). ErrTooFewNodes
// when no node is left, and what reading says when the piece is not to be had: then it must be rebuilt.
func (e *Engine) Copy(ctx context.Context, seg metabase.Segment, p metabase.Piece, kept []metabase.Piece) (metabase.Piece, error) {
	class, ok := erasure.ClassByName(seg.Class)
	if !ok {
		return p, fmt.Errorf("redundancy class %q is not known: %w", seg.Class, ErrSegmentCorrupt)
	}
	size := class.Geometry(int(seg.SealedSize)).PieceSize
	if int(p.Index) >= class.Total || size == 0 || len(seg.PieceRoots) != class.Total || segment.Root(seg.PieceRoots) != seg.Root {
		return p, fmt.Errorf("roots of segment %s do not match: %w", seg.ID, ErrSegmentCorrupt)
	}
	if current := e.Pool.Lease(); current == nil || current.ID != seg.Lease {
		return p, fmt.Errorf("segment %s lies under lease %d, which is not the present one: %w", seg.ID, seg.Lease, ErrNotInLease)
	}
	u := e.newUpload(&seg, class, e.nodes(kept))
	if u.placement.Exhausted() {
		return p, fmt.Errorf("copying piece %d of segment %s: %w", p.Index, seg.ID, u.placement.Shortage(len(kept)))
	}
	release, err := e.acquire(ctx, int64(size))
	if err != nil {
		return p, err
	}
	slab := e.slabs.get(partSlab(size))
	free := func() {
		e.slabs.put(slab)
		release()
	}
	data := (*slab)[:size]
	if err := e.get(ctx, gatherRequest{segment: &seg, class: class, n: size, verify: true}, p, data); err != nil {
		free()
		return p, fmt.Errorf("copying piece %d of segment %s: %w", p.Index, seg.ID, err)
	}
	u.queue, u.want, u.need = []int{int(p.Index)}, 1, 1
	u.data, u.size = func(int) [][]byte { return [][]byte{data} }, size
	err = u.run(ctx)
	e.stray.Go(func() {
		u.puts.Wait()
		free()
	})
	if err != nil {
		return p, err
	}
	return u.stored[0], nil
}

// nodes are those that hold pieces.
func (e *Engine) nodes(held []metabase.Piece) []Node {
	nodes := make([]Node, 0, len(held))
	for _, p := range held {
		n, ok := e.Pool.Node(p.Device)
		if !ok {
			n = Node{Device: p.Device}
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// unheld lists the pieces of a class that are not among kept, data pieces first.
func unheld(class erasure.Class, kept []metabase.Piece) []int {
	held := make([]bool, class.Total)
	for _, p := range kept {
		if int(p.Index) < class.Total {
			held[p.Index] = true
		}
	}
	var list []int
	for i, h := range held {
		if !h {
			list = append(list, i)
		}
	}
	return list
}
