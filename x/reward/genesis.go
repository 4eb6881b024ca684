package reward

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Emission of a new chain: half of all coins that may ever exist come from the schedule, half of them
// in the first four years.
const (
	defaultTotalCAIRN     = capCAIRN / 2
	defaultHalvingSeconds = 4 * yearSeconds
	leastHalvingSeconds   = 24 * 3600
)

// DefaultGenesis has nothing but params and an emission that has not begun.
func DefaultGenesis() *rewardv1.GenesisState {
	return &rewardv1.GenesisState{
		Params: DefaultParams(),
		Emission: rewardv1.Emission{
			Total:          coin(defaultTotalCAIRN),
			HalvingSeconds: defaultHalvingSeconds,
			Cap:            coin(capCAIRN),
			Validators:     math.ZeroInt(),
			Minted:         math.ZeroInt(),
		},
	}
}

// ValidateGenesis checks a genesis as far as it can be without a store.
func ValidateGenesis(g *rewardv1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	for _, check := range []func(*rewardv1.GenesisState) error{checkEmission, checkLedgers, checkFacts, checkRoots, checkBoosts, checkIncomes} {
		if err := check(g); err != nil {
			return err
		}
	}
	for i, r := range g.Relays {
		if r.Owner == "" || r.FeeBps == 0 || r.FeeBps > mostRelayBps || i > 0 && g.Relays[i-1].Owner >= r.Owner {
			return errorsmod.Wrapf(ErrGenesis, "relays[%d]: owner %q keeps %d basis points", i, modkit.Clip(r.Owner), r.FeeBps)
		}
	}
	return nil
}

// amounts checks named sums of money.
func checkAmounts(named map[string]math.Int) error {
	for _, field := range sortedKeys(named) {
		if _, err := parseAmount(field, named[field]); err != nil {
			return errorsmod.Wrap(ErrGenesis, err.Error())
		}
	}
	return nil
}

func checkEmission(g *rewardv1.GenesisState) error {
	e := g.Emission
	if err := checkAmounts(map[string]math.Int{"total": e.Total, "cap": e.Cap, "validators": e.Validators, "minted": e.Minted}); err != nil {
		return errorsmod.Wrap(err, "emission")
	}
	if e.Cap.GT(coin(capCAIRN)) || e.Total.GT(e.Cap) {
		return errorsmod.Wrapf(ErrGenesis, "emission: total %s of cap %s: at most %s", e.Total, e.Cap, coin(capCAIRN))
	}
	if e.HalvingSeconds < leastHalvingSeconds {
		return errorsmod.Wrapf(ErrGenesis, "emission: halving_seconds %d: at least %d", e.HalvingSeconds, leastHalvingSeconds)
	}
	return nil
}

// checkLedgers: INV-REWARD: of every service, what has been claimed is the sum of what devices have
// claimed, at most what reports gave, and that at most the sum of the pools.
func checkLedgers(g *rewardv1.GenesisState) error {
	claimed := make(map[uint32]math.Int)
	for i, c := range g.Claimed {
		if i > 0 && !ascend2(g.Claimed[i-1].Service, c.Service, g.Claimed[i-1].Device, c.Device) {
			return errorsmod.Wrapf(ErrGenesis, "claimed[%d]: device %d of service %d is out of order", i, c.Device, c.Service)
		}
		if err := checkAmounts(map[string]math.Int{"amount": c.Amount}); err != nil {
			return errorsmod.Wrapf(err, "claimed[%d]", i)
		}
		if _, err := parseService("service", c.Service); err != nil {
			return errorsmod.Wrapf(ErrGenesis, "claimed[%d]: %s", i, err)
		}
		if sum, begun := claimed[c.Service]; begun {
			claimed[c.Service] = sum.Add(c.Amount)
		} else {
			claimed[c.Service] = c.Amount
		}
	}
	for i, l := range g.Ledgers {
		if _, err := parseService("service", l.Service); err != nil {
			return errorsmod.Wrapf(ErrGenesis, "ledgers[%d]: %s", i, err)
		}
		if i > 0 && g.Ledgers[i-1].Service >= l.Service {
			return errorsmod.Wrapf(ErrGenesis, "ledgers[%d]: service %d is out of order", i, l.Service)
		}
		err := checkAmounts(map[string]math.Int{"average": l.Average, "earned": l.Earned, "claimed": l.Claimed, "pools": l.Pools})
		if err != nil {
			return errorsmod.Wrapf(err, "ledgers[%d]", i)
		}
		of, begun := claimed[l.Service]
		if !begun {
			of = math.ZeroInt()
		}
		delete(claimed, l.Service)
		if !of.Equal(l.Claimed) || l.Claimed.GT(l.Earned) || l.Earned.GT(l.Pools) {
			return errorsmod.Wrapf(ErrGenesis, "service %d: devices claimed %s, in sum %s of %s earned of %s in pools", l.Service, of, l.Claimed, l.Earned, l.Pools)
		}
	}
	if len(claimed) > 0 {
		return errorsmod.Wrapf(ErrGenesis, "devices of %d services claimed and there is no ledger", len(claimed))
	}
	return nil
}

