package renter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
)

// coded is a segment on its way out: sealed, coded and hashed.
//
// Its bytes lie in slabs. A slab holds the same run of every piece, one after the other, so that a
// stripe is sealed into place and coded while it is in the cache, and a piece goes out in runs that
// fill whole frames. Slabs are taken from a pool as the segment grows.
type coded struct {
	class    erasure.Class
	geometry erasure.Geometry
	run      int // bytes of each piece in a slab; a multiple of erasure.ShareSize
	slabs    []*[]byte
	roots    []piece.Root
	plain    int // bytes of plaintext
}

// Runs. The long one fills a frame of the wire; the short one keeps small objects small.
const (
	longRun  = wireFrame
	shortRun = erasure.ShareSize
)

// wireFrame is the largest data frame of wire/piece.
const wireFrame = 64 << 10

// footprint is the memory that a segment of a class takes, full or of at most plain bytes.
func footprint(c erasure.Class, run, plain int) int64 {
	stripe := c.K * erasure.ShareSize
	stripes := (min(seal.SealedSize(plain), c.MaxSegment()) + stripe - 1) / stripe
	slabs := (stripes*erasure.ShareSize + run - 1) / run
	return int64(slabs) * int64(run) * int64(c.Total)
}

// slabPool keeps slabs by size.
type slabPool struct{ pools sync.Map } // int -> *sync.Pool of *[]byte

func (p *slabPool) get(size int) *[]byte {
	pool, ok := p.pools.Load(size)
	if !ok {
		pool, _ = p.pools.LoadOrStore(size, &sync.Pool{New: func() any {
			b := make([]byte, size)
			return &b
		}})
	}
	return pool.(*sync.Pool).Get().(*[]byte)
}

func (p *slabPool) put(b *[]byte) {
	if pool, ok := p.pools.Load(len(*b)); ok {
		pool.(*sync.Pool).Put(b)
	}
}

// free gives the slabs back. Nobody may read the segment afterwards.
func (c *coded) free(p *slabPool) {
	for _, s := range c.slabs {
		p.put(s)
	}
	c.slabs = nil
}

// piece returns piece i as its runs.
func (c *coded) piece(i int) [][]byte {
	runs := make([][]byte, len(c.slabs))
	left := c.geometry.PieceSize
	for j, s := range c.slabs {
		n := min(left, c.run)
		runs[j] = (*s)[i*c.run : i*c.run+n]
		left -= n
	}
	return runs
}

// coder seals, codes and hashes segments of one class. It is made for one stream and not safe for
// concurrent use.
type coder struct {
	codec   *erasure.Codec
	pool    *slabPool
	hashers []*piece.Hasher
	shares  [][]byte
	last    []byte // a last stripe, before it is cut into shares
}

func newCoder(codec *erasure.Codec, pool *slabPool) *coder {
	total := codec.Class().Total
	c := &coder{codec: codec, pool: pool, hashers: make([]*piece.Hasher, total), shares: make([][]byte, total)}
	for i := range c.hashers {
		c.hashers[i] = piece.NewHasher()
	}
	return c
}

// segment reads the plaintext of one segment, all of r or as much as the class takes, and returns it
// coded. r has at least one byte and a buffer of more than a record. On an error nothing is kept.
func (c *coder) segment(r *bufio.Reader, sealer *seal.Sealer, run int) (*coded, error) {
	class := c.codec.Class()
	out := &coded{class: class, run: run, roots: make([]piece.Root, class.Total)}
	for _, h := range c.hashers {
		h.Reset()
	}
	sealed, err := c.fill(out, r, sealer)
	if err != nil {
		out.free(c.pool)
		return nil, err
	}
	out.geometry = class.Geometry(sealed)
	if rest := sealed % (class.K * erasure.ShareSize); rest != 0 {
		if err := c.finish(out, rest); err != nil {
			out.free(c.pool)
			return nil, err
		}
	}
	for i, h := range c.hashers {
		out.roots[i] = h.Root()
	}
	return out, nil
}

// fill seals records into place, codes every full stripe, and returns the sealed size.
func (c *coder) fill(out *coded, r *bufio.Reader, sealer *seal.Sealer) (sealed int, err error) {
	k := out.class.K
	most := out.class.MaxSegment() / seal.RecordSize
	for record := 0; record < most; record++ {
		room := seal.Room(record)
		// One byte more than fits tells whether this record is the stream's last.
		plain, err := r.Peek(room + 1)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("reading the object: %w", err)
		}
		place := seal.Inner
		if len(plain) <= room || record == most-1 {
			place = seal.Final
		}
		plain = plain[:min(len(plain), room)]
		share := c.share(out, record/k, record%k, erasure.ShareSize)
		record, err := sealer.SealRecord(share[:0], record, place, plain)
		if err != nil {
			return 0, err
		}
		if _, err := r.Discard(len(plain)); err != nil {
			return 0, fmt.Errorf("reading the object: %w", err)
		}
		out.plain += len(plain)
		sealed += len(record)
		if sealed%(k*erasure.ShareSize) == 0 {
			if err := c.encode(out, sealed/(k*erasure.ShareSize)-1, erasure.ShareSize); err != nil {
				return 0, err
			}
		}
		if place == seal.Final {
			break
		}
	}
	return sealed, nil
}

// share is the place of share i of a stripe, n bytes; it adds the slab where there is none yet.
func (c *coder) share(out *coded, stripe, i, n int) []byte {
	at := stripe * erasure.ShareSize
	if at/out.run == len(out.slabs) {
		out.slabs = append(out.slabs, c.pool.get(out.class.Total*out.run))
	}
	from := i*out.run + at%out.run
	return (*out.slabs[at/out.run])[from : from+n : from+n]
}

// encode codes and hashes one stripe of shares of n bytes.
func (c *coder) encode(out *coded, stripe, n int) error {
	for i := range c.shares {
		c.shares[i] = c.share(out, stripe, i, n)
	}
	if err := c.codec.EncodeStripe(c.shares); err != nil {
		return err
	}
	for i, s := range c.shares {
		if _, err := c.hashers[i].Write(s); err != nil {
			return err
		}
	}
	return nil
}

// finish cuts the last stripe, of which rest bytes lie as full records, into its smaller shares.
func (c *coder) finish(out *coded, rest int) error {
	k, stripe := out.class.K, out.geometry.Stripes-1
	if c.last == nil {
		c.last = make([]byte, k*erasure.ShareSize)
	}
	for at := 0; at < rest; at += erasure.ShareSize {
		copy(c.last[at:rest], c.share(out, stripe, at/erasure.ShareSize, erasure.ShareSize))
	}
	clear(c.last[rest:])
	n := out.geometry.LastShareSize
	for i := range k {
		copy(c.share(out, stripe, i, n), c.last[i*n:])
	}
	return c.encode(out, stripe, n)
}
