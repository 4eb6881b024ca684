package storagenode_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/storagenode/nodetest"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(b)
	return b
}

func pieceID(n uint64) piece.ID { return piece.ID(random(n+1<<20, 32)) }

func TestPutGetDeleteOverTLS(t *testing.T) {
	ctx := context.Background()
	chain := nodetest.NewChain(clock.System{})
	session := nodetest.Key(1)
	chain.Open(5, public(session), nodetest.Terms{}, 9)
	p := nodetest.Start(t, chain, 9)
	c, err := p.Dial(ctx, 5, session, wire.Options{})
	require.NoError(t, err)
	defer c.Close()
	for i, n := range []int{0, 1, 4096, wire.InlineSize, wire.InlineSize + 1, 100_000, piece.MaxSize} {
		data := random(uint64(i), n)
		receipt, err := c.Put(ctx, pieceID(uint64(i)), 0, n, bytes.NewReader(data))
		require.NoError(t, err, n)
		require.Equal(t, piece.RootOf(data), receipt.Root)
		again, err := c.PutBytes(ctx, pieceID(uint64(i)), 0, nil, data[:n/2], data[n/2:])
		require.NoError(t, err, n)
		require.Equal(t, receipt.Root, again.Root)
		var got bytes.Buffer
		info, err := c.Get(ctx, pieceID(uint64(i)), 0, int64(n), &got)
		require.NoError(t, err, n)
		require.True(t, bytes.Equal(data, got.Bytes()), n)
		require.EqualValues(t, n, info.Size)
		require.NoError(t, c.Challenge(ctx, pieceID(uint64(i)), receipt.Root, uint32(n), n/2/piece.ChunkSize))
	}
	pieces, more, err := c.List(ctx, piece.ID{})
	require.NoError(t, err)
	require.False(t, more)
	require.Len(t, pieces, 7)
	require.NoError(t, c.Delete(ctx, []piece.ID{pieceID(0), pieceID(3)}))
	_, err = c.Stat(ctx, pieceID(3))
	require.ErrorIs(t, err, wire.ErrNotFound)
	p.Stop()
	<-c.Done()
	p.Restart()
	c, err = p.Dial(ctx, 5, session, wire.Options{})
	require.NoError(t, err)
	defer c.Close()
	info, err := c.Stat(ctx, pieceID(6))
	require.NoError(t, err)
	require.EqualValues(t, piece.MaxSize, info.Size)
}
