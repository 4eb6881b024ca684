package reward

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/modkit"
)

// claims is what one message claims. Nothing is written before all of its proofs hold.
type claims struct {
	k       *Keeper
	ctx     sdk.Context
	params  rewardv1.Params
	service score.Service
	root    rewardv1.Root
	payer   string

	owners []owner // in the order in which they come up
	at     map[string]int
	events []*rewardv1.EventClaimed
	fee    math.Int // the payer's, over all owners
}

// owner is who is paid for devices, and how much.
type owner struct {
	text    string
	address sdk.AccAddress
	sum     math.Int
	relayed math.Int
	feeBps  uint32 // what it lets the payer keep
}

// claim pays devices' owners what a final report gives them, and the payer what owners let it keep.
func (k *Keeper) claim(ctx sdk.Context, payer sdk.AccAddress, payerText string, service score.Service, epoch uint64, proofs [][]byte) (paid, fee sdk.Coin, err error) {
	c := &claims{k: k, ctx: ctx, service: service, payer: payerText, at: make(map[string]int), fee: math.ZeroInt()}
	if c.params, err = k.Params(ctx); err != nil {
		return sdk.Coin{}, sdk.Coin{}, err
	}
	if len(proofs) == 0 {
		return sdk.Coin{}, sdk.Coin{}, errorsmod.Wrap(ErrField, "proofs is empty: nothing to claim")
	}
	if n := len(proofs); n > int(c.params.MaxClaims) {
		return sdk.Coin{}, sdk.Coin{}, errorsmod.Wrapf(ErrTooMany, "%d proofs: at most %d", n, c.params.MaxClaims)
	}
	ctx.GasMeter().ConsumeGas(uint64(len(proofs))*gasClaim, "reward claims")
	if c.root, err = k.roots.Get(ctx, collections.Join(uint32(service), epoch)); err != nil {
		if absent(err) {
			err = ErrNoRoot
		}
		return sdk.Coin{}, sdk.Coin{}, errorsmod.Wrapf(err, "epoch %d of %s", epoch, service)
	}
	for i, raw := range proofs {
		if err := c.add(raw); err != nil {
			return sdk.Coin{}, sdk.Coin{}, errorsmod.Wrapf(err, "proofs[%d]", i)
		}
	}
	return c.pay(payer)
}

// add checks one proof and counts what it pays. What has been claimed before pays nothing.
func (c *claims) add(raw []byte) error {
	var proof report.Proof
	if err := proof.UnmarshalBinary(raw); err != nil {
		return errorsmod.Wrap(ErrProof, err.Error())
	}
	if err := proof.Verify(rootOf(c.root)); err != nil {
		return errorsmod.Wrap(ErrProof, err.Error())
	}
	account := proof.Leaf
	key := collections.Join(uint32(c.service), account.Device)
	claimed, err := orNew(c.ctx, c.k.claimed, key, func() rewardv1.Claimed {
		return rewardv1.Claimed{Service: uint32(c.service), Device: account.Device, Amount: math.ZeroInt()}
	})
	if err != nil {
		return errorsmod.Wrapf(err, "reading what device %d has claimed", account.Device)
	}
	due, less := account.Paid.Sub(amount(claimed.Amount))
	if less || due.IsZero() {
		return nil
	}
	d, err := c.k.devices.Device(c.ctx, account.Device)
	if err != nil {
		return errorsmod.Wrapf(err, "device %d", account.Device)
	}
	claimed.Amount = toInt(account.Paid)
	if err := c.k.claimed.Set(c.ctx, key, claimed); err != nil {
		return errorsmod.Wrapf(err, "writing what device %d has claimed", account.Device)
	}
	return c.give(d.Owner, account.Device, toInt(due))
}

