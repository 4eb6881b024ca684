package app

import (
	"context"
	"fmt"
	"slices"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/cairn-network/cairn/internal/modkit"
)

// Invariants returns what holds after every block: of our modules, and of the SDK's, which no
// longer bring their own. Simulations and tests check them block by block (modkit.Check); a node
// never does, since they read the whole state.
func (app *App) Invariants() []modkit.Invariant {
	return slices.Concat(
		[]modkit.Invariant{
			{Name: "INV-SUPPLY", Check: app.checkSupply},
			{Name: "INV-STAKE", Check: app.checkStake},
			{Name: "INV-REWARDS", Check: app.checkRewards},
			{Name: "INV-DEPOSITS", Check: app.checkDeposits},
		},
		app.Audit.Invariants(),
		app.Device.Invariants(),
		app.Market.Invariants(),
		app.Storage.Invariants(),
		app.Reward.Invariants(),
		app.Energy.Invariants(),
	)
}

// checkSupply: balances sum up to the supply, per denomination. Coins come into being by minting only,
// in the EVM too.
func (app *App) checkSupply(ctx context.Context) error {
	held := sdk.NewCoins()
	app.Bank.IterateAllBalances(ctx, func(_ sdk.AccAddress, coin sdk.Coin) bool {
		held = held.Add(coin)
		return false
	})
	var supply sdk.Coins
	app.Bank.IterateTotalSupply(ctx, func(coin sdk.Coin) bool {
		supply = supply.Add(coin)
		return false
	})
	if !held.Equal(supply) {
		return fmt.Errorf("accounts hold %s, the supply is %s", held, supply)
	}
	return nil
}

// checkStake: the pools cover what validators and unbonding delegators are owed.
func (app *App) checkStake(ctx context.Context) error {
	bonded, unbonded := math.ZeroInt(), math.ZeroInt()
	validators, err := app.Staking.GetAllValidators(ctx)
	if err != nil {
		return err
	}
	for _, validator := range validators {
		if validator.IsBonded() {
			bonded = bonded.Add(validator.Tokens)
		} else {
			unbonded = unbonded.Add(validator.Tokens)
		}
	}
	err = app.Staking.IterateUnbondingDelegations(ctx, func(_ int64, unbonding stakingtypes.UnbondingDelegation) bool {
		for _, entry := range unbonding.Entries {
			unbonded = unbonded.Add(entry.Balance)
		}
		return false
	})
	if err != nil {
		return err
	}
	if err := app.covers(ctx, stakingtypes.BondedPoolName, sdk.NewCoins(sdk.NewCoin(Denom, bonded))); err != nil {
		return err
	}
	return app.covers(ctx, stakingtypes.NotBondedPoolName, sdk.NewCoins(sdk.NewCoin(Denom, unbonded)))
}

// checkRewards: distribution's account covers the rewards not yet withdrawn and the community pool.
func (app *App) checkRewards(ctx context.Context) error {
	pool, err := app.Distribution.FeePool.Get(ctx)
	if err != nil {
		return err
	}
	owed := pool.CommunityPool
	app.Distribution.IterateValidatorOutstandingRewards(ctx, func(_ sdk.ValAddress, rewards distrtypes.ValidatorOutstandingRewards) bool {
		owed = owed.Add(rewards.Rewards...)
		return false
	})
	whole, _ := owed.TruncateDecimal()
	return app.covers(ctx, distrtypes.ModuleName, whole)
}

// checkDeposits: governance's account covers the deposits of proposals.
func (app *App) checkDeposits(ctx context.Context) error {
	owed := sdk.NewCoins()
	err := app.Gov.Deposits.Walk(ctx, nil, func(_ collections.Pair[uint64, sdk.AccAddress], deposit govv1.Deposit) (bool, error) {
		owed = owed.Add(deposit.Amount...)
		return false, nil
	})
	if err != nil {
		return err
	}
	return app.covers(ctx, govtypes.ModuleName, owed)
}

// covers says that a module's account holds at least owed. More is no fault: coins can reach an
// account from inside the state machine that the module's books do not know.
func (app *App) covers(ctx context.Context, name string, owed sdk.Coins) error {
	held := app.Bank.GetAllBalances(ctx, authtypes.NewModuleAddress(name))
	if !held.IsAllGTE(owed) {
		return fmt.Errorf("account of %s holds %s and owes %s", name, held, owed)
	}
	return nil
}
