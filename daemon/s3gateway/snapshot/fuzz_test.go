package snapshot

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// where is a place in the network that a pointer or manifest could name.
func where(size uint32) located {
	return located{
		ObjectID: [16]byte{1}, WrappedKey: []byte("wrapped"), Size: int64(size),
		Segments: []metabase.Segment{{
			ID: metabase.SegmentID{2}, Class: "small", PlainSize: size, SealedSize: size + 48, Root: [32]byte{3},
			PieceRoots: []piece.Root{{4}, {5}}, Pieces: []metabase.Piece{{Index: 1, Device: 9}}, Lease: 7, Bucket: Bucket,
		}},
	}
}

func encoded(t testing.TB, v any) []byte {
	b, err := encoding.Marshal(v)
	require.NoError(t, err)
	return b
}

// FuzzPointer holds that whatever is in a pointer, what is taken from it leads to the one segment
// that the chain anchors, and is no longer than that.
func FuzzPointer(f *testing.F) {
	good := where(1000)
	anchored := piece.RootOf(good.Segments[0].Root[:])
	f.Add(encoded(f, good))
	longer := where(1000)
	longer.Size = 1 << 40
	f.Add(encoded(f, longer))
	other := where(1000)
	other.Segments[0].Root[0]++
	f.Add(encoded(f, other))
	f.Add(encoded(f, located{}))
	f.Add([]byte{0xa4, 4, 0x9a, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, plain []byte) {
		l, err := parsePointer(plain, anchored[:])
		if err != nil {
			require.ErrorIs(t, err, ErrForeign)
			return
		}
		require.Len(t, l.Segments, 1)
		require.Equal(t, good.Segments[0].Root, l.Segments[0].Root)
		require.Equal(t, int64(l.Segments[0].PlainSize), l.Size)
		again, err := parsePointer(encoded(t, l), anchored[:])
		require.NoError(t, err)
		require.Equal(t, encoded(t, l), encoded(t, again))
	})
}

// FuzzManifest holds that a manifest of another version, or one whose streams are not as long as
// their segments, is refused, and that no bytes bring the parser down.
func FuzzManifest(f *testing.F) {
	f.Add(encoded(f, manifest{Version: 3, Streams: []located{where(10), where(20)}}))
	f.Add(encoded(f, manifest{Version: 4}))
	wrong := where(10)
	wrong.Size = -1
	f.Add(encoded(f, manifest{Version: 3, Streams: []located{wrong}}))
	f.Add([]byte{0xa2, 1, 3, 2, 0x9b, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b, 3)
		if err != nil {
			require.ErrorIs(t, err, ErrForeign)
			return
		}
		require.EqualValues(t, 3, m.Version)
		for _, l := range m.Streams {
			require.NoError(t, l.check())
		}
		again, err := parseManifest(encoded(t, m), 3)
		require.NoError(t, err)
		require.Equal(t, encoded(t, m), encoded(t, again))
	})
}
