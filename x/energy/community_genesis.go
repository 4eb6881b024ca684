package energy

import (
	"bytes"
	"cmp"
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
)

// rising checks that a list is in the order of its keys, without repeats.
func rising[T any](list string, values []T, key func(T) [3]uint64) error {
	for i := 1; i < len(values); i++ {
		a, b := key(values[i-1]), key(values[i])
		if cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2])) >= 0 {
			return errorsmod.Wrapf(ErrGenesis, "communities.%s[%d]: key %v after %v: want rising keys", list, i, b, a)
		}
	}
	return nil
}

// checkCommunities holds what communities leave in a genesis to what messages can have made.
func checkCommunities(e energyv1.CommunityState) error {
	if e.NextCommunity == 0 || e.NextDemand == 0 {
		return errorsmod.Wrapf(ErrGenesis, "next_community %d, next_demand %d: ids start at 1", e.NextCommunity, e.NextDemand)
	}
	for _, err := range []error{
		rising("communities", e.Communities, func(c energyv1.Community) [3]uint64 { return [3]uint64{c.Id} }),
		rising("terms", e.Terms, func(t energyv1.Terms) [3]uint64 { return [3]uint64{t.Community, t.Since} }),
		rising("members", e.Members, func(m energyv1.Member) [3]uint64 { return [3]uint64{m.Device, m.Since} }),
		rising("standings", e.Standings, func(s energyv1.Standing) [3]uint64 { return [3]uint64{s.Community, s.Account, s.Since} }),
		rising("funds", e.Funds, func(f energyv1.Funds) [3]uint64 { return [3]uint64{f.Community, f.Account} }),
		rising("hours", e.Hours, func(h energyv1.Hour) [3]uint64 { return [3]uint64{h.Community, h.Hour} }),
		rising("demands", e.Demands, func(d energyv1.Demand) [3]uint64 { return [3]uint64{d.Id} }),
		rising("doubles", e.Doubles, func(d energyv1.DoubleFrame) [3]uint64 { return [3]uint64{d.Device, d.Hour} }),
	} {
		if err != nil {
			return err
		}
	}
	members := make(map[uint64]uint32)
	for i, m := range e.Members {
		if err := checkMember(m); err != nil {
			return errorsmod.Wrapf(err, "communities.members[%d]", i)
		}
		if i > 0 && e.Members[i-1].Device == m.Device && (e.Members[i-1].Until == 0 || e.Members[i-1].Until > m.Since) {
			return errorsmod.Wrapf(ErrGenesis, "communities.members[%d]: meter %d is in two communities at once", i, m.Device)
		}
		if m.Until == 0 {
			members[m.Community]++
		}
	}
	known := make(map[uint64]bool)
	for i, c := range e.Communities {
		if c.Id == 0 || c.Id >= e.NextCommunity || c.PaidIn.IsNil() || c.PaidOut.IsNil() || c.FinalHour > c.LastHour {
			return errorsmod.Wrapf(ErrGenesis, "communities[%d]: id %d, next is %d, final hour %d of %d", i, c.Id, e.NextCommunity, c.FinalHour, c.LastHour)
		}
		if members[c.Id] != c.Members {
			return errorsmod.Wrapf(ErrGenesis, "communities[%d] has %d members, it says %d", i, members[c.Id], c.Members)
		}
		known[c.Id] = true
	}
	for i, t := range e.Terms {
		if _, err := parseTerms(t); err != nil || !known[t.Community] {
			return errorsmod.Wrapf(ErrGenesis, "communities.terms[%d] of community %d: %v", i, t.Community, err)
		}
	}
	for i, s := range e.Standings {
		if !known[s.Community] || s.PaidIn.IsNil() || s.Withdrawn.IsNil() {
			return errorsmod.Wrapf(ErrGenesis, "communities.standings[%d] of community %d", i, s.Community)
		}
	}
	for i, f := range e.Funds {
		if !known[f.Community] || f.PaidIn.IsNil() || f.PaidOut.IsNil() || f.Pending.IsNil() || f.Pending.IsNegative() {
			return errorsmod.Wrapf(ErrGenesis, "communities.funds[%d] of community %d", i, f.Community)
		}
	}
	demands := make(map[uint64]bool)
	for i, d := range e.Demands {
		if d.Id == 0 || d.Id >= e.NextDemand || d.Deposit.Amount.IsNil() {
			return errorsmod.Wrapf(ErrGenesis, "communities.demands[%d]: id %d, next is %d", i, d.Id, e.NextDemand)
		}
		demands[d.Id] = true
	}
	for i, h := range e.Hours {
		if _, _, err := parseCommit(h.Readings, h.Accounts); err != nil || !known[h.Community] || h.Demand != 0 && !demands[h.Demand] {
			return errorsmod.Wrapf(ErrGenesis, "communities.hours[%d] of community %d: demand %d, %v", i, h.Community, h.Demand, err)
		}
		if i > 0 && e.Hours[i-1].Community == h.Community && !bytes.Equal(e.Hours[i-1].Accounts, h.Before) {
			return errorsmod.Wrapf(ErrGenesis, "communities.hours[%d]: hour %d does not stand on the one before", i, h.Hour)
		}
	}
	return nil
}

