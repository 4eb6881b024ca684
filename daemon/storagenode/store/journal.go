package store

import (
	"fmt"
	"sync"

	"github.com/cairn-network/cairn/core/piece"
)

// journalKind says what an entry of the journal did.
type journalKind uint8

const (
	journalDelete  journalKind = 1 // pieces
	journalTrash   journalKind = 2 // a lease's pieces are no longer served, and kept for a while
	journalRestore journalKind = 3 // a lease is served again
	journalDrop    journalKind = 4 // a lease's pieces are gone
)

const (
	journalFrame = 8 // length and checksum
	keySize      = 8 + 32
	// maxJournalEntry bounds what a reader allocates.
	maxJournalEntry = 1 + 8 + keySize*4096
)

// journalEntry is one change that is not a new record.
type journalEntry struct {
	kind  journalKind
	seq   uint64
	lease uint64 // all but delete
	at    int64  // trash: Unix seconds
	keys  []Key  // delete
}

func (e journalEntry) append(b []byte) []byte {
	b = append(b, byte(e.kind))
	b = le.AppendUint64(b, e.seq)
	switch e.kind {
	case journalDelete:
		for _, k := range e.keys {
			b = le.AppendUint64(b, k.Lease)
			b = append(b, k.ID[:]...)
		}
	case journalTrash:
		b = le.AppendUint64(b, e.lease)
		b = le.AppendUint64(b, uint64(e.at))
	default:
		b = le.AppendUint64(b, e.lease)
	}
	return b
}

func parseJournalEntry(b []byte) (e journalEntry, ok bool) {
	if len(b) < 9 {
		return e, false
	}
	e.kind, e.seq = journalKind(b[0]), le.Uint64(b[1:])
	b = b[9:]
	switch e.kind {
	case journalDelete:
		if len(b)%keySize != 0 {
			return e, false
		}
		e.keys = make([]Key, len(b)/keySize)
		for i := range e.keys {
			e.keys[i] = Key{Lease: le.Uint64(b), ID: piece.ID(b[8:keySize])}
			b = b[keySize:]
		}
		return e, true
	case journalTrash:
		if len(b) != 16 {
			return e, false
		}
		e.lease, e.at = le.Uint64(b), int64(le.Uint64(b[8:]))
		return e, true
	case journalRestore, journalDrop:
		if len(b) != 8 {
			return e, false
		}
		e.lease = le.Uint64(b)
		return e, true
	}
	return e, false
}

func journalName(n uint32) string { return fmt.Sprintf("journal-%08x", n) }

// journalSeed keeps journals apart from logs and from each other.
func journalSeed(secret [16]byte, n uint32) uint32 {
	return check(seed(secret, n), -1, []byte("journal"))
}

// journal is the file of changes since a checkpoint.
type journal struct {
	number uint32
	file   File
	seed   uint32
	syncs  committer

	mu     sync.Mutex
	tail   int64
	dirty  bool // written since the last sync
	failed error
}

// write appends an entry; sync makes it durable.
func (j *journal) write(e journalEntry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return j.failed
	}
	b := e.append(make([]byte, journalFrame, journalFrame+64+keySize*len(e.keys)))
	le.PutUint32(b, uint32(len(b)-journalFrame))
	le.PutUint32(b[4:], check(j.seed, j.tail, b[journalFrame:]))
	j.dirty = true
	if _, err := j.file.WriteAt(b, j.tail); err != nil {
		j.failed = fmt.Errorf("writing to journal %d: %w", j.number, err)
		return j.failed
	}
	j.tail += int64(len(b))
	return nil
}

// sync makes everything written so far durable.
func (j *journal) sync() error {
	return j.syncs.sync(func() error {
		j.mu.Lock()
		dirty, failed := j.dirty, j.failed
		j.dirty = false
		j.mu.Unlock()
		if failed != nil || !dirty {
			return failed
		}
		if err := j.file.Sync(); err != nil {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.failed = fmt.Errorf("syncing journal %d: %w", j.number, err)
			return j.failed
		}
		return nil
	})
}

// readJournal calls fn for every entry up to the first that is not whole, and returns where that is.
func readJournal(f File, seed uint32, fn func(journalEntry)) (tail int64, err error) {
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	var frame [journalFrame]byte
	for tail+journalFrame <= size {
		if err := readFull(f, frame[:], tail); err != nil {
			return tail, err
		}
		n := int64(le.Uint32(frame[:]))
		if n == 0 || n > maxJournalEntry || tail+journalFrame+n > size {
			return tail, nil
		}
		b := make([]byte, n)
		if err := readFull(f, b, tail+journalFrame); err != nil {
			return tail, err
		}
		if check(seed, tail, b) != le.Uint32(frame[4:]) {
			return tail, nil
		}
		e, ok := parseJournalEntry(b)
		if !ok {
			return tail, nil
		}
		fn(e)
		tail += journalFrame + n
	}
	return tail, nil
}
