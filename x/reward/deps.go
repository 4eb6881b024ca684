package reward

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
)

// BankKeeper mints rewards into the module's account and moves them.
type BankKeeper interface {
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	SendCoinsFromModuleToModule(ctx context.Context, from, to string, amount sdk.Coins) error
	MintCoins(ctx context.Context, module string, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
	GetBalance(ctx context.Context, account sdk.AccAddress, denom string) sdk.Coin
	GetSupply(ctx context.Context, denom string) sdk.Coin
}

// DeviceKeeper knows the devices that are paid.
type DeviceKeeper interface {
	// Device gives a device, whatever its state. The error is the registry's own.
	Device(ctx context.Context, id uint64) (devicev1.Device, error)
}

// EpochKeeper is the chain's clock of epochs.
type EpochKeeper interface {
	// Current gives the running epoch.
	Current(ctx context.Context) (auditv1.Epoch, error)
}
