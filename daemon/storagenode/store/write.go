package store

import (
	"fmt"
	"io"
	"sync"
	"unsafe"

	"github.com/cairn-network/cairn/core/piece"
)

// Pieces are gathered and go to the log as whole records, by one system call each: the kernel's cost
// of a write is per call and page, and a piece that is given up leaves nothing behind. Larger ones go
// past the kernel's cache, to aligned logs. A store gathers any number of small pieces and at most
// wholeGathers larger ones at a time (clients decide how many they begin, not how much memory that
// takes); a piece beyond goes to a packed log as it comes, in parts of gatherSize.
const (
	gatherSize   = 64 << 10
	wholeGathers = 32
)

type (
	smallGather [recordHeaderSize + gatherSize + 4*(gatherSize/blockSize) + trailerSize]byte
	wholeGather struct{ record []byte } // of maxExtent, aligned
)

var (
	smallPool = sync.Pool{New: func() any { return new(smallGather) }}
	wholePool = sync.Pool{New: func() any { return &wholeGather{alignedBuffer(maxExtent)} }}
)

// alignedBuffer is memory that begins at a multiple of alignment, as WriteDirect needs it.
func alignedBuffer(n int) []byte {
	b := make([]byte, n+alignment)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (alignment - 1)
	return b[skip : skip+n : skip+n]
}

// CreateOptions say what is known of a piece before its bytes come.
type CreateOptions struct {
	Size uint32
	// Expiry is Unix seconds after which the piece is gone; 0 for none.
	Expiry int64
	// Until is Unix seconds when the piece is expected to go; it only chooses the log. 0 if unknown.
	Until int64
	// Limit is the most bytes that all pieces of the lease may have together; 0 for none.
	Limit uint64
}

// Writer takes the bytes of one piece. For one goroutine. Every Writer must be ended by Commit or
// Abort; Abort after Commit does nothing.
type Writer struct {
	s       *Store
	owner   *lease
	hi, lo  uint64
	header  recordHeader
	class   class
	log     *logFile // once a place is reserved, with a reference
	off     int64    // of the record
	booked  int64    // bytes of the disk that were admitted
	written int      // bytes taken by Write
	flushed int      // of those, in the log
	sums    blockSums
	err     error
	ended   bool

	mode  gathering
	small *smallGather // of a piece that fits, or, streamed, of a part
	whole *wholeGather
}

// gathering is how a Writer keeps what it was given until it writes.
type gathering uint8

const (
	undecided gathering = iota
	inSmall
	inWhole
	streamed
)

// gather returns the record that is being put together; nil when the piece is streamed.
func (w *Writer) gather() []byte {
	if w.mode == undecided {
		switch {
		case w.header.size <= gatherSize:
			w.mode, w.small = inSmall, smallPool.Get().(*smallGather)
		default:
			select {
			case w.s.gathers <- struct{}{}:
				w.mode, w.whole = inWhole, wholePool.Get().(*wholeGather)
			default:
				w.mode = streamed
			}
		}
	}
	switch w.mode {
	case inSmall:
		return w.small[:]
	case inWhole:
		return w.whole.record
	}
	return nil
}

// ungather gives the memory back.
func (w *Writer) ungather() {
	if w.small != nil {
		smallPool.Put(w.small)
		w.small = nil
	}
	if w.whole != nil {
		wholePool.Put(w.whole)
		w.whole = nil
		<-w.s.gathers
	}
}

// Create begins a piece. It claims the key until the Writer ends: ErrExists when another has it. It
// checks room and limit now, for all of the size: ErrNoSpace, ErrQuota, ErrTooLarge. Nothing is
// written before the first full buffer (mostly the whole piece), so that a caller who never sends costs nothing but memory.
func (s *Store) Create(key Key, o CreateOptions) (*Writer, error) {
	if o.Size > maxPiece {
		return nil, fmt.Errorf("creating piece %s: %w: %d bytes, at most %d", key, ErrTooLarge, o.Size, maxPiece)
	}
	hi, lo := fingerprint(s.secret, key)
	if !s.claim(hi, lo) {
		return nil, fmt.Errorf("creating piece %s: %w: it is being written", key, ErrExists)
	}
	booked := shapeFor(o.Size).extent(o.Size)
	if err := s.begin(key, o, hi, lo, booked); err != nil {
		s.unclaim(hi, lo)
		return nil, fmt.Errorf("creating piece %s: %w", key, err)
	}
	until := o.Until
	if o.Expiry > 0 && (until == 0 || o.Expiry < until) {
		until = o.Expiry
	}
	return &Writer{
		s: s, owner: s.leaseOf(key.Lease), hi: hi, lo: lo,
		header: recordHeader{key: key, size: o.Size, expiry: o.Expiry},
		class:  class{week: s.weekOf(until)},
		booked: booked,
	}, nil
}

