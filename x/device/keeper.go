// Package device is the registry of the hardware that people connect to the network: who owns
// a device, who operates it, which key it signs with, where it stands, and the deposit and bond
// that answer for it.
//
// The other modules ask it three things: Device, Operated and Active. It asks the market one
// thing back (Obligations): since when a device that wants to leave owes no service.
//
// Money: the module account holds the deposits and bonds of every device that is not retired,
// and may hold more (INV-DEPOSIT). Specification: docs/spec/device.md.
package device

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/indexes"
	"cosmossdk.io/core/address"
	"cosmossdk.io/core/store"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
)

const (
	// ModuleName is the module's name and the name of its account.
	ModuleName = "device"
	// StoreKey is the name of the module's store.
	StoreKey = ModuleName
)

// Keeper is the module's state. Addresses in it are spelled canonically (bech32).
type Keeper struct {
	bank        BankKeeper
	obligations Obligations // nil until SetObligations
	beacons     Beacons     // nil until SetBeacons
	addresses   address.Codec
	authority   string // canonical; may update params
	account     sdk.AccAddress

	Schema  collections.Schema
	params  collections.Item[devicev1.Params]
	nextID  collections.Sequence
	devices *collections.IndexedMap[uint64, devicev1.Device, deviceIndexes]
	// nonces counts an owner's registrations; the next one signs over the count.
	nonces collections.Map[string, uint64]
	// holdings counts an owner's devices that are not retired (INV-HOLDINGS).
	holdings collections.Map[string, uint64]

	// trust is what governance trusts, by use and fingerprint.
	trust collections.Map[trustKey, devicev1.TrustAnchor]
	// attestations by device and kind, also those that no longer count.
	attestations *collections.IndexedMap[attestationKey, devicev1.Attestation, attestationIndexes]
	// revocations by anchor.
	revocations collections.Map[[]byte, devicev1.Revocation]
	// credentials by owner, device (0 for all of the owner's) and kind.
	credentials collections.Map[credentialKey, devicev1.Credential]
	// rules by region and resource.
	rules collections.Map[ruleKey, devicev1.Rule]
	// bans by device, past ones too.
	bans collections.Map[uint64, devicev1.Ban]
}

type (
	trustKey       = collections.Pair[int32, []byte]
	attestationKey = collections.Pair[uint64, int32]
	credentialKey  = collections.Triple[string, uint64, string]
	ruleKey        = collections.Pair[string, string]
)

var (
	paramsPrefix   = collections.NewPrefix(0)
	nextIDPrefix   = collections.NewPrefix(1)
	devicesPrefix  = collections.NewPrefix(2)
	ownerPrefix    = collections.NewPrefix(3)
	operatorPrefix = collections.NewPrefix(4)
	kindPrefix     = collections.NewPrefix(5)
	keyPrefix      = collections.NewPrefix(6)
	noncesPrefix   = collections.NewPrefix(7)
	holdingsPrefix = collections.NewPrefix(8)

	trustPrefix        = collections.NewPrefix(16)
	attestationsPrefix = collections.NewPrefix(17)
	hardwarePrefix     = collections.NewPrefix(18)
	revocationsPrefix  = collections.NewPrefix(19)
	credentialsPrefix  = collections.NewPrefix(20)
	rulesPrefix        = collections.NewPrefix(21)
	bansPrefix         = collections.NewPrefix(22)
)

// deviceIndexes find devices by what people ask for. A retired device stays in all of them, so
// that its key is never registered again.
type deviceIndexes struct {
	Owner    *indexes.Multi[string, uint64, devicev1.Device]
	Operator *indexes.Multi[string, uint64, devicev1.Device]
	Kind     *indexes.Multi[string, uint64, devicev1.Device]
	Key      *indexes.Unique[[]byte, uint64, devicev1.Device]
}

// attestationIndexes find the attestation that a piece of hardware stands behind; those of tier 1
// stand together under no hardware.
type attestationIndexes struct {
	Hardware *indexes.Multi[[]byte, attestationKey, devicev1.Attestation]
}

