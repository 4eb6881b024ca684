package storage_test

import (
	"fmt"
	"testing"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
)

// What one answer of four positions costs: gas without the transaction around it, and bytes.
func TestProveFitsTheBudget(t *testing.T) {
	n := newNetwork(t)
	m := n.answer(t, n.provider)
	meter := storetypes.NewInfiniteGasMeter()
	if _, err := n.msg.Prove(n.Ctx.WithGasMeter(meter), m); err != nil {
		t.Fatal(err)
	}
	// A proof in a tree of a million pieces of a mebibyte has 2,248 bytes; a transaction around it about
	// 400, and the SDK charges 10 gas for each.
	const (
		txBytes, txGas = 4*2248 + 400, 10 * (4*2248 + 400)
		answers        = 10_000 * 4 // providers, challenges a day with the default interval
		blocks         = 86_400 / 5 // a day of blocks of 5 s
		blockGas       = 60_000_000
		blockBytes     = 4 << 20
	)
	gas := float64(meter.GasConsumed()) + txGas + 60_000 // ante handlers: signature, fee, sequence
	gasShare := gas * answers / (blocks * blockGas)
	byteShare := float64(txBytes) * answers / (blocks * blockBytes)
	t.Logf("MsgProve of 4 positions: %d gas, %.0f with its transaction; 10,000 providers take %.2f%% of gas, %.2f%% of bytes",
		meter.GasConsumed(), gas, 100*gasShare, 100*byteShare)
	if gasShare > 0.01 || byteShare > 0.01 {
		t.Errorf("10,000 providers take %.2f%% of gas, %.2f%% of bytes a day: at most 1%%", 100*gasShare, 100*byteShare)
	}
}

func BenchmarkProve(b *testing.B) {
	n := newNetwork(b)
	m := n.answer(b, n.provider)
	for b.Loop() {
		ctx, _ := n.Ctx.CacheContext()
		if _, err := n.msg.Prove(ctx, m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEndBlock is the end of a block at which nothing is old, and one at which as many rows are as a
// block may forget, among few and many devices with a commitment, a proof and a fault each.
func BenchmarkEndBlock(b *testing.B) {
	for _, devices := range []uint64{1_000, 100_000, 1_000_000} {
		f := newFixture(b)
		f.epochs.running, f.epochs.retain = 5_000, 10_000
		g, err := f.keeper.ExportGenesis(f.Ctx)
		if err != nil {
			b.Fatal(err)
		}
		p, root := &g.Possession, append(make([]byte, 31), 1)
		for id := uint64(1); id <= devices; id++ {
			p.Standings = append(p.Standings, storagev1.Standing{Device: id, Version: 1, LastPassed: 4_999, Passed: 1, Positions: 4})
			p.Commitments = append(p.Commitments, storagev1.Commitment{Device: id, Version: 1, Root: root, Total: 9, Since: 4_999})
			p.Proofs = append(p.Proofs, storagev1.Proof{Device: id, Epoch: 4_999, Positions: 4, Proved: 9 << 10, Leased: 1 << 20})
		}
		f.Clear("storage")
		f.open()
		if err := f.keeper.InitGenesis(f.Ctx, g); err != nil {
			b.Fatal(err)
		}
		f.Commit()
		run := func(name string) {
			b.Run(fmt.Sprintf("%s/devices=%d", name, devices), func(b *testing.B) {
				for b.Loop() {
					ctx, _ := f.Ctx.CacheContext()
					if err := f.keeper.EndBlock(ctx); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("idle")
		f.epochs.running = 9_000 // all proofs are old
		run("full")
	}
}
