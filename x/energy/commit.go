package energy

import (
	"context"
	"encoding/binary"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/community"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/meter"
)

// prunesPerCommit is how many old hours one commit removes: more than it adds.
const prunesPerCommit = 4

// maxWaiting bounds the hours that are not final: a month.
const maxWaiting = 24 * 31

func (k *Keeper) hour(ctx context.Context, id, hour uint64) (energyv1.Hour, error) {
	return get(ctx, k.hours, collections.Join(id, hour), ErrNoHour, "hour %d of community %d", hour, id)
}

// walkHours calls fn with a community's commits from an hour on, oldest first, until it says stop.
func (k *Keeper) walkHours(ctx context.Context, id, from uint64, fn func(energyv1.Hour) (stop bool)) error {
	r := collections.NewPrefixedPairRange[uint64, uint64](id).StartInclusive(from)
	return errorsmod.Wrapf(k.hours.Walk(ctx, r, func(_ hourKey, h energyv1.Hour) (bool, error) { return fn(h), nil }),
		"reading hours of community %d", id)
}

// finalise moves what is final up to now, without writing it.
func (k *Keeper) finalise(ctx sdk.Context, c energyv1.Community) (energyv1.Community, error) {
	now := ctx.BlockTime().Unix()
	err := k.walkHours(ctx, c.Id, c.FinalHour+1, func(h energyv1.Hour) bool {
		if now < h.FinalAt || h.Demand != 0 {
			return true
		}
		c.FinalHour, c.FinalAccounts = h.Hour, h.Accounts
		return false
	})
	return c, err
}

// doneThrough is the last hour of which nothing can change any more: all are final up to it, or can
// no longer be committed.
func (k *Keeper) doneThrough(ctx sdk.Context, c energyv1.Community) (uint64, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return 0, err
	}
	waiting := uint64(0)
	if err := k.walkHours(ctx, c.Id, c.FinalHour+1, func(h energyv1.Hour) bool {
		waiting = h.Hour
		return true
	}); err != nil {
		return 0, err
	}
	// The newest hour whose time to be committed is over.
	past := uint64(meter.HourAt(ctx.BlockTime().Unix()-params.Community.CommitSeconds)) - 2
	if waiting != 0 {
		past = min(past, waiting-1)
	}
	return max(past, c.FinalHour), nil
}

// commit keeps an aggregator's word for an hour.
func (k *Keeper) commit(ctx sdk.Context, c energyv1.Community, msg *energyv1.MsgCommitHour) (energyv1.Hour, error) {
	var none energyv1.Hour
	params, err := k.Params(ctx)
	if err != nil {
		return none, err
	}
	now := ctx.BlockTime().Unix()
	end := meter.Hour(msg.Hour).Begin() + 3600
	if msg.Hour > thisHour(ctx) || now < end || now >= end+params.Community.CommitSeconds {
		return none, errorsmod.Wrapf(ErrTime, "hour %d ends at %d and can be committed for %d s: it is %d", msg.Hour, end, params.Community.CommitSeconds, now)
	}
	if msg.Hour <= c.LastHour {
		return none, errorsmod.Wrapf(ErrTime, "hour %d: hour %d has been committed", msg.Hour, c.LastHour)
	}
	readings, accounts, err := parseCommit(msg.Readings, msg.Accounts)
	if err != nil {
		return none, err
	}
	if readings.Leaves > community.MaxMembers {
		return none, errorsmod.Wrapf(ErrTooMany, "readings of %d meters, at most %d", readings.Leaves, community.MaxMembers)
	}
	terms, err := k.termsAt(ctx, c.Id, msg.Hour)
	if err != nil {
		return none, err
	}
	if want := 2 * meter.HourSlots * len(terms.Nodes); len(msg.Prices) != want {
		return none, errorsmod.Wrapf(ErrField, "prices have %d bytes, want %d: 2 for each slot and node", len(msg.Prices), want)
	}
	if c, err = k.finalise(ctx, c); err != nil {
		return none, err
	}
	waiting, oldest := 0, []uint64(nil)
	before := c.FinalAccounts
	if err := k.walkHours(ctx, c.Id, 0, func(h energyv1.Hour) bool {
		switch {
		case h.Hour > c.FinalHour:
			waiting++
			before = h.Accounts
		case h.Hour+uint64(params.Community.RetainHours) < c.FinalHour && len(oldest) < prunesPerCommit:
			oldest = append(oldest, h.Hour)
		}
		return waiting > maxWaiting
	}); err != nil {
		return none, err
	}
	if waiting > maxWaiting {
		return none, errorsmod.Wrapf(ErrTooMany, "%d hours of community %d are not final", waiting, c.Id)
	}
	if err := checkGrowth(before, accounts); err != nil {
		return none, err
	}
	for _, old := range oldest {
		if err := k.hours.Remove(ctx, collections.Join(c.Id, old)); err != nil {
			return none, errorsmod.Wrapf(err, "removing hour %d", old)
		}
	}
	h := energyv1.Hour{
		Community: c.Id, Hour: msg.Hour, Readings: msg.Readings, Before: before, Accounts: msg.Accounts, Prices: msg.Prices,
		Aggregator: c.Aggregator, CommittedAt: now, FinalAt: now + params.Community.ChallengeSeconds, Previous: c.LastHour,
	}
	if err := k.hours.Set(ctx, collections.Join(c.Id, h.Hour), h); err != nil {
		return none, errorsmod.Wrapf(err, "writing hour %d", h.Hour)
	}
	c.LastHour = h.Hour
	if err := k.setCommunity(ctx, c); err != nil {
		return none, err
	}
	event := &energyv1.EventHourCommitted{Community: c.Id, Hour: h.Hour}
	for _, f := range readings.Totals {
		b, err := f.Balance(grid.PPM(terms.LossPpm))
		if err != nil {
			b.State = meter.Failed
		}
		event.States = append(event.States, uint32(b.State))
	}
	return h, emit(ctx, event)
}