func (s *Store) begin(key Key, o CreateOptions, hi, lo uint64, book int64) error {
	if e, ok := s.table.get(hi, lo); ok && !s.expired(e) {
		return ErrExists
	}
	owner := s.leaseOf(key.Lease)
	owner.mu.Lock()
	held := uint64(owner.bytes.Load()) + owner.incoming
	if o.Limit > 0 && held+uint64(o.Size) > o.Limit {
		owner.mu.Unlock()
		return fmt.Errorf("%w: %d bytes held of %d", ErrQuota, held, o.Limit)
	}
	owner.incoming += uint64(o.Size)
	owner.mu.Unlock()
	if err := s.admit(book); err != nil {
		owner.mu.Lock()
		owner.incoming -= uint64(o.Size)
		owner.mu.Unlock()
		return err
	}
	return nil
}

// Write takes the next bytes. It keeps no reference to p.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err == nil && (w.ended || w.written+len(p) > int(w.header.size)) {
		w.err = fmt.Errorf("writing piece %s: more than %d bytes: %w", w.header.key, w.header.size, io.ErrShortWrite)
	}
	if w.err != nil {
		return 0, w.err
	}
	w.sums.add(p)
	at := w.written
	w.written += len(p)
	if record := w.gather(); record != nil {
		copy(record[recordHeaderSize+at:], p)
		return len(p), nil
	}
	if w.err = w.stream(p, at-w.flushed); w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// stream takes the next bytes of a piece that is written as it comes; gathered are in memory already.
func (w *Writer) stream(p []byte, gathered int) error {
	for len(p) > 0 {
		if gathered == 0 && len(p) >= blockSize {
			return w.flush(p)
		}
		if w.small == nil {
			w.small = smallPool.Get().(*smallGather)
		}
		n := copy(w.small[gathered:gatherSize], p)
		p = p[n:]
		if gathered += n; gathered == gatherSize {
			if err := w.flush(w.small[:gatherSize]); err != nil {
				return err
			}
			gathered = 0
		}
	}
	return nil
}

