package market

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// book is what one message or deadline reads and changes. Changes stay in it until all of them are
// known to hold; commit then moves the money, each account's once, and writes what changed, in the
// order in which it was first touched. An error before commit leaves the store as it was.
type book struct {
	k      *Keeper
	ctx    sdk.Context
	params marketv1.Params
	now    int64 // block time, Unix seconds

	leases      shelf[uint64, queuedLease]
	offers      shelf[uint64, queuedOffer]
	items       shelf[itemID, queuedItem]
	orders      shelf[uint64, queuedOrder]
	reputations shelf[uint64, marketv1.Reputation]
	totals      shelf[totalID, marketv1.Total]
	owners      shelf[uint64, account]

	in     shelf[purse, transfer] // from accounts into escrow
	out    shelf[purse, transfer] // from escrow to accounts
	paid   sdk.Coins              // of out, what owners get
	earned shelf[totalID, settlement]
	burned sdk.Coins
	events []proto.Message

	opened   bool // a new lease took the next number
	ordering bool // a new order took the next number
}

// itemID is an itemKey that can key a Go map.
type itemID struct{ lease, device uint64 }

func (id itemID) key() itemKey { return collections.Join(id.lease, id.device) }

// queuedItem is an item and where its deadline stands in the queue of the store; 0 when it does
// not.
type queuedItem struct {
	marketv1.LeaseItem
	queued int64
}

// queuedOrder is an order and where its deadline stands in the queue of the store.
type queuedOrder struct {
	marketv1.Order
	queued int64
}

// queuedLease is a lease and where its deadline stands in the queue of the store.
type queuedLease struct {
	marketv1.Lease
	queued int64
}

// queuedOffer is an offer and where its deadline stands in the queue of the store.
type queuedOffer struct {
	marketv1.Offer
	queued int64
}

// account is an address as bytes and in canonical spelling.
type account struct {
	raw  sdk.AccAddress
	text string
}

// purse is one account's money of one denomination.
type purse struct{ account, denom string }

// transfer is money that one account gives or gets.
type transfer struct {
	account account
	coin    sdk.Coin
}

// openBook begins the work of one message or deadline.
func (k *Keeper) openBook(ctx context.Context) (*book, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	return &book{k: k, ctx: sdkCtx, params: params, now: sdkCtx.BlockTime().Unix()}, nil
}

// shelf holds values by key in the order in which they were taken.
type shelf[K comparable, V any] struct {
	volumes []*volume[K, V]
	at      map[K]*volume[K, V]
}

type volume[K comparable, V any] struct {
	key     K
	value   V
	changed bool
}

// take gives the value of a key, loading it the first time.
func (s *shelf[K, V]) take(key K, load func() (V, error)) (*volume[K, V], error) {
	if v, taken := s.at[key]; taken {
		return v, nil
	}
	value, err := load()
	if err != nil {
		return nil, err
	}
	return s.put(key, value), nil
}

// put adds a value that is not on the shelf yet.
func (s *shelf[K, V]) put(key K, value V) *volume[K, V] {
	if s.at == nil {
		s.at = make(map[K]*volume[K, V])
	}
	v := &volume[K, V]{key: key, value: value}
	s.at[key] = v
	s.volumes = append(s.volumes, v)
	return v
}

// edit marks the volume as changed and gives its value to change.
func (v *volume[K, V]) edit() *V {
	v.changed = true
	return &v.value
}

// changed calls write for every changed value.
func (s *shelf[K, V]) changed(write func(K, V) error) error {
	for _, v := range s.volumes {
		if !v.changed {
			continue
		}
		if err := write(v.key, v.value); err != nil {
			return err
		}
	}
	return nil
}

// lease takes a lease to read.
func (b *book) lease(id uint64) (leaseVolume, error) {
	return b.leases.take(id, func() (queuedLease, error) {
		lease, err := b.k.lease(b.ctx, id)
		return queuedLease{lease, lease.Deadline}, err
	})
}