// parseCommit reads the roots of a commit: sums that no tree has, and money that does not add up to
// zero (INV-ENERGY-ZERO), are refused at once.
func parseCommit(readings, accounts []byte) (r meter.Node, a community.Node, err error) {
	if err := r.UnmarshalBinary(readings); err != nil {
		return r, a, errorsmod.Wrapf(ErrField, "readings: %s", err)
	}
	if err := r.Totals.Check(r.Leaves); err != nil {
		return r, a, errorsmod.Wrapf(ErrField, "readings: %s", err)
	}
	if err := a.UnmarshalBinary(accounts); err != nil {
		return r, a, errorsmod.Wrapf(ErrField, "accounts: %s", err)
	}
	if a.Earned != a.Owed || a.Leaves > community.MaxAccounts {
		return r, a, errorsmod.Wrapf(ErrField, "accounts: %d earned %s and owe %s: want the same", a.Leaves, a.Earned, a.Owed)
	}
	return r, a, nil
}

// checkGrowth refuses accounts that become fewer or lose money: they are cumulative.
func checkGrowth(before []byte, after community.Node) error {
	if len(before) == 0 {
		return nil
	}
	var b community.Node
	if err := b.UnmarshalBinary(before); err != nil {
		return errorsmod.Wrapf(ErrGenesis, "accounts before: %s", err)
	}
	if after.Leaves < b.Leaves || after.Earned.Cmp(b.Earned) < 0 {
		return errorsmod.Wrapf(ErrField, "accounts: %d earned %s, before %d earned %s", after.Leaves, after.Earned, b.Leaves, b.Earned)
	}
	return nil
}

// input gathers what an hour is settled from, but for leaves and accounts before.
func (k *Keeper) input(ctx context.Context, id, hour uint64, leaves []meter.Leaf) (community.Input, error) {
	in := community.Input{Hour: meter.Hour(hour), Leaves: leaves}
	terms, err := k.termsAt(ctx, id, hour)
	if err != nil {
		return in, err
	}
	if in.Terms, err = parseTerms(terms); err != nil {
		return in, err
	}
	for _, l := range leaves {
		m, err := k.membership(ctx, l.Meter, hour)
		if err != nil || m.Community != id {
			continue // core/community refuses leaves of no member
		}
		s, err := k.standing(ctx, id, l.Meter, hour)
		if err != nil {
			return in, err
		}
		one, err := memberOf(m, s)
		if err != nil {
			return in, err
		}
		in.Members = append(in.Members, one)
	}
	s, err := k.standing(ctx, id, uint64(community.Utility), hour)
	if err != nil {
		return in, err
	}
	u, err := memberOf(energyv1.Member{Device: uint64(community.Utility)}, s)
	in.Members = append(in.Members, u)
	return in, err
}

// memberOf is a member with its standing as core/community knows it.
func memberOf(m energyv1.Member, s energyv1.Standing) (out community.Member, err error) {
	out = community.Member{
		ID: community.AccountID(m.Device), Node: grid.NodeID(m.Node), Role: meter.Role(m.Role), Class: meter.Class(m.Class),
		SellAbove: grid.Tick(s.SellAbove), BuyBelow: grid.Tick(s.BuyBelow),
	}
	if out.PaidIn, err = parseAmount("paid_in", s.PaidIn); err != nil {
		return out, err
	}
	out.Withdrawn, err = parseAmount("withdrawn", s.Withdrawn)
	return out, err
}

// prices lays out local prices as a commit has them.
func prices(of [meter.HourSlots][]grid.Tick) []byte {
	var b []byte
	for _, slot := range of {
		for _, p := range slot {
			b = binary.BigEndian.AppendUint16(b, uint16(p))
		}
	}
	return b
}
