package energy

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/auction"
	"github.com/cairn-network/cairn/core/community"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/core/price"
)

const (
	// Meter is what the registry calls a meter.
	Meter = "meter"
	// Gateway is what it calls an aggregator.
	Gateway = "gateway"
	// maxTickBits keeps the worth of any hour far below what an amount holds: 2^80 acairn a tick.
	maxTickBits = 80
)

// thisHour is the hour of the block.
func thisHour(ctx sdk.Context) uint64 { return uint64(meter.HourAt(ctx.BlockTime().Unix())) }

// parseTerms makes the terms that core/community knows; ErrTerms names the field.
func parseTerms(t energyv1.Terms) (community.Terms, error) {
	var out community.Terms
	if len(t.Nodes) > community.MaxNodes {
		return out, errorsmod.Wrapf(ErrTerms, "nodes: %d, at most %d", len(t.Nodes), community.MaxNodes)
	}
	nodes := make([]grid.Node, len(t.Nodes))
	for i, n := range t.Nodes {
		if n.Kind > uint32(grid.Meter) || n.LossPpm > uint32(grid.MaxLoss) || n.Fee < 0 || n.Fee >= t.Ticks {
			return out, errorsmod.Wrapf(ErrTerms, "nodes[%d]: kind %d, loss %d ppm, fee %d of %d ticks", i, n.Kind, n.LossPpm, n.Fee, t.Ticks)
		}
		nodes[i] = grid.Node{
			ID: grid.NodeID(n.Id), Parent: grid.NodeID(n.Parent), Kind: grid.Kind(n.Kind),
			Edge: grid.Edge{Fee: grid.Tick(n.Fee), Loss: grid.PPM(n.LossPpm), Capacity: grid.WattHours(n.Capacity)},
		}
	}
	tree, err := grid.New(nodes)
	if err != nil {
		return out, errorsmod.Wrapf(ErrTerms, "nodes: %s", err)
	}
	tick, err := parseAmount("tick_price", t.TickPrice)
	if err != nil {
		return out, err
	}
	if tick.IsZero() || tick.Hi>>(maxTickBits-64) != 0 {
		return out, errorsmod.Wrapf(ErrTerms, "tick_price %s: want 1 to 2^%d", t.TickPrice, maxTickBits)
	}
	if t.LossPpm > uint32(grid.MaxLoss) {
		return out, errorsmod.Wrapf(ErrTerms, "loss_ppm %d: at most %d", t.LossPpm, grid.MaxLoss)
	}
	if t.Ticks < 1 || t.Ticks > grid.CommunityTicks {
		return out, errorsmod.Wrapf(ErrTerms, "ticks %d: want 1 to %d", t.Ticks, grid.CommunityTicks)
	}
	out = community.Terms{
		Tree: tree, Ticks: grid.Tick(t.Ticks), Tick: tick, Loss: grid.PPM(t.LossPpm),
		Utility: auction.Utility{Retail: grid.Tick(t.Retail), FeedIn: grid.Tick(t.FeedIn)},
	}
	market := auction.Market{Tree: tree, Ticks: out.Ticks, Utility: &out.Utility}
	if err := market.Check(); err != nil {
		return out, errorsmod.Wrapf(ErrTerms, "%s", err)
	}
	return out, nil
}

// setTerms checks terms and keeps them from an hour on. Owners of edges are left spelled canonically.
func (k *Keeper) setTerms(ctx context.Context, t energyv1.Terms) error {
	if _, err := parseTerms(t); err != nil {
		return err
	}
	for i := range t.Nodes {
		var err error
		if _, t.Nodes[i].Owner, err = k.parseAccount("nodes.owner", t.Nodes[i].Owner); err != nil {
			return err
		}
	}
	return errorsmod.Wrapf(k.terms.Set(ctx, collections.Join(t.Community, t.Since), t), "writing terms of community %d", t.Community)
}

