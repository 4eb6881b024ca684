// Package storage keeps on chain what the storage vertical must not lose, and makes devices prove
// what they are paid for holding.
//
// # Anchors
//
// For each renter, where the latest encrypted snapshot of its metadata lies. With that and the
// renter's key alone every bucket can be rebuilt on a new machine.
//
// # Possession
//
// A device commits to the root of a Merkle sum tree over its pieces. Each epoch's beacon draws who
// is challenged and at which positions (core/challenge); nothing of that is stored. The answer is a
// row, its absence is a fault that anyone may point at, for a bounty, once the epoch is over.
//
//	epoch e-1        e                                e+1
//	CommitTree ----> in force: beacon(e) draws ----> ReportFault, if there is no Prove
//	                 Prove until e ends
//
// Two questions wait for their own answer with a deadline and a deposit (Audit): a renter's, whether
// a piece with a receipt is in the tree, and a peer's, for a position that it could not get off chain.
//
// Rows are written by messages only. A fact of an epoch is read from rows of that epoch and earlier,
// so it cannot change once the epoch is over; what is too old for anyone goes in a queue of which the
// end of a block takes a bounded number.
//
// # Invariants (invariant.go)
//
// INV-ANCHOR, INV-COMMITMENT, INV-PROOF, INV-FAULT, INV-AUDIT-DEPOSIT, INV-QUEUE. And by construction
// INV-TREE: what counts as proved is the total of the tree that was challenged, never more than what
// leases reserve. Specification: docs/spec/storage.md.
package storage

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/address"
	"cosmossdk.io/core/store"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	// ModuleName is the module's name and the name of its account, which holds deposits of audits.
	ModuleName = "storage"
	// StoreKey is the name of the module's store.
	StoreKey = ModuleName
	// Resource is what the market calls bytes at rest.
	Resource = "storage"
	// Kind is what the registry calls a device that sells them.
	Kind = "storage"
)

// Keeper is the module's state. Addresses in it are spelled canonically (bech32).
type Keeper struct {
	bank      BankKeeper
	devices   DeviceKeeper
	market    MarketKeeper
	epochs    EpochKeeper
	rewards   RewardKeeper // nil until SetRewards
	addresses address.Codec
	authority string // canonical; may update params
	account   sdk.AccAddress

	Schema    collections.Schema
	params    collections.Item[storagev1.Params]
	snapshots collections.Map[string, storagev1.Snapshot] // by renter

	// commitments by device and the first epoch that they are in force in.
	commitments collections.Map[rowKey, storagev1.Commitment]
	// terms by the first epoch that they hold in.
	terms collections.Map[uint64, storagev1.Terms]
	// proofs by device and epoch.
	proofs collections.Map[rowKey, storagev1.Proof]
	faults collections.Map[faultKey, storagev1.Fault]
	// penalties by device and the epoch that they begin in.
	penalties collections.Map[rowKey, storagev1.Penalty]
	standings collections.Map[uint64, storagev1.Standing] // by device
	audits    *collections.IndexedMap[uint64, storagev1.Audit, auditIndexes]
	nextAudit collections.Sequence
	// old is the queue of rows that nobody will need; see prune.go.
	old collections.KeySet[oldKey]
}

type (
	rowKey   = collections.Pair[uint64, uint64] // device, epoch
	faultKey = collections.Triple[uint64, int32, uint64]
	// oldKey is the epoch that a row belongs to, what kind of row it is, its device and its number.
	oldKey = collections.Quad[uint64, int32, uint64, uint64]
	// auditLease is what the number of audits that wait at once is bounded for.
	auditLease = collections.Pair[uint64, uint64] // device, lease
)

var (
	paramsPrefix      = collections.NewPrefix(0)
	snapshotsPrefix   = collections.NewPrefix(1)
	commitmentsPrefix = collections.NewPrefix(2)
	termsPrefix       = collections.NewPrefix(3)
	proofsPrefix      = collections.NewPrefix(4)
	faultsPrefix      = collections.NewPrefix(5)
	penaltiesPrefix   = collections.NewPrefix(6)
	standingsPrefix   = collections.NewPrefix(7)
	auditsPrefix      = collections.NewPrefix(8)
	auditsLeasePrefix = collections.NewPrefix(9)
	nextAuditPrefix   = collections.NewPrefix(10)
	oldPrefix         = collections.NewPrefix(11)
)