// offer takes an offer to read.
func (b *book) offer(id uint64) (offerVolume, error) {
	return b.offers.take(id, func() (queuedOffer, error) {
		offer, err := b.k.offer(b.ctx, id)
		return queuedOffer{offer, offer.Deadline}, err
	})
}

// item takes an item to read.
func (b *book) item(lease, device uint64) (itemVolume, error) {
	return b.items.take(itemID{lease, device}, func() (queuedItem, error) {
		item, err := b.k.item(b.ctx, lease, device)
		return queuedItem{item, item.Deadline}, err
	})
}

// reputation takes a device's reputation to change.
func (b *book) reputation(device uint64) (*marketv1.Reputation, error) {
	v, err := b.reputations.take(device, func() (marketv1.Reputation, error) {
		return b.k.reputation(b.ctx, device)
	})
	if err != nil {
		return nil, err
	}
	return v.edit(), nil
}

// owner is who is paid for a device: its owner now.
func (b *book) owner(device uint64) (account, error) {
	v, err := b.owners.take(device, func() (account, error) {
		d, err := b.k.devices.Device(b.ctx, device)
		if err != nil {
			return account{}, err
		}
		raw, text, err := b.k.parseAccount("owner", d.Owner)
		return account{raw, text}, err
	})
	if err != nil {
		return account{}, err
	}
	return v.value, nil
}

// consumer is who gets back what is left of an escrow.
func (b *book) consumer(text string) (account, error) {
	raw, text, err := b.k.parseAccount("consumer", text)
	return account{raw, text}, err
}

// receive takes money from an account into escrow.
func (b *book) receive(from account, denom string, amount math.Int) {
	move(&b.in, from, sdk.Coin{Denom: denom, Amount: amount})
}

// refund gives escrow back to an account.
func (b *book) refund(to account, denom string, amount math.Int) {
	move(&b.out, to, sdk.Coin{Denom: denom, Amount: amount})
}

// move adds money to what an account gives or gets.
func move(side *shelf[purse, transfer], who account, coin sdk.Coin) {
	if coin.IsZero() {
		return
	}
	id := purse{who.text, coin.Denom}
	if sum, begun := side.at[id]; begun {
		sum.value.coin.Amount = sum.value.coin.Amount.Add(coin.Amount)
		return
	}
	side.put(id, transfer{who, coin})
}

// pay gives escrow of a lease to a device's owner, less the fee, which is burned. The fee is rounded
// up. units is what a voucher among it says was delivered.
func (b *book) pay(device uint64, l marketv1.Lease, gross math.Int, units uint64) (to account, net, fee sdk.Coin, err error) {
	if to, err = b.owner(device); err != nil {
		return account{}, sdk.Coin{}, sdk.Coin{}, err
	}
	feeAmount := gross.MulRaw(int64(b.params.FeeBps)).AddRaw(wholeBps - 1).QuoRaw(wholeBps)
	net = sdk.Coin{Denom: l.Denom, Amount: gross.Sub(feeAmount)}
	fee = sdk.Coin{Denom: l.Denom, Amount: feeAmount}
	move(&b.out, to, net)
	b.paid = plus(b.paid, net)
	b.burned = plus(b.burned, fee)
	b.earn(device, l.Resource, net, fee)
	return to, net, fee, b.count(device, l.Resource, net, fee, units)
}

// plus is a sum in which a zero coin stands for nothing.
func plus(sum sdk.Coins, coin sdk.Coin) sdk.Coins {
	if coin.IsZero() {
		return sum
	}
	return sum.Add(coin)
}

// emit sends an event when the book is committed.
func (b *book) emit(event proto.Message) { b.events = append(b.events, event) }

