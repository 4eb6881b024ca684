package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cairn-network/cairn/core/piece"
)

// Layout; docs/format/piece-store.md has the tables.
const (
	logHeaderSize    = 64
	recordHeaderSize = 64
	trailerSize      = 64
	blockSize        = 16 << 10 // bytes of a piece under one checksum
	// formatVersion is that of the directory; 1 had no aligned logs.
	formatVersion = 2

	recordMagic  = 0x31434550 // "PEC1"
	trailerMagic = 0x31444e45 // "END1"

	// maxPiece is what the record format can hold; 2^24 would not fit an index entry.
	maxPiece = piece.MaxSize
	// maxBlocks is the number of checksums of the largest piece.
	maxBlocks = (maxPiece + blockSize - 1) / blockSize

	// alignment is what records of an aligned log begin at a multiple of: a page, and a block of
	// any disk that is made.
	alignmentBits = 12
	alignment     = 1 << alignmentBits
)

var (
	logMagic   = [8]byte([]byte("CAIRNLOG"))
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// Key names a piece: ids are unique within a lease only.
type Key struct {
	Lease uint64
	ID    piece.ID
}

func (k Key) String() string { return fmt.Sprintf("%s of lease %d", k.ID, k.Lease) }

// CorruptError says that bytes on disk are not those that were written.
type CorruptError struct {
	Log    uint32
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("log %d is corrupt at offset %d: %s", e.Log, e.Offset, e.Reason)
}

// blocks is the number of checksums of a piece of size bytes.
func blocks(size uint32) int { return int((uint64(size) + blockSize - 1) / blockSize) }

// footerSize is the length of checksums and trailer.
func footerSize(size uint32) int { return 4*blocks(size) + trailerSize }

// shape is how records lie in a log.
type shape uint8

const (
	// packed records follow each other without gaps.
	packed shape = iota
	// aligned records begin and end at multiples of alignment, so that they can be written past the
	// operating system's cache; zeros lie between a piece's bytes and its checksums.
	aligned
)

// shapeFor is the shape of the log for a record that is written whole. Past the cache, a byte costs
// a tenth of what it costs to copy it into the cache and to have it written back from there; a small
// record would pay for that with its padding and with a trip to the disk of its own.
func shapeFor(size uint32) shape {
	if size > gatherSize {
		return aligned
	}
	return packed
}

// extent is the length of the whole record of a piece of size bytes.
func (s shape) extent(size uint32) int64 {
	n := recordHeaderSize + int64(size) + int64(footerSize(size))
	if s == aligned {
		n = (n + alignment - 1) &^ (alignment - 1)
	}
	return n
}

// start is where the first record lies.
func (s shape) start() int64 {
	if s == aligned {
		return alignment
	}
	return logHeaderSize
}

// maxExtent is that of the largest record in either shape.
const maxExtent = (recordHeaderSize + maxPiece + 4*maxBlocks + trailerSize + alignment - 1) &^ (alignment - 1)

// seed is where the checksums of a log start: over the store's secret and the log's number.
func seed(secret [16]byte, log uint32) uint32 {
	return crc32.Update(crc32.Checksum(secret[:], castagnoli), castagnoli, le.AppendUint32(nil, log))
}

// check is the checksum of b at an offset of the log with this seed.
func check(seed uint32, off int64, b []byte) uint32 {
	var at [8]byte
	le.PutUint64(at[:], uint64(off))
	return crc32.Update(crc32.Update(seed, castagnoli, at[:]), castagnoli, b)
}

// logHeader opens every log.
type logHeader struct {
	id         uint32
	week       uint32 // expected end of the pieces, weeks since 1970; 0 for none
	generation uint8
	shape      shape
}

// Formats of a log, one for each shape.
const (
	packedFormat  = 1
	alignedFormat = 2
)

func (h logHeader) encode(seed uint32) (b [logHeaderSize]byte) {
	copy(b[:], logMagic[:])
	le.PutUint16(b[8:], packedFormat)
	if h.shape == aligned {
		le.PutUint16(b[8:], alignedFormat)
		b[11] = alignmentBits
	}
	b[10] = h.generation
	le.PutUint32(b[12:], h.week)
	le.PutUint32(b[16:], h.id)
	le.PutUint32(b[60:], check(seed, 0, b[:60]))
	return b
}

var errNotALog = errors.New("not a log of this store")

func parseLogHeader(seed uint32, b []byte) (logHeader, error) {
	if len(b) < logHeaderSize || [8]byte(b[:8]) != logMagic {
		return logHeader{}, errNotALog
	}
	of := packed
	switch v := le.Uint16(b[8:]); {
	case v == packedFormat:
	case v == alignedFormat && b[11] == alignmentBits:
		of = aligned
	default:
		return logHeader{}, fmt.Errorf("log format %d with alignment %d", v, b[11])
	}
	if le.Uint32(b[60:]) != check(seed, 0, b[:60]) {
		return logHeader{}, errNotALog
	}
	return logHeader{id: le.Uint32(b[16:]), week: le.Uint32(b[12:]), generation: b[10], shape: of}, nil
}

// recordHeader stands before the bytes of a piece.
type recordHeader struct {
	key    Key
	size   uint32
	expiry int64 // Unix seconds; 0 for none
}

func (h recordHeader) put(b []byte, seed uint32, off int64) {
	_ = b[recordHeaderSize-1]
	le.PutUint32(b, recordMagic)
	le.PutUint32(b[4:], h.size)
	le.PutUint64(b[8:], h.key.Lease)
	copy(b[16:48], h.key.ID[:])
	le.PutUint64(b[48:], uint64(h.expiry))
	le.PutUint32(b[56:], 0)
	le.PutUint32(b[60:], check(seed, off, b[:60]))
}

// parseRecordHeader tells with false that b is no header of a record at off.
func parseRecordHeader(seed uint32, off int64, b []byte) (recordHeader, bool) {
	if len(b) < recordHeaderSize || le.Uint32(b) != recordMagic || le.Uint32(b[60:]) != check(seed, off, b[:60]) {
		return recordHeader{}, false
	}
	h := recordHeader{
		key:    Key{Lease: le.Uint64(b[8:]), ID: piece.ID(b[16:48])},
		size:   le.Uint32(b[4:]),
		expiry: int64(le.Uint64(b[48:])),
	}
	return h, h.size <= maxPiece
}

// trailer ends a record; with it on disk the piece is there.
type trailer struct {
	seq    uint64
	root   piece.Root
	stored int64 // Unix seconds
}

// putFooter writes the checksums of the blocks and the trailer behind them, which end the record.
// off is the offset of the record.
func putFooter(b []byte, seed uint32, off int64, size uint32, sums []uint32, t trailer) {
	for i, s := range sums {
		le.PutUint32(b[4*i:], s)
	}
	n := 4 * len(sums)
	tb := b[n : n+trailerSize]
	le.PutUint32(tb, trailerMagic)
	le.PutUint32(tb[4:], crc32.Checksum(b[:n], castagnoli))
	le.PutUint64(tb[8:], t.seq)
	le.PutUint64(tb[16:], uint64(t.stored))
	copy(tb[24:56], t.root[:])
	le.PutUint32(tb[56:], size)
	le.PutUint32(tb[60:], check(seed, off, tb[:60]))
}

// endRecord writes all of record b that is behind the bytes of its piece.
func endRecord(b []byte, seed uint32, off int64, size uint32, sums []uint32, t trailer) {
	footer := len(b) - footerSize(size)
	clear(b[recordHeaderSize+int(size) : footer])
	putFooter(b[footer:], seed, off, size, sums, t)
}

// parseFooter reads what putFooter wrote for a piece of size bytes; sums gets the checksums and
// must have room for them. False when b is not the footer of that record.
func parseFooter(b []byte, seed uint32, off int64, size uint32, sums []uint32) (trailer, bool) {
	n := 4 * blocks(size)
	if len(b) < n+trailerSize || len(sums) < n/4 {
		return trailer{}, false
	}
	tb := b[n : n+trailerSize]
	if le.Uint32(tb) != trailerMagic || le.Uint32(tb[60:]) != check(seed, off, tb[:60]) ||
		le.Uint32(tb[56:]) != size || le.Uint32(tb[4:]) != crc32.Checksum(b[:n], castagnoli) {
		return trailer{}, false
	}
	for i := range n / 4 {
		sums[i] = le.Uint32(b[4*i:])
	}
	return trailer{seq: le.Uint64(tb[8:]), stored: int64(le.Uint64(tb[16:])), root: piece.Root(tb[24:56])}, true
}

// blockSums computes the checksums of consecutive bytes as they come.
type blockSums struct {
	sums [maxBlocks]uint32
	n    int // finished blocks
	cur  uint32
	fill int // bytes in cur
}

func (s *blockSums) add(p []byte) {
	for len(p) > 0 {
		take := min(len(p), blockSize-s.fill)
		s.cur = crc32.Update(s.cur, castagnoli, p[:take])
		s.fill += take
		p = p[take:]
		if s.fill == blockSize {
			s.sums[s.n] = s.cur
			s.n++
			s.cur, s.fill = 0, 0
		}
	}
}

func (s *blockSums) finish() []uint32 {
	if s.fill > 0 {
		s.sums[s.n] = s.cur
		s.n++
		s.cur, s.fill = 0, 0
	}
	return s.sums[:s.n]
}
