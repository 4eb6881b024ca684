// Package market sells what devices offer: offers, leases with an escrow for each device, payment
// by time and by voucher, and reverse auctions.
//
// # Mental model
//
// A lease is one consumer's contract with one or more devices. Each device's part is an item with
// its own escrow. Money leaves an escrow in three ways only: a stream (units reserved x seconds,
// computed when somebody looks, never by a loop), a voucher (a cumulative promise signed by the
// lease's session key), and the refund at the end. What is paid goes to the device's owner at
// once, less a fee that is burned.
//
//	OPEN ----- consumer closes, or the lease expires -----> CLOSING ----- close_at -----> CLOSED
//	  \                                                        |  vouchers only             refund
//	   +------------------ operator closes --------------------+----------------------------^
//
// What has a deadline stands in one queue ordered by time, worked off at the end of a block
// (deadline.go). A deadline is a fact of the data: when the queue is behind, messages already see
// an expired lease as expired. What is closed or over keeps a place in the queue too, at which it is
// removed (prune.go); what it came to lives on in the totals (total.go).
//
// # Invariants (invariant.go)
//
// INV-ESCROW, INV-RESERVED, INV-ITEMS, INV-DEADLINE, INV-TOTALS. Specification: docs/spec/market.md.
package market

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

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	// ModuleName is the module's name and the name of its account, which burns fees.
	ModuleName = "market"
	// StoreKey is the name of the module's store.
	StoreKey = ModuleName
)

// Keeper is the module's state. Addresses in it are spelled canonically (bech32).
type Keeper struct {
	bank      BankKeeper
	devices   DeviceKeeper
	hooks     SettleHooks // nil until SetSettleHooks
	addresses address.Codec
	authority string // canonical; may update params
	account   sdk.AccAddress

	Schema      collections.Schema
	params      collections.Item[marketv1.Params]
	nextOffer   collections.Sequence
	nextLease   collections.Sequence
	nextOrder   collections.Sequence
	offers      *collections.IndexedMap[uint64, marketv1.Offer, offerIndexes]
	leases      *collections.IndexedMap[uint64, marketv1.Lease, leaseIndexes]
	items       *collections.IndexedMap[itemKey, marketv1.LeaseItem, itemIndexes]
	orders      *collections.IndexedMap[uint64, marketv1.Order, orderIndexes]
	bids        collections.Map[bidKey, marketv1.Bid]
	reputations collections.Map[uint64, marketv1.Reputation] // by device
	// totals is what has been settled: of everything, of each resource and of each device; see total.go.
	totals collections.Map[totalKey, marketv1.Total]
	// deadlines is the queue of what is to be done at a time; see deadline.go.
	deadlines collections.KeySet[deadlineKey]
}

type (
	itemKey = collections.Pair[uint64, uint64] // lease, device
	bidKey  = collections.Pair[uint64, uint64] // order, device
	// A state index finds what belongs to something and is in a state.
	deviceState   = collections.Pair[uint64, int32]
	resourceState = collections.Pair[string, int32]
)

var (
	paramsPrefix         = collections.NewPrefix(0)
	nextOfferPrefix      = collections.NewPrefix(1)
	nextLeasePrefix      = collections.NewPrefix(2)
	nextOrderPrefix      = collections.NewPrefix(3)
	offersPrefix         = collections.NewPrefix(4)
	offersDevicePrefix   = collections.NewPrefix(5)
	offersResourcePrefix = collections.NewPrefix(6)
	leasesPrefix         = collections.NewPrefix(7)
	leasesConsumerPrefix = collections.NewPrefix(8)
	itemsPrefix          = collections.NewPrefix(9)
	itemsDevicePrefix    = collections.NewPrefix(10)
	ordersPrefix         = collections.NewPrefix(11)
	ordersResourcePrefix = collections.NewPrefix(12)
	bidsPrefix           = collections.NewPrefix(13)
	reputationsPrefix    = collections.NewPrefix(14)
	deadlinesPrefix      = collections.NewPrefix(15)
	totalsPrefix         = collections.NewPrefix(16)
)