// last gives the newest value of a map under a prefix that began at an hour or before.
func last[V any](ctx context.Context, m interface {
	Walk(context.Context, collections.Ranger[hourKey], func(hourKey, V) (bool, error)) error
}, id, hour uint64, absent error, what string,
) (found V, err error) {
	some := false
	r := collections.NewPrefixedPairRange[uint64, uint64](id).EndInclusive(hour).Descending()
	err = m.Walk(ctx, r, func(_ hourKey, v V) (bool, error) {
		found, some = v, true
		return true, nil
	})
	if err == nil && !some {
		err = errorsmod.Wrapf(absent, "%s %d has none at hour %d", what, id, hour)
	}
	return found, err
}

func (k *Keeper) termsAt(ctx context.Context, id, hour uint64) (energyv1.Terms, error) {
	return last[energyv1.Terms](ctx, k.terms, id, hour, ErrTerms, "community")
}

func (k *Keeper) community(ctx context.Context, id uint64) (energyv1.Community, error) {
	return get(ctx, k.communities, id, ErrNoCommunity, "community %d", id)
}

func (k *Keeper) setCommunity(ctx context.Context, c energyv1.Community) error {
	return errorsmod.Wrapf(k.communities.Set(ctx, c.Id, c), "writing community %d", c.Id)
}

// aggregating refuses devices that may not aggregate.
func (k *Keeper) aggregating(ctx context.Context, device uint64) error {
	d, err := k.devices.Active(ctx, device)
	if err != nil {
		return err
	}
	if d.Kind != Gateway {
		return errorsmod.Wrapf(ErrKind, "device %d is a %s, want a %s", device, d.Kind, Gateway)
	}
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	if least := params.Community.AggregatorBond; least.IsPositive() && (d.Bond.Denom != price.Denom || d.Bond.Amount.LT(least)) {
		return errorsmod.Wrapf(ErrBond, "device %d has %s, want %s%s", device, d.Bond, least, price.Denom)
	}
	return nil
}

// membership gives the community that a device is in at an hour.
func (k *Keeper) membership(ctx context.Context, device, hour uint64) (energyv1.Member, error) {
	m, err := last[energyv1.Member](ctx, k.members, device, hour, ErrNotMember, "meter")
	if err == nil && m.Until != 0 && m.Until <= hour {
		err = errorsmod.Wrapf(ErrNotMember, "meter %d left with hour %d", device, m.Until)
	}
	return m, err
}

// meterOf is a member as core/meter knows it.
func meterOf(m energyv1.Member) meter.Meter {
	r := m.Rating
	return meter.Meter{
		ID: m.Device, Role: meter.Role(m.Role), Node: grid.NodeID(m.Node),
		Key: meter.Key{Type: meter.KeyType(m.KeyType), Bytes: m.Key},
		Rating: meter.Rating{
			Import: grid.Watts(r.Import), Export: grid.Watts(r.Export), Generation: grid.Watts(r.Generation), Storage: grid.Watts(r.Storage),
			Capacity: grid.WattHours(r.Capacity), Solar: r.Solar, Site: meter.Site{Latitude: r.Latitude, Longitude: r.Longitude},
			Class: meter.Class(m.Class),
		},
	}
}

// checkMember refuses members that no leaf could be of.
func checkMember(m energyv1.Member) error {
	if m.Role > uint32(meter.Head) || !meter.Role(m.Role).Valid() {
		return errorsmod.Wrapf(ErrField, "role %d", m.Role)
	}
	if m.Class > uint32(meter.ClassA) {
		return errorsmod.Wrapf(ErrField, "class %d", m.Class)
	}
	known := meterOf(m)
	if err := known.Key.Check(); err != nil {
		return errorsmod.Wrapf(ErrField, "key: %s", err)
	}
	if err := known.Rating.Check(); err != nil {
		return errorsmod.Wrapf(ErrField, "rating: %s", err)
	}
	if m.Device == 0 || !community.AccountID(m.Device).IsMeter() {
		return errorsmod.Wrapf(ErrField, "device %d", m.Device)
	}
	return nil
}

