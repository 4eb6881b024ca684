package simulation

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

func msgs(m ...sdk.Msg) []sdk.Msg { return m }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func join(id uint64, account sdk.AccAddress) collections.Pair[uint64, sdk.AccAddress] {
	return collections.Join(id, account)
}

var operations = slices.Concat(deviceOperations, marketOperations, storageOperations, reportOperations, rewardOperations, chainOperations, proposing())

// TestSimulation plays histories: a few short ones, or with SIMULATION_SEEDS, SIMULATION_BLOCKS and
// SIMULATION_MOVES (a block) as many and as long as wanted, from SIMULATION_SEED on.
func TestSimulation(t *testing.T) {
	first, many, blocks, moves := number(t, "SEED", 1), number(t, "SEEDS", 4), number(t, "BLOCKS", 40), number(t, "MOVES", 50)
	all := make(map[string]*tally)
	for seed := first; seed < first+many; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := newHistory(t, seed)
			for i := range blocks {
				switch {
				case i == blocks/2:
					h.emigrate(h.random)
				case h.random.IntN(25) == 0:
					h.restart()
				}
				h.step(int(moves))
			}
			h.look()
			h.passed()
			h.replay()
			t.Logf("%d devices, %d leases, epoch %d, %d reports final, %s claimed",
				len(h.state.device.Devices), h.state.market.NextLease-1, h.state.epoch.Number, lastFinal(h), h.claimed())
			for name, one := range h.tallies {
				sum := all[name]
				if sum == nil {
					sum = &tally{refused: make(map[string]int)}
					all[name] = sum
				}
				sum.drawn, sum.tried, sum.done = sum.drawn+one.drawn, sum.tried+one.tried, sum.done+one.done
				for why, n := range one.refused {
					sum.refused[why] += n
				}
			}
		})
	}
	t.Log("\n" + table(all))
	if many*blocks*moves < 200_000 {
		return
	}
	for _, o := range operations {
		if all[o.name] == nil || all[o.name].done == 0 {
			t.Errorf("%s never succeeded", o.name)
		}
	}
	for name := range laws {
		if all["law: "+name] == nil || all["law: "+name].done == 0 {
			t.Errorf("the law about %s never came into force", name)
		}
	}
}

func lastFinal(h *history) uint64 {
	for _, f := range h.state.audit.Reports.Finals {
		return f.Statement.Epoch
	}
	return 0
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv("SIMULATION_" + name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("SIMULATION_%s %q: want a number", name, text)
	}
	return n
}

// table says how every operation fared, and why it was refused most often.
func table(all map[string]*tally) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-32s %8s %8s %8s  %s\n", "operation", "drawn", "sent", "done", "refused most")
	tried, done := 0, 0
	for _, name := range sortedKeys(all) {
		one := all[name]
		reasons := sortedKeys(one.refused)
		slices.SortStableFunc(reasons, func(a, b string) int { return one.refused[b] - one.refused[a] })
		var most []string
		for _, why := range reasons[:min(3, len(reasons))] {
			most = append(most, fmt.Sprintf("%s (%d)", why, one.refused[why]))
		}
		fmt.Fprintf(&b, "%-32s %8d %8d %8d  %s\n", name, one.drawn, one.tried, one.done, strings.Join(most, ", "))
		tried, done = tried+one.tried, done+one.done
	}
	fmt.Fprintf(&b, "%d transactions, %d done", tried, done)
	return b.String()
}
