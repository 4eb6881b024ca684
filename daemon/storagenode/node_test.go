package storagenode_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/storagenode"
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
	for i, n := range []int{2, 1, 4096, wire.InlineSize, wire.InlineSize + 1, 100_000, piece.MaxSize} {
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

// metered is a lease whose bytes cost 3 acairn a thousand.
var metered = price.Rate{Amount: price.FromUint64(3), Per: 1000}

func purse(key ed25519.PrivateKey, lease uint64) *wire.Purse {
	return wire.NewPurse(wire.Session{ChainID: nodetest.ChainID, Lease: lease, Key: key},
		func(uint64) (price.Rate, error) { return metered, nil }, 24*time.Hour)
}

// TestServedBytesAreEarned goes from bytes served over vouchers to money on the chain, with a restart
// in between, and never earns a byte twice.
func TestServedBytesAreEarned(t *testing.T) {
	ctx := context.Background()
	chain := nodetest.NewChain(clock.System{})
	session := nodetest.Key(1)
	chain.Open(5, public(session), nodetest.Terms{Metered: metered}, 9)
	p := nodetest.Start(t, chain, 9, func(d *storagenode.Deps) {
		d.Config.Credit = 256 << 10
		d.Config.Poll = 10 * time.Millisecond
		d.Config.SettleAbove = price.FromUint64(1)
	})
	wallet := purse(session, 5)
	for round := range 3 {
		c, err := p.Dial(ctx, 5, session, wire.Options{Vouchers: wallet})
		require.NoError(t, err)
		data := random(uint64(round), piece.MaxSize)
		_, err = c.PutBytes(ctx, pieceID(uint64(round)), 0, nil, data)
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var got bytes.Buffer
				if _, err := c.Get(ctx, pieceID(uint64(round)), 0, piece.MaxSize, &got); err != nil || !bytes.Equal(got.Bytes(), data) {
					t.Errorf("round %d: %v", round, err)
				}
			}()
		}
		wg.Wait()
		require.NoError(t, c.Close())
		p.Stop()
		p.Restart()
		wallet = purse(session, 5) // the client forgets, too
	}
	least, err := metered.Cost(3*8*piece.MaxSize - 3*(256<<10))
	require.NoError(t, err)
	most, err := metered.Cost(3 * 8 * piece.MaxSize)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return chain.Earned(9).Cmp(least.Big()) >= 0 }, 10*time.Second, time.Millisecond)
	require.LessOrEqual(t, chain.Earned(9).Cmp(most.Big()), 0, "earned %s of at most %s", chain.Earned(9), most)
	var status storagenode.Status
	require.Eventually(t, func() bool {
		status = getStatus(t, p)
		return status.Earned == chain.Earned(9).String() && status.PendingVouchers == "0"
	}, 10*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 3, status.Pieces)
	require.EqualValues(t, 3*piece.MaxSize, status.UsedBytes)
	require.EqualValues(t, 1<<30, status.Reserved)
	require.Equal(t, 1, status.Leases)
	require.Equal(t, p.Endpoint, chain.Endpoint(9), "announced")
}

func getStatus(t *testing.T, p *nodetest.Provider) (s storagenode.Status) {
	t.Helper()
	r, err := http.Get(p.Info.Status + "/status")
	require.NoError(t, err)
	defer r.Body.Close()
	require.NoError(t, json.NewDecoder(r.Body).Decode(&s))
	return s
}

func TestWhoDoesNotPayIsNotServed(t *testing.T) {
	ctx := context.Background()
	chain := nodetest.NewChain(clock.System{})
	session := nodetest.Key(1)
	chain.Open(5, public(session), nodetest.Terms{Metered: metered, Escrow: 10}, 9)
	p := nodetest.Start(t, chain, 9, func(d *storagenode.Deps) { d.Config.Credit = 100_000; d.Config.PayPatience = 10 * time.Millisecond })
	for name, source := range map[string]wire.VoucherSource{"without a purse": nil, "with an empty escrow": purse(session, 5)} {
		c, err := p.Dial(ctx, 5, session, wire.Options{Vouchers: source})
		require.NoError(t, err, name)
		_, err = c.PutBytes(ctx, pieceID(1), 0, nil, random(1, 500_000))
		require.NoError(t, err, "uploads are free")
		_, err = c.Get(ctx, pieceID(1), 0, 500_000, io.Discard)
		require.ErrorIs(t, err, wire.ErrUnpaid, name)
		require.NoError(t, c.Close())
	}
}

