package storage

import (
	"context"
	"fmt"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Invariants are the properties of the anchors that always hold.
func (k *Keeper) Invariants() []modkit.Invariant {
	return []modkit.Invariant{{Name: "INV-ANCHOR", Check: k.checkAnchors}}
}

// checkAnchors: INV-ANCHOR: every anchor stands under its renter's canonical address, is well
// formed, and has a version of at least 1.
func (k *Keeper) checkAnchors(ctx context.Context) error {
	return k.snapshots.Walk(ctx, nil, func(renter string, s storagev1.Snapshot) (bool, error) {
		canonical, err := k.parseAccount("renter", s.Renter)
		if err != nil {
			return true, err
		}
		if s.Renter != renter || canonical != renter {
			return true, fmt.Errorf("anchor of %s stands under %s", s.Renter, renter)
		}
		if s.Version == 0 {
			return true, fmt.Errorf("anchor of %s has version 0", renter)
		}
		return false, checkSnapshot(s, storagev1.Params{MaxPointerBytes: mostPointerBytes})
	})
}
