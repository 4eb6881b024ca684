package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
)

func openMem(t testing.TB, m *memFS, change ...func(*Config)) *Store {
	return openAt(t, "", append([]func(*Config){func(c *Config) { c.FS = m }}, change...)...)
}

// TestFailedSyncIsNeverAcknowledged holds INV-STORE-7.
func TestFailedSyncIsNeverAcknowledged(t *testing.T) {
	m := newMemFS()
	s := openMem(t, m)
	_, err := s.Put(Key{1, id(1)}, content(1, 5000), CreateOptions{})
	require.NoError(t, err)
	m.fault = func(op, _ string) error {
		if op == "sync" {
			m.fault = nil
			return syscall.EIO
		}
		return nil
	}
	_, err = s.Put(Key{1, id(2)}, content(2, 5000), CreateOptions{})
	require.ErrorIs(t, err, syscall.EIO)
	_, _, err = s.Get(Key{1, id(2)})
	require.ErrorIs(t, err, ErrNotFound)
	// The next piece goes to a log whose pages the kernel has not dropped.
	_, err = s.Put(Key{1, id(3)}, content(3, 5000), CreateOptions{})
	require.NoError(t, err)
	require.Len(t, m.logsOf(), 2)
	b, _, err := s.Get(Key{1, id(1)})
	require.NoError(t, err)
	require.Equal(t, content(1, 5000), b)
}

func TestFullDiskIsRefusedBeforeItIsFull(t *testing.T) {
	m := newMemFS()
	m.free = 100 << 20
	s := openMem(t, m, func(c *Config) { c.MinFree = 1 << 20; c.Capacity = 3 << 20 })
	_, err := s.Put(Key{1, id(1)}, content(1, 1000), CreateOptions{})
	require.ErrorIs(t, err, ErrNoSpace, "less than 1 % of a disk of 2 TiB is free")
	m.free = 1 << 40
	for i := range uint64(2) {
		_, err = s.Put(Key{1, id(i)}, content(i, piece.MaxSize), CreateOptions{})
		require.NoError(t, err)
	}
	_, err = s.Put(Key{1, id(5)}, content(5, piece.MaxSize), CreateOptions{})
	require.ErrorIs(t, err, ErrNoSpace, "above the capacity given")
	// What does not fit must not be booked.
	_, err = s.Put(Key{1, id(6)}, content(6, 100_000), CreateOptions{})
	require.NoError(t, err)
	require.Zero(t, s.incoming.Load())
}

func TestWriteErrorNamesAFullDisk(t *testing.T) {
	for _, size := range []int{1000, 300_000} {
		m := newMemFS()
		s := openMem(t, m)
		_, err := s.Put(Key{1, id(1)}, content(1, size), CreateOptions{})
		require.NoError(t, err)
		m.fault = func(op, _ string) error {
			if op == "write" {
				return fmt.Errorf("writing: %w", syscall.ENOSPC)
			}
			return nil
		}
		_, err = s.Put(Key{1, id(2)}, content(2, size), CreateOptions{})
		require.ErrorIs(t, err, ErrNoSpace)
		m.fault = nil
		_, err = s.Put(Key{1, id(2)}, content(2, size), CreateOptions{})
		require.NoError(t, err, "the store recovers when the disk does")
		require.NoError(t, s.Close())
		s = openMem(t, m)
		for i := range uint64(2) {
			b, _, err := s.Get(Key{1, id(i + 1)})
			require.NoError(t, err)
			require.True(t, bytes.Equal(content(i+1, size), b))
		}
	}
}

func TestQuotaCountsWhatIsBeingWritten(t *testing.T) {
	s := openMem(t, newMemFS())
	o := CreateOptions{Size: 600, Limit: 1000}
	w, err := s.Create(Key{1, id(1)}, o)
	require.NoError(t, err)
	_, err = s.Create(Key{1, id(2)}, o)
	require.ErrorIs(t, err, ErrQuota)
	_, err = s.Create(Key{1, id(1)}, CreateOptions{Size: 1})
	require.ErrorIs(t, err, ErrExists, "a key is written by one at a time")
	w.Abort()
	_, err = s.Put(Key{1, id(2)}, content(2, 600), o)
	require.NoError(t, err)
	_, err = s.Create(Key{1, id(3)}, o)
	require.ErrorIs(t, err, ErrQuota)
	_, err = s.Create(Key{2, id(3)}, o)
	require.NoError(t, err)
}