// flush writes bytes of a piece that is streamed.
func (w *Writer) flush(p []byte) error {
	if w.log == nil {
		err := w.s.place(w.class, func(l *logFile) error {
			off, err := l.reserve(w.header, w.s.config.LogSize)
			if err == nil {
				l.acquire()
				w.log, w.off = l, off
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("writing piece %s: %w", w.header.key, err)
		}
	}
	if err := w.log.writeAt(p, w.off+recordHeaderSize+int64(w.flushed)); err != nil {
		return fmt.Errorf("writing piece %s: %w", w.header.key, spaceError(err))
	}
	w.flushed += len(p)
	return nil
}

// Commit ends the piece, whose root is that of all bytes written. When it returns nil the piece is
// durable and can be read; otherwise it is not there.
func (w *Writer) Commit(root piece.Root) (Info, error) {
	if w.err == nil && (w.ended || w.written != int(w.header.size)) {
		w.err = fmt.Errorf("committing piece %s: %d bytes of %d: %w", w.header.key, w.written, w.header.size, io.ErrUnexpectedEOF)
	}
	info := Info{Key: w.header.key, Root: root, Size: w.header.size, Expiry: w.header.expiry}
	if w.err == nil {
		if w.mode == streamed && w.written > w.flushed {
			w.err = w.flush(w.small[:w.written-w.flushed])
		}
		if w.err == nil {
			w.err = w.finish(&info)
		}
	}
	err := w.err
	w.Abort()
	if err != nil {
		return Info{}, err
	}
	return info, nil
}

// finish writes what is missing of the record, syncs, and enters it into the index.
func (w *Writer) finish(info *Info) error {
	s := w.s
	s.cut.RLock()
	defer s.cut.RUnlock()
	info.Stored = s.config.Now().Unix()
	t := trailer{seq: s.seq.Add(1), root: info.Root, stored: info.Stored}
	var err error
	if record := w.gather(); record != nil {
		w.class.shape = shapeFor(w.header.size)
		n := w.class.shape.extent(w.header.size)
		sums := w.sums.finish()
		err = s.place(w.class, func(l *logFile) error {
			off, err := l.append(n, s.config.LogSize, func(off int64) []byte {
				w.header.put(record, l.seed, off)
				endRecord(record[:n], l.seed, off, w.header.size, sums, t)
				return record[:n]
			})
			if err == nil {
				l.acquire()
				w.log, w.off = l, off
			}
			return err
		})
	} else {
		var footer [4*maxBlocks + trailerSize]byte
		putFooter(footer[:], w.log.seed, w.off, w.header.size, w.sums.finish(), t)
		err = spaceError(w.log.writeAt(footer[:footerSize(w.header.size)], w.off+recordHeaderSize+int64(w.header.size)))
	}
	if err == nil && !s.config.Unsynced {
		err = w.log.sync()
	}
	if err != nil {
		return fmt.Errorf("committing piece %s: %w", w.header.key, err)
	}
	e := entry{hi: w.hi, lo: w.lo, log: w.log.id, off: uint32(w.off), size: w.header.size, lease: w.owner.number}
	if w.header.expiry > 0 {
		e.size |= flagHard
	}
	if old, replaced := s.table.put(e); replaced {
		s.count(&old, -1) // expired
	}
	s.count(&e, 1)
	n := w.log.shape.extent(w.header.size)
	w.log.settle(w.off, false)
	w.log.release()
	w.log = nil
	s.incoming.Add(-w.booked)
	s.disk.Add(n - w.booked)
	if s.written.Add(n) > s.config.CheckpointBytes {
		s.nudge()
	}
	w.close()
	return nil
}

// Abort gives the piece up.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.s.unadmit(w.booked)
	if w.log != nil {
		if !w.log.settle(w.off, true) {
			w.s.disk.Add(w.log.shape.extent(w.header.size)) // dead, and there until compaction
		}
		w.log.release()
		w.log = nil
	}
	w.close()
}

func (w *Writer) close() {
	w.ended = true
	w.ungather()
	w.owner.mu.Lock()
	w.owner.incoming -= uint64(w.header.size)
	w.owner.mu.Unlock()
	w.s.unclaim(w.hi, w.lo)
}

// nudge tells Run that a checkpoint is due.
func (s *Store) nudge() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Put stores a whole piece and computes its root.
func (s *Store) Put(key Key, data []byte, o CreateOptions) (Info, error) {
	o.Size = uint32(len(data))
	w, err := s.Create(key, o)
	if err != nil {
		return Info{}, err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return Info{}, err
	}
	return w.Commit(piece.RootOf(data))
}

// Delete removes pieces of one lease. When it returns nil the deletion is durable. Keys that are
// not there are no error. When it fails the pieces may be gone, or be there again after the next
// opening.
func (s *Store) Delete(lease uint64, ids []piece.ID) (deleted int, err error) {
	for len(ids) > 0 {
		batch := ids[:min(len(ids), 1024)]
		n, err := s.deleteBatch(lease, batch)
		deleted += n
		if err != nil {
			return deleted, fmt.Errorf("deleting pieces of lease %d: %w", lease, err)
		}
		ids = ids[len(batch):]
	}
	return deleted, nil
}

func (s *Store) deleteBatch(owner uint64, ids []piece.ID) (deleted int, err error) {
	s.cut.RLock()
	defer s.cut.RUnlock()
	s.deletes.Lock()
	keys := make([]Key, 0, len(ids))
	for _, id := range ids {
		k := Key{owner, id}
		if _, ok := s.table.get(fingerprint(s.secret, k)); ok {
			keys = append(keys, k)
		}
	}
	if len(keys) > 0 {
		if err := s.note(journalEntry{kind: journalDelete, seq: s.seq.Add(1), keys: keys}); err != nil {
			s.deletes.Unlock()
			return 0, err
		}
	}
	for _, k := range keys {
		hi, lo := fingerprint(s.secret, k)
		s.table.edit(hi, lo, func(e *entry) bool {
			s.count(e, -1)
			deleted++
			return false
		})
	}
	s.deletes.Unlock()
	// Also for keys that another caller has just deleted: this answer vouches for them, too.
	return deleted, s.journal.Load().sync()
}

// note writes to the journal; a journal that failed is replaced by the next checkpoint.
func (s *Store) note(e journalEntry) error {
	j := s.journal.Load()
	if j == nil {
		return ErrClosed
	}
	if err := j.write(e); err != nil {
		s.nudge()
		return err
	}
	s.written.Add(int64(keySize * len(e.keys)))
	return nil
}

// setLease journals a change to a whole lease, makes it durable and then applies it.
func (s *Store) setLease(e journalEntry, apply func(*lease)) error {
	s.cut.RLock()
	defer s.cut.RUnlock()
	s.deletes.Lock()
	defer s.deletes.Unlock()
	e.seq = s.seq.Add(1)
	if err := s.note(e); err != nil {
		return err
	}
	if err := s.journal.Load().sync(); err != nil {
		return err
	}
	apply(s.leaseOf(e.lease))
	return nil
}

// Trash marks a lease's pieces as waiting to be dropped, durably. They can still be read.
func (s *Store) Trash(id uint64) error {
	at := s.config.Now().Unix()
	if err := s.setLease(journalEntry{kind: journalTrash, lease: id, at: at}, func(l *lease) { l.trashed.Store(at) }); err != nil {
		return fmt.Errorf("trashing lease %d: %w", id, err)
	}
	return nil
}

// Restore undoes Trash, durably.
func (s *Store) Restore(id uint64) error {
	if err := s.setLease(journalEntry{kind: journalRestore, lease: id}, func(l *lease) { l.trashed.Store(0) }); err != nil {
		return fmt.Errorf("restoring lease %d: %w", id, err)
	}
	return nil
}

// Drop removes all pieces of a lease, durably. Pieces that are being written meanwhile stay.
func (s *Store) Drop(id uint64) error {
	err := s.setLease(journalEntry{kind: journalDrop, lease: id}, func(l *lease) {
		s.dropEntries(l)
		l.trashed.Store(0)
	})
	if err != nil {
		return fmt.Errorf("dropping lease %d: %w", id, err)
	}
	return nil
}

func (s *Store) dropEntries(l *lease) {
	s.table.removeIf(func(e *entry) bool {
		if e.lease != l.number {
			return false
		}
		s.count(e, -1)
		return true
	})
}
