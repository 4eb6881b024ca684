package market

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

// DeviceKeeper knows the devices that sell. Accounts are spelled canonically; the errors are the
// registry's own.
type DeviceKeeper interface {
	// Device gives a device.
	Device(ctx context.Context, id uint64) (devicev1.Device, error)
	// Operated gives a device if the account may act for it (its operator or owner).
	Operated(ctx context.Context, id uint64, account string) (devicev1.Device, error)
	// Active gives a device if it may take on new work now.
	Active(ctx context.Context, id uint64) (devicev1.Device, error)
	// Permitted says why a device may not sell a resource from where it is, nil if it may.
	Permitted(ctx context.Context, id uint64, resource string) error
	// TierOf is the device's trust tier now.
	TierOf(ctx context.Context, id uint64) (uint32, error)
}

// SettleHooks is who wants to know what devices are paid. A module that does asks about devices itself,
// so the keeper takes it after both exist (SetSettleHooks) rather than in its constructor.
type SettleHooks interface {
	// AfterSettle is called once for each device, resource and denomination that a message or deadline
	// paid for, after the money has moved. An error undoes the message.
	AfterSettle(ctx context.Context, device uint64, resource string, paid, burned sdk.Coin) error
}
