package market_test

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

// crowd is a market with n leases of one item each with device 1, by session key 0. It comes by
// genesis: one lease is opened by message and the others are its copies.
func (f *fixture) crowd(tb testing.TB, n uint64) {
	tb.Helper()
	f.rich(consumer(0))
	f.device(tb, 0, "DE")
	offer := offering(0)
	offer.Capacity = 1 << 40
	if _, err := f.msg.CreateOffer(f.Ctx, offer); err != nil {
		tb.Fatal(err)
	}
	f.lease(tb, opening())
	g, err := f.keeper.ExportGenesis(f.Ctx)
	if err != nil {
		tb.Fatal(err)
	}
	g.Leases, g.Items = slices.Grow(g.Leases, int(n)), slices.Grow(g.Items, int(n))
	for id := uint64(2); id <= n; id++ {
		lease, item := g.Leases[0], g.Items[0]
		lease.Id, item.Lease = id, id
		g.Leases, g.Items = append(g.Leases, lease), append(g.Items, item)
	}
	g.NextLease = n + 1
	g.Offers[0].Reserved *= n
	if err := market.ValidateGenesis(g); err != nil {
		tb.Fatal(err)
	}
	f.Bank.Mint(f.Ctx, moduleAccount, sdk.Coin{Denom: denom, Amount: amount(int64(n) * 20_000)})
	f.Clear(market.StoreKey)
	if err := f.keeper.InitGenesis(f.Ctx, g); err != nil {
		tb.Fatal(err)
	}
	f.Commit()
}

// BenchmarkSettle is one message of 1,000 vouchers for as many leases: signatures, streams, ledger,
// events and payment. It reports the CPU time of one voucher.
func BenchmarkSettle(b *testing.B) {
	const n = 1000
	f := newFixture(b)
	f.crowd(b, n)
	f.Pass(10)
	msg := &marketv1.MsgSettle{Sender: stage.Spell(operator(0))}
	for lease := range uint64(n) {
		msg.Vouchers = append(msg.Vouchers, f.signed(session(0), func(v *marketv1.Voucher) { v.Lease = lease + 1 }))
	}
	meter := storetypes.NewInfiniteGasMeter()
	whole := f.Ctx
	started := cpuTime()
	for b.Loop() {
		cache, _ := whole.CacheContext()
		meter = storetypes.NewInfiniteGasMeter()
		if _, err := f.msg.Settle(cache.WithGasMeter(meter), msg); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime()-started).Microseconds())/float64(b.N)/n, "cpu-µs/voucher")
	b.ReportMetric(float64(meter.GasConsumed())/n, "gas/voucher")
}

// BenchmarkEndBlock is the end of a block at which nothing is due, and one at which all that a block
// may do is due, among few and many leases.
func BenchmarkEndBlock(b *testing.B) {
	for _, leases := range []uint64{1_000, 100_000, 1_000_000} {
		f := newFixture(b)
		f.crowd(b, leases)
		b.Run(fmt.Sprintf("idle/leases=%d", leases), func(b *testing.B) {
			started := cpuTime()
			for b.Loop() {
				if err := f.keeper.EndBlock(f.Ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime()-started).Microseconds())/float64(b.N), "cpu-µs/block")
		})
		f.Pass(2000)
		whole := f.Ctx
		b.Run(fmt.Sprintf("full/leases=%d", leases), func(b *testing.B) {
			started := cpuTime()
			for b.Loop() {
				cache, _ := whole.CacheContext()
				if err := f.keeper.EndBlock(cache); err != nil {
					b.Fatal(err)
				}
			}
			perBlock := float64(market.DefaultParams().DeadlinesPerBlock)
			b.ReportMetric(float64((cpuTime()-started).Microseconds())/float64(b.N)/perBlock, "cpu-µs/deadline")
		})
	}
}

// cpuTime is what the process has used of the processor: unlike the clock's, a figure that a busy
// machine leaves alone.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
