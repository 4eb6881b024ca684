package store

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cairn-network/cairn/core/piece"
)

var (
	// ErrNotFound says that there is no such piece, or none any more.
	ErrNotFound = errors.New("piece not found")
	// ErrExists says that a key is taken, or is being written or deleted at this moment.
	ErrExists = errors.New("piece exists")
	// ErrNoSpace says that the disk, or the part of it that the owner gave, is full.
	ErrNoSpace = errors.New("no space left for pieces")
	// ErrQuota says that a lease's limit is reached.
	ErrQuota = errors.New("limit of the lease reached")
	// ErrTooLarge says that a piece is larger than the format holds.
	ErrTooLarge = errors.New("piece too large")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
)

// Config of a store. The zero value of a field stands for its default.
type Config struct {
	Dir string
	// Capacity is how many bytes the logs may take; 0 for no limit but the disk's.
	Capacity uint64
	// MinFree is how many bytes of the file system stay free, at least 1 % of it: 5 GB.
	MinFree uint64
	// LogSize is the size at which a log is sealed: 1 GiB, at most 4 GiB less one piece.
	LogSize int64
	// CompactBelow is the percentage of live bytes below which a log is compacted: 60.
	CompactBelow int
	// CheckpointBytes is how much may be written between two checkpoints: 256 MiB, or eight times
	// the size of a checkpoint where that is more.
	CheckpointBytes int64
	// KeepExpired is for how long a piece is kept, for Kept to find, after its own expiry.
	KeepExpired time.Duration
	// Unsynced acknowledges before anything is durable. For measurements only.
	Unsynced bool
	FS       FS               // Dir on the operating system's file system when nil
	Now      func() time.Time // time.Now
	Log      *slog.Logger
}

