package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/cairn-network/cairn/core/piece"
)

// Run keeps the store in shape until ctx is done: checkpoints when enough was written or five
// minutes passed, expiry and unlinking every minute, compaction of at most one log a minute. It
// leaves scrubbing to the caller, who knows when the disk is idle.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for minutes := 0; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.kick:
			if err := s.Checkpoint(); err != nil {
				s.config.Log.Error("checkpoint failed", "error", err)
			}
		case <-ticker.C:
			minutes++
			if err := s.Tidy(ctx); err != nil && ctx.Err() == nil {
				s.config.Log.Error("tidying failed", "error", err)
			}
			if minutes%5 == 0 && s.written.Load() > 0 {
				if err := s.Checkpoint(); err != nil {
					s.config.Log.Error("checkpoint failed", "error", err)
				}
			}
		}
	}
}

// Tidy drops expired pieces, compacts the emptiest log that is worth it, and unlinks dead logs.
func (s *Store) Tidy(ctx context.Context) error {
	s.Expire()
	err := s.Compact(ctx)
	return errors.Join(err, s.Unlink())
}

// Checkpoint writes the index out and begins a new journal.
func (s *Store) Checkpoint() error {
	s.maintain.Lock()
	defer s.maintain.Unlock()
	if err := s.checkpoint(); err != nil {
		return fmt.Errorf("writing a checkpoint: %w", err)
	}
	return nil
}

func (s *Store) checkpoint() error {
	number := s.generation + 1
	name := journalName(number)
	if err := s.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // left by a checkpoint that failed: nothing was acknowledged with it
	}
	f, err := s.fs.Open(name, true)
	if err != nil {
		return err
	}
	if err := s.fs.SyncDir("."); err != nil {
		f.Close()
		return err
	}
	next := &journal{number: number, file: f, seed: journalSeed(s.secret, number)}

	// The cut: nobody is between a trailer and the index, or a tombstone and the index.
	s.cut.Lock()
	c := checkpoint{number: number, seq: s.seq.Load()}
	s.mu.RLock()
	for _, l := range s.logs {
		c.logs = append(c.logs, l.mark())
	}
	for _, l := range s.byNum {
		c.leases = append(c.leases, leaseMark{l.id, l.trashed.Load()})
	}
	s.mu.RUnlock()
	old := s.journal.Swap(next)
	s.written.Store(0)
	s.cut.Unlock()
	// From here on a failure leaves the old checkpoint, and journals that continue it.
	s.generation = number
	if old != nil {
		old.file.Close()
	}

	err = s.replace(checkpointName(number), func(f File) error {
		return writeCheckpoint(f, s.secret, c, func(yield func(entry) error) error {
			return s.eachEntry(uint32(len(c.leases)), yield)
		})
	})
	if err != nil {
		return err
	}
	s.forget(s.previous)
	s.previous = number
	return nil
}

