package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// errLogFull asks for another log.
var errLogFull = errors.New("log is full")

// logFile is one log.
type logFile struct {
	logHeader
	name string
	file File
	seed uint32

	live   atomic.Int64 // bytes of records that the index points at
	pieces atomic.Int64
	refs   atomic.Int64 // users of file, the store's table of logs being one

	syncs  committer
	synced atomic.Uint64 // number of syncs, for statistics

	mu        sync.Mutex      // guards what follows and the order of headers (INV-STORE-2)
	tail      int64           // where the next record goes
	durable   int64           // tail when the last sync that succeeded began
	allocated int64           // blocks set aside up to here
	sealed    bool            // takes no more records
	failed    error           // first failed write or sync (INV-STORE-7)
	pending   map[int64]int64 // offset -> extent of records that are not yet in the index
	scrubbed  int64           // Unix seconds of the last scrub
}

// logName says all that a header says, so that a log whose header is damaged is still understood.
func logName(h logHeader) string {
	suffix := ""
	if h.shape == aligned {
		suffix = alignedSuffix
	}
	return fmt.Sprintf("%08x-w%d-g%d%s.log", h.id, h.week, h.generation, suffix)
}

// alignedSuffix names the alignment, by its number of bits.
const alignedSuffix = "-a12"

func parseLogName(name string) (h logHeader, ok bool) {
	plain := name
	if rest, ok := strings.CutSuffix(name, alignedSuffix+".log"); ok {
		h.shape, plain = aligned, rest+".log"
	}
	n, err := fmt.Sscanf(plain, "%08x-w%d-g%d.log", &h.id, &h.week, &h.generation)
	return h, err == nil && n == 3 && h.id != 0 && logName(h) == name
}

// class is that of its records.
func (l *logFile) class() class { return class{l.week, l.generation, l.shape} }

// begin writes the header.
func (l *logFile) begin() error {
	b := make([]byte, l.shape.start())
	h := l.logHeader.encode(l.seed)
	copy(b, h[:])
	_, err := l.file.WriteAt(b, 0)
	return err
}

// acquire takes a reference, unless the file is being closed.
func (l *logFile) acquire() bool {
	for {
		n := l.refs.Load()
		if n == 0 {
			return false
		}
		if l.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a reference back; the last one closes the file.
func (l *logFile) release() {
	if l.refs.Add(-1) == 0 {
		l.file.Close()
	}
}

// fail records the first failure. Call with mu held.
func (l *logFile) fail(err error) error {
	if l.failed == nil {
		l.failed = err
	}
	l.sealed = true
	return err
}

// room makes sure that n bytes can be appended. Call with mu held.
func (l *logFile) room(n, limit int64) error {
	switch {
	case l.failed != nil:
		return errLogFull // another log may be well
	case l.sealed || l.tail+n > limit && l.tail > l.shape.start():
		return errLogFull
	}
	if end := l.tail + n; end > l.allocated {
		// In growing steps: large logs get large extents, and many small ones waste little.
		step := min(max(l.tail, 1<<20), 64<<20)
		want := min(end+step, max(limit, end))
		if l.file.Preallocate(want) == nil {
			l.allocated = want
		}
	}
	return nil
}

// reserve gives out the place of a record in a packed log and writes its header.
func (l *logFile) reserve(h recordHeader, limit int64) (off int64, err error) {
	n := l.shape.extent(h.size)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.room(n, limit); err != nil {
		return 0, err
	}
	off = l.tail
	var b [recordHeaderSize]byte
	h.put(b[:], l.seed, off)
	if _, err := l.file.WriteAt(b[:], off); err != nil {
		return 0, l.fail(fmt.Errorf("writing to log %d: %w", l.id, err))
	}
	l.tail += n
	l.pending[off] = n
	return off, nil
}

// append writes a whole record that build puts together once its offset is known. For an aligned
// log its bytes must lie at a multiple of alignment in memory, too.
func (l *logFile) append(n, limit int64, build func(off int64) []byte) (off int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.room(n, limit); err != nil {
		return 0, err
	}
	off = l.tail
	if l.shape == aligned {
		err = l.file.WriteDirect(build(off), off)
	} else {
		_, err = l.file.WriteAt(build(off), off)
	}
	if err != nil {
		return 0, l.fail(fmt.Errorf("writing to log %d: %w", l.id, err))
	}
	l.tail += n
	l.pending[off] = n
	return off, nil
}

// writeAt writes part of a reserved record.
func (l *logFile) writeAt(p []byte, off int64) error {
	if _, err := l.file.WriteAt(p, off); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.fail(fmt.Errorf("writing to log %d: %w", l.id, err))
	}
	return nil
}

// settle ends a reservation: the record is in the index, or, when abandoned, dead. A dead record at
// the very end of the log gives its place back; settle tells so.
func (l *logFile) settle(off int64, abandoned bool) (freed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.pending[off]
	delete(l.pending, off)
	if abandoned && off+n == l.tail && !l.sealed {
		// Cut the file: bytes of the abandoned piece must not lie behind the next record.
		if err := l.file.Truncate(off); err != nil {
			_ = l.fail(fmt.Errorf("truncating log %d: %w", l.id, err)) // for those who write to it next
		} else {
			l.tail, l.allocated, freed = off, off, true
		}
	}
	if l.sealed {
		l.trim()
	}
	return freed
}

// sync makes everything written so far durable, together with whoever else asks.
func (l *logFile) sync() error {
	return l.syncs.sync(func() error {
		l.mu.Lock()
		failed, tail := l.failed, l.tail
		if failed != nil {
			l.disown() // of what was written since
		}
		l.mu.Unlock()
		if failed != nil {
			return failed
		}
		l.synced.Add(1)
		err := l.file.Sync()
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil {
			l.disown()
			return l.fail(fmt.Errorf("syncing log %d: %w", l.id, err))
		}
		l.durable = tail
		return nil
	})
}

// disown takes back, after a failed sync, the records that were not acknowledged: the kernel may
// show their bytes until it needs the memory, though the disk never got them, and a process that
// opens the log meanwhile must not take them for pieces. Best effort: the disk is failing. Call
// with mu held.
func (l *logFile) disown() {
	_ = l.file.Truncate(max(l.durable, l.shape.start()))
	var nothing [trailerSize]byte
	for off, n := range l.pending {
		if off+n <= l.durable {
			_, _ = l.file.WriteAt(nothing[:], off+n-trailerSize)
		}
	}
}

// seal ends appending and gives blocks set aside and not used back.
func (l *logFile) seal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = true
	l.trim()
}

// trim gives blocks that were set aside and not used back. Call with mu held.
func (l *logFile) trim() {
	if l.allocated > l.tail && len(l.pending) == 0 && l.failed == nil {
		_ = l.file.Truncate(l.tail) // only ever saves space
		l.allocated = l.tail
	}
}

// state is a consistent view for counting and compaction.
func (l *logFile) state() (tail, pending int64, sealed bool, failed error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.pending {
		pending += n
	}
	return l.tail, pending, l.sealed, l.failed
}