// checkFacts: INV-POOLS: what an epoch's totals say was burned and drawn from boosts is the sum over
// its devices and cells, and cells count the units of their devices. While an epoch is being removed
// its parts may be gone already: only an epoch all of whose parts can be there is held to it.
func checkFacts(g *rewardv1.GenesisState) error {
	for i, t := range g.Epochs {
		if i > 0 && !ascend2(g.Epochs[i-1].Epoch, t.Epoch, g.Epochs[i-1].Service, t.Service) {
			return errorsmod.Wrapf(ErrGenesis, "epochs[%d]: epoch %d of service %d is out of order", i, t.Epoch, t.Service)
		}
		if err := checkAmounts(map[string]math.Int{"burned": t.Burned, "boost": t.Boost}); err != nil {
			return errorsmod.Wrapf(err, "epochs[%d]", i)
		}
		if p := t.Pools; p != nil {
			err := checkAmounts(map[string]math.Int{"usage": p.Usage, "bootstrap": p.Bootstrap, "boost": p.Boost, "total_burned": p.TotalBurned})
			if err != nil {
				return errorsmod.Wrapf(err, "epochs[%d]: pools", i)
			}
		}
	}
	for i, f := range g.Devices {
		if i > 0 && !ascend3(g.Devices[i-1].Epoch, f.Epoch, g.Devices[i-1].Service, f.Service, g.Devices[i-1].Device, f.Device) {
			return errorsmod.Wrapf(ErrGenesis, "devices[%d]: device %d of service %d in epoch %d is out of order", i, f.Device, f.Service, f.Epoch)
		}
		if err := checkAmounts(map[string]math.Int{"burned": f.Burned}); err != nil {
			return errorsmod.Wrapf(err, "devices[%d]", i)
		}
		if f.BoostedUnits > f.Units || f.Cell == 0 && f.BoostedUnits > 0 || f.Cell != 0 && !geo.Cell(f.Cell).Valid() {
			return errorsmod.Wrapf(ErrGenesis, "devices[%d]: %d units, %d boosted, in cell %x", i, f.Units, f.BoostedUnits, f.Cell)
		}
	}
	for i, c := range g.Cells {
		if i > 0 && !ascend3(g.Cells[i-1].Epoch, c.Epoch, g.Cells[i-1].Service, c.Service, g.Cells[i-1].Cell, c.Cell) {
			return errorsmod.Wrapf(ErrGenesis, "cells[%d]: cell %x of service %d in epoch %d is out of order", i, c.Cell, c.Service, c.Epoch)
		}
		if err := checkAmounts(map[string]math.Int{"paid": c.Paid, "boost": c.Boost}); err != nil {
			return errorsmod.Wrapf(err, "cells[%d]", i)
		}
		if c.BoostedUnits > c.Units || !geo.Cell(c.Cell).Valid() {
			return errorsmod.Wrapf(ErrGenesis, "cells[%d]: %d units, %d boosted, in cell %x", i, c.Units, c.BoostedUnits, c.Cell)
		}
	}
	return nil
}

