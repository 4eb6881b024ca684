package storage

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/score"
)

// BankKeeper holds the deposits of open audits in the module's account.
type BankKeeper interface {
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	GetBalance(ctx context.Context, account sdk.AccAddress, denom string) sdk.Coin
}

// DeviceKeeper knows the devices, and punishes them. Accounts are spelled canonically.
type DeviceKeeper interface {
	Device(ctx context.Context, id uint64) (devicev1.Device, error)
	// Operated gives a device if the account may act for it (its operator or owner).
	Operated(ctx context.Context, id uint64, account string) (devicev1.Device, error)
	// TierOf is the trust tier that holds now.
	TierOf(ctx context.Context, id uint64) (uint32, error)
	// Permitted says why a device may not sell a resource now (device.ErrBanned, device.ErrNotPermitted),
	// nil if it may.
	Permitted(ctx context.Context, id uint64, resource string) error
	// Jail keeps a device from new work until a time, Unix seconds.
	Jail(ctx context.Context, id uint64, until int64) error
	// Slash takes bps of the bond, gives bountyBps of that to an account and burns the rest.
	Slash(ctx context.Context, id uint64, bps uint32, bounty sdk.AccAddress, bountyBps uint32, reason string) (sdk.Coin, error)
}

// MarketKeeper knows what devices are leased for.
type MarketKeeper interface {
	// Leased is how many units of a resource are reserved on a device.
	Leased(ctx context.Context, device uint64, resource string) (uint64, error)
	// Idle says since when a device has had no part in any lease.
	Idle(ctx context.Context, device uint64) (since int64, idle bool, err error)
	// Serving gives the session key of a lease that a device serves now, or an error.
	Serving(ctx context.Context, lease, device uint64) (sessionKey []byte, err error)
	// SessionKey gives the session key of a lease, however it stands.
	SessionKey(ctx context.Context, lease uint64) ([]byte, error)
}

// EpochKeeper knows epochs and their beacons.
type EpochKeeper interface {
	Current(ctx context.Context) (auditv1.Epoch, error)
	// EpochAt gives an epoch that is still kept, or an error.
	EpochAt(ctx context.Context, number uint64) (auditv1.Epoch, error)
}

// RewardKeeper adds what it knows to a device's fact, and learns of what was proved. It is set late
// (SetRewards): rewards are computed from the facts of this module.
type RewardKeeper interface {
	AddSupply(ctx context.Context, service score.Service, device uint64, cell geo.Cell, tier uint32, units uint64) error
	// Complete fills in what settlements burned for the device in the fact's epoch, the cell that its
	// supply was counted in, the need there and its part of sponsors' boosts.
	Complete(ctx context.Context, f *score.Fact) error
}
