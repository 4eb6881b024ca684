package device

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
)

// wholeBps is all of an amount in basis points.
const wholeBps = 10_000

// Bounty is the part of what was slashed that goes to whoever pointed at the fault.
func Bounty(slashed sdk.Coin, bountyBps uint32) sdk.Coin {
	return sdk.Coin{Denom: slashed.Denom, Amount: slashed.Amount.MulRaw(int64(bountyBps)).QuoRaw(wholeBps)}
}

// Slash takes bps basis points of what is left of a device's bond, rounded down: Bounty of it goes to
// an account, the rest is burned. The deposit is not touched. A device without a bond loses nothing,
// one that has been retired has none. For the modules that judge faults, not for messages.
//
// INV-SLASH: what the bond loses is what the bounty and the burning take from the module account.
func (k *Keeper) Slash(ctx context.Context, id uint64, bps uint32, bounty sdk.AccAddress, bountyBps uint32, reason string) (sdk.Coin, error) {
	if bps > wholeBps || bountyBps > wholeBps {
		return sdk.Coin{}, errorsmod.Wrapf(ErrAmount, "slashing %d bps, bounty %d bps: at most %d", bps, bountyBps, wholeBps)
	}
	d, err := k.Device(ctx, id)
	if err != nil {
		return sdk.Coin{}, err
	}
	slashed := sdk.Coin{Denom: d.Bond.Denom, Amount: math.ZeroInt()}
	if !d.Bond.Amount.IsNil() {
		slashed.Amount = d.Bond.Amount.MulRaw(int64(bps)).QuoRaw(wholeBps)
	}
	reward := Bounty(slashed, bountyBps)
	if slashed.Amount.IsPositive() {
		d.Bond.Amount = d.Bond.Amount.Sub(slashed.Amount)
		if err := k.devices.Set(ctx, id, d); err != nil {
			return sdk.Coin{}, errorsmod.Wrapf(err, "writing device %d", id)
		}
		if reward.IsPositive() {
			if err := k.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, bounty, sdk.NewCoins(reward)); err != nil {
				return sdk.Coin{}, errorsmod.Wrapf(err, "paying bounty %s", reward)
			}
		}
		if rest := slashed.Sub(reward); rest.IsPositive() {
			if err := k.bank.BurnCoins(ctx, ModuleName, sdk.NewCoins(rest)); err != nil {
				return sdk.Coin{}, errorsmod.Wrapf(err, "burning %s", rest)
			}
		}
	}
	return slashed, emit(ctx, &devicev1.EventSlashed{Id: id, Slashed: slashed, Bounty: reward, Reason: reason})
}