func checkRoots(g *rewardv1.GenesisState) error {
	for i, r := range g.Roots {
		if i > 0 && !ascend2(g.Roots[i-1].Service, r.Service, g.Roots[i-1].Epoch, r.Epoch) {
			return errorsmod.Wrapf(ErrGenesis, "roots[%d]: epoch %d of service %d is out of order", i, r.Epoch, r.Service)
		}
		if err := checkAmounts(map[string]math.Int{"earned": r.Earned}); err != nil {
			return errorsmod.Wrapf(err, "roots[%d]", i)
		}
		if len(r.Hash) != 32 {
			return errorsmod.Wrapf(ErrGenesis, "roots[%d]: hash of %d bytes", i, len(r.Hash))
		}
	}
	return nil
}

func checkBoosts(g *rewardv1.GenesisState) error {
	for i, b := range g.Boosts {
		if i > 0 && g.Boosts[i-1].Id >= b.Id || b.Id >= g.NextBoost {
			return errorsmod.Wrapf(ErrGenesis, "boosts[%d]: id %d is out of order, the next is %d", i, b.Id, g.NextBoost)
		}
		if err := checkAmounts(map[string]math.Int{"per_epoch": b.PerEpoch, "left": b.Left}); err != nil {
			return errorsmod.Wrapf(err, "boosts[%d]", i)
		}
		if _, err := parseService("service", b.Service); err != nil {
			return errorsmod.Wrapf(ErrGenesis, "boosts[%d]: %s", i, err)
		}
		if b.Last < b.First || b.Sponsor == "" || !geo.Cell(b.Cell).Valid() {
			return errorsmod.Wrapf(ErrGenesis, "boosts[%d] of %q for cell %x in epochs %d to %d", i, modkit.Clip(b.Sponsor), b.Cell, b.First, b.Last)
		}
	}
	return nil
}

func checkIncomes(g *rewardv1.GenesisState) error {
	for i, in := range g.Incomes {
		if month := in.Month % 100; month < 1 || month > 12 || in.Owner == "" {
			return errorsmod.Wrapf(ErrGenesis, "incomes[%d] of %q in month %d", i, modkit.Clip(in.Owner), in.Month)
		}
		if err := sdk.ValidateDenom(in.Denom); err != nil {
			return errorsmod.Wrapf(ErrGenesis, "incomes[%d]: %s", i, err)
		}
		err := checkAmounts(map[string]math.Int{"leases": in.Leases, "burned": in.Burned, "rewards": in.Rewards, "relayed": in.Relayed})
		if err != nil {
			return errorsmod.Wrapf(err, "incomes[%d]", i)
		}
	}
	return nil
}

// InitGenesis writes a valid genesis into an empty store. What exists and what the schedule will still
// issue must fit under the cap: ErrCap.
func (k *Keeper) InitGenesis(ctx context.Context, g *rewardv1.GenesisState) error {
	if err := k.checkCap(ctx, g); err != nil {
		return err
	}
	if err := k.params.Set(ctx, g.Params); err != nil {
		return errorsmod.Wrap(err, "writing params")
	}
	if err := k.emission.Set(ctx, g.Emission); err != nil {
		return errorsmod.Wrap(err, "writing emission")
	}
	if err := k.nextBoost.Set(ctx, g.NextBoost); err != nil {
		return errorsmod.Wrap(err, "writing the next boost's number")
	}
	for i, b := range g.Boosts {
		var err error
		if _, b.Sponsor, err = k.parseAccount("sponsor", b.Sponsor); err != nil {
			return errorsmod.Wrapf(err, "boosts[%d]", i)
		}
		if err := k.boosts.Set(ctx, b.Id, b); err != nil {
			return errorsmod.Wrapf(err, "writing boosts[%d]", i)
		}
	}
	for i, r := range g.Relays {
		var err error
		if _, r.Owner, err = k.parseAccount("owner", r.Owner); err != nil {
			return errorsmod.Wrapf(err, "relays[%d]", i)
		}
		if err := k.relays.Set(ctx, r.Owner, r); err != nil {
			return errorsmod.Wrapf(err, "writing relays[%d]", i)
		}
	}
	for i := range g.Incomes {
		var err error
		if _, g.Incomes[i].Owner, err = k.parseAccount("owner", g.Incomes[i].Owner); err != nil {
			return errorsmod.Wrapf(err, "incomes[%d]", i)
		}
	}
	return firstOf(
		setAll(ctx, k.ledgers, g.Ledgers, func(l rewardv1.Ledger) uint32 { return l.Service }),
		setAll(ctx, k.totals, g.Epochs, func(t rewardv1.Epoch) epochKey { return collections.Join(t.Epoch, t.Service) }),
		setAll(ctx, k.facts, g.Devices, func(f rewardv1.DeviceEpoch) epochItemKey { return collections.Join3(f.Epoch, f.Service, f.Device) }),
		setAll(ctx, k.cells, g.Cells, func(c rewardv1.CellEpoch) epochItemKey { return collections.Join3(c.Epoch, c.Service, c.Cell) }),
		setAll(ctx, k.roots, g.Roots, func(r rewardv1.Root) rootKey { return collections.Join(r.Service, r.Epoch) }),
		setAll(ctx, k.incomes, g.Incomes, func(i rewardv1.Income) incomeKey { return collections.Join3(i.Month, i.Owner, i.Denom) }),
		setAll(ctx, k.claimed, g.Claimed, func(c rewardv1.Claimed) rootKey { return collections.Join(c.Service, c.Device) }),
	)
}

