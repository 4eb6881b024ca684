package energy

import (
	"bytes"
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/tariff"
)

// DefaultGenesis is the genesis of a chain that starts without data.
func DefaultGenesis() *energyv1.GenesisState {
	return &energyv1.GenesisState{
		Params: DefaultParams(), NextTariff: 1, NextSession: 1,
		Communities: energyv1.CommunityState{NextCommunity: 1, NextDemand: 1},
	}
}

// ValidateGenesis checks a genesis as far as it can be without a store.
func ValidateGenesis(g *energyv1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	if g.NextTariff == 0 || g.NextSession == 0 {
		return errorsmod.Wrapf(ErrGenesis, "next_tariff %d, next_session %d: ids start at 1", g.NextTariff, g.NextSession)
	}
	tariffs := make(map[uint64]bool, len(g.Tariffs))
	for i, t := range g.Tariffs {
		if t.Id == 0 || t.Id >= g.NextTariff || tariffs[t.Id] {
			return errorsmod.Wrapf(ErrGenesis, "tariffs[%d]: id %d, next is %d", i, t.Id, g.NextTariff)
		}
		if len(t.Document) > tariff.MaxJSON {
			return errorsmod.Wrapf(ErrGenesis, "tariffs[%d] has %d bytes", i, len(t.Document))
		}
		if _, err := parseTariff(t.Document); err != nil {
			return errorsmod.Wrapf(err, "tariffs[%d]", i)
		}
		tariffs[t.Id] = true
	}
	open := make(map[uint64]uint32)
	seen := make(map[uint64]bool, len(g.Sessions))
	for i, s := range g.Sessions {
		if s.Id == 0 || s.Id >= g.NextSession || seen[s.Id] {
			return errorsmod.Wrapf(ErrGenesis, "sessions[%d]: id %d, next is %d", i, s.Id, g.NextSession)
		}
		seen[s.Id] = true
		if err := checkSession(s); err != nil {
			return errorsmod.Wrapf(err, "sessions[%d]", i)
		}
		if !tariffs[s.Tariff] {
			return errorsmod.Wrapf(ErrGenesis, "sessions[%d]: no tariff %d", i, s.Tariff)
		}
		if !over(s.State) {
			open[s.Station]++
		}
	}
	for i, s := range g.Stations {
		if i > 0 && g.Stations[i-1].Device >= s.Device {
			return errorsmod.Wrapf(ErrGenesis, "stations[%d]: device %d after %d, want ascending", i, s.Device, g.Stations[i-1].Device)
		}
		if s.OpenSessions != open[s.Device] {
			return errorsmod.Wrapf(ErrGenesis, "stations[%d]: device %d has %d open sessions, it says %d", i, s.Device, open[s.Device], s.OpenSessions)
		}
		if !tariffs[s.Tariff] {
			return errorsmod.Wrapf(ErrGenesis, "stations[%d]: no tariff %d", i, s.Tariff)
		}
		delete(open, s.Device)
	}
	if len(open) > 0 {
		return errorsmod.Wrapf(ErrGenesis, "sessions of %d stations that are not there", len(open))
	}
	for i, r := range g.PageRuns {
		if i > 0 {
			last := g.PageRuns[i-1]
			if c := bytes.Compare(last.Meter, r.Meter); c > 0 || c == 0 && last.Last >= r.First {
				return errorsmod.Wrapf(ErrGenesis, "page_runs[%d]: overlaps the one before or is out of order", i)
			}
		}
		if r.First > r.Last || !seen[r.Session] {
			return errorsmod.Wrapf(ErrGenesis, "page_runs[%d]: T%d to T%d of session %d", i, r.First, r.Last, r.Session)
		}
	}
	for i, m := range g.PageMarks {
		if i > 0 && bytes.Compare(g.PageMarks[i-1].Meter, m.Meter) >= 0 {
			return errorsmod.Wrapf(ErrGenesis, "page_marks[%d]: want ascending meters", i)
		}
	}
	return checkCommunities(g.Communities)
}

// checkSession holds a session to what messages can have made: its money adds up.
func checkSession(s energyv1.Session) error {
	if _, err := parseCoin("escrow", s.Escrow); err != nil {
		return err
	}
	if s.State < stateOpen || s.State > stateRefunded || s.Deadline <= 0 || s.Offered.IsNil() {
		return errorsmod.Wrapf(ErrGenesis, "session %d: %s, deadline %d", s.Id, s.State, s.Deadline)
	}
	billed := s.State == stateHeld || s.State == stateDisputed || s.State == stateAnswered || s.State == stateSettled
	if billed && s.Bill == nil || (s.State == stateOpen || s.State == stateCharging) && s.Bill != nil {
		return errorsmod.Wrapf(ErrGenesis, "session %d: %s with a bill: %t", s.Id, s.State, s.Bill != nil)
	}
	if s.Deposit != nil {
		if _, err := parseCoin("deposit", *s.Deposit); err != nil {
			return err
		}
		if s.State != stateDisputed && s.State != stateAnswered {
			return errorsmod.Wrapf(ErrGenesis, "session %d: %s with a deposit", s.Id, s.State)
		}
	}
	if s.Bill == nil {
		return nil
	}
	b := s.Bill
	for _, c := range []struct {
		name string
		err  error
	}{
		{"cost", checkPart(b.Cost.Amount, s.Escrow.Amount)},
		{"fee", checkPart(b.Fee.Amount, b.Cost.Amount)},
		{"refund", checkPart(b.Refund.Amount, s.Escrow.Amount)},
		{"given_back", checkPart(b.GivenBack.Amount, b.Cost.Amount)},
		{"offered", checkPart(s.Offered, b.Cost.Amount)},
	} {
		if c.err != nil {
			return errorsmod.Wrapf(c.err, "session %d: bill.%s", s.Id, c.name)
		}
	}
	if !b.Cost.Amount.Add(b.Refund.Amount).Equal(s.Escrow.Amount) {
		return errorsmod.Wrapf(ErrGenesis, "session %d: cost %s and refund %s of escrow %s", s.Id, b.Cost, b.Refund, s.Escrow)
	}
	if b.Fee.Amount.Add(b.GivenBack.Amount).GT(b.Cost.Amount) {
		return errorsmod.Wrapf(ErrGenesis, "session %d: fee %s and given back %s of %s", s.Id, b.Fee, b.GivenBack, b.Cost)
	}
	return nil
}