// TestEveryFlippedBitIsFound flips each bit of a log, one at a time (INV-STORE-3).
func TestEveryFlippedBitIsFound(t *testing.T) {
	m := newMemFS()
	s := openMem(t, m)
	_, err := s.Put(Key{1, id(1)}, content(1, 300), CreateOptions{})
	require.NoError(t, err)
	f := m.files[m.logsOf()[0]]
	for bit := logHeaderSize * 8; bit < len(f.data)*8; bit++ {
		f.data[bit/8] ^= 1 << (bit % 8)
		_, _, err := s.Get(Key{1, id(1)})
		corrupt := (*CorruptError)(nil)
		require.ErrorAs(t, err, &corrupt, "bit %d", bit)
		require.Equal(t, uint32(1), corrupt.Log)
		f.data[bit/8] ^= 1 << (bit % 8)
	}
	_, _, err = s.Get(Key{1, id(1)})
	require.NoError(t, err)
	require.EqualValues(t, 1, s.corruption.Load(), "reported once")
}

func TestScrubFindsWhatNobodyReads(t *testing.T) {
	m := newMemFS()
	now := int64(1_800_000_000)
	s := openMem(t, m, func(c *Config) { c.Now = func() time.Time { return time.Unix(now, 0) } })
	for i := range uint64(5) {
		_, err := s.Put(Key{1, id(i)}, content(i, 50_000), CreateOptions{})
		require.NoError(t, err)
	}
	_, ok, err := s.Scrub(context.Background(), time.Unix(now-100, 0))
	require.NoError(t, err)
	require.False(t, ok, "nothing is due")
	f := m.files[m.logsOf()[0]]
	f.data[logHeaderSize+2*packed.extent(50_000)+30_000] ^= 1
	now += 1000
	report, ok, err := s.Scrub(context.Background(), time.Unix(now-100, 0))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, 5, report.Pieces)
	require.Len(t, report.Corrupt, 1)
	require.EqualValues(t, logHeaderSize+2*packed.extent(50_000)+recordHeaderSize, report.Corrupt[0].Offset)
}