type offerIndexes struct {
	Device   *modkit.Multi[deviceState, uint64, marketv1.Offer]
	Resource *modkit.Multi[resourceState, uint64, marketv1.Offer]
}

type leaseIndexes struct {
	Consumer *modkit.Multi[string, uint64, marketv1.Lease]
}

type itemIndexes struct {
	Device *modkit.Multi[deviceState, itemKey, marketv1.LeaseItem]
}

type orderIndexes struct {
	Resource *modkit.Multi[resourceState, uint64, marketv1.Order]
}

// NewKeeper makes the module's keeper over its store. authority is the account that may change
// params, as a string the codec accepts. It panics when the arguments cannot make a module,
// which is a defect of the program's wiring.
func NewKeeper(
	cdc codec.BinaryCodec,
	storeService store.KVStoreService,
	addressCodec address.Codec,
	bank BankKeeper,
	devices DeviceKeeper,
	authority string,
) *Keeper {
	_, canonical, err := modkit.Account(addressCodec, authority)
	if err != nil {
		panic(errorsmod.Wrapf(err, "authority of %s", ModuleName))
	}
	var (
		schema           = collections.NewSchemaBuilder(storeService)
		itemCodec        = collections.NamedPairKeyCodec("lease", collections.Uint64Key, "device", collections.Uint64Key)
		bidCodec         = collections.NamedPairKeyCodec("order", collections.Uint64Key, "device", collections.Uint64Key)
		byDeviceState    = collections.NamedPairKeyCodec("device", collections.Uint64Key, "state", collections.Int32Key)
		byResourceState  = collections.NamedPairKeyCodec("resource", collections.StringKey, "state", collections.Int32Key)
		offerDeviceState = func(_ uint64, o marketv1.Offer) (deviceState, error) {
			return collections.Join(o.Device, int32(o.State)), nil
		}
		offerResourceState = func(_ uint64, o marketv1.Offer) (resourceState, error) {
			return collections.Join(o.Resource, int32(o.State)), nil
		}
		itemDeviceState = func(_ itemKey, i marketv1.LeaseItem) (deviceState, error) {
			return collections.Join(i.Device, int32(i.State)), nil
		}
		orderResourceState = func(_ uint64, o marketv1.Order) (resourceState, error) {
			return collections.Join(o.Resource, int32(o.State)), nil
		}
	)
	k := &Keeper{
		bank:      bank,
		devices:   devices,
		addresses: addressCodec,
		authority: canonical,
		account:   authtypes.NewModuleAddress(ModuleName),

		params:    collections.NewItem(schema, paramsPrefix, "params", codec.CollValue[marketv1.Params](cdc)),
		nextOffer: collections.NewSequence(schema, nextOfferPrefix, "next_offer"),
		nextLease: collections.NewSequence(schema, nextLeasePrefix, "next_lease"),
		nextOrder: collections.NewSequence(schema, nextOrderPrefix, "next_order"),
		offers: collections.NewIndexedMap(schema, offersPrefix, "offers",
			collections.Uint64Key, codec.CollValue[marketv1.Offer](cdc),
			offerIndexes{
				Device:   modkit.NewMulti(schema, offersDevicePrefix, "offers_by_device", byDeviceState, collections.Uint64Key, offerDeviceState),
				Resource: modkit.NewMulti(schema, offersResourcePrefix, "offers_by_resource", byResourceState, collections.Uint64Key, offerResourceState),
			}),
		leases: collections.NewIndexedMap(schema, leasesPrefix, "leases",
			collections.Uint64Key, codec.CollValue[marketv1.Lease](cdc),
			leaseIndexes{
				Consumer: modkit.NewMulti(schema, leasesConsumerPrefix, "leases_by_consumer", collections.StringKey, collections.Uint64Key,
					func(_ uint64, l marketv1.Lease) (string, error) { return l.Consumer, nil }),
			}),
		items: collections.NewIndexedMap(schema, itemsPrefix, "items",
			itemCodec, codec.CollValue[marketv1.LeaseItem](cdc),
			itemIndexes{
				Device: modkit.NewMulti(schema, itemsDevicePrefix, "items_by_device", byDeviceState, itemCodec, itemDeviceState),
			}),
		orders: collections.NewIndexedMap(schema, ordersPrefix, "orders",
			collections.Uint64Key, codec.CollValue[marketv1.Order](cdc),
			orderIndexes{
				Resource: modkit.NewMulti(schema, ordersResourcePrefix, "orders_by_resource", byResourceState, collections.Uint64Key, orderResourceState),
			}),
		bids: collections.NewMap(schema, bidsPrefix, "bids", bidCodec, codec.CollValue[marketv1.Bid](cdc)),
		reputations: collections.NewMap(schema, reputationsPrefix, "reputations",
			collections.Uint64Key, codec.CollValue[marketv1.Reputation](cdc)),
		totals:    collections.NewMap(schema, totalsPrefix, "totals", totalCodec, codec.CollValue[marketv1.Total](cdc)),
		deadlines: collections.NewKeySet(schema, deadlinesPrefix, "deadlines", deadlineCodec),
	}
	if k.Schema, err = schema.Build(); err != nil {
		panic(err)
	}
	return k
}

