package market

import (
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// SetSettleHooks names who is told of every settlement. It may be called once.
func (k *Keeper) SetSettleHooks(hooks SettleHooks) {
	if k.hooks != nil {
		panic("market: settle hooks set twice")
	}
	k.hooks = hooks
}

// settlement is what a book pays for one device, resource and denomination.
type settlement struct{ paid, burned sdk.Coin }

// earn adds a payment to what the hooks will be told.
func (b *book) earn(device uint64, resource string, net, fee sdk.Coin) {
	id := totalID{device: device, resource: resource, denom: net.Denom}
	if sum, begun := b.earned.at[id]; begun {
		sum.value.paid = sum.value.paid.Add(net)
		sum.value.burned = sum.value.burned.Add(fee)
		return
	}
	b.earned.put(id, settlement{net, fee})
}

// tell tells the hooks of all settlements, in the order in which the devices came up.
func (b *book) tell() error {
	if b.k.hooks == nil {
		return nil
	}
	for _, v := range b.earned.volumes {
		if err := b.k.hooks.AfterSettle(b.ctx, v.key.device, v.key.resource, v.value.paid, v.value.burned); err != nil {
			return errorsmod.Wrapf(err, "telling of the settlement with device %d", v.key.device)
		}
	}
	return nil
}