// TestDamagedHeaderHidesOnlyItsOwnPiece rebuilds the index without any checkpoint.
func TestDamagedHeaderHidesOnlyItsOwnPiece(t *testing.T) {
	m := newMemFS()
	s := openMem(t, m)
	for i := range uint64(10) {
		_, err := s.Put(Key{1, id(i)}, content(i, 3000), CreateOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	f := m.files[m.logsOf()[0]]
	f.data[logHeaderSize+4*packed.extent(3000)+20] ^= 1
	names, err := m.ReadDir(".")
	require.NoError(t, err)
	for _, n := range append(numbered(names, "checkpoint-"), 0) {
		delete(m.files, checkpointName(n))
	}
	s = openMem(t, m)
	for i := range uint64(10) {
		_, _, err := s.Get(Key{1, id(i)})
		if i == 4 {
			require.ErrorIs(t, err, ErrNotFound)
		} else {
			require.NoError(t, err, i)
		}
	}
}

// TestPieceCannotForgeARecord stores bytes that look like a record of another lease and makes the
// recovery search through them.
func TestPieceCannotForgeARecord(t *testing.T) {
	m := newMemFS()
	s := openMem(t, m)
	var secret [16]byte // the attacker does not know the store's
	forged := make([]byte, 2*packed.extent(100))
	h := recordHeader{key: Key{99, id(1)}, size: 100}
	for off := int64(0); off < 200; off++ {
		h.put(forged[off:], seed(secret, 1), logHeaderSize+recordHeaderSize+off)
	}
	_, err := s.Put(Key{1, id(1)}, forged, CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	f := m.files[m.logsOf()[0]]
	f.data[logHeaderSize+5] ^= 1 // the scan loses its way right before the forgery
	for _, n := range []uint32{1, 2, 3} {
		delete(m.files, checkpointName(n))
	}
	s = openMem(t, m)
	require.Empty(t, s.Leases())
}

func TestCompactionKeepsWhatLivesAndFreesTheRest(t *testing.T) {
	m := newMemFS()
	s := openMem(t, m, func(c *Config) { c.LogSize = 1 << 20 })
	for i := range uint64(400) {
		_, err := s.Put(Key{1, id(i)}, content(i, 8000), CreateOptions{})
		require.NoError(t, err)
	}
	var ids []piece.ID
	for i := range uint64(400) {
		if i%4 != 0 {
			ids = append(ids, id(i))
		}
	}
	n, err := s.Delete(1, ids)
	require.NoError(t, err)
	require.Equal(t, 300, n)
	before, err := s.Stats()
	require.NoError(t, err)
	for range 10 {
		require.NoError(t, s.Tidy(context.Background()))
	}
	after, err := s.Stats()
	require.NoError(t, err)
	require.Equal(t, before.LiveBytes, after.LiveBytes)
	require.Less(t, after.DiskBytes, before.DiskBytes/2)
	for range 2 {
		for i := range uint64(400) {
			b, _, err := s.Get(Key{1, id(i)})
			if i%4 != 0 {
				require.ErrorIs(t, err, ErrNotFound)
				continue
			}
			require.NoError(t, err)
			require.True(t, bytes.Equal(content(i, 8000), b))
		}
		require.NoError(t, s.Close())
		s = openMem(t, m)
	}
	m.free = 1 << 20
	require.NoError(t, s.Close())
}

func TestCompactionNeedsRoom(t *testing.T) {
	m := newMemFS()
	s := openMem(t, m, func(c *Config) { c.LogSize = 1 << 20 })
	for i := range uint64(200) {
		_, err := s.Put(Key{1, id(i)}, content(i, 8000), CreateOptions{})
		require.NoError(t, err)
		if i%2 == 0 {
			_, err = s.Delete(1, []piece.ID{id(i)})
			require.NoError(t, err)
		}
	}
	m.free = 1000
	require.ErrorIs(t, s.Compact(context.Background()), ErrNoSpace)
	require.Zero(t, s.incoming.Load())
}

func TestExpiredWeekIsUnlinked(t *testing.T) {
	m := newMemFS()
	now := int64(1_800_000_000)
	s := openMem(t, m, func(c *Config) { c.Now = func() time.Time { return time.Unix(now, 0) } })
	for i := range uint64(20) {
		_, err := s.Put(Key{1, id(i)}, content(i, 8000), CreateOptions{Expiry: now + 1000})
		require.NoError(t, err)
	}
	_, err := s.Put(Key{1, id(99)}, content(99, 8000), CreateOptions{})
	require.NoError(t, err)
	require.Len(t, m.logsOf(), 2)
	now += 1000
	_, _, err = s.Get(Key{1, id(3)})
	require.ErrorIs(t, err, ErrNotFound, "to the second")
	now += 15 * 24 * 3600
	require.NoError(t, s.Tidy(context.Background()))
	require.Len(t, m.logsOf(), 1)
	st, err := s.Stats()
	require.NoError(t, err)
	require.EqualValues(t, 1, st.Pieces)
	require.Zero(t, st.DeadBytes)
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	_, err := OpenStore(Config{Dir: dir, MinFree: 1})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, s.Close())
	openAt(t, dir).Close()
}

func TestTrashIsCountedServedAndDropped(t *testing.T) {
	m := newMemFS()
	s := openMem(t, m)
	for i := range uint64(6) {
		_, err := s.Put(Key{1 + i%2, id(i)}, content(i, 1000), CreateOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, s.Trash(2))
	s.abandon()
	m.locked = false
	s = openMem(t, m)
	st, err := s.Stats()
	require.NoError(t, err)
	require.EqualValues(t, 3*packed.extent(1000), st.TrashBytes)
	require.EqualValues(t, 3*packed.extent(1000), st.LiveBytes)
	_, _, err = s.Get(Key{2, id(1)})
	require.NoError(t, err)
	require.NoError(t, s.Drop(2))
	s.abandon()
	m.locked = false
	s = openMem(t, m)
	_, _, err = s.Get(Key{2, id(1)})
	require.ErrorIs(t, err, ErrNotFound)
	require.Len(t, s.Leases(), 1)
}

func TestListWalksAllPiecesOfALeaseOnce(t *testing.T) {
	s := openMem(t, newMemFS())
	for i := range uint64(700) {
		_, err := s.Put(Key{1 + i%2, id(i)}, content(i, 10), CreateOptions{})
		require.NoError(t, err)
	}
	seen := map[piece.ID]bool{}
	var after piece.ID
	for pages := 0; ; pages++ {
		list, more, err := s.List(context.Background(), nil, 1, after, 37)
		require.NoError(t, err)
		for _, i := range list {
			require.False(t, seen[i.Key.ID])
			seen[i.Key.ID] = true
			after = i.Key.ID
		}
		// The order must not depend on what comes and goes.
		_, err = s.Put(Key{2, id(10_000 + uint64(pages))}, nil, CreateOptions{})
		require.NoError(t, err)
		if !more {
			break
		}
	}
	require.Len(t, seen, 350)
}

// TestManyPutsShareASync holds the point of group commit.
func TestManyPutsShareASync(t *testing.T) {
	m := newMemFS()
	s := openMem(t, m)
	release := make(chan struct{})
	first := true
	m.fault = func(op, _ string) error {
		if op == "sync" && first {
			first = false
			m.mu.Unlock()
			<-release // the disk is slow
			m.mu.Lock()
		}
		return nil
	}
	var wg sync.WaitGroup
	put := func(i uint64) {
		defer wg.Done()
		if _, err := s.Put(Key{1, id(i)}, content(i, 100), CreateOptions{}); err != nil {
			t.Error(err)
		}
	}
	wg.Add(1)
	go put(0)
	for busy := false; !busy; {
		if l := s.log(1); l != nil {
			l.syncs.mu.Lock()
			busy = l.syncs.busy
			l.syncs.mu.Unlock()
		}
	}
	for i := range uint64(100) {
		wg.Add(1)
		go put(i + 1)
	}
	l := s.log(1)
	for pending := 0; pending < 101; {
		l.mu.Lock()
		pending = len(l.pending)
		l.mu.Unlock()
	}
	close(release)
	wg.Wait()
	// Those that wait when a sync begins share it; how many come in time depends on the scheduler.
	require.Less(t, l.synced.Load(), uint64(75))
}

func TestUnknownFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	openAt(t, dir).Close()
	stranger := filepath.Join(dir, logDir, "notes.txt")
	require.NoError(t, os.WriteFile(stranger, []byte("mine"), 0o600))
	openAt(t, dir).Close()
	b, err := os.ReadFile(stranger)
	require.NoError(t, err)
	require.Equal(t, "mine", string(b))
}

// TestSipHash compares with the first vectors of the reference implementation (vectors_sip128,
// key 00..0f): the empty message, and that of eight bytes 00..07.
func TestSipHash(t *testing.T) {
	var key [16]byte
	for i := range key {
		key[i] = byte(i)
	}
	h := newSip(key)
	hi, lo := h.sum(0)
	b := le.AppendUint64(le.AppendUint64(nil, hi), lo)
	require.Equal(t, "a3817f04ba25a8e66df67214c7550293", fmt.Sprintf("%x", b))
	h = newSip(key)
	h.word(le.Uint64(key[:8]))
	hi, lo = h.sum(8)
	b = le.AppendUint64(le.AppendUint64(nil, hi), lo)
	require.Equal(t, "3b62a9ba6258f5610f83e264f31497b4", fmt.Sprintf("%x", b))
}

func FuzzRecord(f *testing.F) {
	s := seed([16]byte{1}, 7)
	b := make([]byte, packed.extent(40_000))
	recordHeader{key: Key{1, id(1)}, size: 40_000, expiry: 5}.put(b, s, 64)
	f.Add(b[:recordHeaderSize], int64(64))
	h := logHeader{id: 7, shape: aligned}.encode(s)
	f.Add(h[:], int64(0))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, off int64) {
		if h, ok := parseRecordHeader(s, off, b); ok && h.size > maxPiece {
			t.Fatal("size out of range")
		}
		var sums [maxBlocks]uint32
		parseFooter(b, s, off, uint32(min(len(b)*100, maxPiece)), sums[:])
		parseLogHeader(s, b)
	})
}

