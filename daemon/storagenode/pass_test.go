package storagenode_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/pass"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/storagenode"
	"github.com/cairn-network/cairn/daemon/storagenode/nodetest"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// TestAPassReadsAndNothingElse: with a pass a second lease reads the first one's pieces, pays for them
// itself, and can neither write, delete nor list; without it, or with one that does not hold, it reads
// nothing.
func TestAPassReadsAndNothingElse(t *testing.T) {
	ctx := context.Background()
	chain := nodetest.NewChain(clock.System{})
	owner, guest := nodetest.Key(1), nodetest.Key(2)
	const data, reader = 5, 6
	chain.Open(data, public(owner), nodetest.Terms{Metered: metered}, 9)
	chain.Open(reader, public(guest), nodetest.Terms{Metered: metered, Units: 1}, 9)
	p := nodetest.Start(t, chain, 9, func(d *storagenode.Deps) {
		d.Config.Credit = 64 << 10
		d.Config.Poll = 10 * time.Millisecond
		d.Config.SettleAbove = price.FromUint64(1)
	})
	own, err := p.Dial(ctx, data, owner, wire.Options{})
	require.NoError(t, err)
	defer own.Close()
	content := random(1, piece.MaxSize)
	receipt, err := own.PutBytes(ctx, pieceID(1), 0, nil, content)
	require.NoError(t, err)

	inAnHour := time.Now().Add(time.Hour).Unix()
	grant := pass.Pass{ChainID: nodetest.ChainID, Lease: data, Reader: reader, Expiry: inAnHour}
	signed := pass.Sign(owner, grant)
	dial := func(lease uint64, key ed25519.PrivateKey, p2 *pass.Signed) (*wire.Conn, error) {
		return wire.Dial(ctx, p.Endpoint, p.Device, p.Public,
			wire.Session{ChainID: nodetest.ChainID, Lease: lease, Key: key, Pass: p2}, wire.Options{Vouchers: purse(guest, reader)})
	}
	read, err := dial(reader, guest, &signed)
	require.NoError(t, err)
	defer read.Close()
	var got bytes.Buffer
	_, err = read.Get(ctx, pieceID(1), 0, piece.MaxSize, &got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got.Bytes()))
	require.NoError(t, read.Challenge(ctx, pieceID(1), receipt.Root, piece.MaxSize, 3))
	_, err = read.Stat(ctx, pieceID(1))
	require.NoError(t, err)
	_, err = read.PutBytes(ctx, pieceID(2), 0, nil, []byte("mine"))
	require.ErrorIs(t, err, wire.ErrUnauthorized)
	require.ErrorIs(t, read.Delete(ctx, []piece.ID{pieceID(1)}), wire.ErrUnauthorized)
	_, _, err = read.List(ctx, piece.ID{})
	require.ErrorIs(t, err, wire.ErrUnauthorized)

	// The reader's lease pays, the owner's does not.
	least, err := metered.Cost(piece.MaxSize - 128<<10)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return chain.Earned(9).Cmp(least.Big()) >= 0 }, 10*time.Second, time.Millisecond)
	item, err := chain.Item(ctx, data, 9)
	require.NoError(t, err)
	require.True(t, item.Item.Vouched.IsZero(), "the owner's lease paid %s", item.Item.Vouched)

	forged := pass.Sign(guest, grant)
	late := grant
	late.Expiry = time.Now().Add(-time.Second).Unix()
	expired := pass.Sign(owner, late)
	other := grant
	other.Lease = 77
	strange := pass.Sign(owner, other)
	for name, bad := range map[string]*pass.Signed{
		"signed by the guest": &forged, "expired": &expired, "of no lease here": &strange,
	} {
		_, err := dial(reader, guest, bad)
		require.ErrorIs(t, err, wire.ErrUnauthorized, name)
	}
	_, err = dial(data, guest, nil)
	require.ErrorIs(t, err, wire.ErrUnauthorized, "the owner's lease without its key")
	// A pass is for its reader: another lease's holder cannot show it.
	thief := nodetest.Key(3)
	chain.Open(8, public(thief), nodetest.Terms{Metered: metered}, 9)
	_, err = dial(8, thief, &signed)
	require.ErrorIs(t, err, wire.ErrUnauthorized, "another lease with the pass")
	plain, err := dial(reader, guest, nil)
	require.NoError(t, err)
	defer plain.Close()
	_, err = plain.Stat(ctx, pieceID(1))
	require.ErrorIs(t, err, wire.ErrNotFound, "without the pass")

	// When the owner's lease ends, so does reading.
	chain.CloseLease(data)
	require.Eventually(t, func() bool {
		_, err := read.Stat(ctx, pieceID(1))
		return err != nil
	}, 30*time.Second, 10*time.Millisecond)
}
