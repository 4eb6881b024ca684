package storage

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// DefaultGenesis has no anchors.
func DefaultGenesis() *storagev1.GenesisState {
	return &storagev1.GenesisState{Params: DefaultParams()}
}

// ValidateGenesis checks a genesis as far as it can be without a store. Anchors are held to the
// widest bound rather than to the params, which may have been lowered since they were made.
func ValidateGenesis(g *storagev1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	renters := make(map[string]bool, len(g.Snapshots))
	for i, s := range g.Snapshots {
		if renters[s.Renter] {
			return errorsmod.Wrapf(ErrGenesis, "snapshots[%d]: renter %q stands twice", i, modkit.Clip(s.Renter))
		}
		renters[s.Renter] = true
		if s.Version == 0 {
			return errorsmod.Wrapf(ErrGenesis, "snapshots[%d]: version 0: versions start at 1", i)
		}
		if err := checkSnapshot(s, storagev1.Params{MaxPointerBytes: mostPointerBytes}); err != nil {
			return errorsmod.Wrapf(err, "snapshots[%d]", i)
		}
	}
	return nil
}

// InitGenesis writes a valid genesis into an empty store. Addresses are taken in any spelling.
func (k *Keeper) InitGenesis(ctx context.Context, g *storagev1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return errorsmod.Wrap(err, "writing params")
	}
	for i, s := range g.Snapshots {
		var err error
		if s.Renter, err = k.parseAccount("renter", s.Renter); err != nil {
			return errorsmod.Wrapf(err, "snapshots[%d]", i)
		}
		if err := k.snapshots.Set(ctx, s.Renter, s); err != nil {
			return errorsmod.Wrapf(err, "writing snapshot of %s", s.Renter)
		}
	}
	return nil
}

// ExportGenesis reads the whole state; InitGenesis of it restores the same state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*storagev1.GenesisState, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return nil, err
	}
	g := &storagev1.GenesisState{Params: params}
	err = k.snapshots.Walk(ctx, nil, func(_ string, s storagev1.Snapshot) (bool, error) {
		g.Snapshots = append(g.Snapshots, s)
		return false, nil
	})
	return g, errorsmod.Wrap(err, "reading snapshots")
}
