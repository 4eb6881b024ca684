package storagenode

import (
	"context"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/daemon/storagenode/possession"
)

// PossessionChain is where a node proves what it holds and watches its peers; *chainclient.Client is one.
type PossessionChain interface {
	possession.Chain
	possession.WatchChain
}

// Chain is what the node needs of the chain; *chainclient.Client is one. An error about something
// that is not there wraps chainclient.ErrNotFound.
type Chain interface {
	Device(ctx context.Context, id uint64) (devicev1.Device, error)
	Announce(ctx context.Context, m *devicev1.MsgAnnounce) error
	Item(ctx context.Context, lease, device uint64) (marketv1.QueryItemResponse, error)
	// DeviceItems lists the items that are not closed.
	DeviceItems(ctx context.Context, device uint64) ([]marketv1.LeaseItem, error)
	// Totals tells what a device, or all that sells a resource, has been paid, by denomination.
	Totals(ctx context.Context, device uint64, resource string) ([]marketv1.Total, error)
	MarketParams(ctx context.Context) (marketv1.Params, error)
	// Settle returns once the message is in a block.
	Settle(ctx context.Context, m *marketv1.MsgSettle) (marketv1.MsgSettleResponse, error)
}
