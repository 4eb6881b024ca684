package device

import (
	"context"
	"fmt"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Invariants are the properties of the registry that always hold.
func (k *Keeper) Invariants() []modkit.Invariant {
	return []modkit.Invariant{
		{Name: "INV-DEPOSIT", Check: k.checkDeposits},
		{Name: "INV-HOLDINGS", Check: k.checkHoldings},
		{Name: "INV-DEVICE", Check: k.checkDevices},
	}
}

// checkDeposits: INV-DEPOSIT: for every denomination, deposits and bonds of all devices that are
// not retired, and deposits of appeals that are not decided, add up to no more than the module account
// holds; a retired device and a decided appeal hold none.
func (k *Keeper) checkDeposits(ctx context.Context) error {
	owed := sdk.NewCoins()
	err := k.devices.Walk(ctx, nil, func(id uint64, d devicev1.Device) (bool, error) {
		held := sdk.NewCoins(d.Deposit).Add(d.Bond)
		if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRED && !held.IsZero() {
			return true, fmt.Errorf("device %d is retired and holds %s", id, held)
		}
		owed = owed.Add(held...)
		return false, nil
	})
	if err != nil {
		return err
	}
	err = k.bans.Walk(ctx, nil, func(_ uint64, b devicev1.Ban) (bool, error) {
		if b.Appeal != nil {
			owed = owed.Add(b.Appeal.Deposit)
		}
		return false, checkBan(b)
	})
	if err != nil {
		return err
	}
	for _, coin := range owed {
		if has := k.bank.GetBalance(ctx, k.account, coin.Denom); has.Amount.LT(coin.Amount) {
			return fmt.Errorf("devices and appeals hold %s, the module account %s", coin, has)
		}
	}
	return nil
}

// checkHoldings: INV-HOLDINGS: the count kept for each owner is the number of its devices that
// are not retired, and no count is zero.
func (k *Keeper) checkHoldings(ctx context.Context) error {
	counted := make(map[string]uint64)
	err := k.devices.Walk(ctx, nil, func(_ uint64, d devicev1.Device) (bool, error) {
		if d.State != devicev1.DeviceState_DEVICE_STATE_RETIRED {
			counted[d.Owner]++
		}
		return false, nil
	})
	if err != nil {
		return errorsmod.Wrap(err, "reading devices")
	}
	owners := 0
	err = k.holdings.Walk(ctx, nil, func(owner string, held uint64) (bool, error) {
		owners++
		if held == 0 || counted[owner] != held {
			return true, fmt.Errorf("%s has %d devices, the count says %d", owner, counted[owner], held)
		}
		return false, nil
	})
	if err == nil && owners != len(counted) {
		err = fmt.Errorf("%d owners have devices, %d have a count", len(counted), owners)
	}
	return err
}

// checkDevices: INV-DEVICE: every device is well formed, its id is below the next one, and its
// key finds it.
func (k *Keeper) checkDevices(ctx context.Context) error {
	next, err := k.nextID.Peek(ctx)
	if err != nil {
		return errorsmod.Wrap(err, "reading next_id")
	}
	return k.devices.Walk(ctx, nil, func(id uint64, d devicev1.Device) (bool, error) {
		if d.Id != id || id == 0 || id >= next {
			return true, fmt.Errorf("device %d is kept as %d, next is %d", d.Id, id, next)
		}
		if err := checkStored(d); err != nil {
			return true, fmt.Errorf("device %d: %w", id, err)
		}
		found, err := k.devices.Indexes.Key.MatchExact(ctx, d.Pubkey.Key)
		if err != nil {
			return true, fmt.Errorf("finding device %d by its key: %w", id, err)
		}
		if found != id {
			return true, fmt.Errorf("the key of device %d finds device %d", id, found)
		}
		return false, nil
	})
}
