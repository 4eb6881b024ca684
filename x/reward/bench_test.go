package reward_test

import (
	"fmt"
	"testing"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// txByteGas is what the SDK charges for a byte of a transaction, sigGas for its signature.
const (
	txByteGas = 10
	sigGas    = 1000
)

// million is a final report of that many devices, each of which has earned, with every owner owning ten.
func million(tb testing.TB, f *fixture, devices int) uint64 {
	tb.Helper()
	accounts := make([]score.Account, devices)
	for i := range accounts {
		paid := price.FromUint64(uint64(1_000_000_000_000 + i))
		accounts[i] = score.Account{Device: uint64(i + 1), Epoch: 1, Points: 1, Earned: paid, Paid: paid}
		f.registry[uint64(i+1)] = devicev1.Device{Id: uint64(i + 1), Owner: stage.Spell(owner(i / 10)), Cell: place}
	}
	tree, err := report.Build(accounts)
	must(tb, err)
	epoch := f.turn(tb)
	must(tb, f.keeper.Final(f.Ctx, score.Storage, epoch, tree.Root()))
	f.tree = tree
	return epoch
}

// TestClaimFigures holds what a claim costs in a network of a million devices: its proof, its gas, and
// a fleet of a thousand.
func TestClaimFigures(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a tree of a million leaves")
	}
	f := newFixture(t)
	epoch := million(t, f, 1_000_000)

	claim := func(first, n uint64) (gas uint64, size int) {
		msg := &rewardv1.MsgClaim{Payer: stage.Spell(owner(0)), Service: storage, Epoch: epoch}
		for id := first; id < first+n; id++ {
			msg.Proofs = append(msg.Proofs, f.proof(t, id))
		}
		ctx := f.Ctx.WithGasMeter(storetypes.NewInfiniteGasMeter())
		if _, err := f.msg.Claim(ctx, msg); err != nil {
			t.Fatal(err)
		}
		return ctx.GasMeter().GasConsumed() + uint64(msg.Size())*txByteGas + sigGas, msg.Size()
	}
	proof := len(f.proof(t, 777_777))
	if proof > 1536 {
		t.Errorf("a proof has %d bytes", proof)
	}
	one, size := claim(777_777, 1)
	t.Logf("one claim: proof %d bytes, message %d bytes, %d gas", proof, size, one)
	if one > 100_000 {
		t.Errorf("one claim takes %d gas", one)
	}
	const fleet, most = 1000, 300
	transactions, gas, bytes := 0, uint64(0), 0
	for first := uint64(1); first <= fleet; first += most {
		g, b := claim(first, min(most, fleet+1-first))
		transactions, gas, bytes = transactions+1, gas+g, bytes+b
	}
	t.Logf("a fleet of %d: %d transactions, %d bytes, %d gas, %d gas a device", fleet, transactions, bytes, gas, gas/fleet)
	if gas/fleet > 60_000 || transactions > 4 {
		t.Errorf("a device of a fleet takes %d gas, the fleet %d transactions", gas/fleet, transactions)
	}
}

func BenchmarkClaim(b *testing.B) {
	f := newFixture(b)
	epoch := million(b, f, 100_000)
	msg := &rewardv1.MsgClaim{Payer: stage.Spell(owner(0)), Service: storage, Epoch: epoch}
	for id := uint64(1); id <= 100; id++ {
		msg.Proofs = append(msg.Proofs, f.proof(b, id*997))
	}
	b.ReportAllocs()
	for b.Loop() {
		ctx, _ := f.Ctx.CacheContext()
		if _, err := f.msg.Claim(ctx, msg); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100, "µs/claim")
}

// sized is a running epoch in which that many devices have been paid and have proved supply.
func sized(b *testing.B, n int) *fixture {
	b.Helper()
	f := newFixture(b)
	coin := sdk.NewInt64Coin(denom, 1000)
	for i := range n {
		id := uint64(i + 1)
		f.registry[id] = devicev1.Device{Id: id, Owner: stage.Spell(owner(i / 10)), Cell: place}
		must(b, f.keeper.AfterSettle(f.Ctx, id, "storage", coin, coin))
		must(b, f.keeper.AddSupply(f.Ctx, score.Storage, id, 0, 0, gib))
		if i%100_000 == 0 {
			f.Commit()
		}
	}
	f.Commit()
	return f
}

var sizes = []int{1_000, 100_000, 1_000_000}

// BenchmarkBlocks shows that neither the end of a block nor the end of an epoch nor a settlement costs
// more with more devices.
func BenchmarkBlocks(b *testing.B) {
	for _, n := range sizes {
		f := sized(b, n)
		b.Run(fmt.Sprintf("EndBlock/%d", n), func(b *testing.B) {
			for b.Loop() {
				ctx, _ := f.Ctx.CacheContext()
				must(b, f.keeper.EndBlock(ctx))
			}
		})
		b.Run(fmt.Sprintf("AfterEpoch/%d", n), func(b *testing.B) {
			for b.Loop() {
				ctx, _ := f.Ctx.CacheContext()
				must(b, f.keeper.AfterEpoch(ctx.WithBlockTime(f.Ctx.BlockTime().Add(epochSeconds*1e9)), f.clock.Epoch))
			}
		})
		coin := sdk.NewInt64Coin(denom, 1000)
		i := uint64(0)
		b.Run(fmt.Sprintf("AfterSettle/%d", n), func(b *testing.B) {
			for b.Loop() {
				i = (i*2862933555777941757 + 3037000493) % uint64(n)
				ctx, _ := f.Ctx.CacheContext()
				must(b, f.keeper.AfterSettle(ctx, i+1, "storage", coin, coin))
			}
		})
		b.Run(fmt.Sprintf("AddSupply/%d", n), func(b *testing.B) {
			for b.Loop() {
				i++
				ctx, _ := f.Ctx.CacheContext()
				id := uint64(n) + i
				f.registry[id] = f.registry[1]
				must(b, f.keeper.AddSupply(ctx, score.Storage, id, 0x8c28308280f19ff, 2, gib))
			}
		})
	}
}