// auditIndexes find what a device has to answer.
type auditIndexes struct {
	Lease *modkit.Multi[auditLease, uint64, storagev1.Audit]
}

// IndexesList implements collections.Indexes.
func (i auditIndexes) IndexesList() []collections.Index[uint64, storagev1.Audit] {
	return []collections.Index[uint64, storagev1.Audit]{i.Lease}
}

// Deps is what a keeper stands on.
type Deps struct {
	Codec     codec.BinaryCodec
	Store     store.KVStoreService
	Addresses address.Codec
	Bank      BankKeeper
	Devices   DeviceKeeper
	Market    MarketKeeper
	Epochs    EpochKeeper
	// Authority is the account that may change params, as a string that Addresses accepts.
	Authority string
}

// NewKeeper makes the module's keeper over its store. It panics when deps cannot make a module, which
// is a defect of the program's wiring.
func NewKeeper(deps Deps) *Keeper {
	_, canonical, err := modkit.Account(deps.Addresses, deps.Authority)
	if err != nil {
		panic(errorsmod.Wrapf(err, "authority of %s", ModuleName))
	}
	var (
		schema   = collections.NewSchemaBuilder(deps.Store)
		cdc      = deps.Codec
		row      = collections.NamedPairKeyCodec("device", collections.Uint64Key, "epoch", collections.Uint64Key)
		fault    = collections.NamedTripleKeyCodec("device", collections.Uint64Key, "kind", collections.Int32Key, "subject", collections.Uint64Key)
		ofLease  = collections.NamedPairKeyCodec("device", collections.Uint64Key, "lease", collections.Uint64Key)
		oldCodec = collections.NamedQuadKeyCodec("epoch", collections.Uint64Key, "kind", collections.Int32Key,
			"device", collections.Uint64Key, "number", collections.Uint64Key)
	)
	k := &Keeper{
		bank: deps.Bank, devices: deps.Devices, market: deps.Market, epochs: deps.Epochs,
		addresses: deps.Addresses,
		authority: canonical,
		account:   authtypes.NewModuleAddress(ModuleName),

		params: collections.NewItem(schema, paramsPrefix, "params", codec.CollValue[storagev1.Params](cdc)),
		snapshots: collections.NewMap(schema, snapshotsPrefix, "snapshots",
			collections.StringKey, codec.CollValue[storagev1.Snapshot](cdc)),
		commitments: collections.NewMap(schema, commitmentsPrefix, "commitments", row, codec.CollValue[storagev1.Commitment](cdc)),
		terms:       collections.NewMap(schema, termsPrefix, "terms", collections.Uint64Key, codec.CollValue[storagev1.Terms](cdc)),
		proofs:      collections.NewMap(schema, proofsPrefix, "proofs", row, codec.CollValue[storagev1.Proof](cdc)),
		faults:      collections.NewMap(schema, faultsPrefix, "faults", fault, codec.CollValue[storagev1.Fault](cdc)),
		penalties:   collections.NewMap(schema, penaltiesPrefix, "penalties", row, codec.CollValue[storagev1.Penalty](cdc)),
		standings:   collections.NewMap(schema, standingsPrefix, "standings", collections.Uint64Key, codec.CollValue[storagev1.Standing](cdc)),
		audits: collections.NewIndexedMap(schema, auditsPrefix, "audits", collections.Uint64Key, codec.CollValue[storagev1.Audit](cdc),
			auditIndexes{Lease: modkit.NewMulti(schema, auditsLeasePrefix, "audits_by_lease", ofLease, collections.Uint64Key,
				func(_ uint64, a storagev1.Audit) (auditLease, error) { return collections.Join(a.Device, a.Lease), nil })}),
		nextAudit: collections.NewSequence(schema, nextAuditPrefix, "next_audit"),
		old:       collections.NewKeySet(schema, oldPrefix, "old", oldCodec),
	}
	if k.Schema, err = schema.Build(); err != nil {
		panic(err)
	}
	return k
}

// SetRewards names who computes rewards; without it facts say nothing of usage and need. It may be
// called once.
func (k *Keeper) SetRewards(rewards RewardKeeper) {
	if k.rewards != nil {
		panic("storage: rewards set twice")
	}
	k.rewards = rewards
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