func FuzzCheckpoint(f *testing.F) {
	m := newMemFS()
	s := openMem(f, m)
	for i := range uint64(20) {
		if _, err := s.Put(Key{i % 3, id(i)}, content(i, 100), CreateOptions{}); err != nil {
			f.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(m.files[checkpointName(s.generation)].data)
	f.Fuzz(func(t *testing.T, b []byte) {
		var last *entry
		var n, want uint64
		err := readCheckpoint(bytes.NewReader(b), int64(len(b)), s.secret, func(c checkpoint) { want = c.entries }, func(e entry) {
			if last != nil && !last.before(&e) {
				t.Fatal("out of order")
			}
			last = &e
			n++
		})
		if err == nil && n != want || err != nil && !errors.Is(err, errBadCheckpoint) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d of %d entries, %v", n, want, err)
		}
	})
}

func FuzzJournal(f *testing.F) {
	s := journalSeed([16]byte{1}, 3)
	file := &memFile{fs: newMemFS(), dirty: map[int]bool{}}
	j := &journal{number: 3, file: file, seed: s}
	for _, e := range []journalEntry{{kind: journalDelete, seq: 1, keys: []Key{{1, id(1)}}}, {kind: journalTrash, seq: 2, lease: 3, at: 4}, {kind: journalDrop, seq: 3, lease: 3}} {
		if err := j.write(e); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(file.data)
	f.Fuzz(func(t *testing.T, b []byte) {
		file := &memFile{fs: newMemFS(), dirty: map[int]bool{}, data: b}
		tail, err := readJournal(file, s, func(journalEntry) {})
		if err != nil || tail > int64(len(b)) {
			t.Fatal(tail, err)
		}
	})
}
