package storage

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// What is in the queue of old rows. The epoch of an entry is the one after which the row begins to
// age: a proof's own, a fault's and an audit's record, the successor's of what holds until replaced.
const (
	oldCommitment int32 = iota + 1
	oldTerms
	oldProof
	oldPenalty
	oldFault // plus the fault's kind
)

// outdate puts a row into the queue.
func (k *Keeper) outdate(ctx context.Context, epoch uint64, kind int32, device, number uint64) error {
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(gasOld, "removal of an old row")
	return errorsmod.Wrapf(k.old.Set(ctx, collections.Join4(epoch, kind, device, number)), "queueing a row of device %d", device)
}

// EndBlock forgets rows that are too old for anyone, at most params.possession.prunes_per_block.
func (k *Keeper) EndBlock(ctx context.Context) error {
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return err
	}
	// A fact is read from proofs and penalties as far back as its terms let a passed challenge stand.
	p := params.Possession
	keep := uint64(p.RetainEpochs) + maxFreshEpochs
	if current.Number <= keep {
		return nil
	}
	var due []oldKey
	before := current.Number - keep
	err = k.old.Walk(ctx, nil, func(key oldKey) (bool, error) {
		if key.K1() >= before || len(due) == int(p.PrunesPerBlock) {
			return true, nil
		}
		due = append(due, key)
		return false, nil
	})
	if err != nil {
		return errorsmod.Wrap(err, "looking for old rows")
	}
	for _, key := range due {
		if err := errors.Join(k.forget(ctx, key), k.old.Remove(ctx, key)); err != nil {
			return errorsmod.Wrapf(err, "forgetting a row of device %d", key.K3())
		}
	}
	return nil
}

func (k *Keeper) forget(ctx context.Context, key oldKey) error {
	at := collections.Join(key.K3(), key.K4())
	switch kind := key.K2(); {
	case kind == oldCommitment:
		return k.commitments.Remove(ctx, at)
	case kind == oldTerms:
		return k.terms.Remove(ctx, key.K4())
	case kind == oldProof:
		return k.proofs.Remove(ctx, at)
	case kind == oldPenalty:
		return k.penalties.Remove(ctx, at)
	case kind > oldFault:
		return k.faults.Remove(ctx, collections.Join3(key.K3(), kind-oldFault, key.K4()))
	default:
		return fmt.Errorf("unknown kind %d of old row", kind)
	}
}
