// Package audit keeps the chain's clock of epochs and the random beacon that starts each of them,
// and holds the reports of who earned what in an epoch to account.
//
// Validators contribute verifiable random outputs to the next beacon in their votes
// (core/beacon). In the last blocks of an epoch proposers put the votes into blocks, Collect verifies
// and keeps the outputs, and the epoch turns when enough voting power has contributed. Nothing
// here walks what grows with the network: the work of a block depends on the number of validators
// alone.
//
// Specification: docs/spec/audit.md.
package audit

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

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	// ModuleName is the module's name and the name of its account, which holds reporters' bonds and
	// burns what they lose.
	ModuleName = "audit"
	// StoreKey is the name of the module's store.
	StoreKey = ModuleName
)

// Keeper is the module's state. Addresses in it are spelled canonically (bech32).
type Keeper struct {
	addresses  address.Codec  // of accounts
	validators address.Codec  // of validators' operators
	authority  string         // canonical; may update params
	account    sdk.AccAddress // the module's
	staking    StakingKeeper
	source     Source
	hooks      []Hook

	Schema   collections.Schema
	params   collections.Item[auditv1.Params]
	current  collections.Item[uint64]                   // number of the running epoch
	epochs   collections.Map[uint64, auditv1.Epoch]     // by number; the last retain_epochs
	keys     collections.Map[string, auditv1.BeaconKey] // by validator
	outputs  collections.Map[string, auditv1.BeaconOutput]
	records  collections.Map[string, auditv1.BeaconRecord]
	failures collections.Map[failureKey, auditv1.HookFailure]

	reports reports
}

// failureKey is the epoch that ended and the hook that failed.
type failureKey = collections.Pair[uint64, string]

var (
	paramsPrefix   = collections.NewPrefix(0)
	currentPrefix  = collections.NewPrefix(1)
	epochsPrefix   = collections.NewPrefix(2)
	keysPrefix     = collections.NewPrefix(3)
	outputsPrefix  = collections.NewPrefix(4)
	recordsPrefix  = collections.NewPrefix(5)
	failuresPrefix = collections.NewPrefix(6)
	// Prefixes from 32 are those of reports and disputes (report.go).
)

// Deps is what a keeper is made of.
type Deps struct {
	Codec codec.BinaryCodec
	Store store.KVStoreService
	// Accounts and Validators read and write addresses of accounts and of validators' operators.
	Accounts, Validators address.Codec
	Staking              StakingKeeper
	// Bank holds what reporters answer with.
	Bank   BankKeeper
	Source Source
	// Authority is the account that may change params, as a string that Accounts reads.
	Authority string
}

// NewKeeper makes the module's keeper over its store. It panics when the arguments cannot make a module,
// which is a defect of the program's wiring.
func NewKeeper(deps Deps) *Keeper {
	cdc, accounts := deps.Codec, deps.Accounts
	_, canonical, err := modkit.Account(accounts, deps.Authority)
	if err != nil {
		panic(errorsmod.Wrapf(err, "authority of %s", ModuleName))
	}
	schema := collections.NewSchemaBuilder(deps.Store)
	k := &Keeper{
		addresses:  accounts,
		validators: deps.Validators,
		authority:  canonical,
		account:    authtypes.NewModuleAddress(ModuleName),
		staking:    deps.Staking,
		source:     deps.Source,
		params:     collections.NewItem(schema, paramsPrefix, "params", codec.CollValue[auditv1.Params](cdc)),
		current:    collections.NewItem(schema, currentPrefix, "current", collections.Uint64Value),
		epochs:     collections.NewMap(schema, epochsPrefix, "epochs", collections.Uint64Key, codec.CollValue[auditv1.Epoch](cdc)),
		keys:       collections.NewMap(schema, keysPrefix, "keys", collections.StringKey, codec.CollValue[auditv1.BeaconKey](cdc)),
		outputs:    collections.NewMap(schema, outputsPrefix, "outputs", collections.StringKey, codec.CollValue[auditv1.BeaconOutput](cdc)),
		records:    collections.NewMap(schema, recordsPrefix, "records", collections.StringKey, codec.CollValue[auditv1.BeaconRecord](cdc)),
		failures: collections.NewMap(schema, failuresPrefix, "hook_failures",
			collections.PairKeyCodec(collections.Uint64Key, collections.StringKey), codec.CollValue[auditv1.HookFailure](cdc)),
		reports: newReports(schema, cdc, deps.Bank),
	}
	if k.Schema, err = schema.Build(); err != nil {
		panic(err)
	}
	return k
}

// SetHooks says what other modules do when an epoch ends, in this order. The application calls it
// once, before the first block.
func (k *Keeper) SetHooks(hooks ...Hook) { k.hooks = hooks }

// Params reads the module's parameters.
func (k *Keeper) Params(ctx context.Context) (auditv1.Params, error) {
	params, err := k.params.Get(ctx)
	return params, errorsmod.Wrap(err, "reading audit params")
}

// Current gives the running epoch.
func (k *Keeper) Current(ctx context.Context) (auditv1.Epoch, error) {
	number, err := k.current.Get(ctx)
	if err != nil {
		return auditv1.Epoch{}, errorsmod.Wrap(err, "reading the running epoch's number")
	}
	return k.EpochAt(ctx, number)
}

// EpochAt gives an epoch by its number: the running one, or one of the params.retain_epochs
// before it. Any other is ErrUnknownEpoch.
func (k *Keeper) EpochAt(ctx context.Context, number uint64) (auditv1.Epoch, error) {
	epoch, err := k.epochs.Get(ctx, number)
	if errors.Is(err, collections.ErrNotFound) {
		return auditv1.Epoch{}, errorsmod.Wrapf(ErrUnknownEpoch, "epoch %d", number)
	}
	return epoch, errorsmod.Wrapf(err, "reading epoch %d", number)
}
