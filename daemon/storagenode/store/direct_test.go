package store

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
)

// shapes counts the pieces of a store by the shape of their logs.
func shapes(s *Store) (n [2]int) {
	s.table.walk(0, 0, func(e entry) bool {
		n[s.log(e.log).shape]++
		return true
	})
	return n
}

func TestOnlyLargeWholePiecesGoPastTheCache(t *testing.T) {
	s := openMem(t, newMemFS())
	for i, size := range []int{0, 5000, gatherSize, gatherSize + 1, maxPiece} {
		_, err := s.Put(Key{1, id(uint64(i))}, content(uint64(i), size), CreateOptions{})
		require.NoError(t, err)
	}
	require.Equal(t, [2]int{packed: 3, aligned: 2}, shapes(s))
	undo := crowd(s, wholeGathers)
	_, err := s.Put(Key{1, id(9)}, content(9, maxPiece), CreateOptions{})
	undo()
	require.NoError(t, err)
	require.Equal(t, [2]int{packed: 4, aligned: 2}, shapes(s), "a piece that is streamed has no whole record in memory")
}

// TestEveryDamagedByteOfAnAlignedRecordIsFound holds INV-STORE-3 for the shape that has padding: only
// that may change unseen.
func TestEveryDamagedByteOfAnAlignedRecordIsFound(t *testing.T) {
	const size = gatherSize + 5000
	m := newMemFS()
	s := openMem(t, m)
	data := content(1, size)
	_, err := s.Put(Key{1, id(1)}, data, CreateOptions{})
	require.NoError(t, err)
	f := m.files[m.logsOf()[0]]
	n := aligned.extent(size)
	require.Len(t, f.data, int(aligned.start()+n))
	padding := aligned.start() + recordHeaderSize + size
	footer := aligned.start() + n - int64(footerSize(size))
	require.Equal(t, make([]byte, footer-padding), f.data[padding:footer])
	for at := aligned.start(); at < int64(len(f.data)); at++ {
		f.data[at] ^= 1 << (at % 8)
		got, _, err := s.Get(Key{1, id(1)})
		if at >= padding && at < footer {
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got))
		} else {
			corrupt := (*CorruptError)(nil)
			require.ErrorAs(t, err, &corrupt, "byte %d", at)
		}
		f.data[at] ^= 1 << (at % 8)
	}
}

// TestCompactionChoosesTheShape lets large pieces that were streamed to a packed log go to an aligned
// one, and keeps the small ones packed.
func TestCompactionChoosesTheShape(t *testing.T) {
	m := newMemFS()
	s := openMem(t, m, func(c *Config) { c.LogSize = 2 << 20 })
	sizes := map[uint64]int{}
	undo := crowd(s, wholeGathers)
	for i := range uint64(30) {
		sizes[i] = 1000
		if i%2 == 0 {
			sizes[i] = 200_000
		}
		_, err := s.Put(Key{1, id(i)}, content(i, sizes[i]), CreateOptions{})
		require.NoError(t, err)
	}
	undo()
	require.Equal(t, [2]int{packed: 30}, shapes(s))
	for i := range uint64(30) {
		if i%4 > 1 {
			_, err := s.Delete(1, []piece.ID{id(i)})
			require.NoError(t, err)
			delete(sizes, i)
		}
	}
	for range 5 {
		require.NoError(t, s.Tidy(context.Background()))
	}
	require.NotZero(t, shapes(s)[aligned])
	for range 2 {
		for i, size := range sizes {
			b, _, err := s.Get(Key{1, id(i)})
			require.NoError(t, err)
			require.True(t, bytes.Equal(content(i, size), b))
		}
		require.NoError(t, s.Close())
		s = openMem(t, m)
	}
}

