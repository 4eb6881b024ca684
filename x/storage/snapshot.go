package storage

import (
	"context"
	"errors"
	"math"

	errorsmod "cosmossdk.io/errors"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
)

// rootBytes is the length of a snapshot's root, a BLAKE3 hash.
const rootBytes = 32

// commit replaces a renter's anchor by the next version of it. Versions rise one by one, so that
// of two machines that both believe they are the latest one is told that it is not.
func (k *Keeper) commit(ctx context.Context, next storagev1.Snapshot) error {
	last, err := k.Snapshot(ctx, next.Renter)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if last.Version == math.MaxUint64 || next.Version != last.Version+1 {
		return errorsmod.Wrapf(ErrVersion, "version %d after %d", next.Version, last.Version)
	}
	return errorsmod.Wrapf(k.snapshots.Set(ctx, next.Renter, next), "writing snapshot of %s", next.Renter)
}

// checkSnapshot checks the form of an anchor.
func checkSnapshot(s storagev1.Snapshot, params storagev1.Params) error {
	if len(s.Root) != rootBytes {
		return errorsmod.Wrapf(ErrField, "root of %d bytes: want %d", len(s.Root), rootBytes)
	}
	if uint64(len(s.Pointer)) > uint64(params.MaxPointerBytes) {
		return errorsmod.Wrapf(ErrField, "pointer of %d bytes: at most %d", len(s.Pointer), params.MaxPointerBytes)
	}
	if len(s.Pointer) == 0 {
		return errorsmod.Wrap(ErrField, "pointer is empty: the snapshot could not be found again")
	}
	return nil
}
