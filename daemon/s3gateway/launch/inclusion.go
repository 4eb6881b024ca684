package launch

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/s3gateway/inclusion"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// openReceipts opens the sample of receipts. A damaged one is begun anew: nothing but evidence is lost.
func (g *gateway) openReceipts() (err error) {
	g.receipts, err = inclusion.OpenBook(filepath.Join(g.dir(), "receipts"))
	if errors.Is(err, inclusion.ErrDamaged) {
		g.Log.Warn("receipts are lost; new ones are kept", "error", err)
		return nil
	}
	return err
}

// keepReceipt may make a receipt evidence.
func (g *gateway) keepReceipt(id metabase.SegmentID, index uint8, r piece.SignedReceipt) {
	g.receipts.Add(id, index, r)
}

func (g *gateway) openSampler() {
	g.sampler = inclusion.New(inclusion.Deps{
		Config: g.Inclusion, Book: g.receipts, Chain: g.client, Network: nodes{g}, Clock: g.Clock, Log: g.Log, Registry: g.registry,
	})
}

// nodes is what the sampler asks.
type nodes struct{ *gateway }

// Inclusion implements inclusion.Network.
func (n nodes) Inclusion(ctx context.Context, r piece.Receipt, epoch uint64, root merkle.Node) error {
	return n.links.Do(ctx, r.Device, r.Lease, func(conn *wire.Conn) error { return conn.Inclusion(ctx, r, epoch, root) })
}

// Wanted implements inclusion.Network.
func (n nodes) Wanted(ctx context.Context, id metabase.SegmentID, lease uint64) (bool, error) {
	segs, err := n.db.Segments(ctx, id)
	if errors.Is(err, metabase.ErrNoSegment) {
		return false, nil
	}
	return err == nil && segs[0].Lease == lease, err
}

// Missing implements inclusion.Network.
func (n nodes) Missing(id metabase.SegmentID, p metabase.Piece) {
	n.pool.Caught(p.Device)
	n.repair.Report(id, p)
}
