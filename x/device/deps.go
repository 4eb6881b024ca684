package device

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// BankKeeper holds deposits and bonds in the module's account.
type BankKeeper interface {
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	GetBalance(ctx context.Context, account sdk.AccAddress, denom string) sdk.Coin
}

// Obligations knows what a device still owes to others. The market implements it; it in turn
// asks this module about devices, so the keeper takes it after both exist (SetObligations)
// rather than in its constructor.
type Obligations interface {
	// Obliged says whether the device still has part in any lease whose money is not yet
	// shared out.
	Obliged(ctx context.Context, device uint64) (bool, error)
}
