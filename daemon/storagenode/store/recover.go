package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// OpenStore opens the store in a directory, making it when the directory is empty, and brings the
// index up to what the disk holds. ErrLocked when another process has it.
//
// Opening reads the newest valid checkpoint, scans what logs and journals got since, and cuts off
// the torn end that a crash may have left. Without a checkpoint it scans all headers.
func OpenStore(config Config) (*Store, error) {
	config.fill()
	s := &Store{
		config: config, fs: config.FS, kick: make(chan struct{}, 1), gathers: make(chan struct{}, wholeGathers),
		logs: map[uint32]*logFile{}, active: map[class]*logFile{}, leases: map[uint64]*lease{},
	}
	if err := s.recover(); err != nil {
		s.abandon()
		return nil, fmt.Errorf("opening piece store %s: %w", config.Dir, err)
	}
	return s, nil
}

// abandon closes files without writing anything.
func (s *Store) abandon() {
	for _, l := range s.logs {
		l.release()
	}
	if j := s.journal.Load(); j != nil {
		j.file.Close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// change is one record or tombstone found by a scan.
type change struct {
	seq   uint64
	kind  journalKind // 0 for a record
	e     entry       // record: without lease; delete: the fingerprint
	lease uint64
	at    int64
}

func (s *Store) recover() (err error) {
	if s.lock, err = s.fs.Lock(lockName); err != nil {
		return err
	}
	if err := s.identify(); err != nil {
		return err
	}
	if err := s.fs.Mkdir(logDir); err != nil {
		return err
	}
	names, err := s.fs.ReadDir(".")
	if err != nil {
		return err
	}
	if err := s.openLogs(); err != nil {
		return err
	}
	marks, err := s.loadCheckpoint(names)
	if err != nil {
		return err
	}
	var changes []change
	for _, l := range s.logs {
		if changes, err = s.scan(l, marks[l.id], changes); err != nil {
			return err
		}
	}
	journals := numbered(names, "journal-")
	for _, n := range journals {
		if n < s.generation {
			continue
		}
		if changes, err = s.replayJournal(n, changes); err != nil {
			return err
		}
	}
	s.apply(changes)
	for _, l := range s.logs {
		s.disk.Add(l.tail)
	}
	s.chooseActive()
	// The next checkpoint gets a number that no file has, damaged ones included.
	for _, n := range append(journals, numbered(names, "checkpoint-")...) {
		s.generation = max(s.generation, n)
	}
	// A fresh checkpoint gives a fresh journal and saves the next opening this work.
	return s.Checkpoint()
}

// numbered returns the numbers of files with a prefix, rising.
func numbered(names []string, prefix string) (ns []uint32) {
	for _, name := range names {
		var n uint32
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			if _, err := fmt.Sscanf(rest, "%08x", &n); err == nil && fmt.Sprintf("%s%08x", prefix, n) == name {
				ns = append(ns, n)
			}
		}
	}
	slices.Sort(ns)
	return ns
}

func (s *Store) openLogs() error {
	names, err := s.fs.ReadDir(logDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		h, ok := parseLogName(name)
		if !ok {
			s.config.Log.Warn("unknown file among the logs", "name", name)
			continue
		}
		f, err := s.fs.Open(logDir+"/"+name, false)
		if err != nil {
			return fmt.Errorf("opening log %d: %w", h.id, err)
		}
		l := s.newLog(h, logDir+"/"+name, f)
		l.sealed = true
		s.logs[h.id] = l
		s.lastLog = max(s.lastLog, h.id)
		var b [logHeaderSize]byte
		if err := readFull(f, b[:], 0); err != nil && !isShort(err) {
			return fmt.Errorf("reading log %d: %w", h.id, err)
		}
		if got, err := parseLogHeader(l.seed, b[:]); err != nil || got != h {
			s.config.Log.Warn("log has a damaged header; going by its name", "name", name)
		}
	}
	return nil
}

// loadCheckpoint fills the table from the newest checkpoint that is whole.
func (s *Store) loadCheckpoint(names []string) (map[uint32]logMark, error) {
	numbers := numbered(names, "checkpoint-")
	for _, n := range slices.Backward(numbers) {
		marks, err := s.readCheckpointFile(n)
		if err == nil {
			s.previous = s.generation
			return marks, nil
		}
		if !errors.Is(err, errBadCheckpoint) {
			return nil, err
		}
		s.config.Log.Warn("checkpoint is damaged; trying an older one", "checkpoint", n, "error", err)
		s.table = table{}
		s.leases, s.byNum = map[uint64]*lease{}, nil
		for _, l := range s.logs {
			l.live.Store(0)
			l.pieces.Store(0)
		}
		s.generation = 0
		s.seq.Store(0)
	}
	return nil, nil
}

func (s *Store) readCheckpointFile(n uint32) (map[uint32]logMark, error) {
	f, err := s.fs.Open(checkpointName(n), false)
	if err != nil {
		return nil, fmt.Errorf("opening checkpoint %d: %w", n, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint %d: %w", n, err)
	}
	marks := map[uint32]logMark{}
	begin := func(c checkpoint) {
		s.generation = n
		s.seq.Store(c.seq)
		for _, m := range c.logs {
			marks[m.id] = m
			s.lastLog = max(s.lastLog, m.id)
		}
		for _, l := range c.leases {
			s.leaseAt(l)
		}
		for i := range s.table.shards {
			s.table.shards[i].grow(max(c.entries/shards*5/4, 64))
		}
	}
	err = readCheckpoint(io.NewSectionReader(f, 0, size), size, s.secret, begin, func(e entry) {
		if s.logs[e.log] == nil {
			return // unlinked since; its survivors are in a log that the scan reads
		}
		if _, replaced := s.table.put(e); !replaced {
			s.count(&e, 1)
		}
	})
	return marks, err
}

// leaseAt adds a lease of a checkpoint under the next number, whatever its id.
func (s *Store) leaseAt(m leaseMark) {
	l := &lease{id: m.lease, number: uint32(len(s.byNum))}
	l.trashed.Store(m.trashedAt)
	s.leases[m.lease] = l
	s.byNum = append(s.byNum, l)
}

// scan reads the records of a log that a checkpoint does not know, and finds where the log ends. It
// runs before anything is written.
func (s *Store) scan(l *logFile, mark logMark, changes []change) ([]change, error) {
	size, err := l.file.Size()
	if err != nil {
		return changes, fmt.Errorf("reading log %d: %w", l.id, err)
	}
	before := len(changes)
	sc := scanner{l: l, size: size, secret: s.secret, verify: s.generation > 0 || s.newest(l)}
	for _, off := range mark.pending {
		if _, changes, err = sc.record(off, changes); err != nil {
			return changes, err
		}
	}
	off := max(mark.tail, l.shape.start())
	l.tail = off
	for off < size {
		next, more, err := sc.record(off, changes)
		if err != nil {
			return changes, err
		}
		changes = more
		if next == 0 {
			// Not a header. After a crash that is the end; after damage records may follow.
			if next, err = sc.resync(off + 1); err != nil {
				return changes, err
			}
			if next == 0 {
				break
			}
			s.corruption.Add(1)
			s.config.Log.Error("log is damaged", "log", l.id, "offset", off, "resumes", next)
			l.tail = next
			off = next
			continue
		}
		if sc.whole {
			l.tail = next
		}
		off = next
	}
	// A record without a trailer at the end is what a crash leaves: the tail stays before it. The
	// file may end before a checkpoint's mark, inside a record that was never finished; the tail
	// stays at the mark all the same, so that it never lies inside the extent of a header.
	if len(changes) > before {
		// A process that was killed may have left them to the kernel, which has not written them yet.
		if err := l.file.Sync(); err != nil {
			return changes, fmt.Errorf("syncing log %d: %w", l.id, err)
		}
	}
	l.durable = l.tail
	return changes, nil
}

// newest tells whether l is the last log of its class: only such a log can have records that were
// being written when the machine stopped, once no checkpoint says better.
func (s *Store) newest(l *logFile) bool {
	for _, o := range s.logs {
		if o.class() == l.class() && o.id > l.id {
			return false
		}
	}
	return true
}

// scanner reads one log.
type scanner struct {
	l      *logFile
	secret [16]byte
	size   int64
	verify bool // check the bytes of pieces, too: they may never have reached the disk
	whole  bool // the last record was complete
	buf    []byte
}

// record reads the record at off. next is the offset behind it, or 0 when there is no header.
func (sc *scanner) record(off int64, changes []change) (next int64, _ []change, err error) {
	sc.whole = false
	var hb [recordHeaderSize]byte
	if err := readFull(sc.l.file, hb[:], off); err != nil {
		if isShort(err) {
			return 0, changes, nil
		}
		return 0, changes, fmt.Errorf("reading log %d at %d: %w", sc.l.id, off, err)
	}
	h, ok := parseRecordHeader(sc.l.seed, off, hb[:])
	if !ok {
		return 0, changes, nil
	}
	next = off + sc.l.shape.extent(h.size)
	t, ok, err := sc.complete(off, h.size)
	if err != nil || !ok {
		return next, changes, err
	}
	sc.whole = true
	e := entry{log: sc.l.id, off: uint32(off), size: h.size}
	if h.expiry > 0 {
		e.size |= flagHard
	}
	e.hi, e.lo = fingerprint(sc.secret, h.key)
	return next, append(changes, change{seq: t.seq, e: e, lease: h.key.Lease}), nil
}

// complete tells whether all of the record at off is there: a trailer alone says nothing when the
// machine lost its power before the bytes reached the disk.
func (sc *scanner) complete(off int64, size uint32) (trailer, bool, error) {
	end := off + sc.l.shape.extent(size)
	if end > sc.size {
		return trailer{}, false, nil
	}
	var footer [4*maxBlocks + trailerSize]byte
	var sums [maxBlocks]uint32
	f := footer[:footerSize(size)]
	if err := readFull(sc.l.file, f, end-int64(len(f))); err != nil {
		return trailer{}, false, fmt.Errorf("reading log %d at %d: %w", sc.l.id, off, err)
	}
	t, ok := parseFooter(f, sc.l.seed, off, size, sums[:])
	if !ok || !sc.verify {
		return t, ok, nil
	}
	if sc.buf == nil {
		sc.buf = make([]byte, maxPiece)
	}
	b := sc.buf[:size]
	if err := readFull(sc.l.file, b, off+recordHeaderSize); err != nil {
		return t, false, fmt.Errorf("reading log %d at %d: %w", sc.l.id, off, err)
	}
	for i := 0; i < len(b); i += blockSize {
		if crc32.Checksum(b[i:min(i+blockSize, len(b))], castagnoli) != sums[i/blockSize] {
			return t, false, nil
		}
	}
	return t, true, nil
}

// resync looks for the next header from off on; 0 when there is none.
func (sc *scanner) resync(off int64) (int64, error) {
	const window = 1 << 20
	magic := le.AppendUint32(nil, recordMagic)
	buf := make([]byte, window)
	for off < sc.size {
		n := min(window, sc.size-off)
		if err := readFull(sc.l.file, buf[:n], off); err != nil {
			return 0, fmt.Errorf("reading log %d at %d: %w", sc.l.id, off, err)
		}
		for at := 0; ; {
			i := bytes.Index(buf[at:n], magic)
			if i < 0 {
				break
			}
			at += i
			if int64(at)+recordHeaderSize > n {
				break // whole in the next window, which begins before it
			}
			if _, ok := parseRecordHeader(sc.l.seed, off+int64(at), buf[at:]); ok {
				return off + int64(at), nil
			}
			at++
		}
		if n < window {
			return 0, nil
		}
		off += n - recordHeaderSize
	}
	return 0, nil
}

func (s *Store) replayJournal(n uint32, changes []change) ([]change, error) {
	f, err := s.fs.Open(journalName(n), false)
	if errors.Is(err, fs.ErrNotExist) {
		return changes, nil
	}
	if err != nil {
		return changes, fmt.Errorf("opening journal %d: %w", n, err)
	}
	defer f.Close()
	_, err = readJournal(f, journalSeed(s.secret, n), func(e journalEntry) {
		if e.kind != journalDelete {
			changes = append(changes, change{seq: e.seq, kind: e.kind, lease: e.lease, at: e.at})
			return
		}
		for _, k := range e.keys {
			c := change{seq: e.seq, kind: journalDelete}
			c.e.hi, c.e.lo = fingerprint(s.secret, k)
			changes = append(changes, c)
		}
	})
	if err != nil {
		return changes, fmt.Errorf("reading journal %d: %w", n, err)
	}
	return changes, nil
}

// apply brings the index up to date, in the order in which things happened. A record and its copy
// by compaction have one sequence number; the copy, in the later log, wins.
func (s *Store) apply(changes []change) {
	slices.SortStableFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.e.log, b.e.log))
	})
	for i := range changes {
		c := &changes[i]
		s.seq.Store(max(s.seq.Load(), c.seq))
		switch c.kind {
		case 0:
			c.e.lease = s.leaseOf(c.lease).number
			old, replaced := s.table.put(c.e)
			if replaced {
				s.count(&old, -1)
			}
			s.count(&c.e, 1)
		case journalDelete:
			s.table.edit(c.e.hi, c.e.lo, func(e *entry) bool {
				s.count(e, -1)
				return false
			})
		case journalTrash:
			s.leaseOf(c.lease).trashed.Store(c.at)
		case journalRestore:
			s.leaseOf(c.lease).trashed.Store(0)
		case journalDrop:
			l := s.leaseOf(c.lease)
			s.dropEntries(l)
			l.trashed.Store(0)
		}
	}
}

// chooseActive lets the last log of each class that has room take records again. What lies behind
// its tail is cut off first, durably: it must never be taken for part of what comes.
func (s *Store) chooseActive() {
	ids := make([]uint32, 0, len(s.logs))
	for id := range s.logs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		l := s.logs[id]
		c := l.class()
		if l.tail >= s.config.LogSize {
			continue
		}
		if err := l.reopen(); err != nil {
			s.config.Log.Warn("log is left as it is", "log", id, "error", err)
			continue
		}
		if old := s.active[c]; old != nil {
			old.sealed = true
		}
		s.active[c] = l
	}
}

// reopen cuts a log at its tail and lets it take records.
func (l *logFile) reopen() error {
	size, err := l.file.Size()
	if err != nil {
		return err
	}
	if size != l.tail {
		if err := l.begin(); err != nil {
			return err
		}
		if err := l.file.Truncate(l.tail); err != nil {
			return err
		}
		if err := l.file.Sync(); err != nil {
			return err
		}
	}
	l.allocated = l.tail
	l.sealed = false
	return nil
}
