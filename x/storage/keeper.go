// Package storage anchors on chain what the storage vertical must not lose: for each renter, where
// the latest encrypted snapshot of its metadata lies. With that and the renter's key alone every
// bucket can be rebuilt on a new machine.
//
// Data and its payment are elsewhere: devices hold pieces under leases of x/market.
// Specification: docs/spec/storage.md.
package storage

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/address"
	"cosmossdk.io/core/store"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/codec"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	// ModuleName is the module's name. It has no account: it holds no money.
	ModuleName = "storage"
	// StoreKey is the name of the module's store.
	StoreKey = ModuleName
)

// Keeper is the module's state. Addresses in it are spelled canonically (bech32).
type Keeper struct {
	addresses address.Codec
	authority string // canonical; may update params

	Schema    collections.Schema
	params    collections.Item[storagev1.Params]
	snapshots collections.Map[string, storagev1.Snapshot] // by renter
}

var (
	paramsPrefix    = collections.NewPrefix(0)
	snapshotsPrefix = collections.NewPrefix(1)
)

// NewKeeper makes the module's keeper over its store. authority is the account that may change
// params, as a string the codec accepts. It panics when the arguments cannot make a module,
// which is a defect of the program's wiring.
func NewKeeper(cdc codec.BinaryCodec, storeService store.KVStoreService, addressCodec address.Codec, authority string) *Keeper {
	_, canonical, err := modkit.Account(addressCodec, authority)
	if err != nil {
		panic(errorsmod.Wrapf(err, "authority of %s", ModuleName))
	}
	schema := collections.NewSchemaBuilder(storeService)
	k := &Keeper{
		addresses: addressCodec,
		authority: canonical,
		params:    collections.NewItem(schema, paramsPrefix, "params", codec.CollValue[storagev1.Params](cdc)),
		snapshots: collections.NewMap(schema, snapshotsPrefix, "snapshots",
			collections.StringKey, codec.CollValue[storagev1.Snapshot](cdc)),
	}
	if k.Schema, err = schema.Build(); err != nil {
		panic(err)
	}
	return k
}

// Params reads the module's parameters.
func (k *Keeper) Params(ctx context.Context) (storagev1.Params, error) {
	params, err := k.params.Get(ctx)
	return params, errorsmod.Wrap(err, "reading storage params")
}

// Snapshot gives the latest anchor of a renter, in canonical spelling, or ErrNotFound.
func (k *Keeper) Snapshot(ctx context.Context, renter string) (storagev1.Snapshot, error) {
	snapshot, err := k.snapshots.Get(ctx, renter)
	if errors.Is(err, collections.ErrNotFound) {
		return storagev1.Snapshot{}, errorsmod.Wrapf(ErrNotFound, "renter %s", renter)
	}
	return snapshot, errorsmod.Wrapf(err, "reading snapshot of %s", renter)
}
