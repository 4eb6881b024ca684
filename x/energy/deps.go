package energy

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
)

// BankKeeper holds escrow in the module's account and burns fees from it.
type BankKeeper interface {
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
	GetBalance(ctx context.Context, account sdk.AccAddress, denom string) sdk.Coin
}

// DeviceKeeper knows the devices, and punishes them. Accounts are spelled canonically.
type DeviceKeeper interface {
	Device(ctx context.Context, id uint64) (devicev1.Device, error)
	// Operated gives a device if the account may act for it (its operator or owner).
	Operated(ctx context.Context, id uint64, account string) (devicev1.Device, error)
	// Active gives a device if it may take on new work now.
	Active(ctx context.Context, id uint64) (devicev1.Device, error)
	// Permitted says why a device may not sell a resource from where it is, nil if it may.
	Permitted(ctx context.Context, id uint64, resource string) error
	// TierOf is the trust tier that holds now.
	TierOf(ctx context.Context, id uint64) (uint32, error)
	// Slash takes bps of the bond, gives bountyBps of that to an account and burns the rest.
	Slash(ctx context.Context, id uint64, bps uint32, bounty sdk.AccAddress, bountyBps uint32, reason string) (sdk.Coin, error)
}

// RewardKeeper learns what devices earned and what was burned for it.
type RewardKeeper interface {
	AfterSettle(ctx context.Context, device uint64, resource string, paid, burned sdk.Coin) error
}