// give counts money for a device's owner.
func (c *claims) give(text string, device uint64, due math.Int) error {
	i, known := c.at[text]
	if !known {
		address, _, err := modkit.Account(c.k.addresses, text)
		if err != nil {
			return errorsmod.Wrapf(ErrAddress, "owner of device %d: %s", device, err)
		}
		o := owner{text: text, address: address, sum: math.ZeroInt(), relayed: math.ZeroInt()}
		if text != c.payer {
			relay, err := c.k.relay(c.ctx, text)
			if err != nil {
				return err
			}
			o.feeBps = min(relay, c.params.MaxRelayBps)
		}
		i = len(c.owners)
		c.owners, c.at[text] = append(c.owners, o), i
	}
	fee := due.MulRaw(int64(c.owners[i].feeBps)).QuoRaw(wholeBps)
	net := due.Sub(fee)
	c.owners[i].sum = c.owners[i].sum.Add(net)
	c.owners[i].relayed = c.owners[i].relayed.Add(fee)
	c.fee = c.fee.Add(fee)
	c.events = append(c.events, &rewardv1.EventClaimed{
		Service: uint32(c.service),
		Epoch:   c.root.Epoch,
		Device:  device,
		Owner:   text,
		Paid:    sdk.Coin{Denom: price.Denom, Amount: net},
		Fee:     sdk.Coin{Denom: price.Denom, Amount: fee},
		Payer:   c.payer,
	})
	return nil
}

// pay mints the sum of all claims and hands it out.
func (c *claims) pay(payer sdk.AccAddress) (paid, fee sdk.Coin, err error) {
	fee = sdk.Coin{Denom: price.Denom, Amount: c.fee}
	paid = sdk.Coin{Denom: price.Denom, Amount: math.ZeroInt()}
	for _, o := range c.owners {
		paid.Amount = paid.Amount.Add(o.sum)
	}
	all := paid.Add(fee)
	if all.IsZero() {
		return paid, fee, nil
	}
	if err := c.k.book(c.ctx, c.service, all); err != nil {
		return paid, fee, err
	}
	for _, o := range c.owners {
		if err := c.k.send(c.ctx, o.address, o.sum); err != nil {
			return paid, fee, err
		}
		if err := c.k.income(c.ctx, o.text, price.Denom, func(i *rewardv1.Income) {
			i.Rewards = i.Rewards.Add(o.sum)
			i.Relayed = i.Relayed.Add(o.relayed)
		}); err != nil {
			return paid, fee, err
		}
	}
	if err := c.k.send(c.ctx, payer, fee.Amount); err != nil {
		return paid, fee, err
	}
	for _, event := range c.events {
		if err := emit(c.ctx, event); err != nil {
			return paid, fee, err
		}
	}
	return paid, fee, nil
}

// book mints what is claimed and counts it. INV-REWARD: no more than reports gave.
func (k *Keeper) book(ctx context.Context, service score.Service, coin sdk.Coin) error {
	ledger, err := k.ledger(ctx, service)
	if err != nil {
		return err
	}
	ledger.Claimed = ledger.Claimed.Add(coin.Amount)
	if ledger.Claimed.GT(ledger.Earned) {
		return errorsmod.Wrapf(ErrReport, "claims of %s would sum to %s, devices have earned %s", service, ledger.Claimed, ledger.Earned)
	}
	e, err := k.emission.Get(ctx)
	if err != nil {
		return errorsmod.Wrap(err, "reading emission")
	}
	if err := k.mint(ctx, e, coin); err != nil {
		return err
	}
	e.Minted = e.Minted.Add(coin.Amount)
	if err := k.emission.Set(ctx, e); err != nil {
		return errorsmod.Wrap(err, "writing emission")
	}
	return errorsmod.Wrapf(k.ledgers.Set(ctx, uint32(service), ledger), "writing ledger of %s", service)
}

// send pays an account from the module's.
func (k *Keeper) send(ctx context.Context, to sdk.AccAddress, value math.Int) error {
	if value.IsZero() {
		return nil
	}
	coin := sdk.Coin{Denom: price.Denom, Amount: value}
	err := k.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, to, sdk.Coins{coin})
	return errorsmod.Wrapf(err, "paying %s", coin)
}

// relay is what an owner, in canonical spelling, lets others keep, basis points.
func (k *Keeper) relay(ctx context.Context, owner string) (uint32, error) {
	r, err := k.relays.Get(ctx, owner)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return r.FeeBps, errorsmod.Wrapf(err, "reading relay setting of %s", owner)
}