// join makes a meter a member from the next hour on.
func (k *Keeper) join(ctx sdk.Context, c energyv1.Community, d devicev1.Device, m energyv1.Member) (energyv1.Member, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return m, err
	}
	if c.Members >= params.Community.MaxMembers {
		return m, errorsmod.Wrapf(ErrTooMany, "community %d has %d members", c.Id, c.Members)
	}
	if len(m.Key) == 0 {
		m.KeyType, m.Key = int32(d.Pubkey.Type), d.Pubkey.Key
	}
	tier, err := k.devices.TierOf(ctx, d.Id)
	if err != nil {
		return m, err
	}
	if m.Class = uint32(meter.ClassC); tier >= 2 {
		m.Class = uint32(meter.ClassB)
	}
	if err := checkMember(m); err != nil {
		return m, err
	}
	m.Since = thisHour(ctx) + 1
	terms, err := k.termsAt(ctx, c.Id, m.Since)
	if err != nil {
		return m, err
	}
	known := false
	for _, n := range terms.Nodes {
		known = known || n.Id == m.Node
	}
	if !known {
		return m, errorsmod.Wrapf(ErrField, "node %d: community %d has none of that number", m.Node, c.Id)
	}
	before, err := last[energyv1.Member](ctx, k.members, m.Device, m.Since, ErrNotMember, "meter")
	if err == nil && (before.Until == 0 || before.Until > m.Since) {
		return m, errorsmod.Wrapf(ErrMember, "meter %d is in community %d", m.Device, before.Community)
	}
	if err != nil && !errors.Is(err, ErrNotMember) {
		return m, err
	}
	if err := k.members.Set(ctx, collections.Join(m.Device, m.Since), m); err != nil {
		return m, errorsmod.Wrapf(err, "writing member %d", m.Device)
	}
	c.Members++
	return m, k.setCommunity(ctx, c)
}

// leave ends a membership with the running hour.
func (k *Keeper) leave(ctx sdk.Context, c energyv1.Community, m energyv1.Member) (energyv1.Member, error) {
	m.Until = thisHour(ctx) + 1
	if err := k.members.Set(ctx, collections.Join(m.Device, m.Since), m); err != nil {
		return m, errorsmod.Wrapf(err, "writing member %d", m.Device)
	}
	c.Members--
	return m, k.setCommunity(ctx, c)
}

// current gives a device's membership that has not ended, and its community.
func (k *Keeper) current(ctx sdk.Context, id, device uint64) (energyv1.Community, energyv1.Member, error) {
	c, err := k.community(ctx, id)
	if err != nil {
		return c, energyv1.Member{}, err
	}
	m, err := last[energyv1.Member](ctx, k.members, device, thisHour(ctx)+1, ErrNotMember, "meter")
	if err == nil && (m.Until != 0 || m.Community != id) {
		err = errorsmod.Wrapf(ErrNotMember, "meter %d in community %d", device, id)
	}
	return c, m, err
}

// standing gives what holds for an account at an hour; nothing is held against nobody: an account
// without a standing has no money and trades with the utility only.
func (k *Keeper) standing(ctx context.Context, id, account, hour uint64) (found energyv1.Standing, err error) {
	found = energyv1.Standing{Community: id, Account: account, SellAbove: grid.CommunityTicks - 1, PaidIn: math.ZeroInt(), Withdrawn: math.ZeroInt()}
	r := collections.NewSuperPrefixedTripleRange[uint64, uint64, uint64](id, account)
	err = k.standings.Walk(ctx, r, func(key standingKey, s energyv1.Standing) (bool, error) {
		if key.K3() > hour {
			return true, nil
		}
		found = s
		return false, nil
	})
	return found, errorsmod.Wrapf(err, "reading standing of account %d in community %d", account, id)
}