// NewKeeper makes the module's keeper over its store. authority is the account that may change
// params, as a string the codec accepts. It panics when the arguments cannot make a module,
// which is a defect of the program's wiring.
func NewKeeper(
	cdc codec.BinaryCodec,
	storeService store.KVStoreService,
	addressCodec address.Codec,
	bank BankKeeper,
	authority string,
) *Keeper {
	raw, err := addressCodec.StringToBytes(authority)
	if err != nil {
		panic(errorsmod.Wrapf(err, "authority of %s: %q", ModuleName, authority))
	}
	canonical, err := addressCodec.BytesToString(raw)
	if err != nil {
		panic(errorsmod.Wrapf(err, "authority of %s: %q", ModuleName, authority))
	}
	schema := collections.NewSchemaBuilder(storeService)
	k := &Keeper{
		bank:      bank,
		addresses: addressCodec,
		authority: canonical,
		account:   authtypes.NewModuleAddress(ModuleName),

		params: collections.NewItem(schema, paramsPrefix, "params", codec.CollValue[devicev1.Params](cdc)),
		nextID: collections.NewSequence(schema, nextIDPrefix, "next_id"),
		devices: collections.NewIndexedMap(schema, devicesPrefix, "devices",
			collections.Uint64Key, codec.CollValue[devicev1.Device](cdc),
			deviceIndexes{
				Owner: indexes.NewMulti(schema, ownerPrefix, "devices_by_owner",
					collections.StringKey, collections.Uint64Key,
					func(_ uint64, d devicev1.Device) (string, error) { return d.Owner, nil }),
				Operator: indexes.NewMulti(schema, operatorPrefix, "devices_by_operator",
					collections.StringKey, collections.Uint64Key,
					func(_ uint64, d devicev1.Device) (string, error) { return d.Operator, nil }),
				Kind: indexes.NewMulti(schema, kindPrefix, "devices_by_kind",
					collections.StringKey, collections.Uint64Key,
					func(_ uint64, d devicev1.Device) (string, error) { return d.Kind, nil }),
				Key: indexes.NewUnique(schema, keyPrefix, "devices_by_key",
					collections.BytesKey, collections.Uint64Key,
					func(_ uint64, d devicev1.Device) ([]byte, error) { return d.Pubkey.Key, nil }),
			}),
		nonces:   collections.NewMap(schema, noncesPrefix, "nonces", collections.StringKey, collections.Uint64Value),
		holdings: collections.NewMap(schema, holdingsPrefix, "holdings", collections.StringKey, collections.Uint64Value),

		trust: collections.NewMap(schema, trustPrefix, "trust",
			collections.PairKeyCodec(collections.Int32Key, collections.BytesKey), codec.CollValue[devicev1.TrustAnchor](cdc)),
		attestations: collections.NewIndexedMap(schema, attestationsPrefix, "attestations",
			collections.PairKeyCodec(collections.Uint64Key, collections.Int32Key), codec.CollValue[devicev1.Attestation](cdc),
			attestationIndexes{
				Hardware: indexes.NewMulti(schema, hardwarePrefix, "attestations_by_hardware",
					collections.BytesKey, collections.PairKeyCodec(collections.Uint64Key, collections.Int32Key),
					func(_ attestationKey, a devicev1.Attestation) ([]byte, error) { return a.Hardware, nil }),
			}),
		revocations: collections.NewMap(schema, revocationsPrefix, "revocations",
			collections.BytesKey, codec.CollValue[devicev1.Revocation](cdc)),
		credentials: collections.NewMap(schema, credentialsPrefix, "credentials",
			collections.TripleKeyCodec(collections.StringKey, collections.Uint64Key, collections.StringKey), codec.CollValue[devicev1.Credential](cdc)),
		rules: collections.NewMap(schema, rulesPrefix, "rules",
			collections.PairKeyCodec(collections.StringKey, collections.StringKey), codec.CollValue[devicev1.Rule](cdc)),
		bans: collections.NewMap(schema, bansPrefix, "bans", collections.Uint64Key, codec.CollValue[devicev1.Ban](cdc)),
	}
	k.Schema, err = schema.Build()
	if err != nil {
		panic(err)
	}
	return k
}

// SetObligations names who knows what devices owe; without it no device can finish retiring.
// It may be called once.
func (k *Keeper) SetObligations(obligations Obligations) {
	if k.obligations != nil {
		panic("device: obligations set twice")
	}
	k.obligations = obligations
}

// SetBeacons names who knows the beacons; without it no evidence is accepted. It may be called once.
func (k *Keeper) SetBeacons(beacons Beacons) {
	if k.beacons != nil {
		panic("device: beacons set twice")
	}
	k.beacons = beacons
}

// Params reads the module's parameters.
func (k *Keeper) Params(ctx context.Context) (devicev1.Params, error) {
	params, err := k.params.Get(ctx)
	return params, errorsmod.Wrap(err, "reading device params")
}

// Device gives a device, or ErrNotFound.
func (k *Keeper) Device(ctx context.Context, id uint64) (devicev1.Device, error) {
	d, err := k.devices.Get(ctx, id)
	if errors.Is(err, collections.ErrNotFound) {
		return devicev1.Device{}, errorsmod.Wrapf(ErrNotFound, "device %d", id)
	}
	return d, errorsmod.Wrapf(err, "reading device %d", id)
}

// Operated gives a device if the account, in canonical spelling, may act for it day to day: its
// operator, or its owner, who may do everything. ErrNotFound or ErrNotOperator otherwise.
func (k *Keeper) Operated(ctx context.Context, id uint64, account string) (devicev1.Device, error) {
	d, err := k.Device(ctx, id)
	if err != nil {
		return devicev1.Device{}, err
	}
	if account != d.Operator && account != d.Owner {
		return devicev1.Device{}, errorsmod.Wrapf(ErrNotOperator, "device %d is operated by %s, not %s", id, d.Operator, account)
	}
	return d, nil
}

// Active gives a device if it may take on new work now: ErrNotFound, ErrNotActive or ErrBanned
// otherwise.
func (k *Keeper) Active(ctx context.Context, id uint64) (devicev1.Device, error) {
	d, err := k.Device(ctx, id)
	if err != nil {
		return devicev1.Device{}, err
	}
	if !active(d, sdk.UnwrapSDKContext(ctx).BlockTime().Unix()) {
		return devicev1.Device{}, errorsmod.Wrapf(ErrNotActive, "device %d is %s", id, describe(d))
	}
	banned, err := k.Banned(ctx, id)
	if err != nil {
		return devicev1.Device{}, err
	}
	if banned {
		return devicev1.Device{}, errorsmod.Wrapf(ErrBanned, "device %d", id)
	}
	return d, nil
}