// commit moves the money and writes what changed.
func (b *book) commit() error {
	for _, v := range b.in.volumes {
		t := v.value
		if err := b.k.bank.SendCoinsFromAccountToModule(b.ctx, t.account.raw, ModuleName, sdk.Coins{t.coin}); err != nil {
			return errorsmod.Wrapf(err, "taking %s from %s into escrow", t.coin, t.account.text)
		}
	}
	for _, v := range b.out.volumes {
		t := v.value
		if err := b.k.bank.SendCoinsFromModuleToAccount(b.ctx, ModuleName, t.account.raw, sdk.Coins{t.coin}); err != nil {
			return errorsmod.Wrapf(err, "paying %s from escrow to %s", t.coin, t.account.text)
		}
	}
	if !b.burned.IsZero() {
		if err := b.k.bank.BurnCoins(b.ctx, ModuleName, b.burned); err != nil {
			return errorsmod.Wrapf(err, "burning fees of %s", b.burned)
		}
	}
	if b.opened {
		if _, err := b.k.nextLease.Next(b.ctx); err != nil {
			return errorsmod.Wrap(err, "numbering a lease")
		}
	}
	if b.ordering {
		if _, err := b.k.nextOrder.Next(b.ctx); err != nil {
			return errorsmod.Wrap(err, "numbering an order")
		}
	}
	if err := b.write(); err != nil {
		return err
	}
	if err := b.tell(); err != nil {
		return err
	}
	for _, event := range b.events {
		if settled, many := event.(*marketv1.EventSettled); many {
			b.ctx.EventManager().EmitEvent(settledEvent(settled))
			continue
		}
		if err := b.ctx.EventManager().EmitTypedEvent(event); err != nil {
			return errorsmod.Wrap(err, "emitting event")
		}
	}
	return nil
}

func (b *book) write() error {
	err := b.offers.changed(func(id uint64, o queuedOffer) error {
		entry := collections.Join4(o.queued, offerDeadline, id, uint64(0))
		if err := b.k.requeue(b.ctx, entry, o.Deadline); err != nil {
			return err
		}
		return errorsmod.Wrapf(b.k.offers.Set(b.ctx, id, o.Offer), "writing offer %d", id)
	})
	if err != nil {
		return err
	}
	err = b.leases.changed(func(id uint64, l queuedLease) error {
		entry := collections.Join4(l.queued, leaseDeadline, id, uint64(0))
		if err := b.k.requeue(b.ctx, entry, l.Deadline); err != nil {
			return err
		}
		return errorsmod.Wrapf(b.k.leases.Set(b.ctx, id, l.Lease), "writing lease %d", id)
	})
	if err != nil {
		return err
	}
	err = b.items.changed(func(id itemID, i queuedItem) error {
		entry := collections.Join4(i.queued, itemDeadline, id.lease, id.device)
		if err := b.k.requeue(b.ctx, entry, i.Deadline); err != nil {
			return err
		}
		return errorsmod.Wrapf(b.k.items.Set(b.ctx, id.key(), i.LeaseItem), "writing item of lease %d, device %d", id.lease, id.device)
	})
	if err != nil {
		return err
	}
	err = b.orders.changed(func(id uint64, o queuedOrder) error {
		entry := collections.Join4(o.queued, orderDeadline, id, uint64(0))
		if err := b.k.requeue(b.ctx, entry, o.Deadline); err != nil {
			return err
		}
		return errorsmod.Wrapf(b.k.orders.Set(b.ctx, id, o.Order), "writing order %d", id)
	})
	if err != nil {
		return err
	}
	err = b.reputations.changed(func(device uint64, r marketv1.Reputation) error {
		return errorsmod.Wrapf(b.k.reputations.Set(b.ctx, device, r), "writing reputation of device %d", device)
	})
	if err != nil {
		return err
	}
	return b.totals.changed(func(id totalID, t marketv1.Total) error {
		return errorsmod.Wrapf(b.k.totals.Set(b.ctx, id.key(), t), "writing the total of device %d, resource %q, denom %q", id.device, id.resource, id.denom)
	})
}
