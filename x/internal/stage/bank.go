package stage

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
)

const bankStore = "bank"

// ErrFunds says that an account has less than it should give.
var ErrFunds = errors.New("insufficient funds")

// Bank is a bank that neither makes nor loses a coin except through Mint and BurnCoins. It does
// what x/bank does for the modules under test and nothing more.
type Bank struct {
	balances collections.Map[collections.Pair[[]byte, string], math.Int]
	supply   collections.Map[string, math.Int]
	// Refuse, if set, may fail or panic before an account is paid.
	Refuse func(to sdk.AccAddress) error
	// RefuseBurn, if set, may fail or panic before coins are burned.
	RefuseBurn func() error
}

func newBank(service store.KVStoreService) *Bank {
	schema := collections.NewSchemaBuilder(service)
	b := &Bank{
		balances: collections.NewMap(schema, collections.NewPrefix(0), "balances",
			collections.PairKeyCodec(collections.BytesKey, collections.StringKey), sdk.IntValue),
		supply: collections.NewMap(schema, collections.NewPrefix(1), "supply", collections.StringKey, sdk.IntValue),
	}
	if _, err := schema.Build(); err != nil {
		panic(err)
	}
	return b
}

// Mint gives an account new coins.
func (b *Bank) Mint(ctx context.Context, to sdk.AccAddress, coins ...sdk.Coin) {
	for _, coin := range coins {
		must(b.shift(ctx, to, coin, math.Int.Add))
		must(b.total(ctx, coin, math.Int.Add))
	}
}

// SendCoinsFromAccountToModule moves coins to a module's account.
func (b *Bank) SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error {
	return b.send(ctx, from, authtypes.NewModuleAddress(module), amount)
}

// SendCoinsFromModuleToAccount moves coins from a module's account.
func (b *Bank) SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error {
	if b.Refuse != nil {
		if err := b.Refuse(to); err != nil {
			return err
		}
	}
	return b.send(ctx, authtypes.NewModuleAddress(module), to, amount)
}

// BurnCoins takes coins out of the world.
func (b *Bank) BurnCoins(ctx context.Context, module string, amount sdk.Coins) error {
	if err := valid(amount); err != nil {
		return err
	}
	if b.RefuseBurn != nil {
		if err := b.RefuseBurn(); err != nil {
			return err
		}
	}
	for _, coin := range amount {
		if err := b.shift(ctx, authtypes.NewModuleAddress(module), coin, math.Int.Sub); err != nil {
			return err
		}
		if err := b.total(ctx, coin, math.Int.Sub); err != nil {
			return err
		}
	}
	return nil
}

// GetBalance is what an account has of a denomination.
func (b *Bank) GetBalance(ctx context.Context, account sdk.AccAddress, denom string) sdk.Coin {
	has, err := b.balances.Get(ctx, collections.Join([]byte(account), denom))
	if errors.Is(err, collections.ErrNotFound) {
		has, err = math.ZeroInt(), nil
	}
	must(err)
	return sdk.Coin{Denom: denom, Amount: has}
}

// Supply is all there is of a denomination.
func (b *Bank) Supply(ctx context.Context, denom string) math.Int {
	has, err := b.supply.Get(ctx, denom)
	if errors.Is(err, collections.ErrNotFound) {
		has, err = math.ZeroInt(), nil
	}
	must(err)
	return has
}

// Check says whether balances add up to the supply.
func (b *Bank) Check(ctx context.Context) error {
	sums := make(map[string]math.Int)
	err := b.balances.Walk(ctx, nil, func(key collections.Pair[[]byte, string], has math.Int) (bool, error) {
		if sum, begun := sums[key.K2()]; begun {
			has = has.Add(sum)
		}
		sums[key.K2()] = has
		return false, nil
	})
	if err != nil {
		return err
	}
	return b.supply.Walk(ctx, nil, func(denom string, all math.Int) (bool, error) {
		if sum, some := sums[denom]; some && !sum.Equal(all) || !some && !all.IsZero() {
			return true, fmt.Errorf("accounts hold %s%s of %s", sum, denom, all)
		}
		return false, nil
	})
}

func (b *Bank) send(ctx context.Context, from, to sdk.AccAddress, amount sdk.Coins) error {
	if err := valid(amount); err != nil {
		return err
	}
	for _, coin := range amount {
		if err := b.shift(ctx, from, coin, math.Int.Sub); err != nil {
			return err
		}
		if err := b.shift(ctx, to, coin, math.Int.Add); err != nil {
			return err
		}
	}
	return nil
}

// valid refuses what x/bank refuses: amounts that are not positive, or coins out of order.
func valid(amount sdk.Coins) error {
	if !amount.IsValid() || amount.Empty() {
		return fmt.Errorf("invalid coins %q", amount.String())
	}
	return nil
}

func (b *Bank) shift(ctx context.Context, account sdk.AccAddress, coin sdk.Coin, by func(math.Int, math.Int) math.Int) error {
	has := by(b.GetBalance(ctx, account, coin.Denom).Amount, coin.Amount)
	if has.IsNegative() {
		return fmt.Errorf("%w: %s lacks %s%s", ErrFunds, account, has.Neg(), coin.Denom)
	}
	return b.balances.Set(ctx, collections.Join([]byte(account), coin.Denom), has)
}

func (b *Bank) total(ctx context.Context, coin sdk.Coin, by func(math.Int, math.Int) math.Int) error {
	return b.supply.Set(ctx, coin.Denom, by(b.Supply(ctx, coin.Denom), coin.Amount))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// MintCoins makes coins in a module's account.
func (b *Bank) MintCoins(ctx context.Context, module string, amount sdk.Coins) error {
	if err := valid(amount); err != nil {
		return err
	}
	b.Mint(ctx, authtypes.NewModuleAddress(module), amount...)
	return nil
}

// SendCoinsFromModuleToModule moves coins between modules' accounts.
func (b *Bank) SendCoinsFromModuleToModule(ctx context.Context, from, to string, amount sdk.Coins) error {
	return b.send(ctx, authtypes.NewModuleAddress(from), authtypes.NewModuleAddress(to), amount)
}

// GetSupply is all there is of a denomination, as a coin.
func (b *Bank) GetSupply(ctx context.Context, denom string) sdk.Coin {
	return sdk.Coin{Denom: denom, Amount: b.Supply(ctx, denom)}
}