func (c *Config) fill() {
	if c.MinFree == 0 {
		c.MinFree = 5_000_000_000
	}
	if c.LogSize == 0 {
		c.LogSize = 1 << 30
	}
	c.LogSize = min(c.LogSize, 1<<32-maxExtent)
	if c.CompactBelow == 0 {
		c.CompactBelow = 60
	}
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = 256 << 20
	}
	if c.FS == nil {
		c.FS = dirFS(c.Dir)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// class is what records of a log have in common.
type class struct {
	week       uint32
	generation uint8
	shape      shape
}

// lease is what is kept of a lease in memory.
type lease struct {
	id      uint64
	number  uint32 // in entries
	pieces  atomic.Int64
	bytes   atomic.Int64 // of pieces, without overhead
	extents atomic.Int64 // of records
	trashed atomic.Int64 // Unix seconds, 0 for not

	mu       sync.Mutex
	incoming uint64 // bytes of pieces being written
}

// Store keeps pieces. All methods are safe for concurrent use.
type Store struct {
	config Config
	fs     FS
	secret [16]byte
	lock   io.Closer
	kick   chan struct{} // capacity 1: a checkpoint is due

	table table
	seq   atomic.Uint64

	// cut is held for reading from a trailer's writing to the entry in the index, and for writing
	// while a checkpoint takes its position (INV-STORE-5).
	cut sync.RWMutex

	mu      sync.RWMutex // guards the maps
	logs    map[uint32]*logFile
	active  map[class]*logFile
	lastLog uint32
	leases  map[uint64]*lease
	byNum   []*lease
	closed  bool

	deletes sync.Mutex // one deletion at a time: lookup, journal, index
	journal atomic.Pointer[journal]

	claims [shards]claims
	// gathers holds a token for each larger piece that is in memory before its write.
	gathers chan struct{}

	incoming   atomic.Int64 // extents of records being written
	disk       atomic.Int64 // bytes of all logs, incoming included
	written    atomic.Int64 // bytes since the last checkpoint
	corruption atomic.Int64
	syncs      atomic.Uint64
	maintain   sync.Mutex // one checkpoint, compaction, expiry or scrub at a time
	generation uint32     // number of the newest checkpoint; under maintain
	previous   uint32     // the one before, or the same
}

// claims are the keys of one shard that are being written.
type claims struct {
	mu   sync.Mutex
	keys map[[2]uint64]struct{}
}

func (s *Store) claim(hi, lo uint64) bool {
	c := &s.claims[shardOf(hi)]
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.keys[[2]uint64{hi, lo}]; taken {
		return false
	}
	if c.keys == nil {
		c.keys = map[[2]uint64]struct{}{}
	}
	c.keys[[2]uint64{hi, lo}] = struct{}{}
	return true
}

func (s *Store) unclaim(hi, lo uint64) {
	c := &s.claims[shardOf(hi)]
	c.mu.Lock()
	delete(c.keys, [2]uint64{hi, lo})
	c.mu.Unlock()
}

// manifest is the file that makes a directory a store.
type manifest struct {
	Format int    `json:"format"`
	Secret string `json:"secret"` // 16 bytes, hexadecimal
}

const (
	manifestName = "STORE"
	lockName     = "LOCK"
	logDir       = "logs"
)

// identify reads the manifest, or makes the directory a store when it is none yet.
func (s *Store) identify() error {
	f, err := s.fs.Open(manifestName, false)
	if errors.Is(err, fs.ErrNotExist) {
		return s.found()
	}
	if err != nil {
		return fmt.Errorf("opening manifest: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	b := make([]byte, min(size, 4096))
	if err := readFull(f, b, 0); err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	secret, err := hex.DecodeString(m.Secret)
	if m.Format < 1 || m.Format > formatVersion || err != nil || len(secret) != len(s.secret) {
		return fmt.Errorf("manifest has format %d, want at most %d and a secret of %d bytes", m.Format, formatVersion, len(s.secret))
	}
	s.secret = [16]byte(secret)
	if m.Format < formatVersion {
		// Its logs are read as they are. A program that knows only packed logs must not open it again.
		return s.writeManifest()
	}
	return nil
}

func (s *Store) found() error {
	rand.Read(s.secret[:])
	return s.writeManifest()
}

func (s *Store) writeManifest() error {
	b, err := json.Marshal(manifest{formatVersion, hex.EncodeToString(s.secret[:])})
	if err != nil {
		return err
	}
	return s.replace(manifestName, func(f File) error {
		_, err := f.WriteAt(append(b, '\n'), 0)
		return err
	})
}

// replace writes a file under a temporary name, syncs it, and renames it.
func (s *Store) replace(name string, write func(File) error) (err error) {
	temporary := name + ".tmp"
	if err := s.fs.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s: %w", temporary, err)
	}
	f, err := s.fs.Open(temporary, true)
	if err != nil {
		return fmt.Errorf("creating %s: %w", temporary, err)
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = s.fs.Rename(temporary, name)
	}
	if err == nil {
		err = s.fs.SyncDir(".")
	}
	if err != nil {
		_ = s.fs.Remove(temporary) // the next attempt would
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// leaseOf returns the state of a lease, making it when needed.
func (s *Store) leaseOf(id uint64) *lease {
	s.mu.RLock()
	l := s.leases[id]
	s.mu.RUnlock()
	if l != nil {
		return l
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l = s.leases[id]; l == nil {
		l = &lease{id: id, number: uint32(len(s.byNum))}
		s.leases[id] = l
		s.byNum = append(s.byNum, l)
	}
	return l
}

func (s *Store) leaseByNumber(n uint32) *lease {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byNum[n]
}

func (s *Store) log(id uint32) *logFile {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.logs[id]
}

// count adds (sign 1) or removes (-1) an entry from the counters.
func (s *Store) count(e *entry, sign int64) {
	n := packed.extent(e.bytes())
	if l := s.log(e.log); l != nil {
		n = l.shape.extent(e.bytes())
		l.live.Add(sign * n)
		l.pieces.Add(sign)
	}
	owner := s.leaseByNumber(e.lease)
	owner.pieces.Add(sign)
	owner.bytes.Add(sign * int64(e.bytes()))
	owner.extents.Add(sign * n)
}

// createLog makes a new log, durable in its directory. Call with mu held.
func (s *Store) createLog(c class) (*logFile, error) {
	s.lastLog++
	h := logHeader{id: s.lastLog, week: c.week, generation: c.generation, shape: c.shape}
	name := logDir + "/" + logName(h)
	f, err := s.fs.Open(name, true)
	if err != nil {
		return nil, fmt.Errorf("creating log %d: %w", h.id, err)
	}
	l := s.newLog(h, name, f)
	if err = l.begin(); err == nil {
		err = s.fs.SyncDir(logDir)
	}
	if err != nil {
		f.Close()
		_ = s.fs.Remove(name) // an empty log is removed on opening, too
		return nil, fmt.Errorf("creating log %d: %w", h.id, err)
	}
	s.disk.Add(h.shape.start())
	s.logs[h.id] = l
	s.active[c] = l
	return l, nil
}

func (s *Store) newLog(h logHeader, name string, f File) *logFile {
	start := h.shape.start()
	l := &logFile{
		logHeader: h, name: name, file: f, seed: seed(s.secret, h.id),
		tail: start, durable: start, allocated: start, pending: map[int64]int64{}, scrubbed: s.config.Now().Unix(),
	}
	l.refs.Store(1)
	return l
}

// place calls try with logs of a class until one has room.
func (s *Store) place(c class, try func(*logFile) error) error {
	for {
		s.mu.RLock()
		l, closed := s.active[c], s.closed
		s.mu.RUnlock()
		if closed {
			return ErrClosed
		}
		if l == nil {
			s.mu.Lock()
			var err error
			if l = s.active[c]; l == nil {
				l, err = s.createLog(c)
			}
			s.mu.Unlock()
			if err != nil {
				return spaceError(err)
			}
		}
		err := try(l)
		if !errors.Is(err, errLogFull) {
			return spaceError(err)
		}
		s.retire(c, l)
	}
}

// retire takes a full or failed log out of use for new records.
func (s *Store) retire(c class, l *logFile) {
	s.mu.Lock()
	if s.active[c] == l {
		delete(s.active, c)
	}
	s.mu.Unlock()
	l.seal()
}

func spaceError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// admit checks that n more bytes may be written and books them; unadmit gives them back.
func (s *Store) admit(n int64) error {
	free, total, err := s.fs.Space()
	if err != nil {
		return err
	}
	incoming := s.incoming.Add(n)
	disk := s.disk.Add(n)
	switch floor := max(s.config.MinFree, total/100); {
	case s.config.Capacity > 0 && uint64(disk) > s.config.Capacity:
		err = fmt.Errorf("%w: %d bytes used of %d given", ErrNoSpace, disk-n, s.config.Capacity)
	case uint64(incoming)+floor > free:
		err = fmt.Errorf("%w: %d bytes free on the disk, %d of them stay free", ErrNoSpace, free, floor)
	}
	if err != nil {
		s.unadmit(n)
	}
	return err
}

func (s *Store) unadmit(n int64) {
	s.incoming.Add(-n)
	s.disk.Add(-n)
}

// weekOf is the class of pieces that are expected to go at a time: the week after it, 0 when that
// is unknown or more than two years away.
func (s *Store) weekOf(until int64) uint32 {
	const week = 7 * 24 * 3600
	now := s.config.Now().Unix()
	if until <= now || until > now+104*week {
		return 0
	}
	return uint32(until/week) + 1
}

// Info describes a stored piece.
type Info struct {
	Key    Key
	Root   piece.Root
	Size   uint32
	Expiry int64 // Unix seconds, 0 for none
	Stored int64 // Unix seconds
}

// Stats are exact at a moment without writers.
type Stats struct {
	Pieces       int64
	PieceBytes   int64 // without overhead
	LiveBytes    int64 // records in the index, trash excluded
	TrashBytes   int64 // records of leases in the trash
	DeadBytes    int64 // records that compaction or unlinking will free
	PendingBytes int64 // records being written
	DiskBytes    int64 // all logs
	Logs         int
	Leases       int   // with pieces
	Corrupt      int64 // failed checks since opening
	Syncs        uint64
	Capacity     uint64
	Free, Total  uint64 // of the file system
}

// Stats counts.
func (s *Store) Stats() (Stats, error) {
	st := Stats{Capacity: s.config.Capacity, Corrupt: s.corruption.Load(), Syncs: s.syncs.Load()}
	s.mu.RLock()
	for _, l := range s.logs {
		tail, pending, _, _ := l.state()
		st.DiskBytes += tail
		st.PendingBytes += pending
		st.LiveBytes += l.live.Load()
		st.DeadBytes += tail - l.shape.start() - pending - l.live.Load()
		st.Syncs += l.synced.Load()
		st.Logs++
	}
	for _, l := range s.byNum {
		if n := l.pieces.Load(); n > 0 {
			st.Leases++
			st.Pieces += n
			st.PieceBytes += l.bytes.Load()
			if l.trashed.Load() != 0 {
				st.TrashBytes += l.extents.Load()
			}
		}
	}
	s.mu.RUnlock()
	st.LiveBytes -= st.TrashBytes
	var err error
	st.Free, st.Total, err = s.fs.Space()
	return st, err
}

// LeaseStats is what one lease holds.
type LeaseStats struct {
	Lease   uint64
	Pieces  int64
	Bytes   int64 // of pieces, without overhead
	Trashed int64 // Unix seconds since when it is in the trash, 0 for not
}

// Leases describes all leases with pieces, in rising order.
func (s *Store) Leases() []LeaseStats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []LeaseStats
	for _, l := range s.byNum {
		if n := l.pieces.Load(); n > 0 {
			all = append(all, LeaseStats{l.id, n, l.bytes.Load(), l.trashed.Load()})
		}
	}
	slices.SortFunc(all, func(a, b LeaseStats) int {
		if a.Lease < b.Lease {
			return -1
		}
		return 1
	})
	return all
}

// Lease describes one lease; zero when it has no pieces.
func (s *Store) Lease(id uint64) LeaseStats {
	s.mu.RLock()
	l := s.leases[id]
	s.mu.RUnlock()
	if l == nil {
		return LeaseStats{Lease: id}
	}
	return LeaseStats{id, l.pieces.Load(), l.bytes.Load(), l.trashed.Load()}
}

func readFull(f File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isShort tells that a file ended before the bytes asked for.
func isShort(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
