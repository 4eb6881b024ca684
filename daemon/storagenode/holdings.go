package storagenode

import (
	"context"
	"time"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/storagenode/possession"
	"github.com/cairn-network/cairn/daemon/storagenode/store"
)

// keepExpired is for how long a piece is kept after its own expiry, which no tree outlives for more
// than a few epochs.
const keepExpired = 12 * time.Hour

// holdings is a node as its prover sees it.
type holdings Node

// listPage is how many pieces are described at a time.
const listPage = 4096

// Each implements possession.Pieces.
func (h *holdings) Each(ctx context.Context, yield func(possession.Piece) error) error {
	items, err := h.Chain.DeviceItems(ctx, h.Identity.Device)
	if err != nil {
		return err
	}
	page := make([]store.Info, 0, listPage)
	for _, i := range items {
		if i.State != marketv1.ItemState_ITEM_STATE_OPEN {
			continue
		}
		var after piece.ID
		for more := true; more; {
			if page, more, err = h.store.List(ctx, page[:0], i.Lease, after, listPage); err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			after = page[len(page)-1].Key.ID
			for _, info := range page {
				p := possession.Piece{Key: possession.Key{Lease: info.Key.Lease, ID: info.Key.ID}, Root: info.Root, Size: info.Size, Expiry: info.Expiry}
				if err := yield(p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Read implements possession.Pieces.
func (h *holdings) Read(lease uint64, id piece.ID) ([]byte, error) {
	return h.store.Kept(store.Key{Lease: lease, ID: id})
}

// Find implements possession.Pieces.
func (h *holdings) Find(lease uint64, id piece.ID) (possession.Piece, bool) {
	info, err := h.store.Stat(store.Key{Lease: lease, ID: id})
	return possession.Piece{Key: possession.Key{Lease: lease, ID: id}, Size: info.Size, Expiry: info.Expiry}, err == nil
}

// Open implements possession.Pieces.
func (h *holdings) Open(ctx context.Context) ([]uint64, error) {
	items, err := h.Chain.DeviceItems(ctx, h.Identity.Device)
	leases := make([]uint64, 0, len(items))
	for _, i := range items {
		leases = append(leases, i.Lease)
	}
	return leases, err
}

// Delete implements possession.Pieces.
func (h *holdings) Delete(lease uint64, ids []piece.ID) error {
	_, err := h.store.Delete(lease, ids)
	return err
}

// Changes implements possession.Pieces. Leases that open and end count as changes, too.
func (h *holdings) Changes() uint64 {
	h.books.mu.Lock()
	leases := h.books.set
	h.books.mu.Unlock()
	return h.books.handler.changes.Load() + leases
}
