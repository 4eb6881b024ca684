package storage

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/audit"
)

// Fact is what the chain knows of a device's storage in an epoch. It is read from what messages wrote
// in that epoch or before, so that it does not change once the epoch is over. audit.ErrNoFact if the device
// had committed to nothing.
//
// In an epoch without a challenge the last passed one stands, for as many epochs as the terms say and
// unless a fault was recorded since.
func (k *Keeper) Fact(ctx context.Context, epoch, device uint64) (score.Fact, error) {
	at, err := k.epochs.EpochAt(ctx, epoch)
	if err != nil {
		return score.Fact{}, err
	}
	f := score.Fact{Device: device, Epoch: epoch, Service: score.Storage, Need: score.MinNeed}
	a, err := k.asks(ctx, device, at)
	switch {
	case errors.Is(err, ErrNoCommitment):
		// Was the first one made in this epoch?
		first, err := k.commitments.Has(ctx, collections.Join(device, epoch+1))
		if err != nil {
			return score.Fact{}, errorsmod.Wrapf(err, "looking for a commitment of device %d", device)
		}
		if !first {
			return score.Fact{}, errorsmod.Wrapf(audit.ErrNoFact, "device %d, epoch %d", device, epoch)
		}
		f.Standing |= score.New
	case err != nil:
		return score.Fact{}, err
	}
	f.Challenged = a.due

	penalty, punished, err := last(ctx, k.penalties, device, epoch)
	if err != nil {
		return score.Fact{}, err
	}
	if punished && penalty.Since == epoch {
		f.Standing |= score.Faulted
		// What it was jailed for before this epoch.
		if penalty, punished, err = last(ctx, k.penalties, device, epoch-1); err != nil {
			return score.Fact{}, err
		}
	}
	if punished && penalty.JailedUntil > at.StartTime.Unix() {
		f.Standing |= score.Jailed
	}

	proof, some, err := last(ctx, k.proofs, device, epoch)
	if err != nil {
		return score.Fact{}, err
	}
	if some {
		if err := describe(&f, proof); err != nil {
			return score.Fact{}, err
		}
		switch {
		case proof.Epoch == epoch:
			f.Passed = proof.Positions
		case f.Challenged, // and did not answer
			epoch-proof.Epoch > uint64(a.terms.FreshEpochs),
			punished && penalty.Since > proof.Epoch,
			f.Standing&score.Faulted != 0:
			f.Proved = 0
		}
		// Nothing counts that the tree in force no longer holds (INV-TREE).
		f.Proved = min(f.Proved, bytesOf(a.commitment.Total))
	}
	if k.rewards == nil {
		return f, nil
	}
	return f, errorsmod.Wrapf(k.rewards.Complete(ctx, &f), "completing the fact of device %d in epoch %d", device, epoch)
}

// describe takes from a proof what it kept of the device.
func describe(f *score.Fact, proof storagev1.Proof) error {
	f.Proved, f.Leased = proof.Proved, proof.Leased
	f.Tier = min(proof.Tier, score.MaxTier)
	if proof.Banned {
		f.Standing |= score.Banned
	}
	if proof.Refused {
		f.Standing |= score.Refused
	}
	if cell := geo.Cell(proof.Cell); cell.Valid() {
		f.Cell = cell
	}
	if proof.Bond.Amount.IsNil() || proof.Bond.Denom != price.Denom {
		return nil
	}
	bond, err := price.FromBig(proof.Bond.Amount.BigInt())
	f.Bond = bond
	return errorsmod.Wrapf(err, "bond of device %d", f.Device)
}
