package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"time"

	"github.com/cairn-network/cairn/core/piece"
)

// readSize is how much a reader asks the disk for at once: four blocks.
const readSize = 64 << 10

const readBuffer = recordHeaderSize + readSize + 4*maxBlocks + trailerSize

// Reader reads one piece. For one goroutine; Close gives its buffer back. It goes on working when
// the piece is deleted meanwhile.
type Reader struct {
	s    *Store
	log  *logFile
	e    entry
	info Info
	sums [maxBlocks]uint32
	// whole is the piece's bytes when they came along with the header.
	whole []byte
	buf   [readBuffer]byte
}

var readerPool = sync.Pool{New: func() any { return new(Reader) }}

// locate finds the piece's entry and takes a reference to its log. Compaction may move the piece
// between the two steps, hence the loop.
func (s *Store) locate(hi, lo uint64) (entry, *logFile, bool) {
	for {
		e, ok := s.table.get(hi, lo)
		if !ok {
			return entry{}, nil, false
		}
		if l := s.log(e.log); l != nil && l.acquire() {
			return e, l, true
		}
		if again, ok := s.table.get(hi, lo); ok && again.at(e.log, e.off) {
			return entry{}, nil, false // its log is gone: closed store
		}
	}
}

// Open finds a piece and reads its description. ErrNotFound when it is not there or has expired; a
// *CorruptError when what lies there is not it.
func (s *Store) Open(key Key) (*Reader, error) {
	return s.openKey(key, withBytes, s.config.Now())
}

func (s *Store) openKey(key Key, what loading, at time.Time) (*Reader, error) {
	hi, lo := fingerprint(s.secret, key)
	r, err := s.open(hi, lo, what, at)
	if err != nil {
		return nil, fmt.Errorf("opening piece %s: %w", key, err)
	}
	return r, nil
}

func (s *Store) open(hi, lo uint64, what loading, at time.Time) (*Reader, error) {
	e, l, ok := s.locate(hi, lo)
	if !ok {
		return nil, ErrNotFound
	}
	r := readerPool.Get().(*Reader)
	r.s, r.log, r.e = s, l, e
	if err := r.load(what); err != nil {
		if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
			s.markCorrupt(&e, corrupt)
		}
		r.Close()
		return nil, err
	}
	if r.info.Expiry != 0 && r.info.Expiry <= at.Unix() {
		r.Close()
		return nil, ErrNotFound
	}
	return r, nil
}

func (r *Reader) corrupt(at int64, reason string) *CorruptError {
	return &CorruptError{Log: r.log.id, Offset: at, Reason: reason}
}

// loading says what is read along with a piece's description.
type loading uint8

const (
	withBytes loading = iota // a small piece is read whole, by one system call
	described                // header and footer only, unless they lie so close that one call is less
)

// tiny is the record below which one system call costs less than two.
const tiny = 4 << 10

// load reads header and footer.
func (r *Reader) load(what loading) error {
	off, size := int64(r.e.off), r.e.bytes()
	n := r.log.shape.extent(size)
	end := off + n - int64(footerSize(size)) // of the bytes, and of zeros behind them
	var footer []byte
	if n <= readBuffer && (what == withBytes || n <= tiny) {
		b := r.buf[:n]
		if err := readFull(r.log.file, b, off); err != nil {
			return r.fault(off, err)
		}
		r.whole = b[recordHeaderSize : recordHeaderSize+size]
		footer = b[end-off:]
	} else {
		footer = r.buf[recordHeaderSize : recordHeaderSize+footerSize(size)]
		if err := readFull(r.log.file, r.buf[:recordHeaderSize], off); err != nil {
			return r.fault(off, err)
		}
		if err := readFull(r.log.file, footer, end); err != nil {
			return r.fault(off, err)
		}
	}
	h, ok := parseRecordHeader(r.log.seed, off, r.buf[:recordHeaderSize])
	if !ok {
		return r.corrupt(off, "header")
	}
	if hi, lo := fingerprint(r.s.secret, h.key); !r.e.is(hi, lo) || h.size != size {
		return r.corrupt(off, "header of another piece")
	}
	t, ok := parseFooter(footer, r.log.seed, off, size, r.sums[:])
	if !ok {
		return r.corrupt(end, "trailer")
	}
	r.info = Info{Key: h.key, Root: t.root, Size: size, Expiry: h.expiry, Stored: t.stored}
	return nil
}

// fault tells a log that ends too early, which is corruption, from a disk that cannot be read.
func (r *Reader) fault(off int64, err error) error {
	if isShort(err) {
		return r.corrupt(off, "log ends inside the record")
	}
	return fmt.Errorf("reading log %d at %d: %w", r.log.id, off, err)
}

// Info describes the piece.
func (r *Reader) Info() Info { return r.info }

// Read calls emit with bytes off to off+n of the piece, in order, in parts of at most 64 KiB that
// hold until emit returns. Every part has passed its checksum; a *CorruptError ends the reading.
func (r *Reader) Read(off, n int64, emit func([]byte) error) error {
	if off < 0 || n < 0 || off+n > int64(r.info.Size) {
		return fmt.Errorf("reading piece %s: bytes %d to %d of %d", r.info.Key, off, off+n, r.info.Size)
	}
	for n > 0 {
		first := off - off%blockSize
		b, err := r.verified(first, min(readSize, int64(r.info.Size)-first, roundUp(off+n-first)))
		if err != nil {
			return fmt.Errorf("reading piece %s: %w", r.info.Key, err)
		}
		b = b[off-first:]
		b = b[:min(n, int64(len(b)))]
		if err := emit(b); err != nil {
			return err
		}
		off += int64(len(b))
		n -= int64(len(b))
	}
	return nil
}

