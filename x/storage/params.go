package storage

import (
	errorsmod "cosmossdk.io/errors"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
)

// Bounds of max_pointer_bytes: below the least no pointer fits, above the most anchors would be
// used to store data on the chain.
const (
	leastPointerBytes = 64
	mostPointerBytes  = 64 << 10
)

// DefaultParams are the parameters of a new chain.
func DefaultParams() storagev1.Params { return storagev1.Params{MaxPointerBytes: 8 << 10} }

func validateParams(p storagev1.Params) error {
	if p.MaxPointerBytes < leastPointerBytes || p.MaxPointerBytes > mostPointerBytes {
		return errorsmod.Wrapf(ErrParams, "max_pointer_bytes %d: want %d to %d", p.MaxPointerBytes, leastPointerBytes, mostPointerBytes)
	}
	return nil
}
