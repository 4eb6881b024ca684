package piece

import (
	"context"
	"fmt"
	"time"

	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
)

// releaseMargin is how far a release reaches beyond the provider's clock as the client knows it, so
// that it covers the receipts of the moment.
const releaseMargin = time.Minute

// Delete removes pieces, durably, and gives the provider a signed release for each: it may show them
// to whoever asks for the pieces later. Pieces that are not there are no error.
func (c *Conn) Delete(ctx context.Context, ids []piece.ID) error {
	for len(ids) > 0 {
		batch := ids[:min(len(ids), MaxDelete)]
		until := c.opts.Now().Add(c.skew + releaseMargin).Unix()
		b := le.AppendUint64(make([]byte, 0, 8+releaseSize*len(batch)), uint64(until))
		for _, id := range batch {
			r := piece.SignRelease(c.session.Key, piece.Release{
				ChainID: c.session.ChainID, Lease: c.session.Lease, Device: c.device, ID: id, Until: until,
			})
			b = append(append(b, id[:]...), r.Signature[:]...)
		}
		buf, err := c.call(ctx, opDelete, b)
		if err != nil {
			return fmt.Errorf("deleting %d pieces on device %d: %w", len(ids), c.device, err)
		}
		buf.free()
		ids = ids[len(batch):]
	}
	return nil
}

// Question is what a drawn peer asks a device in an epoch: the chunk at one position of its tree
// (core/challenge.NewPeer).
type Question struct {
	Epoch uint64
	Index uint32
	// Root of the commitment in force in the epoch, and the position that Index draws under it.
	Root     merkle.Node
	Position uint64
}

// Ask makes the provider show a chunk of its tree to a peer that the epoch's beacon drew.
// ErrUnauthorized when it does not take this peer for one, ErrCorrupt when its proof does not hold.
func (c *Conn) Ask(ctx context.Context, q Question) error {
	buf, err := c.call(ctx, opAsk, le.AppendUint32(le.AppendUint64(nil, q.Epoch), q.Index))
	if err != nil {
		return fmt.Errorf("asking device %d for position %d: %w", c.device, q.Position, err)
	}
	defer buf.free()
	var p challenge.Proof
	if err = p.UnmarshalBinary(buf.b); err == nil {
		err = p.Verify(q.Root, q.Position)
	}
	if err != nil {
		return fmt.Errorf("asking device %d for position %d: %w", c.device, q.Position, Errorf(ErrCorrupt, "%v", err))
	}
	return nil
}

// Inclusion makes the provider show that a piece it gave a receipt for is in the tree with this root,
// which is in force in an epoch. ErrNotFound when it says that the piece is not there, ErrCorrupt when
// its proof does not hold.
func (c *Conn) Inclusion(ctx context.Context, r piece.Receipt, epoch uint64, root merkle.Node) error {
	want, err := challenge.NewLeaf(r.Lease, r.ID, r.Root, uint64(r.Size), r.Expiry)
	if err != nil {
		return c.wrap("looking for", r.ID, err)
	}
	buf, err := c.call(ctx, opInclusion, r.ID[:], le.AppendUint64(nil, epoch))
	if err != nil {
		return c.wrap("looking for", r.ID, err)
	}
	defer buf.free()
	var p merkle.Proof
	if err = p.UnmarshalBinary(buf.b); err == nil {
		err = challenge.VerifyInclusion(p, root, want)
	}
	if err != nil {
		return c.wrap("looking for", r.ID, Errorf(ErrCorrupt, "%v", err))
	}
	return nil
}