// setAll writes values into a map.
func setAll[K, V any](ctx context.Context, m collections.Map[K, V], values []V, key func(V) K) error {
	for i, v := range values {
		if err := m.Set(ctx, key(v), v); err != nil {
			return errorsmod.Wrapf(err, "writing %s[%d]", m.GetName(), i)
		}
	}
	return nil
}

// walker is a map that can be read in order, indexed or not.
type walker[K, V any] interface {
	Walk(ctx context.Context, ranger collections.Ranger[K], walk func(K, V) (bool, error)) error
}

// all reads the values of a map in the order of its keys.
func all[K, V any](ctx context.Context, m walker[K, V]) ([]V, error) {
	var values []V
	err := m.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		values = append(values, v)
		return false, nil
	})
	return values, err
}

// ExportGenesis reads the whole state; InitGenesis of it restores the same state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*rewardv1.GenesisState, error) {
	g := &rewardv1.GenesisState{}
	var err error
	if g.Params, err = k.Params(ctx); err != nil {
		return nil, err
	}
	if g.Emission, err = k.emission.Get(ctx); err != nil {
		return nil, errorsmod.Wrap(err, "reading emission")
	}
	if g.NextBoost, err = k.nextBoost.Peek(ctx); err != nil {
		return nil, errorsmod.Wrap(err, "reading the next boost's number")
	}
	for _, read := range []func() error{
		func() (err error) { g.Ledgers, err = all[uint32, rewardv1.Ledger](ctx, k.ledgers); return },
		func() (err error) { g.Epochs, err = all[epochKey, rewardv1.Epoch](ctx, k.totals); return },
		func() (err error) { g.Devices, err = all[epochItemKey, rewardv1.DeviceEpoch](ctx, k.facts); return },
		func() (err error) { g.Cells, err = all[epochItemKey, rewardv1.CellEpoch](ctx, k.cells); return },
		func() (err error) { g.Roots, err = all[rootKey, rewardv1.Root](ctx, k.roots); return },
		func() (err error) { g.Claimed, err = all[rootKey, rewardv1.Claimed](ctx, k.claimed); return },
		func() (err error) { g.Boosts, err = all[uint64, rewardv1.Boost](ctx, k.boosts); return },
		func() (err error) { g.Incomes, err = all[incomeKey, rewardv1.Income](ctx, k.incomes); return },
		func() (err error) { g.Relays, err = all[string, rewardv1.Relay](ctx, k.relays); return },
	} {
		if err := read(); err != nil {
			return nil, errorsmod.Wrap(err, "reading reward state")
		}
	}
	return g, nil
}

// ascend2 and ascend3 say whether a key follows another.
func ascend2[A, B interface{ ~uint32 | ~uint64 }](a, b A, c, d B) bool {
	return a < b || a == b && c < d
}

func ascend3(a, b uint64, c, d uint32, e, f uint64) bool {
	return a < b || a == b && ascend2(c, d, e, f)
}

// left is what the schedule has not issued yet.
func left(e rewardv1.Emission) price.Amount {
	rest, _ := amount(e.Total).Sub(schedule(e).Issued(e.ElapsedSeconds))
	return rest
}
