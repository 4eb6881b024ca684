package reward

import (
	"context"
	"time"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
)

// Incomes are sums by owner and month, which statements for a year are made of: kept in the state, so
// that what the chain paid at the end of a block is in them like what a message paid, and that anyone
// who has the app hash can check them.

// monthOf is year times 100 plus month of a block's time, UTC.
func monthOf(at time.Time) uint32 {
	year, month, _ := at.UTC().Date()
	return uint32(year*100 + int(month))
}

// income changes what an owner, in canonical spelling, has got this month in a denomination.
func (k *Keeper) income(ctx context.Context, owner, denom string, change func(*rewardv1.Income)) error {
	month := monthOf(sdk.UnwrapSDKContext(ctx).BlockTime())
	key := collections.Join3(month, owner, denom)
	i, err := orNew(ctx, k.incomes, key, func() rewardv1.Income {
		none := math.ZeroInt()
		return rewardv1.Income{Owner: owner, Month: month, Denom: denom, Leases: none, Burned: none, Rewards: none, Relayed: none}
	})
	if err != nil {
		return errorsmod.Wrapf(err, "reading income of %s", owner)
	}
	change(&i)
	return errorsmod.Wrapf(k.incomes.Set(ctx, key, i), "writing income of %s", owner)
}

// incomesOf lists what an owner got in a year.
func (k *Keeper) incomesOf(ctx context.Context, owner string, year uint32) ([]rewardv1.Income, error) {
	var incomes []rewardv1.Income
	for month := year*100 + 1; month <= year*100+12; month++ {
		err := k.incomes.Walk(ctx, collections.NewSuperPrefixedTripleRange[uint32, string, string](month, owner),
			func(_ incomeKey, i rewardv1.Income) (bool, error) {
				incomes = append(incomes, i)
				return false, nil
			})
		if err != nil {
			return nil, errorsmod.Wrapf(err, "reading incomes of %s", owner)
		}
	}
	return incomes, nil
}

// oldestMonth is the first month that is kept.
func oldestMonth(now time.Time, keep uint32) uint32 {
	year, month, _ := now.UTC().Date()
	months := year*12 + int(month) - 1 - int(keep)
	return uint32(months/12*100 + months%12 + 1)
}
