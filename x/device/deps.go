package device

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
)

// BankKeeper holds deposits and bonds in the module's account, and burns what is forfeited.
type BankKeeper interface {
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
	GetBalance(ctx context.Context, account sdk.AccAddress, denom string) sdk.Coin
}

// Beacons knows the randomness that nobody could foresee, by which evidence is shown to be fresh.
// x/audit implements it; the keeper takes it late (SetBeacons).
type Beacons interface {
	// Current is the epoch under way.
	Current(ctx context.Context) (auditv1.Epoch, error)
	// EpochAt is an epoch that is still kept, or an error.
	EpochAt(ctx context.Context, number uint64) (auditv1.Epoch, error)
}

// Obligations knows what a device still owes to others. The market implements it; it in turn
// asks this module about devices, so the keeper takes it after both exist (SetObligations)
// rather than in its constructor.
type Obligations interface {
	// Idle says since when nobody has been owed anything through the device, Unix seconds: 0 if
	// nothing of before can still come to light; and false while somebody is owed something.
	Idle(ctx context.Context, device uint64) (since int64, idle bool, err error)
}