// stand changes what holds for an account from the next hour on, and drops what held before the last
// final hour.
func (k *Keeper) stand(ctx sdk.Context, c energyv1.Community, account uint64, change func(*energyv1.Standing)) error {
	s, err := k.standing(ctx, c.Id, account, thisHour(ctx)+1)
	if err != nil {
		return err
	}
	change(&s)
	s.Since = thisHour(ctx) + 1
	if err := k.standings.Set(ctx, collections.Join3(c.Id, account, s.Since), s); err != nil {
		return errorsmod.Wrapf(err, "writing standing of account %d", account)
	}
	var rows []standingKey
	r := collections.NewSuperPrefixedTripleRange[uint64, uint64, uint64](c.Id, account)
	if err := k.standings.Walk(ctx, r, func(key standingKey, _ energyv1.Standing) (bool, error) {
		rows = append(rows, key)
		return key.K3() > c.FinalHour, nil
	}); err != nil {
		return errorsmod.Wrapf(err, "reading standings of account %d", account)
	}
	// Of those that began at the final hour or before, the newest still holds.
	for i := 0; i+2 < len(rows); i++ {
		if err := k.standings.Remove(ctx, rows[i]); err != nil {
			return errorsmod.Wrapf(err, "removing standing of account %d", account)
		}
	}
	return nil
}

// funds gives an account's money that went in and out.
func (k *Keeper) funds(ctx context.Context, id, account uint64) (energyv1.Funds, error) {
	f, err := k.money.Get(ctx, collections.Join(id, account))
	if errors.Is(err, collections.ErrNotFound) {
		return energyv1.Funds{Community: id, Account: account, PaidIn: math.ZeroInt(), PaidOut: math.ZeroInt(), Pending: math.ZeroInt()}, nil
	}
	return f, errorsmod.Wrapf(err, "reading funds of account %d", account)
}

// maxPaidIn bounds what an account may ever hold: sums of a whole community stay in range.
const maxPaidInBits = 110

// deposit pays into an account.
func (k *Keeper) deposit(ctx sdk.Context, from sdk.AccAddress, c energyv1.Community, account uint64, amount sdk.Coin) error {
	if id := community.AccountID(account); !id.IsMeter() && id != community.Utility {
		return errorsmod.Wrapf(ErrField, "account %d: want that of a meter or of the utility", account)
	}
	f, err := k.funds(ctx, c.Id, account)
	if err != nil {
		return err
	}
	if f.PaidIn = f.PaidIn.Add(amount.Amount); f.PaidIn.BigIntMut().BitLen() > maxPaidInBits {
		return errorsmod.Wrapf(ErrAmount, "amount %s: account %d would have been paid more than 2^%d", amount, account, maxPaidInBits)
	}
	if err := k.take(ctx, from, amount); err != nil {
		return errorsmod.Wrapf(err, "paying in %s", amount)
	}
	if err := k.money.Set(ctx, collections.Join(c.Id, account), f); err != nil {
		return errorsmod.Wrapf(err, "writing funds of account %d", account)
	}
	c.PaidIn = c.PaidIn.Add(amount.Amount)
	if err := k.setCommunity(ctx, c); err != nil {
		return err
	}
	return k.stand(ctx, c, account, func(s *energyv1.Standing) { s.PaidIn = s.PaidIn.Add(amount.Amount) })
}

// beneficiary is who gets an account's money.
func (k *Keeper) beneficiary(ctx sdk.Context, c energyv1.Community, account uint64) (string, error) {
	id := community.AccountID(account)
	switch {
	case id.IsMeter():
		d, err := k.devices.Device(ctx, account)
		return d.Owner, err
	case id == community.Utility:
		return c.Utility, nil
	case id == community.Rounding:
		return c.Manager, nil
	}
	node, ok := id.Edge()
	if !ok {
		return "", errorsmod.Wrapf(ErrField, "account %d: there is none", account)
	}
	terms, err := k.termsAt(ctx, c.Id, thisHour(ctx)+1)
	if err != nil {
		return "", err
	}
	for _, n := range terms.Nodes {
		if n.Id == uint32(node) {
			return n.Owner, nil
		}
	}
	return c.Manager, nil // the edge has been removed
}