func roundUp(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// verified returns whole blocks from first on, checked.
func (r *Reader) verified(first, n int64) ([]byte, error) {
	at := int64(r.e.off) + recordHeaderSize + first
	var b []byte
	if r.whole != nil {
		b = r.whole[first : first+n]
	} else {
		b = r.buf[recordHeaderSize : recordHeaderSize+n]
		if err := readFull(r.log.file, b, at); err != nil {
			return nil, r.fault(at, err)
		}
	}
	for i := int64(0); i < n; i += blockSize {
		if crc32.Checksum(b[i:min(i+blockSize, n)], castagnoli) != r.sums[(first+i)/blockSize] {
			err := r.corrupt(at+i, "checksum of a block")
			r.s.markCorrupt(&r.e, err)
			return nil, err
		}
	}
	return b, nil
}

// Close ends the reading.
func (r *Reader) Close() {
	if r.log == nil {
		return
	}
	r.log.release()
	r.log, r.s, r.whole = nil, nil, nil
	readerPool.Put(r)
}

// markCorrupt counts and reports a failed check once for each piece.
func (s *Store) markCorrupt(e *entry, why *CorruptError) {
	s.table.edit(e.hi, e.lo, func(now *entry) bool {
		if now.at(e.log, e.off) && now.size&flagCorrupt == 0 {
			now.size |= flagCorrupt
			s.corruption.Add(1)
			s.config.Log.Error("piece is corrupt", "log", why.Log, "offset", why.Offset, "reason", why.Reason)
		}
		return true
	})
}

// Stat describes a piece. Errors are those of Open.
func (s *Store) Stat(key Key) (Info, error) {
	r, err := s.openKey(key, described, s.config.Now())
	if err != nil {
		return Info{}, err
	}
	defer r.Close()
	return r.info, nil
}

// Get returns the bytes of a piece. Errors are those of Open and Read.
func (s *Store) Get(key Key) ([]byte, Info, error) {
	r, err := s.Open(key)
	if err != nil {
		return nil, Info{}, err
	}
	defer r.Close()
	b := make([]byte, 0, r.info.Size)
	err = r.Read(0, int64(r.info.Size), func(p []byte) error {
		b = append(b, p...)
		return nil
	})
	return b, r.info, err
}

// Kept returns the bytes of a piece as Get does, for Config.KeepExpired after its expiry, too.
func (s *Store) Kept(key Key) ([]byte, error) {
	r, err := s.openKey(key, withBytes, s.config.Now().Add(-s.config.KeepExpired))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, 0, r.info.Size)
	err = r.Read(0, int64(r.info.Size), func(p []byte) error {
		b = append(b, p...)
		return nil
	})
	return b, err
}

// expired tells whether a piece's own time, and the time it is kept for afterwards, are over; pieces that cannot be read are not.
func (s *Store) expired(e entry) bool {
	if e.size&flagHard == 0 {
		return false
	}
	l := s.log(e.log)
	if l == nil || !l.acquire() {
		return false
	}
	defer l.release()
	var b [recordHeaderSize]byte
	if readFull(l.file, b[:], int64(e.off)) != nil {
		return false
	}
	h, ok := parseRecordHeader(l.seed, int64(e.off), b[:])
	return ok && h.expiry <= s.config.Now().Add(-s.config.KeepExpired).Unix()
}

// List appends to dst at most limit pieces of a lease that come after one id, in the order of the
// index, which never changes; the zero id starts. more tells that there may be others. Pieces that
// cannot be read are left out.
func (s *Store) List(ctx context.Context, dst []Info, owner uint64, after piece.ID, limit int) (list []Info, more bool, err error) {
	s.mu.RLock()
	l := s.leases[owner]
	s.mu.RUnlock()
	if l == nil || limit <= 0 {
		return dst, false, nil
	}
	var hi, lo uint64
	if after != (piece.ID{}) {
		hi, lo = fingerprint(s.secret, Key{owner, after})
	}
	found := make([]entry, 0, limit)
	for start := len(dst); ; {
		found, more = found[:0], false
		s.table.walk(hi, lo, func(e entry) bool {
			if e.lease != l.number {
				return true
			}
			if len(found) == limit {
				more = true
				return false
			}
			found = append(found, e)
			return true
		})
		if dst, err = s.describe(ctx, dst, found); err != nil {
			return dst, false, err
		}
		if len(found) > 0 {
			last := &found[len(found)-1]
			hi, lo = last.hi, last.lo
		}
		// A page of nothing but unreadable pieces gives the caller no id to go on from.
		if !more || len(dst) > start {
			return dst, more, nil
		}
	}
}

// describe appends what the records that entries point at say of their pieces, in the order of the
// entries; those that cannot be read are left out. It reads in the order in which they lie on the disk.
func (s *Store) describe(ctx context.Context, dst []Info, entries []entry) ([]Info, error) {
	order := make([]int, len(entries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(entries[a].log, entries[b].log), cmp.Compare(entries[a].off, entries[b].off))
	})
	infos := make([]Info, len(entries))
	read := make([]bool, len(entries))
	now := s.config.Now()
	for _, i := range order {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		if r, err := s.open(entries[i].hi, entries[i].lo, described, now); err == nil {
			infos[i], read[i] = r.info, true
			r.Close()
		}
	}
	for i, ok := range read {
		if ok {
			dst = append(dst, infos[i])
		}
	}
	return dst, nil
}
