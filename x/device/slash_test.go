package device_test

import (
	"errors"
	"testing"

	"cosmossdk.io/math"

	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// INV-SLASH: what the bond loses is what bounty and burning take, to the last coin, at any share.
func TestSlashConservesCoins(t *testing.T) {
	f := newFixture(t)
	f.rich(stage.Account(0))
	id := f.register(t, stage.Account(0), 0)
	reporter := stage.Account(7)
	left := f.device(t, id).Bond.Amount
	for _, c := range []struct{ bps, bounty uint32 }{{0, 0}, {1, 1000}, {2000, 0}, {3333, 10_000}, {5000, 5000}, {10_000, 1}, {10_000, 1}} {
		supply, had := f.Bank.Supply(f.Ctx, denom), f.Bank.GetBalance(f.Ctx, reporter, denom)
		slashed, err := f.keeper.Slash(f.Ctx, id, c.bps, reporter, c.bounty, "test")
		if err != nil {
			t.Fatal(err)
		}
		want := left.MulRaw(int64(c.bps)).QuoRaw(10_000)
		bounty := device.Bounty(slashed, c.bounty)
		left = left.Sub(want)
		if !slashed.Amount.Equal(want) || !f.device(t, id).Bond.Amount.Equal(left) {
			t.Errorf("%d bps: slashed %s, want %s; bond %s, want %s", c.bps, slashed, want, f.device(t, id).Bond, left)
		}
		if got := f.Bank.GetBalance(f.Ctx, reporter, denom).Sub(had); !got.Equal(bounty) {
			t.Errorf("%d bps: the reporter got %s of %s", c.bps, got, bounty)
		}
		if burned := supply.Sub(f.Bank.Supply(f.Ctx, denom)); !burned.Equal(want.Sub(bounty.Amount)) {
			t.Errorf("%d bps: burned %s of %s, bounty %s", c.bps, burned, want, bounty)
		}
		f.check(t)
	}
	if !left.Equal(math.ZeroInt()) {
		t.Errorf("%s is left", left)
	}
}

func TestSlashRefusesNonsense(t *testing.T) {
	f := newFixture(t)
	f.rich(stage.Account(0))
	id := f.register(t, stage.Account(0), 0)
	for name, c := range map[string]struct {
		id          uint64
		bps, bounty uint32
		want        error
	}{
		"more than all":         {id, 10_001, 0, device.ErrAmount},
		"bounty more than all":  {id, 1, 10_001, device.ErrAmount},
		"a device of nobody":    {99, 1, 1, device.ErrNotFound},
		"all of it, all bounty": {id, 10_000, 10_000, nil},
	} {
		before := f.Hash()
		_, err := f.keeper.Slash(f.Ctx, c.id, c.bps, stage.Account(7), c.bounty, name)
		if !errors.Is(err, c.want) || err != nil && f.Hash() != before {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