// eachEntry hands out a copy of every entry, in order. Entries of leases that are newer than the
// checkpoint are left out: their records lie behind the checkpoint's marks.
func (s *Store) eachEntry(leases uint32, yield func(entry) error) error {
	var copied []entry
	for i := range s.table.shards {
		sh := &s.table.shards[i]
		copied = copied[:0]
		sh.mu.RLock()
		for _, e := range sh.slots {
			if e.log != 0 && e.lease < leases {
				copied = append(copied, e)
			}
		}
		sh.mu.RUnlock()
		for _, e := range copied {
			if err := yield(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// mark is where a checkpoint cuts the log.
func (l *logFile) mark() logMark {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := logMark{id: l.id, tail: l.tail}
	for off := range l.pending {
		m.pending = append(m.pending, off)
	}
	slices.Sort(m.pending)
	return m
}

// forget removes checkpoints and journals that are older than the last but one checkpoint.
func (s *Store) forget(keep uint32) {
	names, err := s.fs.ReadDir(".")
	if err != nil {
		return // the next checkpoint tries again
	}
	for _, n := range numbered(names, "checkpoint-") {
		if n < keep {
			_ = s.fs.Remove(checkpointName(n)) // likewise
		}
	}
	for _, n := range numbered(names, "journal-") {
		if n < keep {
			_ = s.fs.Remove(journalName(n)) // likewise
		}
	}
}

// Expire drops the pieces whose own expiry has passed, in logs whose week is over.
func (s *Store) Expire() (expired int) {
	s.maintain.Lock()
	defer s.maintain.Unlock()
	const week = 7 * 24 * 3600
	now := uint32(s.config.Now().Unix() / week)
	old := map[uint32]bool{}
	s.mu.RLock()
	for id, l := range s.logs {
		if l.week != 0 && l.week <= now {
			old[id] = true
		}
	}
	s.mu.RUnlock()
	if len(old) == 0 {
		return 0
	}
	var due []entry
	s.table.walk(0, 0, func(e entry) bool {
		if e.size&flagHard != 0 && old[e.log] {
			due = append(due, e)
		}
		return true
	})
	for _, e := range due {
		if !s.expired(e) {
			continue
		}
		// No tombstone: whoever opens the store sees the expiry in the record.
		s.table.edit(e.hi, e.lo, func(now *entry) bool {
			if !now.at(e.log, e.off) {
				return true
			}
			s.count(now, -1)
			expired++
			return false
		})
	}
	return expired
}

// Unlink removes logs without live records that take no more.
func (s *Store) Unlink() error {
	s.maintain.Lock()
	defer s.maintain.Unlock()
	return s.unlink()
}

func (s *Store) unlink() error {
	const week = 7 * 24 * 3600
	now := uint32(s.config.Now().Unix() / week)
	var dead []*logFile
	s.mu.Lock()
	for id, l := range s.logs {
		c := l.class()
		if s.active[c] == l {
			if l.week == 0 || l.week > now {
				continue
			}
			delete(s.active, c)
			l.seal()
		}
		if _, pending, sealed, _ := l.state(); sealed && pending == 0 && l.live.Load() == 0 {
			delete(s.logs, id)
			dead = append(dead, l)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, l := range dead {
		tail, _, _, _ := l.state()
		s.disk.Add(-tail)
		if err := s.fs.Remove(l.name); err != nil {
			errs = append(errs, fmt.Errorf("removing log %d: %w", l.id, err))
		}
		l.release()
	}
	return errors.Join(errs...)
}

// compactBatch is how many bytes compaction moves before it syncs and enters them into the index.
const compactBatch = 16 << 20

// Compact moves the live records of one sealed log, the one with the smallest live part below
// CompactBelow, to a log of generation 1, so that Unlink can remove it. It does nothing unless the
// disk has room for them besides the part that stays free.
func (s *Store) Compact(ctx context.Context) error {
	s.maintain.Lock()
	defer s.maintain.Unlock()
	l := s.emptiest()
	if l == nil {
		return nil
	}
	defer l.release()
	moved, err := s.compactLog(ctx, l)
	if err != nil {
		return fmt.Errorf("compacting log %d: %w", l.id, err)
	}
	s.config.Log.Info("compacted", "log", l.id, "moved", moved)
	return s.unlink()
}

// emptiest picks the log to compact and takes a reference to it.
func (s *Store) emptiest() (pick *logFile) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	best := int64(s.config.CompactBelow)
	for _, l := range s.logs {
		tail, pending, sealed, _ := l.state()
		used := tail - l.shape.start()
		if !sealed || pending > 0 || used <= 0 || l.live.Load() == 0 {
			continue
		}
		if share := l.live.Load() * 100 / used; share < best {
			best, pick = share, l
		}
	}
	if pick != nil && !pick.acquire() {
		return nil
	}
	return pick
}

// move is one record on its way to another log.
type move struct {
	e   entry
	to  *logFile
	off int64
}

func (s *Store) compactLog(ctx context.Context, l *logFile) (moved int, err error) {
	var todo []entry
	need := int64(0)
	s.table.walk(0, 0, func(e entry) bool {
		if e.log == l.id {
			todo = append(todo, e)
			need += shapeFor(e.bytes()).extent(e.bytes())
		}
		return true
	})
	if err := s.admit(need); err != nil {
		return 0, err
	}
	used := int64(0)
	defer func() {
		s.incoming.Add(-need)
		s.disk.Add(used - need)
	}()
	slices.SortFunc(todo, func(a, b entry) int { return int(int64(a.off) - int64(b.off)) })
	buf := alignedBuffer(maxExtent)
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return moved, err
		}
		n, bytes := 0, int64(0)
		for n < len(todo) && bytes < compactBatch {
			bytes += l.shape.extent(todo[n].bytes())
			n++
		}
		done, wrote, err := s.moveBatch(l, todo[:n], buf)
		moved += done
		used += wrote
		if err != nil {
			return moved, err
		}
		todo = todo[n:]
	}
	return moved, nil
}

// moveBatch copies records, syncs the copies, and then points the index at them. A checkpoint waits
// meanwhile (INV-STORE-5).
func (s *Store) moveBatch(l *logFile, todo []entry, buf []byte) (moved int, wrote int64, err error) {
	s.cut.RLock()
	defer s.cut.RUnlock()
	var moves []move
	defer func() {
		for _, m := range moves {
			m.to.settle(m.off, err != nil)
			m.to.release()
		}
	}()
	targets := map[*logFile]bool{}
	for _, e := range todo {
		if now, ok := s.table.get(e.hi, e.lo); !ok || !now.at(e.log, e.off) {
			continue
		}
		m, err := s.copyRecord(l, e, buf)
		if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
			s.lose(e, corrupt)
			continue
		}
		if err != nil {
			return 0, wrote, err
		}
		wrote += m.to.shape.extent(e.bytes())
		moves = append(moves, m)
		targets[m.to] = true
	}
	for to := range targets {
		if err := to.sync(); err != nil {
			return 0, wrote, err
		}
	}
	for _, m := range moves {
		s.table.edit(m.e.hi, m.e.lo, func(now *entry) bool {
			if !now.at(m.e.log, m.e.off) {
				return true // deleted meanwhile: the copy is dead
			}
			s.count(now, -1)
			now.log, now.off = m.to.id, uint32(m.off)
			s.count(now, 1)
			moved++
			return true
		})
	}
	s.written.Add(wrote)
	return moved, wrote, nil
}

// copyRecord writes a checked copy of a record to the log of the next generation.
func (s *Store) copyRecord(l *logFile, e entry, buf []byte) (move, error) {
	off, size := int64(e.off), e.bytes()
	b := buf[:l.shape.extent(size)]
	if err := readFull(l.file, b, off); err != nil {
		if isShort(err) {
			return move{}, &CorruptError{l.id, off, "log ends inside the record"}
		}
		return move{}, fmt.Errorf("reading log %d at %d: %w", l.id, off, err)
	}
	h, t, sums, err := checkRecord(l, off, size, b)
	if err != nil {
		return move{}, err
	}
	m := move{e: e}
	c := class{week: l.week, generation: 1, shape: shapeFor(size)}
	b = buf[:c.shape.extent(size)]
	err = s.place(c, func(to *logFile) error {
		if to == l {
			to.seal() // never into itself
			return errLogFull
		}
		at, err := to.append(int64(len(b)), s.config.LogSize, func(at int64) []byte {
			h.put(b, to.seed, at)
			endRecord(b, to.seed, at, size, sums, t)
			return b
		})
		if err == nil {
			to.acquire()
			m.to, m.off = to, at
		}
		return err
	})
	return m, err
}

// checkRecord judges a whole record against everything that can be checked without its root.
func checkRecord(l *logFile, off int64, size uint32, b []byte) (recordHeader, trailer, []uint32, error) {
	h, ok := parseRecordHeader(l.seed, off, b)
	if !ok || h.size != size {
		return h, trailer{}, nil, &CorruptError{l.id, off, "header"}
	}
	sums := make([]uint32, maxBlocks)
	t, ok := parseFooter(b[len(b)-footerSize(size):], l.seed, off, size, sums)
	if !ok {
		return h, t, nil, &CorruptError{l.id, off + int64(len(b)-footerSize(size)), "trailer"}
	}
	sums = sums[:blocks(size)]
	var computed blockSums
	computed.add(b[recordHeaderSize : recordHeaderSize+size])
	if !slices.Equal(computed.finish(), sums) {
		return h, t, nil, &CorruptError{l.id, off + recordHeaderSize, "checksum of a block"}
	}
	return h, t, sums, nil
}

// lose takes a piece that is beyond repair out of the index.
func (s *Store) lose(e entry, why *CorruptError) {
	s.markCorrupt(&e, why)
	s.table.edit(e.hi, e.lo, func(now *entry) bool {
		if !now.at(e.log, e.off) {
			return true
		}
		s.count(now, -1)
		return false
	})
}

// ScrubReport is what a scrub found.
type ScrubReport struct {
	Log     uint32
	Pieces  int
	Bytes   int64
	Corrupt []*CorruptError
}

// Scrub reads all pieces of the log that was not scrubbed for the longest time, at least since
// before, and checks checksums and roots. ok is false when there is none. Pieces that fail stay in
// the index, so that their owners hear of it (ErrCorrupt) and repair.
func (s *Store) Scrub(ctx context.Context, before time.Time) (report ScrubReport, ok bool, err error) {
	var l *logFile
	oldest := before.Unix()
	s.mu.RLock()
	for _, c := range s.logs {
		c.mu.Lock()
		if c.scrubbed < oldest && c.live.Load() > 0 {
			oldest, l = c.scrubbed, c
		}
		c.mu.Unlock()
	}
	ok = l != nil && l.acquire()
	s.mu.RUnlock()
	if !ok {
		return report, false, nil
	}
	defer l.release()
	report.Log = l.id
	var todo []entry
	s.table.walk(0, 0, func(e entry) bool {
		if e.log == l.id {
			todo = append(todo, e)
		}
		return true
	})
	slices.SortFunc(todo, func(a, b entry) int { return int(int64(a.off) - int64(b.off)) })
	buf := make([]byte, maxExtent)
	for _, e := range todo {
		if err := ctx.Err(); err != nil {
			return report, true, err
		}
		b := buf[:l.shape.extent(e.bytes())]
		err := readFull(l.file, b, int64(e.off))
		var t trailer
		if err == nil {
			_, t, _, err = checkRecord(l, int64(e.off), e.bytes(), b)
		} else if isShort(err) {
			err = &CorruptError{l.id, int64(e.off), "log ends inside the record"}
		}
		if err == nil && piece.RootOf(b[recordHeaderSize:recordHeaderSize+e.bytes()]) != t.root {
			err = &CorruptError{l.id, int64(e.off), "root"}
		}
		report.Pieces++
		report.Bytes += int64(len(b))
		if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
			if now, ok := s.table.get(e.hi, e.lo); ok && now.at(e.log, e.off) {
				report.Corrupt = append(report.Corrupt, corrupt)
				s.markCorrupt(&e, corrupt)
			}
		} else if err != nil {
			return report, true, fmt.Errorf("scrubbing log %d: %w", l.id, err)
		}
	}
	l.mu.Lock()
	l.scrubbed = s.config.Now().Unix()
	l.mu.Unlock()
	return report, true, nil
}

// Close writes a checkpoint and closes everything. No other method may run or be called after.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	logs := s.logs
	s.mu.Unlock()
	var errs []error
	for _, l := range logs {
		if s.config.Unsynced {
			errs = append(errs, l.sync())
		}
		l.seal()
	}
	errs = append(errs, s.Checkpoint())
	s.mu.Lock()
	s.logs, s.active = map[uint32]*logFile{}, map[class]*logFile{}
	s.mu.Unlock()
	for _, l := range logs {
		l.release()
	}
	if j := s.journal.Swap(nil); j != nil {
		errs = append(errs, j.file.Close())
	}
	errs = append(errs, s.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing piece store: %w", err)
	}
	return nil
}