func TestLimitsHaveCodes(t *testing.T) {
	ctx := context.Background()
	chain := nodetest.NewChain(clock.System{})
	session := nodetest.Key(1)
	chain.Open(5, public(session), nodetest.Terms{Units: 10_000}, 9)
	chain.Open(6, public(session), nodetest.Terms{}, 9)
	p := nodetest.Start(t, chain, 9, func(d *storagenode.Deps) { d.Config.Capacity = 3 << 20 })
	c, err := p.Dial(ctx, 5, session, wire.Options{})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.PutBytes(ctx, pieceID(1), 0, nil, random(1, 6000))
	require.NoError(t, err)
	_, err = c.PutBytes(ctx, pieceID(2), 0, nil, random(2, 6000))
	require.ErrorIs(t, err, wire.ErrQuota)
	_, err = c.PutBytes(ctx, pieceID(1), 0, nil, random(9, 6000))
	require.ErrorIs(t, err, wire.ErrExists, "same id, other bytes")
	_, err = c.PutBytes(ctx, pieceID(3), time.Now().Unix()-5, nil, random(3, 10))
	require.ErrorIs(t, err, wire.ErrClockSkew)
	_, err = c.PutBytes(ctx, pieceID(3), -1, nil, random(3, 10))
	require.ErrorIs(t, err, wire.ErrBadRequest)
	wide, err := p.Dial(ctx, 6, session, wire.Options{})
	require.NoError(t, err)
	defer wide.Close()
	for i := range uint64(2) {
		_, err = wide.PutBytes(ctx, pieceID(i), 0, nil, random(i, piece.MaxSize))
		require.NoError(t, err)
	}
	_, err = wide.PutBytes(ctx, pieceID(7), 0, nil, random(7, piece.MaxSize))
	require.ErrorIs(t, err, wire.ErrNoSpace)
	_, err = wide.Stat(ctx, pieceID(5))
	require.ErrorIs(t, err, wire.ErrNotFound)
	// A lease sees its own pieces only.
	_, err = c.Stat(ctx, pieceID(0))
	require.ErrorIs(t, err, wire.ErrNotFound)
}

// TestEndedLease moves a lease through its end: no more pieces, reads for a while, trash, gone.
func TestEndedLease(t *testing.T) {
	ctx := context.Background()
	fake := clock.NewFake(time.Now())
	chain := nodetest.NewChain(fake)
	session := nodetest.Key(1)
	chain.Open(5, public(session), nodetest.Terms{For: time.Hour}, 9)
	p := nodetest.Start(t, chain, 9, func(d *storagenode.Deps) {
		d.Config.Grace, d.Config.KeepTrash, d.Config.Poll = time.Hour, 10*time.Hour, time.Minute
	})
	o := wire.Options{Now: fake.Now}
	c, err := p.Dial(ctx, 5, session, o)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.PutBytes(ctx, pieceID(1), 0, nil, random(1, 6000))
	require.NoError(t, err)
	fake.Advance(61 * time.Minute)
	_, err = c.PutBytes(ctx, pieceID(2), 0, nil, random(2, 6000))
	require.ErrorIs(t, err, wire.ErrLeaseClosed)
	_, err = c.Get(ctx, pieceID(1), 0, 6000, io.Discard)
	require.NoError(t, err, "reads go on in the grace window")
	fake.Advance(time.Hour)
	_, err = c.Get(ctx, pieceID(1), 0, 6000, io.Discard)
	require.ErrorIs(t, err, wire.ErrLeaseClosed)
	_, err = p.Dial(ctx, 5, session, o)
	require.ErrorIs(t, err, wire.ErrLeaseClosed)
	chain.CloseLease(5)
	status := func() storagenode.Status {
		s, err := p.Node.Status()
		require.NoError(t, err)
		return s
	}
	// Each poll is awaited, then the clock moves on.
	require.Eventually(t, func() bool { fake.Advance(time.Minute); return status().TrashBytes > 0 }, 10*time.Second, time.Millisecond)
	require.EqualValues(t, 1, status().Pieces)
	chain.Fail(errors.New("chain is away"))
	fake.Advance(11 * time.Hour)
	require.Eventually(t, func() bool { fake.Advance(time.Minute); return len(status().Warnings) > 0 }, 10*time.Second, time.Millisecond)
	require.EqualValues(t, 1, status().Pieces, "nothing is dropped on the word of nobody")
	chain.Fail(nil)
	require.Eventually(t, func() bool { fake.Advance(time.Minute); return status().Pieces == 0 }, 10*time.Second, time.Millisecond)
}

// TestStreamsAreSettledBeforeTheLeaseEnds earns bytes at rest.
func TestStreamsAreSettledBeforeTheLeaseEnds(t *testing.T) {
	fake := clock.NewFake(time.Now())
	chain := nodetest.NewChain(fake)
	chain.Open(5, public(nodetest.Key(1)), nodetest.Terms{Units: 1000, Stream: price.Rate{Amount: price.FromUint64(1), Per: 1}, For: time.Hour}, 9)
	p := nodetest.Start(t, chain, 9, func(d *storagenode.Deps) {
		d.Config.Poll, d.Config.SettleEvery = time.Minute, 10*time.Minute
	})
	require.Eventually(t, func() bool {
		fake.Advance(20 * time.Second)
		return chain.Earned(9).Cmp(big.NewInt(1000*600)) >= 0
	}, 10*time.Second, time.Millisecond)
	s, err := p.Node.Status()
	require.NoError(t, err)
	require.NotEmpty(t, s.PendingStream)
}
