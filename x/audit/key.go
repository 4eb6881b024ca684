package audit

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/beacon"
)

// keyDelay is how many epochs after its announcement a key contributes first. The next epoch's input
// is known already, and its outputs may be; that of the one after is not.
const keyDelay = 2

// keyIn gives the key of k that is in force for the beacon of an epoch; nil if none is.
func keyIn(k auditv1.BeaconKey, epoch uint64) []byte {
	if len(k.NextKey) > 0 && k.NextFromEpoch <= epoch {
		return k.NextKey
	}
	if len(k.Key) > 0 && k.FromEpoch <= epoch {
		return k.Key
	}
	return nil
}

// keyFor gives a validator's key for the beacon of an epoch; nil if it has none.
func (k *Keeper) keyFor(ctx context.Context, validator string, epoch uint64) ([]byte, error) {
	keys, err := k.keysOf(ctx, validator)
	return keyIn(keys, epoch), err
}

// keysOf gives a validator's keys; without any, only its name.
func (k *Keeper) keysOf(ctx context.Context, validator string) (auditv1.BeaconKey, error) {
	keys, err := k.keys.Get(ctx, validator)
	if errors.Is(err, collections.ErrNotFound) {
		return auditv1.BeaconKey{Validator: validator}, nil
	}
	return keys, errorsmod.Wrapf(err, "reading the beacon key of %s", validator)
}

// WantedKey gives the key whose output for the next beacon a validator, by its consensus address, has
// yet to contribute: nil if it has no key in force or has contributed.
func (k *Keeper) WantedKey(ctx context.Context, address sdk.ConsAddress) ([]byte, error) {
	epoch, err := k.Current(ctx)
	if err != nil {
		return nil, err
	}
	members, err := k.members(ctx, []Vote{{Validator: address}})
	if err != nil || len(members) == 0 {
		return nil, err
	}
	if has, err := k.outputs.Has(ctx, members[0].spelled); has || err != nil {
		return nil, errorsmod.Wrapf(err, "looking for the output of %s", members[0].spelled)
	}
	return k.keyFor(ctx, members[0].spelled, epoch.Number+1)
}

// NextRound is what validators prove for the next beacon.
func (k *Keeper) NextRound(ctx context.Context) (beacon.Round, error) {
	epoch, err := k.Current(ctx)
	if err != nil {
		return beacon.Round{}, err
	}
	return round(ctx, epoch), nil
}

// announce puts a validator's new key behind the one in force and says from when it counts. A key
// that was still waiting is replaced.
func (k *Keeper) announce(ctx context.Context, validator string, key beacon.PublicKey) (uint64, error) {
	epoch, err := k.Current(ctx)
	if err != nil {
		return 0, err
	}
	keys, err := k.keysOf(ctx, validator)
	if err != nil {
		return 0, err
	}
	if len(keys.NextKey) > 0 && keys.NextFromEpoch <= epoch.Number+1 {
		keys.Key, keys.FromEpoch = keys.NextKey, keys.NextFromEpoch
	}
	keys.NextKey, keys.NextFromEpoch = key[:], epoch.Number+keyDelay
	return keys.NextFromEpoch, errorsmod.Wrapf(k.keys.Set(ctx, validator, keys), "writing the beacon key of %s", validator)
}
