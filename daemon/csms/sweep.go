package csms

import (
	"context"
	"time"

	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/internal/clock"
)

// stopAgain is how long a station may take to end a session that it was told to.
const stopAgain = time.Minute

// sweepLoop looks at what time changes: limits, ends that wait, silent stations, orders, connections.
func (s *Service) sweepLoop(ctx context.Context) error {
	pinged := s.Clock.Now()
	return clock.Every(ctx, s.Clock, s.Config.Sweep, func(ctx context.Context) error {
		now := s.Clock.Now()
		if err := s.overdue(now); err != nil {
			return err
		}
		ping := now.Sub(pinged) >= pingEvery
		if ping {
			pinged = now
		}
		var failed error
		s.eachStation(func(st *station) {
			if failed != nil {
				return
			}
			failed = s.sweep(ctx, st)
			if c := st.connection(); ping && c != nil {
				if err := c.Ping(); err != nil {
					s.Log.Debug("pinging", "station", st.ID, "error", err)
				}
			}
		})
		s.outbox.wake()
		return failed
	})
}

// sweep looks at the open sessions of one station.
func (s *Service) sweep(ctx context.Context, st *station) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.open) == 0 {
		return nil
	}
	now := s.Clock.Now().UTC()
	c := s.store.change()
	for _, x := range st.sessions() {
		switch {
		case x.State == Active && now.Sub(x.LastArrived) > s.Config.SilentAfter:
			s.abandon(st, c, x, now)
			s.finish(ctx, st, c, x)
		case x.State == Active:
			s.enforce(ctx, st, c, x, now)
		case x.State == Ended:
			s.finish(ctx, st, c, x)
		}
	}
	return s.commit(c)
}

// stopAt is which part of the escrow ends a session: what flows while the stop is on its way must still be paid.
const stopAt, stopOf = 97, 100

// enforce stops a session that reaches a limit. st.mu is held.
func (s *Service) enforce(ctx context.Context, st *station, c *change, x *Session, now time.Time) {
	if !x.State.Open() || !x.StopAsked.IsZero() && now.Sub(x.StopAsked) < stopAgain {
		return
	}
	register, _ := x.last()
	energy := register - x.MeterStart
	var why Reason
	switch {
	case x.Order == 0 && x.Grant == 0 && x.Tag == "":
		return // who pays may still be said
	case x.Order == 0 && x.Grant == 0:
		why = UnknownTag
	case x.MaxEnergy > 0 && energy >= x.MaxEnergy:
		why = LimitReached
	case x.MaxSeconds > 0 && now.Sub(x.Started) >= time.Duration(x.MaxSeconds)*time.Second:
		why = LimitReached
	case x.Escrow.IsZero():
		return // a card's session that the ledger has not answered for, without a limit of its own
	default:
		t, err := s.tariffs.get(ctx, x.Tariff)
		if err != nil {
			return
		}
		cost, _, err := x.priced(t, now.Unix())
		if err != nil {
			return
		}
		x.Cost = cost.Total.InclVAT
		limit, _ := x.Escrow.MulDiv(stopAt, stopOf)
		if x.Cost.Cmp(limit) < 0 {
			return
		}
		why = EscrowReached
	}
	x.remark(why)
	c.session(x)
	s.askStop(st, x)
}

// askStop tells the station to end a session. st.mu is held.
func (s *Service) askStop(st *station, x *Session) {
	x.StopAsked = s.Clock.Now().UTC()
	no, version, tx := x.No, x.Version, x.StationTx
	s.calls.do(func(ctx context.Context) {
		if err := s.remoteStop(ctx, st, no, version, tx); err != nil {
			s.Log.Info("remote stop", "station", st.ID, "session", no, "error", err)
		}
	})
}

// spent tells whether a session's money is used up.
func (s *Service) spent(x *Session, now time.Time) bool {
	t, err := s.tariffs.get(s.ctx, x.Tariff)
	if err != nil {
		return false
	}
	cost, _, err := x.priced(t, now.Unix())
	return err == nil && cost.Total.InclVAT.Cmp(x.Escrow) >= 0
}

// parks tells whether a tariff asks anything for a car that stands and does not charge.
func parks(t *tariff.Tariff) bool {
	for _, e := range t.Elements {
		for _, c := range e.Components {
			if c.Dimension == tariff.ParkingTime && !c.Price.IsZero() {
				return true
			}
		}
	}
	return false
}