func (k *Keeper) initCommunities(ctx context.Context, e energyv1.CommunityState) error {
	if err := k.nextCommunity.Set(ctx, e.NextCommunity); err != nil {
		return errorsmod.Wrap(err, "writing next_community")
	}
	if err := k.nextDemand.Set(ctx, e.NextDemand); err != nil {
		return errorsmod.Wrap(err, "writing next_demand")
	}
	for i, c := range e.Communities {
		var err error
		if _, c.Manager, err = k.parseAccount("manager", c.Manager); err != nil {
			return errorsmod.Wrapf(err, "communities[%d]", i)
		}
		if _, c.Utility, err = k.parseAccount("utility", c.Utility); err != nil {
			return errorsmod.Wrapf(err, "communities[%d]", i)
		}
		if err := k.setCommunity(ctx, c); err != nil {
			return err
		}
	}
	for _, t := range e.Terms {
		if err := k.setTerms(ctx, t); err != nil {
			return err
		}
	}
	for _, m := range e.Members {
		if err := k.members.Set(ctx, collections.Join(m.Device, m.Since), m); err != nil {
			return errorsmod.Wrapf(err, "writing member %d", m.Device)
		}
	}
	for _, s := range e.Standings {
		if err := k.standings.Set(ctx, collections.Join3(s.Community, s.Account, s.Since), s); err != nil {
			return errorsmod.Wrapf(err, "writing standing of account %d", s.Account)
		}
	}
	for _, f := range e.Funds {
		if err := k.money.Set(ctx, collections.Join(f.Community, f.Account), f); err != nil {
			return errorsmod.Wrapf(err, "writing funds of account %d", f.Account)
		}
	}
	for _, h := range e.Hours {
		if err := k.hours.Set(ctx, collections.Join(h.Community, h.Hour), h); err != nil {
			return errorsmod.Wrapf(err, "writing hour %d", h.Hour)
		}
	}
	for i, d := range e.Demands {
		var err error
		if _, d.Opener, err = k.parseAccount("opener", d.Opener); err != nil {
			return errorsmod.Wrapf(err, "demands[%d]", i)
		}
		if err := k.demands.Set(ctx, d.Id, d); err != nil {
			return errorsmod.Wrapf(err, "writing demand %d", d.Id)
		}
	}
	for _, d := range e.Doubles {
		if err := k.doubles.Set(ctx, collections.Join(d.Device, d.Hour)); err != nil {
			return errorsmod.Wrapf(err, "writing double frame of meter %d", d.Device)
		}
	}
	return nil
}