// Params reads the module's parameters.
func (k *Keeper) Params(ctx context.Context) (marketv1.Params, error) {
	params, err := k.params.Get(ctx)
	return params, errorsmod.Wrap(err, "reading market params")
}

// Obliged says whether a device has part in a lease whose money is not yet shared out.
func (k *Keeper) Obliged(ctx context.Context, device uint64) (bool, error) {
	for _, state := range []marketv1.ItemState{marketv1.ItemState_ITEM_STATE_OPEN, marketv1.ItemState_ITEM_STATE_CLOSING} {
		found, err := k.items.Indexes.Device.MatchExact(ctx, collections.Join(device, int32(state)))
		if err != nil {
			return false, errorsmod.Wrapf(err, "looking up items of device %d", device)
		}
		valid := found.Valid()
		if err := found.Close(); err != nil {
			return false, errorsmod.Wrapf(err, "looking up items of device %d", device)
		}
		if valid {
			return true, nil
		}
	}
	return false, nil
}

// get reads one value of a map and tells absence from failure.
func get[K, V any](ctx context.Context, m interface {
	Get(context.Context, K) (V, error)
}, key K, absent error, format string, args ...any,
) (V, error) {
	value, err := m.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		err = absent
	}
	return value, errorsmod.Wrapf(err, format, args...)
}

func (k *Keeper) offer(ctx context.Context, id uint64) (marketv1.Offer, error) {
	return get(ctx, k.offers, id, ErrNoOffer, "offer %d", id)
}

func (k *Keeper) lease(ctx context.Context, id uint64) (marketv1.Lease, error) {
	return get(ctx, k.leases, id, ErrNoLease, "lease %d", id)
}

func (k *Keeper) item(ctx context.Context, lease, device uint64) (marketv1.LeaseItem, error) {
	return get(ctx, k.items, collections.Join(lease, device), ErrNoItem, "lease %d, device %d", lease, device)
}

func (k *Keeper) order(ctx context.Context, id uint64) (marketv1.Order, error) {
	return get(ctx, k.orders, id, ErrNoOrder, "order %d", id)
}

func (k *Keeper) bid(ctx context.Context, order, device uint64) (marketv1.Bid, error) {
	return get(ctx, k.bids, collections.Join(order, device), ErrNoBid, "order %d, device %d", order, device)
}

// reputation of a device; one that the market has not seen yet has none.
func (k *Keeper) reputation(ctx context.Context, device uint64) (marketv1.Reputation, error) {
	r, err := k.reputations.Get(ctx, device)
	if errors.Is(err, collections.ErrNotFound) {
		return marketv1.Reputation{Device: device}, nil
	}
	return r, errorsmod.Wrapf(err, "reading reputation of device %d", device)
}
