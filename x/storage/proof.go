package storage

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/device"
)

// prove checks a device's answer to the running epoch's challenge and records it. What the answer is
// bound to (beacon, device, epoch, index) all goes into the positions, and there is one row for device
// and epoch: no answer counts twice.
func (k *Keeper) prove(ctx context.Context, d devicev1.Device, epoch uint64, proofs [][]byte) (storagev1.Proof, error) {
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return storagev1.Proof{}, err
	}
	if epoch != current.Number {
		return storagev1.Proof{}, errorsmod.Wrapf(ErrEpoch, "epoch %d: %d is running", epoch, current.Number)
	}
	a, err := k.asks(ctx, d.Id, current)
	if err != nil {
		return storagev1.Proof{}, err
	}
	if !a.due {
		return storagev1.Proof{}, errorsmod.Wrapf(ErrNotChallenged, "device %d, epoch %d", d.Id, epoch)
	}
	key := collections.Join(d.Id, epoch)
	switch there, err := k.proofs.Has(ctx, key); {
	case err != nil:
		return storagev1.Proof{}, errorsmod.Wrapf(err, "looking for a proof of device %d", d.Id)
	case there:
		return storagev1.Proof{}, errorsmod.Wrapf(ErrProved, "device %d, epoch %d", d.Id, epoch)
	}
	positions := a.positions()
	if len(proofs) != len(positions) {
		return storagev1.Proof{}, errorsmod.Wrapf(ErrProof, "%d proofs: want %d", len(proofs), len(positions))
	}
	for i, x := range positions {
		if err := checkPosition(ctx, node(a.commitment), x, proofs[i]); err != nil {
			return storagev1.Proof{}, errorsmod.Wrapf(err, "proofs[%d]", i)
		}
	}
	leased, err := k.market.Leased(ctx, d.Id, Resource)
	if err != nil {
		return storagev1.Proof{}, err
	}
	tier, err := k.devices.TierOf(ctx, d.Id)
	if err != nil {
		return storagev1.Proof{}, err
	}
	proof := storagev1.Proof{
		Device: d.Id, Epoch: epoch, Positions: uint32(len(positions)), Proved: bytesOf(a.commitment.Total), Leased: leased,
		Tier: tier, Cell: d.Cell, Bond: d.Bond, RegisteredAt: d.RegisteredAt,
	}
	if err := k.permit(ctx, &proof); err != nil {
		return storagev1.Proof{}, err
	}
	if err := k.proofs.Set(ctx, key, proof); err != nil {
		return storagev1.Proof{}, errorsmod.Wrapf(err, "writing proof of device %d", d.Id)
	}
	if err := k.outdate(ctx, epoch, oldProof, d.Id, epoch); err != nil {
		return storagev1.Proof{}, err
	}
	standing, _, err := row(ctx, k.standings, d.Id)
	if err != nil {
		return storagev1.Proof{}, err
	}
	standing.LastPassed = epoch
	standing.Passed++
	standing.Positions += uint64(proof.Positions)
	standing.ConsecutiveFaults = 0
	if err := k.standings.Set(ctx, d.Id, standing); err != nil {
		return storagev1.Proof{}, errorsmod.Wrapf(err, "writing standing of device %d", d.Id)
	}
	if k.rewards != nil && !proof.Banned && !proof.Refused {
		if err := k.rewards.AddSupply(ctx, score.Storage, d.Id, geo.Cell(d.Cell), tier, counted(proof)); err != nil {
			return storagev1.Proof{}, errorsmod.Wrapf(err, "adding the supply of device %d", d.Id)
		}
	}
	return proof, nil
}

// permit notes whether the device may sell what it proved. Who may not still has to answer, for the
// leases that run, but is not paid by the network.
func (k *Keeper) permit(ctx context.Context, p *storagev1.Proof) error {
	err := k.devices.Permitted(ctx, p.Device, Resource)
	p.Banned, p.Refused = errors.Is(err, device.ErrBanned), errors.Is(err, device.ErrNotPermitted)
	if p.Banned || p.Refused {
		return nil
	}
	return err
}

// counted is what a proof is worth (INV-TREE).
func counted(p storagev1.Proof) uint64 { return min(p.Proved, p.Leased) }

// checkPosition checks that raw shows the chunk at a position. It charges for the work first.
func checkPosition(ctx context.Context, root merkle.Node, x uint64, raw []byte) error {
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(gasProof, "possession proof")
	var p challenge.Proof
	if err := p.UnmarshalBinary(raw); err != nil {
		return errorsmod.Wrap(ErrProof, err.Error())
	}
	if err := p.Verify(root, x); err != nil {
		return errorsmod.Wrapf(ErrProof, "position %d: %s", x, err)
	}
	return nil
}
