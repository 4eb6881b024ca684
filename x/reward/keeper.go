// Package reward pays devices for their work: it decides how many coins an epoch may pay out, mints
// what final reports give, and pays it to devices' owners when somebody claims it.
//
// # Mental model
//
// While an epoch runs, messages leave facts behind: settlements say what was paid and burned for a
// device, passed challenges say what it proved (usage.go). When it ends, one hook fixes what each
// service may pay out for it (epoch.go): pools, from the emission schedule and from what was burned.
// Reporters then compute who gets what (core/score) and x/audit judges them; a report that has become
// final says how much all devices together may have claimed by now, and exactly what that is more than
// the last final report said is minted into the module's account (final.go). A claim shows one
// device's account in a final report (claim.go). Accounts are cumulative: what a device is paid is
// what its account says less what it has been paid before.
//
//	settlement, proof --> facts of the running epoch --> pools --> report --> Final: mint --> Claim
//	sponsor's escrow  --> burned when its cell has supply --^
//
// No block's work depends on the number of devices.
//
// # Invariants (invariant.go)
//
// INV-REWARD, INV-CAP, INV-BOOST, INV-POOLS. Specification: docs/spec/reward.md.
package reward

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	collcodec "cosmossdk.io/collections/codec"
	"cosmossdk.io/core/address"
	"cosmossdk.io/core/store"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	// ModuleName is the module's name and the name of its account, which mints rewards, holds what
	// nobody has claimed yet, and burns sponsors' escrows.
	ModuleName = "reward"
	// StoreKey is the name of the module's store.
	StoreKey = ModuleName
)

// Keeper is the module's state. Addresses in it are spelled canonically (bech32).
type Keeper struct {
	bank       BankKeeper
	devices    DeviceKeeper
	epochs     EpochKeeper
	addresses  address.Codec
	authority  string // canonical; may update params
	account    sdk.AccAddress
	validators string // module that validators are paid through

	Schema    collections.Schema
	params    collections.Item[rewardv1.Params]
	emission  collections.Item[rewardv1.Emission]
	ledgers   collections.Map[uint32, rewardv1.Ledger] // by service
	totals    collections.Map[epochKey, rewardv1.Epoch]
	facts     collections.Map[epochItemKey, rewardv1.DeviceEpoch] // by device
	cells     collections.Map[epochItemKey, rewardv1.CellEpoch]   // by cell
	roots     collections.Map[rootKey, rewardv1.Root]
	claimed   collections.Map[rootKey, rewardv1.Claimed] // by service and device
	nextBoost collections.Sequence
	boosts    *collections.IndexedMap[uint64, rewardv1.Boost, boostIndexes]
	relays    collections.Map[string, rewardv1.Relay] // by owner
	incomes   collections.Map[incomeKey, rewardv1.Income]
}

type (
	// Facts stand in the order of epochs, so that the oldest are found first when they are removed.
	epochKey     = collections.Pair[uint64, uint32]           // epoch, service
	epochItemKey = collections.Triple[uint64, uint32, uint64] // epoch, service, device or cell
	rootKey      = collections.Pair[uint32, uint64]           // service, epoch or device
	cellKey      = collections.Pair[uint32, uint64]           // service, cell
	incomeKey    = collections.Triple[uint32, string, string] // month, owner, denomination
)

var (
	paramsPrefix        = collections.NewPrefix(0)
	emissionPrefix      = collections.NewPrefix(1)
	ledgersPrefix       = collections.NewPrefix(2)
	totalsPrefix        = collections.NewPrefix(3)
	factsPrefix         = collections.NewPrefix(4)
	cellsPrefix         = collections.NewPrefix(5)
	rootsPrefix         = collections.NewPrefix(6)
	claimedPrefix       = collections.NewPrefix(7)
	nextBoostPrefix     = collections.NewPrefix(8)
	boostsPrefix        = collections.NewPrefix(9)
	boostsCellPrefix    = collections.NewPrefix(10)
	boostsSponsorPrefix = collections.NewPrefix(11)
	relaysPrefix        = collections.NewPrefix(12)
	incomesPrefix       = collections.NewPrefix(13)
)

type boostIndexes struct {
	Cell    *modkit.Multi[cellKey, uint64, rewardv1.Boost]
	Sponsor *modkit.Multi[string, uint64, rewardv1.Boost]
}

// IndexesList is what collections walks to keep the indexes.
func (i boostIndexes) IndexesList() []collections.Index[uint64, rewardv1.Boost] {
	return []collections.Index[uint64, rewardv1.Boost]{i.Cell, i.Sponsor}
}

// Deps is what a keeper is made of.
type Deps struct {
	Codec     codec.BinaryCodec
	Store     store.KVStoreService
	Addresses address.Codec
	Bank      BankKeeper
	Devices   DeviceKeeper
	Epochs    EpochKeeper
	// Validators is the module account that validators are paid through: the fee collector.
	Validators string
	// Authority is the account that may change params, as a string that Addresses reads.
	Authority string
}

