package launch

import (
	"context"
	"time"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/internal/clock"
)

// Quote says what bytes kept for a time would cost by the offers on the chain now, under the
// settings of c.Lease and c.Policy. It needs no wallet and buys nothing. client only reads.
func Quote(ctx context.Context, client *chainclient.Client, c Config, bytes uint64, keep time.Duration, class string) (renter.Quote, error) {
	chain, err := newChain(ctx, client)
	if err != nil {
		return renter.Quote{}, err
	}
	clk := clock.System{}
	leases := renter.NewLeaseService(renter.LeaseDeps{
		Chain: chain, Config: c.Lease, Pool: renter.NewPool(renter.PoolConfig{Policy: c.Policy}, c.Lease.Accepts, clk), Clock: clk,
	})
	return leases.Quote(ctx, bytes, keep, class)
}
