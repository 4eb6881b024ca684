package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
)

func id(n uint64) (id piece.ID) {
	binary.LittleEndian.PutUint64(id[:], n)
	return id
}

// content is n bytes that no other seed has.
func content(seed uint64, n int) []byte {
	b := make([]byte, n+8)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b[:n]
}

func openAt(t testing.TB, dir string, change ...func(*Config)) *Store {
	t.Helper()
	c := Config{Dir: dir, MinFree: 1}
	for _, fn := range change {
		fn(&c)
	}
	s, err := OpenStore(c)
	require.NoError(t, err)
	return s
}

func TestPutGetDeleteAcrossReopening(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	sizes := []int{0, 1, 100, 4096, blockSize - 1, blockSize, blockSize + 1, gatherSize - 1, gatherSize, gatherSize + 1, 200_000, maxPiece}
	for i, n := range sizes {
		info, err := s.Put(Key{7, id(uint64(i))}, content(uint64(i), n), CreateOptions{})
		require.NoError(t, err, n)
		require.EqualValues(t, n, info.Size)
	}
	check := func() {
		t.Helper()
		for i, n := range sizes {
			b, info, err := s.Get(Key{7, id(uint64(i))})
			require.NoError(t, err, n)
			require.True(t, bytes.Equal(content(uint64(i), n), b), n)
			require.Equal(t, piece.RootOf(b), info.Root)
		}
		_, err := s.Put(Key{7, id(3)}, []byte("other"), CreateOptions{})
		require.ErrorIs(t, err, ErrExists)
		_, _, err = s.Get(Key{8, id(3)})
		require.ErrorIs(t, err, ErrNotFound)
	}
	check()
	require.NoError(t, s.Close())
	s = openAt(t, dir)
	check()
	n, err := s.Delete(7, []piece.ID{id(0), id(5), id(999)})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	s.abandon() // as if killed
	s = openAt(t, dir)
	_, _, err = s.Get(Key{7, id(5)})
	require.True(t, errors.Is(err, ErrNotFound))
	require.EqualValues(t, len(sizes)-2, s.Lease(7).Pieces)
	require.NoError(t, s.Close())
}

func TestStreamedRangesEqualTheWhole(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer s.Close()
	r := rand.New(rand.NewPCG(3, 3))
	for i := range uint64(60) {
		data := content(i, r.IntN(maxPiece+1))
		w, err := s.Create(Key{1, id(i)}, CreateOptions{Size: uint32(len(data))})
		require.NoError(t, err)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN(100_000))
			_, err := w.Write(rest[:n])
			require.NoError(t, err)
			rest = rest[n:]
		}
		_, err = w.Commit(piece.RootOf(data))
		require.NoError(t, err)
		rd, err := s.Open(Key{1, id(i)})
		require.NoError(t, err)
		for range 10 {
			off := r.IntN(len(data) + 1)
			n := r.IntN(len(data) - off + 1)
			var got []byte
			require.NoError(t, rd.Read(int64(off), int64(n), func(p []byte) error {
				got = append(got, p...)
				return nil
			}))
			require.True(t, bytes.Equal(data[off:off+n], got))
		}
		rd.Close()
	}
}