// withdraw asks for money of an account: from the next hour on it buys nothing any more.
func (k *Keeper) withdraw(ctx sdk.Context, c energyv1.Community, account uint64, amount math.Int) (hour uint64, err error) {
	f, err := k.funds(ctx, c.Id, account)
	if err != nil {
		return 0, err
	}
	if f.Pending.IsPositive() {
		return 0, errorsmod.Wrapf(ErrPending, "account %d waits for %s", account, f.Pending)
	}
	f.Pending, f.PendingHour = amount, thisHour(ctx)
	if err := k.money.Set(ctx, collections.Join(c.Id, account), f); err != nil {
		return 0, errorsmod.Wrapf(err, "writing funds of account %d", account)
	}
	return f.PendingHour, k.stand(ctx, c, account, func(s *energyv1.Standing) { s.Withdrawn = f.PaidOut.Add(f.Pending) })
}

// claim pays what was asked for, as far as the account has it.
func (k *Keeper) claim(ctx sdk.Context, c energyv1.Community, account uint64, proof, absence []byte) (sdk.Coin, error) {
	f, err := k.funds(ctx, c.Id, account)
	if err != nil {
		return zero(), err
	}
	if !f.Pending.IsPositive() {
		return zero(), errorsmod.Wrapf(ErrPending, "account %d asked for nothing", account)
	}
	if c, err = k.finalise(ctx, c); err != nil {
		return zero(), err
	}
	done, err := k.doneThrough(ctx, c)
	if err != nil {
		return zero(), err
	}
	if done < f.PendingHour {
		return zero(), errorsmod.Wrapf(ErrNotFinal, "hour %d: final is %d", f.PendingHour, done)
	}
	a, err := under(c, account, proof, absence)
	if err != nil {
		return zero(), err
	}
	has := f.PaidIn.Add(toInt(a.Earned)).Sub(toInt(a.Owed)).Sub(f.PaidOut)
	paid := zero()
	// Never more than the community was paid, whatever an aggregator committed to and nobody challenged.
	paid.Amount = math.MaxInt(math.ZeroInt(), math.MinInt(f.Pending, math.MinInt(has, c.PaidIn.Sub(c.PaidOut))))
	owner, err := k.beneficiary(ctx, c, account)
	if err != nil {
		return zero(), err
	}
	to, _, err := k.parseAccount("beneficiary", owner)
	if err != nil {
		return zero(), err
	}
	f.PaidOut, f.Pending = f.PaidOut.Add(paid.Amount), math.ZeroInt()
	if err := k.money.Set(ctx, collections.Join(c.Id, account), f); err != nil {
		return zero(), errorsmod.Wrapf(err, "writing funds of account %d", account)
	}
	c.PaidOut = c.PaidOut.Add(paid.Amount)
	if err := k.setCommunity(ctx, c); err != nil {
		return zero(), err
	}
	if err := k.stand(ctx, c, account, func(s *energyv1.Standing) { s.Withdrawn = f.PaidOut }); err != nil {
		return zero(), err
	}
	return paid, errorsmod.Wrapf(k.send(ctx, to, paid), "paying %s to %s", paid, owner)
}

// under gives an account as the final accounts have it: none of it where they show none.
func under(c energyv1.Community, account uint64, proof, absence []byte) (community.Account, error) {
	none := community.Account{ID: community.AccountID(account)}
	var root community.Node
	if len(c.FinalAccounts) > 0 {
		if err := root.UnmarshalBinary(c.FinalAccounts); err != nil {
			return none, errorsmod.Wrapf(ErrGenesis, "final accounts of community %d: %s", c.Id, err)
		}
	}
	if len(proof) > 0 {
		var p community.Proof
		err := p.UnmarshalBinary(proof)
		if err == nil {
			err = p.Verify(root)
		}
		if err == nil && p.Account.ID != none.ID {
			err = errors.New("of another account")
		}
		if err != nil {
			return none, errorsmod.Wrapf(ErrProof, "proof of account %d: %s", account, err)
		}
		return p.Account, nil
	}
	var a community.Absence
	err := a.UnmarshalBinary(absence)
	if err == nil {
		err = a.Verify(root, none.ID)
	}
	if err != nil {
		return none, errorsmod.Wrapf(ErrProof, "absence of account %d: %s", account, err)
	}
	return none, nil
}
