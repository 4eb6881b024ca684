// Package md5lanes computes the MD5 of several streams at once.
//
// S3 names content by MD5, which is the slowest thing that a gateway does to a byte: each of its
// steps waits for the one before, so that most of the processor idles. Uploads run side by side,
// though. A Group gathers up to 512 KiB of each stream; when one is full, all that have something are
// hashed together, each in its own lane of the vector registers. Four uploads take half the
// time, eight a third.
//
// A stream joins once it has proven long. It leaves by Close; one that is never closed costs a lane,
// nothing else. Results are those of crypto/md5, which does the beginning, the end, and whatever
// finds no lane.
package md5lanes

import (
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
	"runtime"
	"sync"
)

const (
	// Lanes is how many streams a Group hashes at once; those beyond go by crypto/md5.
	Lanes = 8
	// slotSize is how many bytes of a stream are gathered. The kernels know it.
	slotSize = 512 << 10
	// joinAfter is how long a stream must be to get a lane.
	joinAfter = 1 << 20
	// worth is how many lanes must have work: a call takes half as long again as one lane by itself.
	worth = 2
)

// Group is streams that are hashed together. The zero value is ready. Safe for concurrent use.
type Group struct {
	once   sync.Once
	blocks func(state *[4][Lanes]uint32, base *byte, n int) // nil: no lane is ever given

	mu    sync.Mutex // guards what follows
	slots []byte     // one after the other, slotSize each; made when the first stream joins
	lanes [Lanes]lane
	state [4][Lanes]uint32
}

// lane is a stream's place in a Group.
type lane struct {
	taken  bool
	filled int    // bytes in the slot
	hashed uint64 // bytes in the state, whole blocks
}

// Hash is the MD5 of one stream. Not safe for concurrent use, though other streams of its Group run.
type Hash struct {
	group *Group
	lane  int // -1 for none
	plain hash.Hash
	n     uint64 // bytes written before it got a lane
	tried bool   // to get one
}

// New begins a stream.
func (g *Group) New() *Hash { return &Hash{group: g, lane: -1, plain: md5.New()} }

// Write adds p to the stream. It never fails.
func (h *Hash) Write(p []byte) (int, error) {
	if h.lane < 0 {
		if h.n += uint64(len(p)); h.n < joinAfter || h.tried || !h.join() {
			return h.plain.Write(p)
		}
	}
	h.group.gather(h.lane, p)
	// Streams that take turns fill their lanes evenly; one that ran ahead would be hashed alone.
	runtime.Gosched()
	return len(p), nil
}

// gather adds p to a lane.
func (g *Group) gather(at int, p []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &g.lanes[at]
	for len(p) > 0 {
		n := copy(g.slot(at)[l.filled:], p)
		p = p[n:]
		if l.filled += n; l.filled == slotSize {
			g.advance(at)
		}
	}
}

// Sum appends the MD5 of what was written so far to b.
func (h *Hash) Sum(b []byte) []byte {
	if h.lane < 0 {
		return h.plain.Sum(b)
	}
	g := h.group
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.resume(h.lane)
	_, _ = d.Write(g.slot(h.lane)[:g.lanes[h.lane].filled]) // never fails
	return d.Sum(b)
}

// Close gives the stream's lane to others. Nothing may be written or summed afterwards.
func (h *Hash) Close() {
	if h.lane >= 0 {
		h.group.mu.Lock()
		h.group.lanes[h.lane] = lane{}
		h.group.mu.Unlock()
		h.lane = -1
	}
}

// join moves the stream from crypto/md5 to a lane, if there is one.
func (h *Hash) join() bool {
	h.tried = true
	g := h.group
	g.once.Do(func() { g.blocks = together() })
	if g.blocks == nil {
		return false
	}
	words, rest, n, ok := dissect(h.plain)
	if !ok {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.lanes {
		if g.lanes[i].taken {
			continue
		}
		if g.slots == nil {
			g.slots = make([]byte, Lanes*slotSize)
		}
		for w := range words {
			g.state[w][i] = words[w]
		}
		g.lanes[i] = lane{taken: true, filled: copy(g.slot(i), rest), hashed: n - uint64(len(rest))}
		h.lane, h.plain = i, nil
		return true
	}
	return false
}

func (g *Group) slot(i int) []byte { return g.slots[i*slotSize : (i+1)*slotSize] }

// advance hashes what all lanes hold, until the one that is full is empty, or half empty and alone:
// it then waits for company. Call with mu held.
func (g *Group) advance(full int) {
	off := 0 // bytes that every lane with more than that has hashed
	for {
		with, least := 0, slotSize
		for i := range g.lanes {
			if whole := g.lanes[i].filled &^ (md5.BlockSize - 1); whole > off {
				with, least = with+1, min(least, whole-off)
			}
		}
		if with < worth {
			break
		}
		// Lanes that have no more compute on what lies there; their state is not kept.
		work := g.state
		g.blocks(&work, &g.slots[off], least/md5.BlockSize)
		for i := range g.lanes {
			if g.lanes[i].filled&^(md5.BlockSize-1) > off {
				for w := range work {
					g.state[w][i] = work[w][i]
				}
			}
		}
		off += least
	}
	if off < slotSize/2 {
		d := g.resume(full)
		g.lanes[full].hashed += uint64(off)
		_, _ = d.Write(g.slot(full)[off:]) // never fails
		words, _, _, _ := dissect(d)
		for w := range words {
			g.state[w][full] = words[w]
		}
		g.lanes[full].hashed += uint64(slotSize - off)
		g.lanes[full].filled = 0
	}
	for i := range g.lanes {
		l := &g.lanes[i]
		if done := min(off, l.filled&^(md5.BlockSize-1)); done > 0 {
			l.filled = copy(g.slot(i), g.slot(i)[done:l.filled])
			l.hashed += uint64(done)
		}
	}
}

// marshalled is the layout of crypto/md5's state: magic, four words, a block of which the end of the
// stream fills the front, and the stream's length; integers big-endian.
const (
	magic      = "md5\x01"
	marshalled = len(magic) + md5.Size + md5.BlockSize + 8
)

// resume gives a lane's state to crypto/md5. Call with mu held.
func (g *Group) resume(i int) hash.Hash {
	b := append(make([]byte, 0, marshalled), magic...)
	for w := range g.state {
		b = binary.BigEndian.AppendUint32(b, g.state[w][i])
	}
	b = append(b, make([]byte, md5.BlockSize)...)
	b = binary.BigEndian.AppendUint64(b, g.lanes[i].hashed)
	d := md5.New()
	if err := d.(encoding.BinaryUnmarshaler).UnmarshalBinary(b); err != nil {
		panic(fmt.Sprintf("crypto/md5 took its own state once (dissect) and now does not: %v", err))
	}
	return d
}

// dissect takes the state of crypto/md5 apart; not ok when that has changed its layout.
func dissect(d hash.Hash) (words [4]uint32, rest []byte, n uint64, ok bool) {
	b, err := d.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil || len(b) != marshalled || string(b[:len(magic)]) != magic {
		return words, nil, 0, false
	}
	for w := range words {
		words[w] = binary.BigEndian.Uint32(b[len(magic)+4*w:])
	}
	n = binary.BigEndian.Uint64(b[marshalled-8:])
	rest = b[len(magic)+md5.Size:][:n%md5.BlockSize]
	return words, rest, n, true
}
