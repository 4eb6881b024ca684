package erasure

import (
	"fmt"
	//consensus:ok buffers are pooled; no result depends on which one a call gets
	"sync"
	"sync/atomic"

	"github.com/klauspost/reedsolomon"
)

// Codec encodes and decodes segments of one class. Safe for concurrent use; each call works on the
// caller's goroutine alone.
type Codec struct {
	class   Class
	scratch sync.Pool // of *scratch

	// The library remembers the inverted matrix of every set of missing pieces that it meets and
	// never forgets one; current is replaced before that grows beyond a few megabytes.
	current atomic.Pointer[epoch]
}

// epoch is an encoder and the number of decodes that may still be started on it.
type epoch struct {
	rs   reedsolomon.Encoder
	left atomic.Int64
}

// maxPatterns bounds the sets of missing pieces whose matrices one encoder remembers.
const maxPatterns = 256

// scratch is the memory of one call: a header per share, and one stripe of data that is not wanted
// whole.
type scratch struct {
	shares [][]byte
	want   []bool
	data   []byte
}

// NewCodec returns the codec of a class; an error if the class makes no sense.
func NewCodec(c Class) (*Codec, error) {
	if c.K < 1 || c.Repair < c.K || c.Optimal < c.Repair || c.Total < c.Optimal || c.Total > 256 {
		return nil, fmt.Errorf("class %q: want 1 <= %d <= %d <= %d <= %d <= 256", c.Name, c.K, c.Repair, c.Optimal, c.Total)
	}
	codec := &Codec{class: c}
	codec.scratch.New = func() any {
		return &scratch{
			shares: make([][]byte, c.Total),
			want:   make([]bool, c.Total),
			data:   make([]byte, c.K*ShareSize),
		}
	}
	e, err := newEpoch(c)
	if err != nil {
		return nil, err
	}
	codec.current.Store(e)
	return codec, nil
}

func newEpoch(c Class) (*epoch, error) {
	rs, err := reedsolomon.New(c.K, c.Total-c.K, reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		return nil, fmt.Errorf("building matrix of class %q: %w", c.Name, err)
	}
	e := &epoch{rs: rs}
	e.left.Store(maxPatterns)
	return e, nil
}

// decoder returns the encoder to decode one segment with.
func (c *Codec) decoder() (reedsolomon.Encoder, error) {
	e := c.current.Load()
	if e.left.Add(-1) >= 0 {
		return e.rs, nil
	}
	fresh, err := newEpoch(c.class)
	if err != nil {
		return nil, err
	}
	c.current.CompareAndSwap(e, fresh)
	return fresh.rs, nil
}

// release keeps s for the next call, without holding on to the caller's memory.
func (c *Codec) release(s *scratch) {
	clear(s.shares)
	c.scratch.Put(s)
}

// Class returns what the codec was made for.
func (c *Codec) Class() Class { return c.class }

// Encode codes a whole segment into pieces, Total slices of Geometry(len(segment)).PieceSize bytes
// each, stripe by stripe. It does not keep segment.
func (c *Codec) Encode(segment []byte, pieces [][]byte) error {
	g := c.class.Geometry(len(segment))
	if g.Stripes == 0 {
		return fmt.Errorf("encoding a segment of %d bytes, want 1..%d: %w", len(segment), c.class.MaxSegment(), ErrSize)
	}
	if err := c.checkPieces(pieces, g.PieceSize, c.class.Total); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	s := c.scratch.Get().(*scratch)
	defer c.release(s)
	for stripe, off := 0, 0; stripe < g.Stripes; stripe++ {
		share := g.Share(stripe)
		at := stripe * g.ShareSize
		for i := range s.shares {
			s.shares[i] = pieces[i][at : at+share]
			if i < g.K {
				n := copy(s.shares[i], segment[min(off, len(segment)):])
				clear(s.shares[i][n:])
				off += share
			}
		}
		if err := c.EncodeStripe(s.shares); err != nil {
			return err
		}
	}
	return nil
}

// EncodeStripe computes shares[K..Total-1] of one stripe from shares[0..K-1], all of one size. For
// callers that stream: they fill the data shares, the last stripe's padded with zeros.
func (c *Codec) EncodeStripe(shares [][]byte) error {
	if err := c.current.Load().rs.Encode(shares); err != nil {
		return fmt.Errorf("encoding a stripe of class %q: %w", c.class.Name, err)
	}
	return nil
}

// Decode restores a whole segment into dst, whose length says the segment's size. pieces has Total
// entries, nil where missing; any K do. The pieces must be known to be right (piece.RootOf): a wrong
// one gives wrong data without an error.
func (c *Codec) Decode(dst []byte, pieces [][]byte) error {
	g := c.class.Geometry(len(dst))
	if g.Stripes == 0 {
		return fmt.Errorf("decoding a segment of %d bytes, want 1..%d: %w", len(dst), c.class.MaxSegment(), ErrSize)
	}
	return c.DecodeRange(dst, g, 0, pieces)
}