// InitGenesis writes a valid genesis into an empty store. Addresses are taken in any spelling.
func (k *Keeper) InitGenesis(ctx context.Context, g *energyv1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return errorsmod.Wrap(err, "writing params")
	}
	if err := k.nextTariff.Set(ctx, g.NextTariff); err != nil {
		return errorsmod.Wrap(err, "writing next_tariff")
	}
	if err := k.nextSession.Set(ctx, g.NextSession); err != nil {
		return errorsmod.Wrap(err, "writing next_session")
	}
	for i, s := range g.Stations {
		if err := k.checkStation(&s); err != nil {
			return errorsmod.Wrapf(err, "stations[%d]", i)
		}
		if err := k.stations.Set(ctx, s.Device, s); err != nil {
			return errorsmod.Wrapf(err, "writing station %d", s.Device)
		}
	}
	for i, t := range g.Tariffs {
		var err error
		if _, t.Publisher, err = k.parseAccount("publisher", t.Publisher); err != nil {
			return errorsmod.Wrapf(err, "tariffs[%d]", i)
		}
		if err := k.tariffs.Set(ctx, t.Id, t); err != nil {
			return errorsmod.Wrapf(err, "writing tariff %d", t.Id)
		}
	}
	for i, s := range g.Sessions {
		var err error
		if _, s.Driver, err = k.parseAccount("driver", s.Driver); err != nil {
			return errorsmod.Wrapf(err, "sessions[%d]", i)
		}
		if err := k.checkShares(s.Shares); err != nil {
			return errorsmod.Wrapf(err, "sessions[%d]", i)
		}
		if err := k.sessions.Set(ctx, s.Id, s); err != nil {
			return errorsmod.Wrapf(err, "writing session %d", s.Id)
		}
		if err := k.deadlines.Set(ctx, collections.Join(s.Deadline, s.Id)); err != nil {
			return errorsmod.Wrapf(err, "setting deadline of session %d", s.Id)
		}
	}
	for _, r := range g.PageRuns {
		if err := k.runs.Set(ctx, collections.Join(r.Meter, r.Last), r); err != nil {
			return errorsmod.Wrapf(err, "writing pages of session %d", r.Session)
		}
	}
	for _, m := range g.PageMarks {
		if err := k.marks.Set(ctx, m.Meter, m); err != nil {
			return errorsmod.Wrapf(err, "writing mark of meter %x", m.Meter)
		}
	}
	return k.initCommunities(ctx, g.Communities)
}

// ExportGenesis reads the whole state; InitGenesis of it restores the same state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*energyv1.GenesisState, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return nil, err
	}
	g := &energyv1.GenesisState{Params: params}
	if g.NextTariff, err = k.nextTariff.Peek(ctx); err != nil {
		return nil, errorsmod.Wrap(err, "reading next_tariff")
	}
	if g.NextSession, err = k.nextSession.Peek(ctx); err != nil {
		return nil, errorsmod.Wrap(err, "reading next_session")
	}
	e := &g.Communities
	if e.NextCommunity, err = k.nextCommunity.Peek(ctx); err != nil {
		return nil, errorsmod.Wrap(err, "reading next_community")
	}
	if e.NextDemand, err = k.nextDemand.Peek(ctx); err != nil {
		return nil, errorsmod.Wrap(err, "reading next_demand")
	}
	for _, read := range []func() error{
		func() error { return all(ctx, k.communities, &e.Communities) },
		func() error { return all(ctx, k.terms, &e.Terms) },
		func() error { return all[hourKey, energyv1.Member](ctx, k.members, &e.Members) },
		func() error { return all(ctx, k.standings, &e.Standings) },
		func() error { return all(ctx, k.money, &e.Funds) },
		func() error { return all(ctx, k.hours, &e.Hours) },
		func() error { return all(ctx, k.demands, &e.Demands) },
		func() error {
			return k.doubles.Walk(ctx, nil, func(key hourKey) (bool, error) {
				e.Doubles = append(e.Doubles, energyv1.DoubleFrame{Device: key.K1(), Hour: key.K2()})
				return false, nil
			})
		},
		func() error { return all(ctx, k.stations, &g.Stations) },
		func() error { return all(ctx, k.tariffs, &g.Tariffs) },
		func() error { return all[uint64, energyv1.Session](ctx, k.sessions, &g.Sessions) },
		func() error { return all(ctx, k.runs, &g.PageRuns) },
		func() error { return all(ctx, k.marks, &g.PageMarks) },
	} {
		if err := read(); err != nil {
			return nil, errorsmod.Wrap(err, "reading the state")
		}
	}
	return g, nil
}

// all appends the values of a map in the order of their keys.
func all[K, V any](ctx context.Context, m interface {
	Walk(context.Context, collections.Ranger[K], func(K, V) (bool, error)) error
}, values *[]V,
) error {
	return m.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		*values = append(*values, v)
		return false, nil
	})
}