// TestFormerFormatIsReadAndMarked opens a directory as the first format left it: packed logs only.
func TestFormerFormatIsReadAndMarked(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	undo := crowd(s, wholeGathers)
	for i, size := range []int{10, 70_000, maxPiece} {
		_, err := s.Put(Key{1, id(uint64(i))}, content(uint64(i), size), CreateOptions{})
		require.NoError(t, err)
	}
	undo()
	require.NoError(t, s.Close())
	name := filepath.Join(dir, manifestName)
	read := func() (m manifest) {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &m))
		return m
	}
	former := read()
	former.Format = 1
	b, err := json.Marshal(former)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, b, 0o600))

	s = openAt(t, dir)
	require.Equal(t, manifest{formatVersion, former.Secret}, read(), "an older program must not open what comes now")
	for i, size := range []int{10, 70_000, maxPiece} {
		got, _, err := s.Get(Key{1, id(uint64(i))})
		require.NoError(t, err)
		require.True(t, bytes.Equal(content(uint64(i), size), got))
	}
	require.NoError(t, s.Close())

	former.Format = formatVersion + 1
	b, err = json.Marshal(former)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, b, 0o600))
	_, err = OpenStore(Config{Dir: dir, MinFree: 1})
	require.ErrorContains(t, err, "format 3")
}

func TestLogNamesSayTheirShape(t *testing.T) {
	for _, h := range []logHeader{{id: 1}, {id: 0xabcdef, week: 2981, generation: 1}, {id: 42, week: 7, shape: aligned}} {
		got, ok := parseLogName(logName(h))
		require.True(t, ok)
		require.Equal(t, h, got)
		b := h.encode(5)
		parsed, err := parseLogHeader(5, b[:])
		require.NoError(t, err)
		require.Equal(t, h, parsed)
	}
	require.Equal(t, "0000002a-w7-g0-a12.log", logName(logHeader{id: 42, week: 7, shape: aligned}))
	for _, name := range []string{"0000002a-w7-g0-a13.log", "0000002a-w7-g0-a12-a12.log", "0000002a-w7-g0-a12", "-a12.log", "0000002a-w07-g0-a12.log"} {
		_, ok := parseLogName(name)
		require.False(t, ok, name)
	}
}

// TestWhatCannotGoPastTheCacheGoesThroughIt writes at a place that the kernel refuses for direct
// writes, and to a file that cannot be opened a second time, as on file systems without them.
func TestWhatCannotGoPastTheCacheGoesThroughIt(t *testing.T) {
	for _, second := range []string{"refuses the write", "cannot be opened"} {
		dir := t.TempDir()
		f, err := dirFS(dir).Open("log", true)
		require.NoError(t, err)
		if second == "cannot be opened" {
			require.NoError(t, os.Remove(filepath.Join(dir, "log")))
		}
		p := alignedBuffer(2 * alignment)
		copy(p, strings.Repeat("cairn", alignment))
		require.NoError(t, f.WriteDirect(p, 0))
		require.NoError(t, f.WriteDirect(p[1:100], 3*alignment+1))
		got := make([]byte, len(p))
		require.NoError(t, readFull(f, got, 0))
		require.Equal(t, p, got)
		require.NoError(t, readFull(f, got[:99], 3*alignment+1))
		require.Equal(t, p[1:100], got[:99])
		require.NoError(t, f.Sync())
		require.NoError(t, f.Close())
		require.ErrorIs(t, f.WriteDirect(p, 0), os.ErrClosed)
	}
}

// TestReadersSeeWhatWentPastTheCache reads a record through the cache while its neighbours, on the
// same large pages of the cache, are written past it.
func TestReadersSeeWhatWentPastTheCache(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer s.Close()
	for i := range uint64(40) {
		_, err := s.Put(Key{1, id(i)}, content(i, 66_000+int(i)*977), CreateOptions{})
		require.NoError(t, err)
		for j := range i + 1 {
			b, _, err := s.Get(Key{1, id(j)})
			require.NoError(t, err)
			require.True(t, bytes.Equal(content(j, 66_000+int(j)*977), b), "piece %d after %d", j, i)
		}
	}
}
