package reward

import (
	"context"
	"fmt"
	"maps"
	stdmath "math"
	"slices"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Invariants are the properties of rewards that hold after every message and every block.
func (k *Keeper) Invariants() []modkit.Invariant {
	onState := func(check func(*rewardv1.GenesisState) error) func(context.Context) error {
		return func(ctx context.Context) error {
			g, err := k.ExportGenesis(ctx)
			if err != nil {
				return err
			}
			return check(g)
		}
	}
	return []modkit.Invariant{
		{Name: "INV-REWARD", Check: onState(ValidateGenesis)},
		{Name: "INV-CAP", Check: func(ctx context.Context) error {
			return onState(func(g *rewardv1.GenesisState) error { return k.checkCap(ctx, g) })(ctx)
		}},
		{Name: "INV-BOOST", Check: k.checkEscrow},
		{Name: "INV-POOLS", Check: onState(checkSums)},
	}
}

// checkCap: INV-CAP: coins that exist, coins that devices have earned and not claimed, and coins that
// the schedule will still issue sum to at most the cap.
func (k *Keeper) checkCap(ctx context.Context, g *rewardv1.GenesisState) error {
	promised := k.bank.GetSupply(ctx, price.Denom).Amount.Add(toInt(left(g.Emission)))
	for _, l := range g.Ledgers {
		promised = promised.Add(l.Earned).Sub(l.Claimed)
	}
	if promised.GT(g.Emission.Cap) {
		return errorsmod.Wrapf(ErrCap, "%s%s exist or will, the cap is %s", promised, price.Denom, g.Emission.Cap)
	}
	return nil
}

// checkEscrow: INV-BOOST: what is left of all boosts is at most what the module's account holds.
func (k *Keeper) checkEscrow(ctx context.Context) error {
	boosts, err := all[uint64, rewardv1.Boost](ctx, k.boosts)
	if err != nil {
		return err
	}
	owed := math.ZeroInt()
	for _, b := range boosts {
		owed = owed.Add(b.Left)
	}
	if has := k.bank.GetBalance(ctx, k.account, price.Denom); has.Amount.LT(owed) {
		return fmt.Errorf("boosts hold %s%s, the module account %s", owed, price.Denom, has)
	}
	return nil
}

// checkSums: INV-POOLS: of every epoch that is wholly kept, totals are the sums over devices and cells,
// and a cell's units are those of its devices.
func checkSums(g *rewardv1.GenesisState) error {
	// Removal goes epoch by epoch and takes totals last: the oldest may be there in part.
	oldest := uint64(stdmath.MaxUint64)
	for _, f := range g.Devices {
		oldest = min(oldest, f.Epoch)
	}
	for _, c := range g.Cells {
		oldest = min(oldest, c.Epoch)
	}
	for _, t := range g.Epochs {
		oldest = min(oldest, t.Epoch)
	}
	type cell struct {
		epoch   uint64
		service uint32
		cell    uint64
	}
	burned, boost := make(map[[2]uint64]math.Int), make(map[[2]uint64]math.Int)
	units := make(map[cell][2]uint64)
	add := func(to map[[2]uint64]math.Int, epoch uint64, service uint32, value math.Int) {
		key := [2]uint64{epoch, uint64(service)}
		if sum, begun := to[key]; begun {
			value = value.Add(sum)
		}
		to[key] = value
	}
	for _, f := range g.Devices {
		add(burned, f.Epoch, f.Service, f.Burned)
		if f.Cell != 0 {
			of := cell{f.Epoch, f.Service, f.Cell}
			units[of] = [2]uint64{sum(units[of][0], f.Units), sum(units[of][1], f.BoostedUnits)}
		}
	}
	for _, c := range g.Cells {
		add(boost, c.Epoch, c.Service, c.Boost)
		if got := units[cell{c.Epoch, c.Service, c.Cell}]; c.Epoch > oldest && got != [2]uint64{c.Units, c.BoostedUnits} {
			return fmt.Errorf("cell %x in epoch %d has %d units, %d boosted, its devices %v", c.Cell, c.Epoch, c.Units, c.BoostedUnits, got)
		}
	}
	for _, t := range g.Epochs {
		key := [2]uint64{t.Epoch, uint64(t.Service)}
		for _, side := range []struct {
			what string
			sums map[[2]uint64]math.Int
			want math.Int
		}{{"burned", burned, t.Burned}, {"drawn from boosts", boost, t.Boost}} {
			got, some := side.sums[key]
			if !some {
				got = math.ZeroInt()
			}
			if t.Epoch > oldest && !got.Equal(side.want) {
				return fmt.Errorf("epoch %d of service %d: %s %s in sum, %s in total", t.Epoch, t.Service, side.what, got, side.want)
			}
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m)) //consensus:ok sorted on the spot
}