// DecodeRange restores bytes off..off+len(dst)-1 of a segment into dst. parts has Total entries: of
// each piece the bytes that g.StripesFor(off, len(dst)) names, nil where missing. Any K do; fewer,
// if those that g.Holds names are there.
func (c *Codec) DecodeRange(dst []byte, g Geometry, off int, parts [][]byte) error {
	if g != c.class.Geometry(g.SegmentSize) {
		return fmt.Errorf("decoding with the geometry of another class: %w", ErrSize)
	}
	first, last, _, length, err := g.StripesFor(off, len(dst))
	if err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	if err := c.checkPieces(parts, length, 0); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	present, needed := 0, 0
	for i, p := range parts {
		switch {
		case p != nil:
			present++
		case i < g.K && g.Holds(i, off, len(dst)):
			needed++
		}
	}
	if needed == 0 {
		for stripe := first; stripe <= last; stripe++ {
			share, at := g.Share(stripe), (stripe-first)*g.ShareSize
			for i := range g.K {
				if parts[i] != nil {
					copyShare(dst, g.offset(stripe, i)-off, parts[i][at:at+share])
				}
			}
		}
		return nil
	}
	if present < g.K {
		return fmt.Errorf("decoding from %d pieces, want %d: %w", present, g.K, ErrTooFew)
	}
	rs, err := c.decoder()
	if err != nil {
		return err
	}
	s := c.scratch.Get().(*scratch)
	defer c.release(s)
	for stripe := first; stripe <= last; stripe++ {
		share, at := g.Share(stripe), (stripe-first)*g.ShareSize
		for i := range s.shares {
			s.want[i] = false
			if parts[i] != nil {
				s.shares[i] = parts[i][at : at+share]
				continue
			}
			s.shares[i] = nil
			from := g.offset(stripe, i) - off
			if i >= g.K || from >= len(dst) || from+share <= 0 {
				continue
			}
			// An empty slice with room is restored in place, straight into dst where all of it fits.
			s.want[i] = true
			if from >= 0 && from+share <= len(dst) {
				s.shares[i] = dst[from : from : from+share]
			} else {
				s.shares[i] = s.data[i*ShareSize : i*ShareSize : i*ShareSize+share]
			}
		}
		if err := rs.ReconstructSome(s.shares, s.want); err != nil {
			return fmt.Errorf("decoding stripe %d: %w", stripe, err)
		}
		for i := range g.K {
			from := g.offset(stripe, i) - off
			if inPlace := s.want[i] && from >= 0 && from+share <= len(dst); !inPlace {
				copyShare(dst, from, s.shares[i])
			}
		}
	}
	return nil
}

// copyShare copies share into dst, where it begins at byte from; what lies outside dst is left out.
func copyShare(dst []byte, from int, share []byte) {
	if from < 0 {
		share = share[min(-from, len(share)):]
		from = 0
	}
	if from < len(dst) {
		copy(dst[from:], share)
	}
}

// Rebuild computes the pieces numbered want from any K others, stripe by stripe. pieces has Total
// entries of one size, nil where missing; the wanted ones are allocated if nil. Which K are present
// makes no difference to the result, so that it can be checked against the segment's root.
func (c *Codec) Rebuild(pieces [][]byte, want []int) error {
	size := 0
	for _, p := range pieces {
		size = max(size, len(p))
	}
	if size == 0 || size > MaxPiece || size%shareAlign != 0 {
		return fmt.Errorf("rebuilding from pieces of %d bytes: %w", size, ErrSize)
	}
	if len(pieces) != c.class.Total {
		return fmt.Errorf("rebuilding from %d pieces, want %d entries: %w", len(pieces), c.class.Total, ErrSize)
	}
	wanted := make([]bool, len(pieces))
	for _, i := range want {
		if i < 0 || i >= len(pieces) {
			return fmt.Errorf("rebuilding piece %d of %d: %w", i, len(pieces), ErrSize)
		}
		wanted[i] = true
	}
	have := make([][]byte, len(pieces))
	present := 0
	for i, p := range pieces {
		if !wanted[i] && p != nil {
			have[i] = p
			present++
		}
	}
	if err := c.checkPieces(have, size, 0); err != nil {
		return fmt.Errorf("rebuilding: %w", err)
	}
	if present < c.class.K {
		return fmt.Errorf("rebuilding from %d pieces, want %d: %w", present, c.class.K, ErrTooFew)
	}
	for i := range pieces {
		if wanted[i] && len(pieces[i]) != size {
			pieces[i] = make([]byte, size)
		}
	}
	rs, err := c.decoder()
	if err != nil {
		return err
	}
	s := c.scratch.Get().(*scratch)
	defer c.release(s)
	for at := 0; at < size; at += ShareSize {
		share := min(ShareSize, size-at)
		for i := range s.shares {
			switch {
			case wanted[i]:
				s.shares[i] = pieces[i][at : at : at+share]
			case have[i] != nil:
				s.shares[i] = have[i][at : at+share]
			default:
				s.shares[i] = nil
			}
		}
		if err := rs.ReconstructSome(s.shares, wanted); err != nil {
			return fmt.Errorf("rebuilding at offset %d: %w", at, err)
		}
	}
	return nil
}

// checkPieces checks that there are Total entries, that those present have size bytes, and that at
// least atLeast are present.
func (c *Codec) checkPieces(pieces [][]byte, size, atLeast int) error {
	if len(pieces) != c.class.Total {
		return fmt.Errorf("%d pieces, want %d entries: %w", len(pieces), c.class.Total, ErrSize)
	}
	present := 0
	for i, p := range pieces {
		if p == nil {
			continue
		}
		if len(p) != size {
			return fmt.Errorf("piece %d has %d bytes, want %d: %w", i, len(p), size, ErrSize)
		}
		present++
	}
	if present < atLeast {
		return fmt.Errorf("%d pieces, want %d: %w", present, atLeast, ErrTooFew)
	}
	return nil
}