// NewKeeper makes the module's keeper over its store. It panics when the arguments cannot make a module,
// which is a defect of the program's wiring.
func NewKeeper(deps Deps) *Keeper {
	_, canonical, err := modkit.Account(deps.Addresses, deps.Authority)
	if err != nil {
		panic(errorsmod.Wrapf(err, "authority of %s", ModuleName))
	}
	var (
		cdc       = deps.Codec
		schema    = collections.NewSchemaBuilder(deps.Store)
		byEpoch   = collections.NamedPairKeyCodec("epoch", collections.Uint64Key, "service", collections.Uint32Key)
		byDevice  = collections.NamedTripleKeyCodec("epoch", collections.Uint64Key, "service", collections.Uint32Key, "device", collections.Uint64Key)
		byCell    = collections.NamedTripleKeyCodec("epoch", collections.Uint64Key, "service", collections.Uint32Key, "cell", collections.Uint64Key)
		ofService = func(name string) collcodec.KeyCodec[rootKey] {
			return collections.NamedPairKeyCodec("service", collections.Uint32Key, name, collections.Uint64Key)
		}
	)
	k := &Keeper{
		bank:       deps.Bank,
		devices:    deps.Devices,
		epochs:     deps.Epochs,
		addresses:  deps.Addresses,
		authority:  canonical,
		account:    authtypes.NewModuleAddress(ModuleName),
		validators: deps.Validators,

		params:    collections.NewItem(schema, paramsPrefix, "params", codec.CollValue[rewardv1.Params](cdc)),
		emission:  collections.NewItem(schema, emissionPrefix, "emission", codec.CollValue[rewardv1.Emission](cdc)),
		ledgers:   collections.NewMap(schema, ledgersPrefix, "ledgers", collections.Uint32Key, codec.CollValue[rewardv1.Ledger](cdc)),
		totals:    collections.NewMap(schema, totalsPrefix, "totals", byEpoch, codec.CollValue[rewardv1.Epoch](cdc)),
		facts:     collections.NewMap(schema, factsPrefix, "facts", byDevice, codec.CollValue[rewardv1.DeviceEpoch](cdc)),
		cells:     collections.NewMap(schema, cellsPrefix, "cells", byCell, codec.CollValue[rewardv1.CellEpoch](cdc)),
		roots:     collections.NewMap(schema, rootsPrefix, "roots", ofService("epoch"), codec.CollValue[rewardv1.Root](cdc)),
		claimed:   collections.NewMap(schema, claimedPrefix, "claimed", ofService("device"), codec.CollValue[rewardv1.Claimed](cdc)),
		nextBoost: collections.NewSequence(schema, nextBoostPrefix, "next_boost"),
		boosts: collections.NewIndexedMap(schema, boostsPrefix, "boosts",
			collections.Uint64Key, codec.CollValue[rewardv1.Boost](cdc),
			boostIndexes{
				Cell: modkit.NewMulti(schema, boostsCellPrefix, "boosts_by_cell", ofService("cell"), collections.Uint64Key,
					func(_ uint64, b rewardv1.Boost) (cellKey, error) { return collections.Join(b.Service, b.Cell), nil }),
				Sponsor: modkit.NewMulti(schema, boostsSponsorPrefix, "boosts_by_sponsor", collections.StringKey, collections.Uint64Key,
					func(_ uint64, b rewardv1.Boost) (string, error) { return b.Sponsor, nil }),
			}),
		relays: collections.NewMap(schema, relaysPrefix, "relays", collections.StringKey, codec.CollValue[rewardv1.Relay](cdc)),
		incomes: collections.NewMap(schema, incomesPrefix, "incomes",
			collections.NamedTripleKeyCodec("month", collections.Uint32Key, "owner", collections.StringKey, "denom", collections.StringKey),
			codec.CollValue[rewardv1.Income](cdc)),
	}
	if k.Schema, err = schema.Build(); err != nil {
		panic(err)
	}
	return k
}

// Params reads the module's parameters.
func (k *Keeper) Params(ctx context.Context) (rewardv1.Params, error) {
	params, err := k.params.Get(ctx)
	return params, errorsmod.Wrap(err, "reading reward params")
}

// ledger of a service; one that nothing has happened to yet is empty.
func (k *Keeper) ledger(ctx context.Context, service score.Service) (rewardv1.Ledger, error) {
	l, err := k.ledgers.Get(ctx, uint32(service))
	if errors.Is(err, collections.ErrNotFound) {
		return newLedger(uint32(service)), nil
	}
	return l, errorsmod.Wrapf(err, "reading ledger of %s", service)
}

// orNew reads a value of a map, or makes the one that stands for nothing.
func orNew[K, V any](ctx context.Context, m collections.Map[K, V], key K, blank func() V) (V, error) {
	v, err := m.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return blank(), nil
	}
	return v, err
}
